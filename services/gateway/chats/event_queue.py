"""The gateway's own queue: exclusive, transient, bound to the chats and agents that the gateway serves.

After any loss of its connection the gateway starts over: it declares a new queue with a new name, binds everything,
consumes, and calls `resync`. One task changes the bindings, on one channel, because RabbitMQ keeps no order between
changes of bindings on several channels. Unbinding is delayed so that a page reload changes no binding.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from aio_pika.abc import AbstractChannel, AbstractQueue
from aiormq.abc import DeliveredMessage
from prometheus_client import Gauge
from pydantic import ValidationError

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, prepare_topology, underlay
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.common.observability.tracing import span
from services.gateway.clients.upstream import Unavailable

log = structlog.get_logger()
UNBIND_LATE = 30.0
BIND_LIMIT = 5.0
LOOK = 5.0  # seconds between checks for bindings that are due to be removed
BOUND = Gauge("eloket_gateway_bindings", "Chats and agents that this gateway's queue is bound to")


class EventQueue:
    """Consumer of the gateway's own queue, and the owner of its bindings."""

    def __init__(
        self,
        url: str,
        handler: Callable[[Event], None],
        resync: Callable[[], None],
        lost: Callable[[], None],
        given: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a queue that is not connected yet; `run` connects it.

        Args:
            url: The address of the broker.
            handler: Called with each event, in the order of the queue.
            resync: Called after each new start of the queue, when events may have been missed.
            lost: Called when the connection is lost.
            given: True when exchanges, queues and bindings are declared outside this service (`TOPOLOGY`).
            clock: A monotonic clock, in seconds.
        """
        self._given, self._clock = given, clock
        self._handler, self._resync = handler, resync
        self._queue: AbstractQueue | None = None
        self._wanted: dict[str, int] = {}
        self._late: dict[str, float] = {}
        self._bound: set[str] = set()
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._change = asyncio.Event()
        self._after_loss = lost
        self.link = BrokerConnection(url, "gateway.live", self._prepare, self._lose)

    @property
    def up(self) -> bool:
        """Whether the queue is being consumed."""
        return self.link.up.is_set()

    @property
    def name(self) -> str | None:
        """The queue's name at the broker; None while there is no queue."""
        return self._queue.name if self._queue else None

    @property
    def bound(self) -> frozenset[str]:
        """The chats and agents that the queue is bound to."""
        return frozenset(self._bound)

    @property
    def late(self) -> frozenset[str]:
        """The chats and agents that have no follower any more and whose binding is removed later."""
        return frozenset(self._late)

    @property
    def idle(self) -> bool:
        """True when nothing is followed and no caller waits for a binding."""
        return not (self._wanted or self._waiting)

    async def run(self) -> None:
        """Maintain the queue and its bindings until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.link.run())
            group.create_task(self._reconcile())

    async def follow(self, id_: str) -> None:
        """Bind the queue to a chat or agent. Returns when every event about it arrives here.

        Raises:
            Unavailable: The binding was not made within 5 s.
        """
        self._wanted[id_] = self._wanted.get(id_, 0) + 1
        self._late.pop(id_, None)
        if id_ in self._bound and self.up:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id_, []).append(future)
        self._change.set()
        try:
            async with asyncio.timeout(BIND_LIMIT):
                await future
        except (TimeoutError, asyncio.CancelledError) as error:
            self._forget(id_, future)
            self.unfollow(id_)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise Unavailable("broker") from error

    def unfollow(self, id_: str) -> None:
        """Remove one follower. The binding of the last one is removed 30 s later."""
        left = self._wanted.get(id_, 0) - 1
        if left > 0:
            self._wanted[id_] = left
            return
        self._wanted.pop(id_, None)
        self._late[id_] = self._clock() + UNBIND_LATE

    async def _prepare(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(30):
            exchange = await prepare_topology(channel, "gateway", self._given)
            queue = await channel.declare_queue(
                exclusive=True, auto_delete=True, arguments=topology.GATEWAY_QUEUE_ARGUMENTS
            )
            keys = [*topology.GATEWAY_KEYS, *(topology.binding_of(i) for i in self._wanted)]
            bound = set(self._wanted)
            await asyncio.gather(*(queue.bind(exchange, key) for key in keys))
            direct = await underlay(channel)
            await direct.basic_consume(queue.name, self._deliver, no_ack=True)
        self._queue, self._bound = queue, bound
        self._late = {i: at for i, at in self._late.items() if i in bound}  # given up while they were being bound
        self._settle(bound)
        self._change.set()
        self._resync()

    def _lose(self) -> None:
        self._queue = None
        self._bound = set()
        self._after_loss()

    async def _deliver(self, message: DeliveredMessage) -> None:
        try:
            event = decode(message.body)
        except ValidationError:
            log.warning("live_event_not_understood", type=message.header.properties.message_type)
            return
        header = (message.header.properties.headers or {}).get("traceparent", "")
        with span("process", event.type, "consumer", header):
            self._handler(event)

    async def _reconcile(self) -> None:
        unknown = UnknownErrors("gateway.bindings")
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._change.wait()
            except TimeoutError:
                pass
            self._change.clear()
            try:
                with given_up_is_failure():
                    await self._bind_wanted()
                    await self._unbind_late()
                unknown.clear()
            except BROKER_ERRORS as error:
                log.warning("bindings_not_changed", error=type(error).__name__)
                await asyncio.sleep(0.2)
                self._change.set()
            except Exception as error:
                unknown.note(error)
                unknown.check()
                await asyncio.sleep(0.2)
                self._change.set()
            BOUND.set(len(self._bound))

    async def _bind_wanted(self) -> None:
        queue = self._queue
        missing = [i for i in self._wanted if i not in self._bound]
        if queue is None or not missing:
            return
        async with asyncio.timeout(BIND_LIMIT):
            await asyncio.gather(*(queue.bind(topology.EXCHANGE, topology.binding_of(i)) for i in missing))
        if queue is self._queue:
            self._bound.update(missing)
            self._settle(set(missing))

    async def _unbind_late(self) -> None:
        queue, now = self._queue, self._clock()
        due = [i for i, at in self._late.items() if at <= now and i not in self._wanted]
        for id_ in due:
            if id_ not in self._late or self._late[id_] > now:  # followed again while another one was unbound
                continue
            del self._late[id_]
            if queue is not None and queue is self._queue and id_ in self._bound:
                self._bound.discard(id_)
                async with asyncio.timeout(BIND_LIMIT):
                    await queue.unbind(topology.EXCHANGE, topology.binding_of(id_))
                self._change.set()

    def _forget(self, id_: str, future: asyncio.Future[None]) -> None:
        left = [f for f in self._waiting.pop(id_, []) if f is not future]
        if left:
            self._waiting[id_] = left

    def _settle(self, ids: set[str]) -> None:
        for id_ in ids:
            for future in self._waiting.pop(id_, []):
                if not future.done():
                    future.set_result(None)
