"""Consumers of a service's durable queues: start one queue at a time, restart after an outage, drain.

FastStream consumes: `subscribers.py` registers the handlers, `middlewares.py` has what happens around each of them.
This module decides when consumers start and stop, and uses public names of FastStream, aio-pika and aiormq alone
(docs/decisions/0028-consume-ordinary-queues-with-faststream.md).

- A queue starts with prefetch 1 until five first deliveries are done. The next queue starts when the first is past the
  messages that a crashed process had (`slow_start.py`).
- After a long outage the consumers stop until `probe` succeeds. So do consumers that fail.
- aio-pika restores consumers after a lost connection. When a connection is lost while a channel of it is being
  restored, it may take that channel for restored and never consume from it again. So consumers that do not run for
  `RESTORE_LIMIT` although the connection is up are started anew.
- A drain cancels the consumers, lets the deliveries in progress finish and be acknowledged, then closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
from aio_pika import RobustChannel, RobustQueue
from faststream.rabbit import Channel, RabbitBroker, RabbitRouter
from faststream.rabbit.subscriber import RabbitSubscriber

from services.common.messaging.connection import CONNECT_TIMEOUT, underlay, with_heartbeat
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.common.messaging.middlewares import ConsumerState, QueueState, create_middlewares
from services.common.messaging.queue_metrics import Waiting
from services.common.messaging.retry import until_probe_succeeds
from services.common.messaging.subscribers import PREFETCH, EventCodec

if TYPE_CHECKING:
    import aiormq
    from aio_pika.abc import AbstractRobustConnection

log = structlog.get_logger()

WIDEN_LIMIT, CANCEL_LIMIT = 10.0, 2.0  # seconds
RESTORE_LIMIT = 30.0  # seconds in which the library restores all consumers
LOOKS_EACH = 0.2  # part of that limit
STOP_LIMIT = 30.0  # seconds; after that the connection may still hold deliveries that are not handled


class NotStopped(Exception):
    """The library did not stop its consumers: their deliveries stay with a connection that is not served."""


class ConsumedQueue:
    """A queue while it is consumed: a FastStream subscriber, and the channel under it."""

    def __init__(self, subscriber: RabbitSubscriber, prefetch: int) -> None:
        """Create a queue that is not consumed; `start` starts it.

        Args:
            subscriber: The subscriber, with its handlers.
            prefetch: The limit after the slow start.
        """
        self._subscriber, self._prefetch = subscriber, prefetch
        self._queue: RobustQueue | None = None
        self._below: aiormq.Channel | None = None

    async def start(self, broker: RabbitBroker) -> None:
        """Consume with prefetch 1, on a channel of its own."""
        self._subscriber.channel = Channel(prefetch_count=1)
        self._subscriber.running = True  # set by `start` when the consumer is confirmed; what arrives before is dropped
        await self._subscriber.start()
        self._queue = await broker.declare_queue(self._subscriber.queue)  # returns the one that is consumed from
        assert isinstance(self._queue.channel, RobustChannel)
        self._queue.channel.reopen_callbacks.add(self._look_below)
        await self._look_below()

    async def _look_below(self, *_: object) -> None:
        assert self._queue is not None
        self._below = await underlay(self._queue.channel)

    @property
    def is_consumed(self) -> bool:
        """True while the broker delivers its messages here. False after the queue was deleted."""
        return self._below is not None and not self._below.is_closed and bool(self._below.consumers)

    async def widen(self) -> None:
        """Consume with the prefetch limit that follows the slow start.

        A limit applies to the consumers that start after it was set, so the consumer is replaced.
        """
        assert self._queue is not None
        await self.cancel()
        await self._queue.channel.set_qos(self._prefetch)
        await self._queue.consume(self._subscriber.consume)  # type: ignore[arg-type] # as FastStream passes it

    async def cancel(self) -> None:
        """Stop deliveries. What is on its way is handled.

        The subscriber's own `stop` drops what arrives before the broker confirms, and the broker counts a delivery of
        it. With a limit of 1 that happens too: after a message was dead-lettered for its delivery count, RabbitMQ sends
        two.
        """
        if self._queue and self._below and not self._below.is_closed:
            for tag in tuple(self._below.consumers):
                await self._queue.cancel(tag)


class Consumers:
    """The durable queues that one service consumes, on one connection of their own (a FastStream broker)."""

    def __init__(self, url: str, router: RabbitRouter, probe: Callable[[], Awaitable[object]]) -> None:
        """Create consumers that are not connected; `run` connects them.

        Args:
            url: The address of the broker.
            router: The service's subscribers (`subscribers.py`).
            probe: Succeeds when the dependencies answer again after an outage.
        """
        self._probe = probe
        self._state = ConsumerState()
        self.broker = RabbitBroker(
            with_heartbeat(url),
            timeout=CONNECT_TIMEOUT,  # without one, an attempt whose packets are lost never ends
            fail_fast=False,
            reconnect_interval=random.uniform(0.5, 1.0),  # noqa: S311 - jitter, no secret
            graceful_timeout=None,  # `stop` would wait before it cancels; a drain here waits after that
            codec=EventCodec(),
            middlewares=create_middlewares(self._state),
            routers=[router],
            apply_types=False,  # handlers take the decoded event alone, and `subscribers.py` checks its kind
            logger=None,
        )
        self._subscribers: list[tuple[RabbitSubscriber, int]] = []
        self.waiting: dict[str, Waiting] = {}  # by queue
        for subscriber in self.broker.subscribers:
            assert isinstance(subscriber, RabbitSubscriber)
            limit = subscriber.channel.prefetch_count if subscriber.channel else None
            self._subscribers.append((subscriber, limit or PREFETCH))
            self.waiting[subscriber.queue.name] = Waiting(subscriber.queue.name)
        self._connecting = False  # or connected
        self._connection: AbstractRobustConnection | None = None
        self._queues: list[ConsumedQueue] = []
        self._begun = False  # all of them are started
        self._starting, self._widening = UnknownErrors("consumers"), UnknownErrors("consumers.widen")
        self._changing = asyncio.Lock()  # held while consumers are cancelled or replaced

    @property
    def running(self) -> bool:
        """True while the broker delivers every queue's messages here."""
        return self._connected and self._begun and all(queue.is_consumed for queue in self._queues)

    @property
    def _connected(self) -> bool:
        return self._connection is not None and self._connection.connected.is_set()

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
            self._state.restart.clear()
            try:
                with given_up_is_failure():
                    await self._start()
                self._starting.clear()
                await self._restart_is_due()
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

    async def _restart_is_due(self) -> None:
        """Return when a handler asks for a restart, or connected consumers have not run for `RESTORE_LIMIT`."""
        lost_at: float | None = None
        while not self._state.restart.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESTORE_LIMIT * LOOKS_EACH):
                    await self._state.restart.wait()
            if self.running or not self._connected or self._state.draining.is_set():
                lost_at = None
            elif lost_at is None:
                lost_at = time.monotonic()
            elif time.monotonic() - lost_at > RESTORE_LIMIT:
                log.warning("consumers_not_restored")
                return

    async def drain(self, patience: float = 10.0) -> None:
        """Stop deliveries, then wait up to `patience` seconds for those in progress, then close the connection."""
        async with self._changing:
            for queue in self._queues:
                try:
                    with given_up_is_failure():
                        async with asyncio.timeout(CANCEL_LIMIT):
                            await queue.cancel()
                except BROKER_ERRORS:
                    pass
                except Exception:  # deliveries in progress are finished all the same
                    log.exception("consumer_not_cancelled")
            self._state.draining.set()  # last: a message that is requeued now must not be delivered here again
        end = time.monotonic() + patience
        while self._state.in_progress and time.monotonic() < end:  # noqa: ASYNC110 - a handful of polls at the very end
            await asyncio.sleep(0.02)
        with contextlib.suppress(NotStopped):  # the process ends anyway
            await self._stop()

    async def _start(self) -> None:
        self._connecting = True  # before it connects, so that it is stopped
        self._connection = await self.broker.connect()
        for subscriber, prefetch in self._subscribers:
            queue = ConsumedQueue(subscriber, prefetch)
            self._queues.append(queue)
            name, limit = subscriber.queue.name, (subscriber.queue.arguments or {})["x-delivery-limit"]
            state = QueueState(name, limit, self.waiting[name], functools.partial(self._widen, name, queue))
            self._state.queues[name] = state
            await queue.start(self.broker)
            state.slow_start.begun()
            await state.slow_start.past()
        self._begun = True

    async def _widen(self, name: str, queue: ConsumedQueue) -> None:
        try:
            with given_up_is_failure():
                async with asyncio.timeout(WIDEN_LIMIT), self._changing:
                    if queue in self._queues and not self._state.draining.is_set():
                        await queue.widen()
            self._widening.clear()
        except BROKER_ERRORS as error:
            log.warning("consumer_lost", queue=name, error=type(error).__name__)
            self._state.restart.set()
        except Exception as error:
            self._widening.note(error)
            self._state.restart.set()

    async def _stop(self) -> None:
        connecting, self._connecting, self._queues, self._begun = self._connecting, False, [], False
        if not connecting:
            return
        stopping = asyncio.timeout(STOP_LIMIT)
        try:
            with given_up_is_failure():
                async with stopping:
                    await self._close()
        except BROKER_ERRORS as error:
            if stopping.expired():
                raise NotStopped from error
            log.info("consumers_dropped", error=type(error).__name__)
        except Exception:
            log.exception("consumers_not_stopped")

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        try:
            await self.broker.stop()
        except ExceptionGroup as error:
            # FastStream leaves its connection open when a consumer could not be cancelled on a channel that is lost.
            log.info("consumers_dropped", error=type(error.exceptions[0]).__name__)
            if connection:
                await connection.close()
            await self.broker.stop()
