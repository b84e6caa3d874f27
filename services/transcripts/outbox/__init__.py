"""Notices of chats for other systems: the outbox, and the senders that deliver what is in it."""
