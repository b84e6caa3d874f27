"""Generators of documentation from the code. They are not in the images."""
