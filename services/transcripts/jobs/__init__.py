"""Loops of background work."""
