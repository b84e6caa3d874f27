"""Bindings of the gateway's own queue: to the chats and agents that the gateway serves.

One task changes the bindings, on one channel, because RabbitMQ keeps no order between changes of bindings on several
channels. Unbinding is delayed so that a page reload changes no binding.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import structlog
from aio_pika.abc import AbstractQueue
from prometheus_client import Gauge

from services.common.batches import batched
from services.common.messaging import topology
from services.common.messaging.connection import underlay
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.gateway.clients.http_client import Unavailable

log = structlog.get_logger()
UNBIND_LATE = 30.0
BIND_LIMIT = 5.0
TOGETHER = 200  # bindings made with one round trip to the broker, and removed before new ones are made again
ALL_LIMIT = 30.0  # seconds for so many bindings of a new queue: the broker may just have started
LOOK = 5.0  # seconds between checks for bindings that are due to be removed
BOUND = Gauge("eloket_gateway_bindings", "Chats and agents that this gateway's queue is bound to")


class Bindings:
    """The chats and agents that are followed here, and the bindings of the present queue.

    `EventQueue` declares the queue. After each loss it declares another one, which gets all bindings again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Create bindings without a queue.

        Args:
            clock: A monotonic clock, in seconds.
        """
        self._clock = clock
        self._queue: AbstractQueue | None = None
        self._wanted: dict[str, int] = {}
        self._late: dict[str, float] = {}
        self._bound: set[str] = set()
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._change = asyncio.Event()
        self._up = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether the queue is being consumed."""
        return self._up.is_set()

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

    # ── for the event queue ──────────────────────────────────────────────────────────────────────────────────────────

    async def bind_all(self, queue: AbstractQueue) -> frozenset[str]:
        """Bind a new queue to everything that is followed. Return what was followed when the call began.

        Raises:
            TimeoutError: `TOGETHER` bindings took longer than `ALL_LIMIT`.
        """
        bound = frozenset(self._wanted)
        for keys in batched([*topology.GATEWAY_KEYS, *map(topology.binding_of, bound)], TOGETHER):
            async with asyncio.timeout(ALL_LIMIT):
                await _bind(queue, keys)
        return bound

    def begin(self, queue: AbstractQueue, bound: frozenset[str], up: asyncio.Event) -> None:
        """Use this queue, which has these bindings and is being consumed.

        Args:
            queue: The queue.
            bound: What `bind_all` returned.
            up: Set while the connection of the queue is open.
        """
        self._queue, self._bound, self._up = queue, set(bound), up
        self._late = {i: at for i, at in self._late.items() if i in bound}  # given up while they were being bound
        self._settle(bound)
        self._change.set()

    def lose(self) -> None:
        """Forget the queue, because its connection was lost."""
        self._queue = None
        self._bound = set()

    async def run(self) -> None:
        """Bind what is wanted and unbind what is due until cancelled."""
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
        if queue is None:
            return
        for ids in batched(missing, TOGETHER):
            async with asyncio.timeout(BIND_LIMIT):
                await _bind(queue, [topology.binding_of(i) for i in ids])
            if queue is not self._queue:
                return
            self._bound.update(ids)
            self._settle(ids)

    async def _unbind_late(self) -> None:
        queue, now = self._queue, self._clock()
        due = [i for i, at in self._late.items() if at <= now and i not in self._wanted]
        if len(due) > TOGETHER:
            self._change.set()
        for id_ in due[:TOGETHER]:
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

    def _settle(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            for future in self._waiting.pop(id_, []):
                if not future.done():
                    future.set_result(None)


async def _bind(queue: AbstractQueue, keys: Sequence[str]) -> None:
    """Bind the queue to these keys (at least one), with one round trip. Returns when the broker has bound all of them.

    The broker handles the methods of a channel in order, so only the last one needs an answer (AMQP 0-9-1, `no-wait`).
    An error closes the channel, and the gateway starts over.
    """
    channel = await underlay(queue.channel)
    for key in keys[:-1]:
        await channel.queue_bind(queue.name, topology.EXCHANGE, key, nowait=True)
    await channel.queue_bind(queue.name, topology.EXCHANGE, keys[-1])
