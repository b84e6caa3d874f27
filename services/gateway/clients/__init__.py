"""Clients of the internal APIs of the other services."""
