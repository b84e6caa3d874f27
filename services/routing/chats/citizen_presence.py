"""Presence of citizens: a listener to the gateways' lists of chats, judged by this process's own clock.

Absence counts only while this listener receives its own echo. After a restart every citizen has a full grace period.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from uuid import uuid4

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import ValidationError

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.presence import GatewayConnections, ListenerEcho
from services.common.failure_detector import FailureDetector
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, Publisher
from services.common.messaging.errors import BROKER_ERRORS, given_up_is_failure

log = structlog.get_logger()

ECHO_INTERVAL = 2.0
FIRST_ECHO_INTERVAL = 0.2  # until the first one has arrived, for which readiness waits
GATEWAY_LATE = 20.0  # three lists of a gateway's chats, published every 6 s, are missing
FORGOTTEN = 3600.0


class Citizens:
    """Knows which chats have their citizen connected to a gateway, as far as this replica has received."""

    def __init__(
        self, url: str, publisher: Publisher, grace: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create a listener that is not connected yet.

        Args:
            url: The address of the broker.
            publisher: The publisher, for echoes.
            grace: Seconds without being listed after which a citizen is gone.
            clock: A monotonic clock, in seconds.
        """
        self._publisher, self._clock = publisher, clock
        self._detector = FailureDetector(grace, GATEWAY_LATE)
        self.listener = str(uuid4())
        """The id of this listener in its echo."""
        self._echoes = 0
        self._met: set[str] = set()
        self._meetings = 0
        self._channel: AbstractChannel | None = None
        self._link = BrokerConnection(url, "routing.listener", self._prepare, self._lost)

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._publisher.link.up.wait()  # the exchange exists then
        await self._link.run()

    async def echo(self) -> None:
        """Publish this listener's echo until cancelled."""
        while True:
            await self._link.up.wait()
            self._echoes += 1
            await self._publisher.publish_best_effort(ListenerEcho(listener=self.listener, counter=self._echoes))
            await asyncio.sleep(ECHO_INTERVAL if self._detector.started is not None else FIRST_ECHO_INTERVAL)

    @property
    def receives(self) -> bool:
        """True while this listener's own events come back from the broker, which proves that both connections work."""
        return self._detector.receives(self._clock())

    def present(self) -> set[str]:
        """Return the chats that a gateway lists."""
        return self._detector.present(self._clock())

    def gone(self, open_chats: Iterable[str]) -> list[str]:
        """Return those of these chats that no gateway has listed for the whole grace period.

        `open_chats` are all open chats with a hello. A chat that is new in it counts as listed at that moment, and has
        a full grace period from there.
        """
        now, known = self._clock(), set(open_chats)
        for here in (known - self._met, set[str]()):
            self._meetings += 1
            self._detector.record("met", self._meetings, dict.fromkeys(here, 0.0), now)
        self._met = known
        gone = self._detector.gone(known, now)
        self._detector.forget_stale(now, max(FORGOTTEN, 2 * self._detector.grace))
        return gone

    async def backlog(self) -> int:
        """Return how many events about chats wait for any replica; -1 when the broker does not answer."""
        channel = self._channel
        if channel is None:
            return -1
        try:
            with given_up_is_failure():
                async with asyncio.timeout(2):
                    queue = await channel.declare_queue(topology.ROUTING_CHATS.name, passive=True)
        except BROKER_ERRORS:
            return -1
        return queue.declaration_result.message_count or 0

    async def _handle(self, message: AbstractIncomingMessage) -> None:
        try:
            event = decode(message.body)
        except ValidationError:
            log.warning("broadcast_not_understood", key=message.routing_key)
        else:
            self.note(event)

    def note(self, event: Event) -> None:
        """Handle one event of a gateway or of a listener."""
        if isinstance(event, ListenerEcho) and event.listener == self.listener:
            self._detector.echo(self._clock())
        elif isinstance(event, GatewayConnections) and (event.chats is not None or event.leaving):
            chats = dict.fromkeys(event.chats or (), 0.0)
            self._detector.record(event.incarnation, event.counter, chats, self._clock(), event.leaving)

    async def _prepare(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(10):
            exchange = await channel.get_exchange(topology.EXCHANGE)
            queue = await channel.declare_queue(
                exclusive=True,
                auto_delete=True,
                arguments=topology.LISTENER_QUEUE_ARGUMENTS,
            )
            for key in topology.LISTENER_KEYS:
                await queue.bind(exchange, key)
            await queue.consume(self._handle, no_ack=True)
        self._channel = channel

    def _lost(self) -> None:
        self._channel = None
