"""Consumer of a durable queue: decode, handle, retry, acknowledge last.

- A message that cannot be decoded is dead-lettered at once, alone.
- A dependency outage (the database or the broker does not answer): the message is kept and retried with backoff, 0.05
  to 2 s with jitter. It is not requeued, because the delivery limit is for messages whose handler fails. After
  `OUTAGE_PATIENCE` the consumer stops until `probe` succeeds.
- Any other error: the message is requeued after 1, 2, 4 … 30 s with `reject`, which counts a delivery (on RabbitMQ 4.3
  `nack` does not).
- A queue starts with prefetch 1 until five first deliveries are done. The next queue starts when the first is past the
  messages that a crashed process had (`slow_start.py`).
- A consumer that fails is stopped and started again, as after an outage.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from faststream import AckPolicy
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitMessage, RabbitQueue
from faststream.rabbit.subscriber import RabbitSubscriber
from prometheus_client import Counter
from pydantic import ValidationError
from pymongo.errors import PyMongoError

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.messaging import topology
from services.common.messaging.connection import CONNECT_TIMEOUT, Unconfirmed, with_heartbeat
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.common.messaging.queue_metrics import Waiting
from services.common.messaging.slow_start import SlowStart
from services.common.observability.tracing import begin_trace, span

log = structlog.get_logger()

T = TypeVar("T")
Handler = Callable[[Event], Awaitable[None]]

OUTAGE_PATIENCE = 600.0
PROBE_INTERVAL = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts in an outage
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0  # seconds before a failed message is requeued
SLOW_START = 5
PREFETCH = 50
WIDEN_LIMIT, CANCEL_LIMIT = 10.0, 2.0
STOP_LIMIT = 30.0  # seconds; after that the connection may still hold deliveries that are not handled
DEPENDENCY_ERRORS = (PyMongoError, Unconfirmed)
HANDLED = Counter("eloket_messages_handled_total", "Messages that a consumer finished", ["queue", "outcome"])


class DependencyOutage(Exception):
    """The database or broker has not answered for `OUTAGE_PATIENCE` seconds: stop consuming until it does."""


async def retry_with_backoff(work: Callable[[], Awaitable[T]], patience: float | None = None) -> T:
    """Return the result of `work`, which is retried while the database or broker does not answer.

    Raises:
        DependencyOutage: That lasts `patience` seconds (None: `OUTAGE_PATIENCE`).
    """
    began, pause = time.monotonic(), FIRST_PAUSE
    limit = OUTAGE_PATIENCE if patience is None else patience
    while True:
        try:
            return await work()
        except DEPENDENCY_ERRORS as error:
            if time.monotonic() - began > limit:
                raise DependencyOutage from error
            log.warning("retried_with_backoff", error=type(error).__name__)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            pause = min(pause * 2, LONGEST_PAUSE)


async def until_probe_succeeds(probe: Callable[[], Awaitable[object]]) -> None:
    """Return when the dependency answers again after a long outage. Probes every 5 s."""
    while True:
        try:
            await probe()
            return
        except (TimeoutError, *DEPENDENCY_ERRORS) as error:
            log.warning("probe_failed", error=type(error).__name__)
            await asyncio.sleep(PROBE_INTERVAL)


class NotStopped(Exception):
    """The library did not stop its consumers: their deliveries stay with a connection that is not served."""


class Consumers:
    """The durable queues that one service consumes, on one connection of their own (FastStream subscribers)."""

    def __init__(self, url: str, probe: Callable[[], Awaitable[object]]) -> None:
        """Create consumers without queues; `add` adds one.

        Args:
            url: The address of the broker.
            probe: Succeeds when the dependencies answer again after an outage.
        """
        self._url, self._probe = url, probe
        self._handlers: list[tuple[topology.Queue, Handler, int]] = []
        self.waiting: dict[str, Waiting] = {}  # by queue
        self._broker: RabbitBroker | None = None
        self._subscribers: list[RabbitSubscriber] = []
        self._begun = False  # all of them are started
        self._done: dict[str, int] = {}
        self._in_hand = 0
        self._over = asyncio.Event()  # the subscribers must be stopped and started again
        self._draining = asyncio.Event()
        self._starting, self._widening = UnknownErrors("consumers"), UnknownErrors("consumers.widen")
        self._changing = asyncio.Lock()  # held while consumers are cancelled or started

    def add(self, queue: topology.Queue, handler: Handler, prefetch: int = PREFETCH) -> None:
        """Let `handler` handle each event of this queue. It must be idempotent; returning acknowledges the event."""
        self._handlers.append((queue, handler, prefetch))
        self.waiting[queue.name] = Waiting(queue.name)

    @property
    def running(self) -> bool:
        """True while the broker delivers every queue's messages here."""
        connection = getattr(self._broker, "_connection", None)
        up = connection is not None and connection.connected.is_set()
        return up and self._begun and all(_consumes(s) for s in self._subscribers)

    async def run(self) -> None:
        """Consume until cancelled. Call this after the topology was declared.

        An unknown error that occurred too often is raised again.

        Raises:
            NotStopped: Consumers could not be stopped. The process must end, so that the broker delivers their
                messages to another one.
        """
        try:
            await self._run()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CANCEL_LIMIT):
                    await self._stop()

    async def _run(self) -> None:
        while True:
            self._over.clear()
            try:
                with given_up_is_failure():
                    await self._start()
                self._starting.clear()
                await self._over.wait()
                self._widening.check()
            except BROKER_ERRORS as error:
                log.warning("consumers_failed", error=type(error).__name__)
                await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            except Exception as error:
                self._widening.check()
                self._starting.note(error)
                self._starting.check()
                await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            log.error("consumers_stopped")
            await self._stop()
            await until_probe_succeeds(self._probe)

    async def drain(self, patience: float = 10.0) -> None:
        """Stop deliveries, then wait for those in progress. FastStream's own stop does it in the opposite order."""
        async with self._changing:
            for subscriber in self._subscribers:
                try:
                    with given_up_is_failure():
                        async with asyncio.timeout(CANCEL_LIMIT):
                            await _cancel(subscriber)
                except BROKER_ERRORS:
                    pass
                except Exception:  # deliveries in progress are finished all the same
                    log.exception("consumer_not_cancelled")
            self._draining.set()  # last: a message that is requeued now must not be delivered here again
        end = time.monotonic() + patience
        while self._in_hand and time.monotonic() < end:  # noqa: ASYNC110 - a handful of polls at the very end
            await asyncio.sleep(0.02)
        with contextlib.suppress(NotStopped):  # the process ends anyway
            await self._stop()

    async def _start(self) -> None:
        broker = RabbitBroker(
            with_heartbeat(self._url),
            timeout=CONNECT_TIMEOUT,  # without one, an attempt whose packets are lost never ends
            fail_fast=False,
            reconnect_interval=random.uniform(0.5, 1.0),  # noqa: S311 - jitter, no secret
            graceful_timeout=5.0,
            logger=None,
        )
        self._broker, self._subscribers, self._done = broker, [], {}  # set before it connects, so that it is stopped
        await broker.start()
        for queue, handler, prefetch in self._handlers:
            subscriber = broker.subscriber(
                RabbitQueue(queue.name, queue_type=QueueType.QUORUM, durable=True, declare=False),
                channel=Channel(prefetch_count=1),
                ack_policy=AckPolicy.MANUAL,
                decoder=_undecoded,
                no_reply=True,
            )
            beginning = SlowStart()
            subscriber(self._deliver(queue, handler, prefetch, subscriber, beginning))
            self._subscribers.append(subscriber)
            await subscriber.start()
            beginning.begun()
            await beginning.past()
        self._begun = True

    async def _stop(self) -> None:
        broker, self._broker, self._subscribers, self._begun = self._broker, None, [], False
        if broker:
            stopping = asyncio.timeout(STOP_LIMIT)
            try:
                with given_up_is_failure():
                    async with stopping:
                        await broker.stop()
            except BROKER_ERRORS as error:
                if stopping.expired():
                    raise NotStopped from error
                log.info("consumers_dropped", error=type(error).__name__)
            except Exception:
                log.exception("consumers_not_stopped")

    def _deliver(
        self,
        queue: topology.Queue,
        handler: Handler,
        prefetch: int,
        subscriber: RabbitSubscriber,
        beginning: SlowStart,
    ) -> Callable[..., Awaitable[None]]:
        async def deliver(message: RabbitMessage) -> None:
            self._in_hand += 1
            beginning.took()
            outcome = "kept"
            try:
                outcome = await self._handle(queue, handler, message)
            finally:
                self._in_hand -= 1
                beginning.done(bool(message.raw_message.redelivered))
                self.waiting[queue.name].finish(id(message), done=outcome in ("done", "dead_lettered"))
            HANDLED.labels(queue.name, outcome).inc()
            if message.raw_message.redelivered:
                return  # a crashed process had it: one at a time until all of those are done
            await self._widen(queue, prefetch, subscriber)

        return deliver

    async def _handle(self, queue: topology.Queue, handler: Handler, message: RabbitMessage) -> str:
        begin_trace(message.headers.get("traceparent"))
        try:
            event = decode(message.body)
        except ValidationError as error:
            log.error("message_dead_lettered", queue=queue.name, problem=error.errors(include_input=False)[0]["type"])
            await message.reject(requeue=False)
            return "dead_lettered"
        self.waiting[queue.name].take(id(message), event.occurred_at)
        try:
            with span("process", event.type, "consumer", None, {"messaging.destination.name": queue.name}):
                await retry_with_backoff(lambda: handler(event))
        except DependencyOutage:
            self._over.set()
            return "kept"
        except Exception:
            count = int(message.headers.get("x-delivery-count") or 0)
            log.exception("message_failed", queue=queue.name, type=event.type, delivery_count=count)
            await self._pause(min(FIRST_DELAY * 2.0**count, LONGEST_DELAY))
            await message.reject(requeue=True)
            return "dead_lettered" if count >= queue.declaration["x-delivery-limit"] else "given_back"
        await message.ack()
        log.debug("message_handled", queue=queue.name, type=event.type)
        return "done"

    async def _widen(self, queue: topology.Queue, prefetch: int, subscriber: RabbitSubscriber) -> None:
        self._done[queue.name] = self._done.get(queue.name, 0) + 1
        if self._done[queue.name] != SLOW_START:
            return
        try:
            with given_up_is_failure():
                async with asyncio.timeout(WIDEN_LIMIT), self._changing:
                    await self._consume_wide(prefetch, subscriber)
            self._widening.clear()
        except BROKER_ERRORS as error:
            log.warning("consumer_lost", queue=queue.name, error=type(error).__name__)
            self._over.set()
        except Exception as error:
            self._widening.note(error)
            self._over.set()

    async def _consume_wide(self, prefetch: int, subscriber: RabbitSubscriber) -> None:
        source = subscriber._queue_obj
        if self._draining.is_set() or source is None or not await _cancel(subscriber):
            return
        await source.channel.set_qos(prefetch)
        subscriber._consumer_tag = await source.consume(subscriber.consume, no_ack=False)  # type: ignore[arg-type]

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()


def _consumes(subscriber: RabbitSubscriber) -> bool:
    queue, tag = subscriber._queue_obj, subscriber._consumer_tag
    opened = getattr(queue.channel, "_channel", None) if queue else None
    return opened is not None and not opened.channel.is_closed and tag in opened.channel.consumers


async def _cancel(subscriber: RabbitSubscriber) -> bool:
    queue, tag = subscriber._queue_obj, subscriber._consumer_tag
    if queue is None or tag is None or queue.channel.is_closed:
        return False
    subscriber._consumer_tag = None
    await queue.cancel(tag)
    return True


async def _undecoded(message: Any) -> bytes:
    body: bytes = message.body
    return body
