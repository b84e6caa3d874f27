"""Routes of the public HTTP interface, and what they share."""
