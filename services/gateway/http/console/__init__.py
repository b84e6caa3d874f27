"""Routes for agents, supervisors, administrators and auditors."""
