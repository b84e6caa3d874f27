"""Department queues: order, estimated wait, requests for slots, and overflow."""
