"""Who may read what: citizens, agents, supervisors, and clients of the read API."""
