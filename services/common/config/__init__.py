"""Settings from the environment, and the departments file."""
