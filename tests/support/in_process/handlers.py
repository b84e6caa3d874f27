"""Delivery of events to the handlers of a service, without a broker."""

from collections.abc import Awaitable, Callable
from typing import get_type_hints

from services.common.events.event import Event

Handle = Callable[[Event], Awaitable[None]]


def handling(handlers: object) -> Handle:
    """Return a function that calls the one of these handlers that takes events of this kind, else any event."""
    methods: dict[type[Event], Handle] = {}
    for name in dir(handlers):
        method = getattr(handlers, name)
        if not name.startswith("_") and (kind := get_type_hints(method).get("event")):
            methods[kind] = method

    async def handle(event: Event) -> None:
        await (methods.get(type(event)) or methods[Event])(event)

    return handle
