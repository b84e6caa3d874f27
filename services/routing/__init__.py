"""The routing service: the state of chats, their assignment to agents, transfers, and department queues."""
