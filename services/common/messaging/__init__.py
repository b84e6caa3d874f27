"""Messaging over RabbitMQ: topology, connection, publisher, consumer, and metrics of queues."""
