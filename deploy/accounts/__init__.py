"""Operators' command for the accounts file: `make agent`."""
