"""Slot requests: which waiting chats of a department ask presence for a slot now.

Memory has only hints: how many slots are free, how many chats wait, which chats requested a slot a moment ago. A lost
or stale hint costs a repetition, or lets a later chat request beside an earlier one; the repair jobs read the queue
every 2 s.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.common.events.places import DepartmentPlaces, PlacesChanged, PlaceWanted
from services.common.messaging.publisher import Publisher
from services.routing.chats.chat import Chat
from services.routing.chats.rules import requesting
from services.routing.chats.store import Store
from services.routing.metrics import repaired

READ_GAP = 0.05  # seconds between two reads of one department's queue
LONG = 20  # chats before a new one, beyond the free slots, with which it certainly need not request a slot yet
AGAIN, LONGEST_AGAIN = 5.0, 20.0  # seconds before the same attempt requests again, doubled each time up to the second
FIRST_AGAIN = 1.5  # seconds before the first chat in the queue does: at each repair job
MOST_REQUESTING = 100  # chats at a time in one department
NAMED_ROOM = 50  # chats waiting for one colleague that may be before the others in the part that is read

Requested = dict[tuple[str, int], tuple[float, int]]  # (chat, attempt) → when it requested last, and how often


@dataclass
class _Hints:
    """What this replica remembers of one department.

    Attributes:
        slots: The free slots as presence published them last.
        freed: How many slots became free since chats requested last.
        waiting: About how many chats wait.
        requested: The requests of the last seconds.
        read_at: When the queue was read last.
        read_took: How long that took, in seconds.
        reading: Held while the queue is read and chats request.
        next: The next such round, which callers share until it starts.
    """

    slots: PlacesChanged | DepartmentPlaces | None = None
    freed: int = 0
    waiting: int | None = None
    requested: Requested = field(default_factory=dict)
    read_at: float = 0.0
    read_took: float = 0.0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    next: asyncio.Task[None] | None = None


class SlotRequests:
    """Requests slots for the waiting chats of all departments, as this replica works on them."""

    def __init__(self, store: Store, publisher: Publisher, clock: Callable[[], float] = time.monotonic) -> None:
        """Create an object without hints.

        Args:
            store: The store of chats.
            publisher: The publisher of events.
            clock: A monotonic clock, in seconds.
        """
        self._store, self._publisher, self._clock = store, publisher, clock
        self._departments: defaultdict[str, _Hints] = defaultdict(_Hints)

    async def slots_changed(self, event: PlacesChanged) -> None:
        """Remember how many slots are free, and let chats request them."""
        self._note(event)
        await self.request(event.department)

    def slots_listed(self, listed: Iterable[DepartmentPlaces]) -> list[str]:
        """Remember how many slots are free in these departments. Return those whose chats should request slots now.

        The others have neither news nor, as far as this replica knows, waiting chats; the repair jobs request for
        chats that it does not know.
        """
        return [p.department for p in listed if self._note(p) or self._departments[p.department].waiting]

    def _note(self, places: PlacesChanged | DepartmentPlaces) -> bool:
        """Remember how many slots are free, unless a newer number is known. Return whether that changed a known one."""
        hints = self._departments[places.department]
        known = hints.slots
        if known is not None and places.revision <= known.revision:
            return False
        hints.slots = places
        hints.freed += max(0, places.free - max(0, known.free) if known else places.free)
        return known is not None

    def free(self, department: str) -> int:
        """Return the free slots that this replica knows of."""
        known = self._departments[department].slots
        return known.free if known else 0

    async def opened(self, chat: Chat) -> None:
        """Let a new chat request a slot: at once, without reading the queue, when there seem to be enough slots.

        At the end of a long queue it does not: the chats before it and the repair jobs do.
        """
        department = chat.department or ""
        hints = self._departments[department]
        slots, waiting = hints.slots, hints.waiting
        if waiting is not None and waiting >= LONG + max(1, slots.free if slots else 1):
            hints.waiting = waiting + 1
            return
        if slots is None or waiting is None or waiting >= slots.free:
            await self.request(department)
            return
        hints.waiting = waiting + 1
        await self._publish(chat, hints.requested, self._clock())

    def left(self, department: str | None) -> None:
        """Count a chat that does not wait here any more."""
        hints = self._departments[department or ""]
        if hints.waiting:
            hints.waiting -= 1

    async def request(self, department: str) -> None:
        """Let the chats request slots that should, judged after this call began. Returns after the broker's confirm.

        Simultaneous callers share one read of the queue.
        """
        hints = self._departments[department]
        if hints.next is None:
            hints.next = asyncio.create_task(self._read_and_request(department, hints))
        await asyncio.shield(hints.next)

    async def _read_and_request(self, department: str, hints: _Hints) -> None:
        async with hints.reading:
            gap = max(READ_GAP, 2 * hints.read_took)
            await asyncio.sleep(hints.read_at + gap - self._clock())
            hints.next = None
            hints.read_at = self._clock()
            slots = hints.slots
            free = min(slots.free if slots else 1, MOST_REQUESTING)
            queue = await self._store.first_waiting(department, max(1, free) + NAMED_ROOM)
            hints.read_took = self._clock() - hints.read_at
            hints.waiting = len(queue)
            chats = requesting(queue, free)
            again, began = _may_request_again(hints, chats), self._clock()
            requested = {k: (at, n) for k, (at, n) in hints.requested.items() if began - at < 2 * LONGEST_AGAIN}
            hints.requested = requested
            first = next((c for c in chats if not c.wanted_agent), None)
            may = [c for c in chats if c in again or is_due(requested.get(_key(c)), began, c is first)]
            if slots and slots.free > 0 and first in may and first not in again and first and _key(first) in requested:
                repaired("asked_again", chat_id=first.id, department=department, turn=first.turn)
            await asyncio.gather(*(self._publish(c, requested, began) for c in may))

    async def _publish(self, chat: Chat, requested: Requested, began: float) -> None:
        await self._publisher.publish(
            PlaceWanted(
                chat_id=chat.id,
                turn=chat.turn,
                department=chat.department or "",
                locale=chat.locale,
                agent_id=chat.wanted_agent,
                not_agent_id=chat.unwanted_agent,
            )
        )
        requested[_key(chat)] = began, requested.get(_key(chat), (began, 0))[1] + 1


def _may_request_again(hints: _Hints, chats: list[Chat]) -> list[Chat]:
    """Return chats whose last request may have been in vain, now that slots are free.

    They are as many as the slots that became free, and the chats that wait for one agent.
    """
    freed, hints.freed = hints.freed, 0
    first = [c for c in chats if not c.wanted_agent][:freed]
    return first + [c for c in chats if c.wanted_agent and freed]


def _key(chat: Chat) -> tuple[str, int]:
    return chat.id, chat.turn


def is_due(requested: tuple[float, int] | None, now: float, first: bool) -> bool:
    """Return whether a chat that requested a slot then and so often may do so again.

    A request that is on its way needs no second one: each is answered, perhaps with a slot that is not needed any more,
    and additional requests would make a slow system slower.
    """
    if requested is None:
        return True
    at, times = requested
    return now - at >= (FIRST_AGAIN if first else min(AGAIN * 2 ** (times - 1), LONGEST_AGAIN))
