"""What a run leaves behind to be judged: the events that the broker carried, and what each citizen did and was shown.

Times are `time.monotonic()` of the one process that keeps the history; the events' own times are the wall clock of the
machine that all processes share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.messaging import topology

Frame = dict[str, Any]
KEYS = (
    "chat.opened",
    "chat.state.*",
    "chat.accepted",
    "close.requested",
    "citizen.arrived",
    "place.*",
    "places.changed",
    "queue.changed.*",
    "button.changed.*",
    "agent.changed.*",
    "accept.overdue",
    "transfer.refused",
)


@dataclass(frozen=True)
class Heard:
    """An event, and when the recorder heard it."""

    at: float
    event: Event


History = Sequence[Heard]


@dataclass(frozen=True)
class Press:
    """One press of the button: begun and answered at; `status` 0 when no answer came."""

    began: float
    answered: float
    status: int


@dataclass
class Visit:
    """A citizen: their presses, the chat that the last one began, and every frame with the time at which it came.

    `left_at`: when they gave up by themselves. `losses`: when a connection of theirs was lost.
    """

    presses: list[Press] = field(default_factory=list)
    chat_id: str = ""
    frames: list[tuple[float, Frame]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    left_at: float | None = None

    @property
    def served_at(self) -> float | None:
        """When their dot was green for the first time."""
        return next((at for at, f in self.frames if f["type"] == "status" and f["dot"] == "green"), None)

    @property
    def closed(self) -> Frame | None:
        """The frame that told them that the chat is over."""
        return next((f for _, f in self.frames if f["type"] == "closed"), None)


class Recorder:
    """Hears everything about chats, places, agents and buttons, in the order in which the broker gives it."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._offset = time.time() - time.monotonic()

    async def take(self, message: AbstractIncomingMessage) -> None:
        self.heard.append(Heard(time.monotonic(), decode(message.body)))

    @property
    def clock_step(self) -> float:
        """Seconds by which the wall clock was moved since the beginning: the events' own times are good to this."""
        return abs(time.time() - time.monotonic() - self._offset)

    async def quiet(self, seconds: float = 1.0, wait: float = 60.0) -> None:
        """Returns when no chat's state has changed for so long."""
        end = time.monotonic() + wait
        while time.monotonic() < end:
            last = next((h.at for h in reversed(self.heard) if h.event.type == "chat.state"), 0.0)
            if time.monotonic() - last >= seconds:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def recording(url: str) -> AsyncIterator[Recorder]:
    """A recorder on a connection and a queue of its own while the context is open; the exchange must be there."""
    recorder = Recorder()
    connection = await aio_pika.connect(url, client_properties={"connection_name": "recorder"})
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for key in KEYS:
            await queue.bind(topology.EXCHANGE, key)
        await queue.consume(recorder.take, no_ack=True)
        yield recorder
