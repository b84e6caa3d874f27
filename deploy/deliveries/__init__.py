"""`make deliveries`: what targets of webhooks have not got; list, replay or discard their dead letters."""
