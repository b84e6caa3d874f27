"""Internal API of presence: its routes for the other services."""
