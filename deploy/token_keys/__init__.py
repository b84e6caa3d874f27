"""`make token-keys`: makes the keys with which services sign tokens."""
