"""FastStream subscribers of the durable queues, and the codec of their messages.

A service's `consumers.py` builds a `RabbitRouter`: it subscribes to each of the service's queues with a typed handler
for each event. Handlers are idempotent; returning acknowledges the event. What happens around a handler is in
`middlewares.py`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from faststream import AckPolicy
from faststream.message import encode_message
from faststream.rabbit import Channel, QueueType, RabbitQueue
from pydantic import ValidationError

from services.common.events.codec import decode, encode
from services.common.events.event import Event
from services.common.messaging import topology

if TYPE_CHECKING:
    from faststream.message import StreamMessage
    from faststream.rabbit import RabbitMessage, RabbitRouter
    from faststream.rabbit.schemas.queue import QuorumQueueArgs
    from faststream.types import DecodedMessage

Handler = Callable[[Any], Awaitable[None]]

PREFETCH = 50


class EventCodec:
    """FastStream codec of the events on the broker (`services/common/events/codec.py`)."""

    async def decode(self, msg: StreamMessage[Any]) -> DecodedMessage:
        """Return the event in the body of this message.

        Raises:
            pydantic.ValidationError: The body is not a known event.
        """
        return cast("DecodedMessage", decode(msg.body))  # which names JSON values only

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str | None]:
        """Return the body and the content type of the message of this event."""
        if isinstance(msg, Event):
            return encode(msg), "application/json"
        return encode_message(msg, serializer)


def subscribe(router: RabbitRouter, queue: topology.Queue, *handlers: Handler, prefetch: int = PREFETCH) -> None:
    """Register the handlers of this durable queue, which is declared elsewhere (`connection.py`).

    Args:
        router: The router of the service.
        queue: The queue.
        handlers: Each takes events of the kind that its parameter is annotated with. The last one gets what no other
            one takes: it refuses an event of another kind with `TypeError`, and a middleware dead-letters what cannot
            be decoded.
        prefetch: The most messages that may be in progress at once, after the slow start. With 1 they are handled in
            the order in which they were published.
    """
    arguments = cast("QuorumQueueArgs", queue.declaration)
    subscriber = router.subscriber(
        RabbitQueue(queue.name, queue_type=QueueType.QUORUM, durable=True, declare=False, arguments=arguments),
        channel=Channel(prefetch_count=prefetch),
        ack_policy=AckPolicy.MANUAL,  # here: a subscriber of a router does not get the broker's policy
        no_reply=True,
    )
    *others, last = handlers
    for handler in others:
        subscriber(handler, filter=_only(_kind(handler)))
    subscriber(_checked(last))


def _kind(handler: Handler) -> type[Event]:
    (parameter,) = inspect.signature(handler, eval_str=True).parameters.values()
    kind: type[Event] = parameter.annotation
    return kind


def _only(kind: type[Event]) -> Callable[[RabbitMessage], Awaitable[bool]]:
    async def matches(message: RabbitMessage) -> bool:
        try:
            return isinstance(await message.decode(), kind)
        except ValidationError:  # the last handler of the queue gets it
            return False

    return matches


def _checked(handler: Handler) -> Handler:
    kind = _kind(handler)

    @functools.wraps(handler)  # FastStream describes what it wraps
    async def handle(event: Event) -> None:
        if not isinstance(event, kind):
            raise TypeError(f"an event of the kind {event.type}")
        await handler(event)

    return handle
