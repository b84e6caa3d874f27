"""FastStream middlewares of the durable queues: what happens around the handler of each message.

The broker applies them in this order, the first one outermost:

1. `Tracing` continues the trace of the message.
2. `Progress` counts the deliveries in progress, for the drain, for the slow start and for metrics.
3. `Acknowledgement` acknowledges last, dead-letters what cannot be decoded, and requeues what failed after a delay.
4. `Widening` raises the prefetch limit when the slow start has ended, before its last message is acknowledged.
5. `Retry` decodes the event, and calls the handler again while the database or the broker does not answer.

The subscribers have `AckPolicy.MANUAL`: FastStream's own acknowledgement cannot leave a message as it is in an outage,
and it comes after all middlewares have ended, when a drain could already close the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import structlog
from faststream import BaseMiddleware, ContextRepo
from pydantic import ValidationError

from services.common.events.event import Event
from services.common.messaging.queue_metrics import HANDLED, Waiting
from services.common.messaging.retry import FIRST_DELAY, LONGEST_DELAY, DependencyOutage, retry_with_backoff
from services.common.messaging.slow_start import SLOW_START, SlowStart
from services.common.observability.tracing import begin_trace, span

if TYPE_CHECKING:
    from aio_pika import IncomingMessage
    from faststream.message import StreamMessage
    from faststream.rabbit import RabbitMessage
    from faststream.types import BrokerMiddleware

    Message = StreamMessage[IncomingMessage]

log = structlog.get_logger()

CallNext = Callable[[Any], Awaitable[Any]]


class Undecodable(Exception):
    """The body of a message is not a known event."""


@dataclass
class QueueState:
    """What the middlewares know of one queue since it was started."""

    name: str
    delivery_limit: int
    waiting: Waiting
    widen: Callable[[], Awaitable[None]]  # raises the prefetch limit; raises no exception
    slow_start: SlowStart = field(default_factory=SlowStart)
    first_deliveries: int = 0  # that were handled


@dataclass
class ConsumerState:
    """What the middlewares share with `Consumers`."""

    queues: dict[str, QueueState] = field(default_factory=dict)  # by name
    in_progress: int = 0  # deliveries
    restart: asyncio.Event = field(default_factory=asyncio.Event)  # the consumers must be stopped and started again
    draining: asyncio.Event = field(default_factory=asyncio.Event)


class _QueueMiddleware(BaseMiddleware[Any, Any]):
    """A middleware that uses the state of the message's queue."""

    def __init__(self, msg: Any | None, /, *, context: ContextRepo, state: ConsumerState) -> None:
        super().__init__(msg, context=context)
        self.state = state

    @property
    def queue(self) -> QueueState:
        """The state of the queue that this message was delivered from."""
        return self.state.queues[self.context.get_local("handler_").queue.name]


class Tracing(BaseMiddleware[Any, Any]):
    """Let log lines and published events belong to the trace of the message's `traceparent`."""

    async def consume_scope(self, call_next: CallNext, msg: Message) -> Any:
        """Begin the trace, then go on."""
        begin_trace(msg.headers.get("traceparent"))
        return await call_next(msg)


class Progress(_QueueMiddleware):
    """Count deliveries from their arrival until they are acknowledged, rejected or kept."""

    async def consume_scope(self, call_next: CallNext, msg: Message) -> None:
        """Count this delivery while it is in progress, then its outcome, which `Acknowledgement` returns."""
        queue, outcome = self.queue, "kept"
        slow_start = queue.slow_start
        self.state.in_progress += 1
        slow_start.took()
        try:
            outcome = await call_next(msg)
        finally:
            self.state.in_progress -= 1
            slow_start.done(bool(msg.raw_message.redelivered))
            queue.waiting.finish(id(msg), done=outcome in ("done", "dead_lettered"))
        HANDLED.labels(queue.name, outcome).inc()


class Acknowledgement(_QueueMiddleware):
    """Acknowledge a message after its handler has returned, or reject it."""

    async def consume_scope(self, call_next: CallNext, msg: Message) -> str:
        """Return the outcome for the metric of handled messages.

        After a failure the message is requeued with `reject`, which counts a delivery (on RabbitMQ 4.3 `nack` does
        not), after 1, 2, 4 … 30 s.
        """
        queue, message = self.queue, cast("RabbitMessage", msg)
        try:
            await call_next(msg)
        except Undecodable as error:
            log.error("message_dead_lettered", queue=queue.name, problem=str(error))
            await message.reject(requeue=False)
            return "dead_lettered"
        except DependencyOutage:
            self.state.restart.set()
            return "kept"
        except Exception:
            count = int(msg.headers.get("x-delivery-count") or 0)
            log.exception("message_failed", queue=queue.name, type=await _type(msg), delivery_count=count)
            await self._pause(min(FIRST_DELAY * 2.0**count, LONGEST_DELAY))
            await message.reject(requeue=True)
            return "dead_lettered" if count >= queue.delivery_limit else "given_back"
        await message.ack()
        log.debug("message_handled", queue=queue.name, type=await _type(msg))
        return "done"

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.state.draining.wait()


class Widening(_QueueMiddleware):
    """End the slow start of a queue after `SLOW_START` first deliveries.

    A message that a crashed process had does not count: those are handled one at a time until all are done.
    """

    async def consume_scope(self, call_next: CallNext, msg: Message) -> None:
        """Handle the message, then raise the limit when it is time, whether the handler failed or not."""
        queue = self.queue
        try:
            await call_next(msg)
        except DependencyOutage:
            raise
        except Exception:
            await self._count(queue, msg)
            raise
        await self._count(queue, msg)

    async def _count(self, queue: QueueState, msg: Message) -> None:
        if not msg.raw_message.redelivered:
            queue.first_deliveries += 1
            if queue.first_deliveries == SLOW_START:
                await queue.widen()


class Retry(_QueueMiddleware):
    """Decode the event, and retry its handler in place while a dependency does not answer."""

    async def consume_scope(self, call_next: CallNext, msg: Message) -> None:
        """Call the handler within a span.

        Raises:
            Undecodable: The body is not a known event.
            DependencyOutage: A dependency has not answered for `retry.OUTAGE_PATIENCE` seconds.
        """
        queue = self.queue
        try:
            event = await msg.decode()
        except ValidationError as error:
            raise Undecodable(error.errors(include_input=False)[0]["type"]) from None
        assert event is not None
        queue.waiting.take(id(msg), event.occurred_at)
        with span("process", event.type, "consumer", None, {"messaging.destination.name": queue.name}):
            await retry_with_backoff(lambda: call_next(msg))


def create_middlewares(state: ConsumerState) -> tuple[BrokerMiddleware[Any, Any], ...]:
    """Return the middlewares of a broker in their order."""
    kinds = (Progress, Acknowledgement, Widening, Retry)
    return (Tracing, *(functools.partial(kind, state=state) for kind in kinds))


async def _type(msg: Message) -> str:
    event = await msg.decode()  # decoded before, by `Retry`
    assert isinstance(event, Event)
    return event.type
