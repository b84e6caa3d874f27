"""`make verify-access-log`: verify the access log, or export it as JSON lines."""
