"""Pages that the gateway serves, and their files."""
