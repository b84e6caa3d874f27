"""Department queue: which waiting chats request a slot now, and the publication of all positions.

Memory has only hints: how many slots are free, how many chats wait, which chats requested a slot a moment ago. A lost
or stale hint costs a repetition, or lets a later chat request beside an earlier one; the repair jobs read the queue
every 2 s.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from services.common.events.chats import QueueChanged
from services.common.events.places import PlacesChanged, PlaceWanted
from services.common.messaging.connection import Publisher
from services.common.messaging.consumer import DEPENDENCY_ERRORS
from services.routing.chats.chat import Chat
from services.routing.chats.rules import requesting
from services.routing.chats.store import Store
from services.routing.metrics import repaired
from services.routing.queues.store import QueueStore

log = structlog.get_logger()

READ_GAP = 0.05  # seconds between two reads of one department's queue
COALESCE = 0.1  # seconds in which changes of one department's queue become one event
REST = 3  # pause before the next publication, as a multiple of the time that the last one took: queues may be long
LONG = 20  # chats before a new one, beyond the free slots, with which it certainly need not request a slot yet
PLACES_EVERY = 2.0  # seconds after which the number of slots is compared with the stored one, changed or not
ASK_AGAIN, PATIENCE = 5.0, 20.0  # seconds before the same attempt asks again, doubled each time up to the second
FIRST_AGAIN = 1.5  # seconds before the first chat in the queue does: at each repair job
RETRY = 1.0  # seconds before a queue that could not be published is tried again
MOST_ASKING = 100  # at a time in one department
NAMED_ROOM = 50  # chats waiting for one colleague that may be before the others in the part that is read

Asked = dict[tuple[str, int], tuple[float, int]]  # (chat, attempt) → when it asked last, and how often


@dataclass(frozen=True)
class Order:
    """The positions in a department queue, from 1, and its pace; read `at` this time of a monotonic clock."""

    places: dict[str, int]
    pace: float | None
    at: float


class Queue:
    """The queues of all departments, as this replica works on them."""

    def __init__(
        self,
        store: Store,
        queue_store: QueueStore,
        publisher: Publisher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an object without hints.

        Args:
            store: The store of chats.
            queue_store: The store of queues.
            publisher: The publisher of events.
            clock: A monotonic clock, in seconds.
        """
        self._store, self.queue_store, self._publisher, self._clock = store, queue_store, publisher, clock
        self._noted: dict[str, tuple[int | None, float]] = {}
        self._orders: dict[str, Order] = {}
        self._ordering: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._read_took: dict[str, float] = {}
        self._free: dict[str, PlacesChanged] = {}
        self._freed: dict[str, int] = {}
        self._asked: defaultdict[str, Asked] = defaultdict(dict)
        self._waiting: dict[str, int] = {}
        self._read_at: dict[str, float] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next: dict[str, asyncio.Task[None]] = {}
        self._rung: set[str] = set()
        self._bell = asyncio.Event()

    async def places_changed(self, event: PlacesChanged) -> None:
        """Store how many slots are free, and let chats request them."""
        known = self._free.get(event.department)
        if known is None or event.revision > known.revision:
            self._free[event.department] = event
            freed = event.free - max(0, known.free) if known else event.free
            if freed > 0:
                self._freed[event.department] = self._freed.get(event.department, 0) + freed
        await self.ask(event.department)
        await self._note_places(event)

    async def _note_places(self, event: PlacesChanged) -> None:
        places, at = self._noted.get(event.department, (None, 0.0))
        if places == event.places and self._clock() - at < PLACES_EVERY:
            return
        await self.queue_store.note_places(event)
        self._noted[event.department] = event.places, self._clock()

    def free(self, department: str) -> int:
        """Return the free slots that this replica knows of."""
        known = self._free.get(department)
        return known.free if known else 0

    async def opened(self, chat: Chat) -> None:
        """Let a new chat request a slot: at once, without reading the queue, when there seem to be enough slots.

        At the end of a long queue it does not: the chats before it and the repair jobs do.
        """
        department = chat.department or ""
        places, waiting = self._free.get(department), self._waiting.get(department)
        if waiting is not None and waiting >= LONG + max(1, places.free if places else 1):
            self._waiting[department] = waiting + 1
            return
        if places is None or waiting is None or waiting >= places.free:
            await self.ask(department)
            return
        self._waiting[department] = waiting + 1
        await self._want(chat, self._asked[department], self._clock())

    def left(self, department: str | None) -> None:
        """Count a chat that does not wait here any more."""
        if waiting := self._waiting.get(department or ""):
            self._waiting[department or ""] = waiting - 1

    async def ask(self, department: str) -> None:
        """Let the chats request slots that should, judged after this call began. Returns after the broker's confirm.

        Simultaneous callers share one read of the queue.
        """
        task = self._next.get(department)
        if task is None:
            task = self._next[department] = asyncio.create_task(self._ask_in_turn(department))
        await asyncio.shield(task)

    async def _ask_in_turn(self, department: str) -> None:
        async with self._locks[department]:
            gap = max(READ_GAP, 2 * self._read_took.get(department, 0.0))
            await asyncio.sleep(self._read_at.get(department, 0.0) + gap - self._clock())
            del self._next[department]
            self._read_at[department] = self._clock()
            places = self._free.get(department)
            free = min(places.free if places else 1, MOST_ASKING)
            line = await self._store.line(department, max(1, free) + NAMED_ROOM)
            self._read_took[department] = self._clock() - self._read_at[department]
            self._waiting[department] = len(line)
            asking = requesting(line, free)
            again, began = self._may_ask_again(department, asking), self._clock()
            asked = {k: (at, n) for k, (at, n) in self._asked[department].items() if began - at < 2 * PATIENCE}
            self._asked[department] = asked
            first = next((c for c in asking if not c.wanted_agent), None)
            may = [c for c in asking if c in again or is_due(asked.get(_key(c)), began, c is first)]
            if places and places.free > 0 and first in may and first not in again and first and _key(first) in asked:
                repaired("asked_again", chat_id=first.id, department=department, turn=first.turn)
            await asyncio.gather(*(self._want(c, asked, began) for c in may))

    def _may_ask_again(self, department: str, asking: list[Chat]) -> list[Chat]:
        """Return chats whose last request may have been in vain, now that slots are free.

        They are as many as the slots that became free, and the chats that wait for one agent.
        """
        freed = self._freed.pop(department, 0)
        first = [c for c in asking if not c.wanted_agent][:freed]
        return first + [c for c in asking if c.wanted_agent and freed]

    async def _want(self, chat: Chat, asked: Asked, began: float) -> None:
        department, named = chat.department or "", chat.wanted_agent
        await self._publisher.publish(
            PlaceWanted(chat_id=chat.id, turn=chat.turn, department=department, locale=chat.locale, agent_id=named)
        )
        asked[_key(chat)] = began, asked.get(_key(chat), (began, 0))[1] + 1

    def ring(self, *departments: str | None) -> None:
        """Request publication of these departments' queues, within `COALESCE` seconds."""
        self._rung.update(d for d in departments if d)
        self._bell.set()

    async def run(self) -> None:
        """Publish the requested queues until cancelled."""
        took = 0.0
        while True:
            await self._bell.wait()
            await asyncio.sleep(max(COALESCE, REST * took))
            self._bell.clear()
            began = self._clock()
            try:
                await self.flush()
                took = self._clock() - began
            except DEPENDENCY_ERRORS as error:
                log.warning("queue_not_published", error=type(error).__name__)
                await asyncio.sleep(RETRY)

    async def flush(self) -> None:
        """Publish every requested queue now. A queue that cannot be published stays requested."""
        while self._rung:
            department = self._rung.pop()
            try:
                await self.announce(department)
            except DEPENDENCY_ERRORS:
                self.ring(department)
                raise

    async def announce(self, department: str) -> None:
        """Publish the waiting chats in order, with a revision above all earlier ones."""
        revision = await self.queue_store.next_revision(department, at_least=time.time_ns() // 1_000_000)
        order, pace = await self._store.order(department), await self.queue_store.pace(department)
        await self._publisher.publish(QueueChanged(department=department, revision=revision, order=order, pace=pace))

    async def order(self, department: str, having: Collection[str] = ()) -> Order:
        """Return the positions, at most `COALESCE` seconds old and with all of `having` that wait. Reads are shared.

        `announce` publishes what changed since then.
        """
        asked = self._clock()
        async with self._ordering[department]:
            known = self._orders.get(department)
            if (
                known is None
                or known.at < asked - COALESCE
                or (known.at < asked and not known.places.keys() >= {*having})
            ):
                at, ids = self._clock(), await self._store.order(department)
                known = Order({c: n for n, c in enumerate(ids, 1)}, await self.queue_store.pace(department), at)
                self._orders[department] = known
            return known


def _key(chat: Chat) -> tuple[str, int]:
    return chat.id, chat.turn


def is_due(asked: tuple[float, int] | None, now: float, first: bool) -> bool:
    """Return whether a chat that asked then and so often may ask again.

    A request that is on its way needs no second one: each is answered, perhaps with a slot that is not needed any more,
    and additional requests would make a slow system slower.
    """
    if asked is None:
        return True
    at, times = asked
    return now - at >= (FIRST_AGAIN if first else min(ASK_AGAIN * 2 ** (times - 1), PATIENCE))
