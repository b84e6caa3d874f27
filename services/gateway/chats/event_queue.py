"""Consumer of the gateway's own queue, which is exclusive, transient, and bound to what the gateway serves.

After any loss of its connection the gateway starts over: it declares a new queue with a new name, binds everything,
consumes, and requests what may have been missed (`jobs/resync.py`).
"""

from __future__ import annotations

import asyncio

import structlog
from aio_pika.abc import AbstractChannel, AbstractQueue
from aiormq.abc import DeliveredMessage
from pydantic import ValidationError

from services.common.events.codec import decode
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, prepare_topology, underlay
from services.common.observability.tracing import span
from services.gateway.chats.bindings import Bindings
from services.gateway.chats.event_router import EventRouter

log = structlog.get_logger()


class EventQueue:
    """Consumer that passes each event to the router, in the order of the queue."""

    def __init__(self, url: str, bindings: Bindings, router: EventRouter, given: bool = False) -> None:
        """Create a queue that is not connected yet; `run` connects it.

        Args:
            url: The address of the broker.
            bindings: What the queue is bound to.
            router: Handles each event, each start of the queue and each loss.
            given: True when exchanges, queues and bindings are declared outside this service (`TOPOLOGY`).
        """
        self._bindings, self._router, self._given = bindings, router, given
        self._queue: AbstractQueue | None = None
        self.link = BrokerConnection(url, "gateway.live", self._prepare, self._lose)

    @property
    def name(self) -> str | None:
        """The queue's name at the broker; None while there is no queue."""
        return self._queue.name if self._queue else None

    async def run(self) -> None:
        """Maintain the queue and its bindings until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.link.run())
            group.create_task(self._bindings.run())

    async def _prepare(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(30):
            exchange = await prepare_topology(channel, "gateway", self._given)
            queue = await channel.declare_queue(
                exclusive=True, auto_delete=True, arguments=topology.GATEWAY_QUEUE_ARGUMENTS
            )
            bound = await self._bindings.bind_all(queue, exchange)
            direct = await underlay(channel)
            await direct.basic_consume(queue.name, self._deliver, no_ack=True)
        self._queue = queue
        self._bindings.begin(queue, bound, self.link.up)
        self._router.queue_started()

    def _lose(self) -> None:
        self._queue = None
        self._bindings.lose()
        self._router.queue_lost()

    async def _deliver(self, message: DeliveredMessage) -> None:
        try:
            event = decode(message.body)
        except ValidationError:
            log.warning("live_event_not_understood", type=message.header.properties.message_type)
            return
        header = (message.header.properties.headers or {}).get("traceparent", "")
        with span("process", event.type, "consumer", header):
            self._router.handle(event)
