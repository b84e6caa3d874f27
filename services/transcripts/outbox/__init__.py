"""What other systems are told of chats: the outbox, and the delivery of what is in it."""
