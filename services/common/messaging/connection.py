"""RabbitMQ connection that is opened again after each loss, and the publisher, which has a connection of its own."""

from __future__ import annotations

import asyncio
import functools
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue
from pamqp.commands import Basic
from prometheus_client import Counter
from yarl import URL

from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.messaging import topology
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.common.observability.tracing import begin_span, traceparent, within

log = structlog.get_logger()

CONNECT_TIMEOUT = 3.0  # short: an attempt whose packets are lost gives no error, so another one follows soon
PREPARE_TIMEOUT = 15.0
CLOSE_TIMEOUT = 2.0
CONFIRM_TIMEOUT = 5.0
HEARTBEAT = 2  # seconds; a connection without data for 3 * (HEARTBEAT + 1) s is given up
PUBLISHED = Counter("eloket_facts_published_total", "Events that the broker confirmed", ["type"])
UNCONFIRMED = Counter("eloket_facts_unconfirmed_total", "Attempts to publish that got no confirm", ["type"])
ABSENT_AFTER = 10.0  # seconds; a broker that starts at the same time is ready by then
REFUSALS = (
    aio_pika.exceptions.AuthenticationError,
    aio_pika.exceptions.ProbableAuthenticationError,
    aiormq.exceptions.ConnectionNotAllowed,
    aiormq.exceptions.ChannelAccessRefused,
    aiormq.exceptions.InvalidFrameError,  # a close in reply to opening the virtual host
)
"""Errors by which the broker itself refuses; `is_refusal` counts a certificate that is not verified too."""
_ABOUT = {"messaging.system": "rabbitmq", "messaging.destination.name": topology.EXCHANGE}
_published = functools.cache(PUBLISHED.labels)


def is_refusal(error: BaseException) -> bool:
    """Return whether settings are wrong: the broker refused the connection, or its certificate was not verified.

    aiormq wraps the error of TLS in its own.
    """
    return isinstance(error, REFUSALS) or isinstance(error.__cause__, ssl.SSLCertVerificationError)


class Unconfirmed(Exception):
    """The broker did not confirm: the event may or may not have arrived. Publishing it again is harmless."""


def with_heartbeat(url: str) -> str:
    """Return the address with our heartbeat, unless it sets one.

    The library's default detects a dead connection after 3 min.
    """
    address = URL(url)
    return url if "heartbeat" in address.query else str(address.update_query(heartbeat=HEARTBEAT))


class BrokerConnection:
    """A connection with one channel, opened again after each loss (0.2 to 1 s later, at random)."""

    def __init__(
        self,
        url: str,
        name: str,
        prepare: Callable[[AbstractChannel], Awaitable[None]],
        lost: Callable[[], None] | None = None,
    ) -> None:
        """Create a connection that is not open; `run` opens it.

        Args:
            url: The address of the broker; `amqps` is TLS, with the CA's file as `cafile` in the query.
            name: The connection's name in logs and on the broker.
            prepare: Called with each new channel; the connection is up when it returns.
            lost: Called after each loss.
        """
        self._url, self._name, self._prepare, self._lost = with_heartbeat(url), name, prepare, lost
        self.up = asyncio.Event()
        self._unknown = UnknownErrors(name)
        self._began: float | None = None
        self._unanswered = False  # the last attempt failed for another reason than a refusal by the broker

    @property
    def absent(self) -> bool:
        """True while the broker has not answered since the start, for 10 s or longer.

        A refusal is an answer, and so is a certificate that is not verified.

        This distinguishes a replica that starts during an outage from one whose address or rights are wrong.
        """
        late = self._began is not None and time.monotonic() - self._began > ABSENT_AFTER
        return late and self._unanswered and not self.up.is_set()

    async def run(self) -> None:
        """Maintain the connection until cancelled, then close it. Raises an unknown error that occurred too often."""
        failures, self._began = 0, time.monotonic()
        while True:
            try:
                with given_up_is_failure():
                    failures = 0 if await self._once() else failures + 1
                if not failures:
                    self._unknown.clear()
            except BROKER_ERRORS as error:
                failures += 1
                self._unanswered = not is_refusal(error)
                if failures == 1:
                    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
                    log.warning("broker_link_failed", link=self._name, error=type(cause).__name__)
            except Exception as error:
                self._unanswered = False
                self._unknown.note(error)
                self._unknown.check()
            finally:
                if self.up.is_set():
                    self.up.clear()
                    if self._lost:
                        self._lost()
            await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - jitter, no secret

    async def _once(self) -> bool:
        connection = aio_pika.Connection(URL(self._url), client_properties={"connection_name": self._name})
        try:
            over = asyncio.Event()
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection.connect()
                connection.close_callbacks.add(lambda *_: over.set())
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                channel.close_callbacks.add(lambda *_: over.set())
            await self._prepare(channel)
            if over.is_set():
                return False
            self.up.set()
            log.info("broker_link_up", link=self._name)
            await over.wait()
            log.warning("broker_link_lost", link=self._name)
            return True
        finally:
            await _close(connection)


async def _close(connection: aio_pika.Connection) -> None:
    """Close the connection and ignore errors: another error reports what is wrong with the connection."""
    try:
        with given_up_is_failure():
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await connection.close()
    except BROKER_ERRORS:
        pass
    except Exception:
        log.exception("connection_not_closed")


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
                told = await asyncio.gather(*publishing, return_exceptions=True)
        except BROKER_ERRORS as error:
            told = [error] * len(events)
        failed = [outcome for outcome in told if isinstance(outcome, BaseException)]
        for (event, _), outcome in zip(events, told, strict=True):
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


async def underlay(channel: AbstractChannel) -> aiormq.Channel:
    """Return the aiormq channel under this aio-pika channel, for operations on every message."""
    found = await channel.get_underlay_channel()
    assert isinstance(found, aiormq.Channel)
    return found


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
