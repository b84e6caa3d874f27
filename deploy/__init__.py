"""Tools that run, back up, inspect and check the system. They are not in the images."""
