"""The events that the services publish, their value types, and their encoding."""
