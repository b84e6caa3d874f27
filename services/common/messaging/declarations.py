"""Declaration of the exchanges, queues and bindings of `topology.py` on a broker."""

from __future__ import annotations

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue

from services.common.messaging import topology


async def find_topology(channel: AbstractChannel, service: str) -> AbstractExchange:
    """Return the exchange, which is declared outside this service, with the service's queues. Declares nothing.

    Raises:
        ChannelNotFoundEntity: One of them does not exist.
    """
    exchange = await channel.get_exchange(topology.EXCHANGE)
    for queue in topology.QUEUES:
        if queue.service == service:
            await channel.get_queue(queue.name)
    return exchange


async def prepare_topology(channel: AbstractChannel, service: str, given: bool) -> AbstractExchange:
    """Return the exchange once everything that `service` needs exists: declared here, or `given` from outside."""
    return await (find_topology(channel, service) if given else declare_topology(channel))


async def declare_topology(channel: AbstractChannel) -> AbstractExchange:
    """Declare exchanges, durable queues, bindings and dead-letter queues.

    Return the exchange. Repetition is harmless.
    """
    exchange = await channel.declare_exchange(topology.EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    dead = await channel.declare_exchange(topology.DEAD_EXCHANGE, aio_pika.ExchangeType.DIRECT, durable=True)
    for service in sorted({q.service for q in topology.QUEUES}):
        letters = await channel.declare_queue(
            f"{service}.dead-letters", durable=True, arguments=topology.DEAD_LETTER_DECLARATION
        )
        await letters.bind(dead, service)
    for queue in topology.QUEUES:
        declared: AbstractQueue = await channel.declare_queue(queue.name, durable=True, arguments=queue.declaration)
        for key in queue.keys:
            await declared.bind(exchange, key)
    return exchange
