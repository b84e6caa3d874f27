"""Start, serving and end of a service's process, and worker processes with limits."""
