"""Listener to the heartbeats of gateways, in an exclusive queue of this process, with an echo of its own.

The listener publishes a `listener.echo` and receives it like the heartbeats. While its own echo is missing, it is deaf:
what it does not receive proves nothing, and its failure detectors judge nobody. All times are of this process's own
monotonic clock.

Heartbeats and echoes also say whether their sender reads digests. While one of them does not, or while that is not
known, the events that a digest replaces have to be published too (docs/decisions/0031).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import ValidationError

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.presence import GatewayConnections, ListenerEcho
from services.common.failure_detector import ECHO_LATE, GATEWAY_LATE, FailureDetector
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection
from services.common.messaging.publisher import Publisher

log = structlog.get_logger()

FIRST_ECHO_INTERVAL = 0.2  # seconds between echoes until the first one has arrived, for which readiness waits
PREPARE_LIMIT = 30.0  # seconds
KNOWN = topology.HEARTBEAT_INTERVAL + 0.5  # seconds of listening after which every process has published a heartbeat
FORMER_LASTS = 10.0  # seconds after the last heartbeat of a process that reads no digests, in which it may still run

Subjects = Callable[[GatewayConnections], Mapping[str, float] | None]


class HeartbeatListener:
    """Receives every gateway's list and its own echo, and passes both to failure detectors.

    A service calls `detect` for each kind of subject that it watches, before `run`.
    """

    def __init__(
        self,
        url: str,
        service: str,
        publisher: Publisher,
        clock: Callable[[], float] = time.monotonic,
        handle_list: Callable[[GatewayConnections], None] | None = None,
    ) -> None:
        """Create a listener that is not connected yet.

        Args:
            url: The address of the broker.
            service: The name of the service.
            publisher: The publisher, for echoes.
            clock: A monotonic clock, in seconds.
            handle_list: Called with each gateway's list, after the detectors have recorded it.
        """
        self.id = str(uuid.uuid4())
        """The id of this listener in its echo."""
        self.clock = clock
        self._publisher, self._handle_list = publisher, handle_list
        self._detectors: list[tuple[FailureDetector, Subjects]] = []
        self._echo_at: float | None = None
        self._echoes = 0
        self._receives_since: float | None = None
        self._former_at = float("-inf")
        self.channel: AbstractChannel | None = None
        """The open channel; None while the listener is disconnected."""
        self._link = BrokerConnection(url, f"{service}.listener", self._prepare, self._lost)

    def detect(self, subjects: Subjects, grace: float, gateway_late: float = GATEWAY_LATE) -> FailureDetector:
        """Return a new failure detector that records every list and echo that this listener receives.

        Args:
            subjects: Returns the subjects that a list names, with the seconds since each one's last sign of life; None
                when the list says nothing about such subjects.
            grace: Seconds without a sign of life after which a subject is gone.
            gateway_late: Seconds without a list after which a gateway has no connections any more.
        """
        detector = FailureDetector(grace, gateway_late)
        self._detectors.append((detector, subjects))
        return detector

    @property
    def receives(self) -> bool:
        """True while its own echo comes back, which proves that this connection and the publisher's work."""
        now = self.clock()
        return bool(self._detectors) and all(detector.receives(now) for detector, _ in self._detectors)

    def all_read_digests(self) -> bool:
        """Return whether every gateway and every listener reads digests.

        False also while this listener has not received long enough to know all of them.
        """
        now = self.clock()
        if not self.receives or self._receives_since is None or now - self._receives_since < KNOWN:
            return False
        return now - self._former_at > FORMER_LASTS

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._publisher.link.up.wait()  # the exchange exists then
        await self._link.run()

    async def echo(self) -> None:
        """Publish this listener's echo until cancelled."""
        while True:
            await self._link.up.wait()
            self._echoes += 1
            await self._publisher.publish_best_effort(
                ListenerEcho(listener=self.id, counter=self._echoes, digests=True)
            )
            await asyncio.sleep(FIRST_ECHO_INTERVAL if self._echo_at is None else topology.HEARTBEAT_INTERVAL)

    def handle(self, event: Event) -> None:
        """Handle one event of a gateway or of a listener."""
        now = self.clock()
        if isinstance(event, ListenerEcho | GatewayConnections) and not event.digests:
            self._former_at = now
        if isinstance(event, ListenerEcho) and event.listener == self.id:
            if self._echo_at is None or now - self._echo_at > ECHO_LATE:
                self._receives_since = now
            self._echo_at = now
            for detector, _ in self._detectors:
                detector.echo(now)
        elif isinstance(event, GatewayConnections):
            for detector, subjects in self._detectors:
                if (named := subjects(event)) is not None:
                    detector.record(event.incarnation, event.counter, named, now, event.leaving)
            if self._handle_list:
                self._handle_list(event)

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        try:
            event = decode(message.body)
        except ValidationError:
            log.warning("heartbeat_not_understood", key=message.routing_key)
        else:
            self.handle(event)

    async def _prepare(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(PREPARE_LIMIT):
            exchange = await channel.get_exchange(topology.EXCHANGE)
            queue = await channel.declare_queue(
                exclusive=True, auto_delete=True, arguments=dict[str, Any](topology.LISTENER_QUEUE_ARGUMENTS)
            )
            for key in topology.LISTENER_KEYS:
                await queue.bind(exchange, key)
            await queue.consume(self._receive, no_ack=True)
        self.channel = channel

    def _lost(self) -> None:
        self.channel = None
