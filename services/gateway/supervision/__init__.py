"""What supervisors see of their departments as it happens, and the texts of a closed intake."""
