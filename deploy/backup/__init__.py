"""Backup and restore of everything that is stored: the services' databases."""
