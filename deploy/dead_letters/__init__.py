"""`make dead-letters`: inspect, replay or delete messages that the services could not handle."""
