"""Formats of files: how each is recognised, and what in it is refused or removed. No I/O."""
