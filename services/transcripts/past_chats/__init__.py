"""Past chats: the list and the search of chats that have ended."""
