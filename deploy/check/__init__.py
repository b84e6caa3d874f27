"""`make kubernetes-check`: asks what the services depend on what is right, and says what to do."""
