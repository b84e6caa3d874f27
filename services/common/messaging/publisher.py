"""Publisher of events with confirms, on a connection of its own."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Sequence

import aiormq
import structlog
from aio_pika.abc import AbstractChannel
from pamqp.commands import Basic
from prometheus_client import Counter

from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, underlay
from services.common.messaging.declarations import prepare_topology
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.common.observability.tracing import begin_span, traceparent, within

log = structlog.get_logger()

PREPARE_TIMEOUT = 15.0
CONFIRM_TIMEOUT = 5.0
PUBLISHED = Counter("eloket_facts_published_total", "Events that the broker confirmed", ["type"])
UNCONFIRMED = Counter("eloket_facts_unconfirmed_total", "Attempts to publish that got no confirm", ["type"])
_ABOUT = {"messaging.system": "rabbitmq", "messaging.destination.name": topology.EXCHANGE}


@functools.cache
def _published(type_: str) -> Counter:
    """Return the count of confirmed events of this type.

    That of unconfirmed ones begins with it, at 0: Prometheus sees no increase in a series whose first value is 1.
    """
    UNCONFIRMED.labels(type_)
    return PUBLISHED.labels(type_)


class Unconfirmed(Exception):
    """The broker did not confirm: the event may or may not have arrived. Publishing it again is harmless."""


class Publisher:
    """Publishes events on a connection of its own, because RabbitMQ blocks a publishing connection in a memory alarm.

    It uses aiormq, the library under aio-pika, because an event costs half as much there (docs/performance.md).
    """

    def __init__(self, url: str, service: str, given: bool = False) -> None:
        """Create a publisher that is not connected; `run` connects it.

        Args:
            url: The address of the broker.
            service: The name of the service.
            given: True when exchanges, queues and bindings are declared outside this service (`TOPOLOGY`).
        """
        self._service, self._given = service, given
        self._channel: aiormq.Channel | None = None
        self.link = BrokerConnection(url, f"{service}.publisher", self._prepare, self._forget)
        self._unknown = UnknownErrors(f"{service}.publisher")

    async def run(self) -> None:
        """Maintain the connection until cancelled. Raises an unknown error that occurred too often."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.link.run())
            group.create_task(self._unknown.watch())

    @property
    def up(self) -> bool:
        """Whether the connection is up."""
        return self.link.up.is_set()

    async def publish(self, event: Event, timeout: float | None = None) -> None:  # noqa: ASYNC109 - part of the promise
        """Publish an event. Returns after the broker's confirm.

        The message is persistent and mandatory, except for event types of `topology.TRANSIENT` and `topology.UNHEARD`.

        Args:
            event: The event.
            timeout: Seconds to wait for the confirm; None: `CONFIRM_TIMEOUT`.

        Raises:
            Unconfirmed: There is no connection, no confirm in time, a nack, or no queue for the event.
        """
        await self._publish_one(event, None, CONFIRM_TIMEOUT if timeout is None else timeout)

    async def _publish_one(self, event: Event, trace: object, limit: float) -> None:
        channel, began = self._opened(event), time.monotonic()
        try:
            with given_up_is_failure():
                await _publish(channel, event, trace, limit)
        except BROKER_ERRORS as error:
            UNCONFIRMED.labels(event.type).inc()
            raise Unconfirmed(type(error).__name__) from error
        except RuntimeError as error:
            UNCONFIRMED.labels(event.type).inc()
            self._unknown.note(error, began)
            raise Unconfirmed(type(error).__name__) from error
        self._unknown.clear()
        _published(event.type).inc()

    async def publish_all(self, events: Sequence[tuple[Event, object]]) -> None:
        """Publish several events, each with its `traceparent` (None: the present one), and wait once for all confirms.

        They are sent in order without waiting for each other's confirm, and a queue receives them in that order.

        Raises:
            Unconfirmed: Not every one was confirmed. Publishing all of them again is harmless.
        """
        if len(events) == 1:  # saves a task
            await self._publish_one(*events[0], CONFIRM_TIMEOUT)
            return
        channel, began = self._opened(*(event for event, _ in events)), time.monotonic()
        publishing = (_publish(channel, event, trace, CONFIRM_TIMEOUT) for event, trace in events)
        try:
            with given_up_is_failure():
                outcomes = await asyncio.gather(*publishing, return_exceptions=True)
        except BROKER_ERRORS as error:
            outcomes = [error] * len(events)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for (event, _), outcome in zip(events, outcomes, strict=True):
            (UNCONFIRMED.labels if isinstance(outcome, BaseException) else _published)(event.type).inc()
        for failure in failed:
            if isinstance(failure, RuntimeError) and not isinstance(failure, BROKER_ERRORS):
                self._unknown.note(failure, began)
            elif not isinstance(
                failure, (*BROKER_ERRORS, asyncio.CancelledError)
            ):  # the library cancels calls that it gives up
                raise failure
        if not failed:
            self._unknown.clear()
        if failed:
            raise Unconfirmed(type(failed[0]).__name__) from failed[0]

    async def publish_best_effort(self, event: Event) -> None:
        """Publish an event that may be lost. Nothing is raised when it is not confirmed."""
        try:
            await self.publish(event)
        except Unconfirmed as error:
            log.debug("event_not_published", type=event.type, error=str(error))

    def _opened(self, *events: Event) -> aiormq.Channel:
        if self._channel is None:
            for event in events:
                UNCONFIRMED.labels(event.type).inc()
            raise Unconfirmed("no connection")
        return self._channel

    async def _prepare(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(PREPARE_TIMEOUT):
            await prepare_topology(channel, self._service, self._given)
            self._channel = await underlay(channel)

    def _forget(self) -> None:
        self._channel = None


async def _publish(channel: aiormq.Channel, event: Event, trace: object, limit: float) -> None:
    """Publish one event. Returns after the confirm.

    The send queues and batches of the senders bound the events in flight, not the socket.

    Raises:
        TimeoutError: There is no confirm within `limit` seconds.
    """
    transient = event.type in topology.TRANSIENT
    header = trace if isinstance(trace, str) else None
    begun = begin_span("publish", event.type, "producer", header, _ABOUT)
    headers: dict[str, object] = {"traceparent": begun.place.traceparent if begun else header or traceparent()}
    if copies := topology.copies(event):
        headers["CC"] = copies
    with within(begun, end=True), given_up_is_failure():
        await channel.basic_publish(
            encode(event),
            exchange=topology.EXCHANGE,
            routing_key=topology.routing_key(event),
            properties=Basic.Properties(
                headers=headers,  # type: ignore[arg-type]
                content_type="application/json",
                message_id=event.event_id,
                message_type=event.type,
                delivery_mode=1 if transient else 2,
            ),
            mandatory=event.type not in topology.UNHEARD,
            timeout=limit,
            wait=False,
        )
