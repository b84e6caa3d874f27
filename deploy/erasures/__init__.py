"""`make erase`: erase a chat by its number, set and lift legal holds, and report what was deleted."""
