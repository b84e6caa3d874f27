"""Periodic jobs of the gateway."""
