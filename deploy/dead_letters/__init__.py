"""`make dead-letters`: what the services could not handle, for those who operate them."""
