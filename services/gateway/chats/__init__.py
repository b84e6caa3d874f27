"""Chats that this gateway follows: the queue of live events, their routing to connections, and the logs' cursors."""
