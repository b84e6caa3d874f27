"""Handlers of citizens' and agents' connections."""
