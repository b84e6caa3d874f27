"""Backup and restore of all that lasts: the services' databases."""
