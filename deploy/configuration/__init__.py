"""`make configuration-import` and `make configuration-export`: the departments of the database as a file."""
