"""Accounts in the database of presence, where `CONFIG_SOURCE` is `database`."""
