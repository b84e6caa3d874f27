"""Department queue: which waiting chats request a slot now, and the publication of everyone's position.

In memory there are only hints: how many slots are free, how many chats wait, who asked a moment ago. A lost or stale
one costs a repetition, or lets a younger chat ask beside an older one; the repair jobs read the queue every 2 s.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import structlog

from services.common.events.chats import QueueChanged
from services.common.events.places import PlacesChanged, PlaceWanted
from services.common.messaging.connection import Publisher
from services.common.messaging.consumer import DEPENDENCY_ERRORS
from services.routing.chats.chat import Chat
from services.routing.chats.rules import who_asks
from services.routing.chats.store import Store
from services.routing.metrics import repaired
from services.routing.queues.store import QueueStore

log = structlog.get_logger()

READ_GAP = 0.05  # seconds between two readings of one department's line
COALESCE = 0.1  # seconds in which changes of one department's queue become one event
REST = 3  # at least so many times as long as telling the queues took they are not told again: lines may be long
LONG = 20  # chats in front of a new one, beyond the free places, that make it certain that it is not its turn
PLACES_EVERY = 2.0  # seconds after which the number of places is compared with what was noted, changed or not
ASK_AGAIN, PATIENCE = 5.0, 20.0  # seconds before the same turn of a chat asks again, doubled each time up to the second
FIRST_AGAIN = 1.5  # seconds before the first in line does: at each sweep
RETRY = 1.0  # seconds before a queue that could not be told is tried again
MOST_ASKING = 100  # at a time in one department
NAMED_ROOM = 50  # how many chats that wait for one colleague may stand before the others in the line that is read

Asked = dict[tuple[str, int], tuple[float, int]]  # (chat, turn) → when it asked last, and how often


@dataclass(frozen=True)
class Order:
    """Who stands where in a department, from 1, and its pace; read `at` this time of a monotonic clock."""

    places: dict[str, int]
    pace: float | None
    at: float


class Queue:
    """The queues of all departments, as this replica works on them."""

    def __init__(self, store: Store, ledger: QueueStore, publisher: Publisher) -> None:
        self._store, self.ledger, self._publisher = store, ledger, publisher
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
        """Remembers how many places are free and wakes the queue."""
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
        if places == event.places and time.monotonic() - at < PLACES_EVERY:
            return
        await self.ledger.note_places(event)
        self._noted[event.department] = event.places, time.monotonic()

    def free(self, department: str) -> int:
        """The places that were free when this replica last heard of them."""
        known = self._free.get(department)
        return known.free if known else 0

    async def opened(self, chat: Chat) -> None:
        """A new chat asks: at once, without reading the line, when there seem to be more places than chats waiting.

        At the end of a long line it does not ask: those in front do, and the sweeps.
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
        await self._want(chat, self._asked[department], time.monotonic())

    def left(self, department: str | None) -> None:
        """A chat does not wait here any more."""
        if waiting := self._waiting.get(department or ""):
            self._waiting[department or ""] = waiting - 1

    async def ask(self, department: str) -> None:
        """Whoever is to ask in this department, judged after this call began, has asked (confirmed by the broker).

        Callers at the same time share one reading of the line.
        """
        task = self._next.get(department)
        if task is None:
            task = self._next[department] = asyncio.create_task(self._ask_in_turn(department))
        await asyncio.shield(task)

    async def _ask_in_turn(self, department: str) -> None:
        async with self._locks[department]:
            gap = max(READ_GAP, 2 * self._read_took.get(department, 0.0))
            await asyncio.sleep(self._read_at.get(department, 0.0) + gap - time.monotonic())
            del self._next[department]
            self._read_at[department] = time.monotonic()
            places = self._free.get(department)
            free = min(places.free if places else 1, MOST_ASKING)
            line = await self._store.line(department, max(1, free) + NAMED_ROOM)
            self._read_took[department] = time.monotonic() - self._read_at[department]
            self._waiting[department] = len(line)
            asking = who_asks(line, free)
            again, began = self._may_ask_again(department, asking), time.monotonic()
            asked = {k: (at, n) for k, (at, n) in self._asked[department].items() if began - at < 2 * PATIENCE}
            self._asked[department] = asked
            first = next((c for c in asking if not c.wanted_agent), None)
            may = [c for c in asking if c in again or _due(asked.get(_key(c)), began, c is first)]
            if places and places.free > 0 and first in may and first not in again and first and _key(first) in asked:
                repaired("asked_again", chat_id=first.id, department=department, turn=first.turn)
            await asyncio.gather(*(self._want(c, asked, began) for c in may))

    def _may_ask_again(self, department: str, asking: list[Chat]) -> list[Chat]:
        """Who may have asked in vain, now that places are free: as many as came free, and who waits for one agent."""
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
        """Who waits in these departments has changed: told within `COALESCE` seconds."""
        self._rung.update(d for d in departments if d)
        self._bell.set()

    async def run(self) -> None:
        """Tells the queues that were rung for, until cancelled."""
        took = 0.0
        while True:
            await self._bell.wait()
            await asyncio.sleep(max(COALESCE, REST * took))
            self._bell.clear()
            began = time.monotonic()
            try:
                await self.flush()
                took = time.monotonic() - began
            except DEPENDENCY_ERRORS as error:
                log.warning("queue_not_published", error=type(error).__name__)
                await asyncio.sleep(RETRY)

    async def flush(self) -> None:
        """Every queue that was rung for is told now; those that could not be told stay rung for."""
        while self._rung:
            department = self._rung.pop()
            try:
                await self.announce(department)
            except DEPENDENCY_ERRORS:
                self.ring(department)
                raise

    async def announce(self, department: str) -> None:
        """Tells who waits here, the first in line first, under a revision above all before."""
        revision = await self.ledger.next_revision(department, at_least=time.time_ns() // 1_000_000)
        order, pace = await self._store.order(department), await self.ledger.pace(department)
        await self._publisher.publish(QueueChanged(department=department, revision=revision, order=order, pace=pace))

    async def order(self, department: str, having: Collection[str] = ()) -> Order:
        """Who stands where, at most `COALESCE` seconds old and with all of `having` that wait: readings are shared.

        Whatever changed since then is told by `announce`.
        """
        asked = time.monotonic()
        async with self._ordering[department]:
            known = self._orders.get(department)
            if (
                known is None
                or known.at < asked - COALESCE
                or (known.at < asked and not known.places.keys() >= {*having})
            ):
                at, ids = time.monotonic(), await self._store.order(department)
                known = Order({c: n for n, c in enumerate(ids, 1)}, await self.ledger.pace(department), at)
                self._orders[department] = known
            return known


def _key(chat: Chat) -> tuple[str, int]:
    return chat.id, chat.turn


def _due(asked: tuple[float, int] | None, now: float, first: bool) -> bool:
    """Whether a chat that asked then and so often may ask again.

    A question that is already on its way is worth no second one: each is answered, with a place that may not be needed
    any more, so that those of a slow moment would make it slower.
    """
    if asked is None:
        return True
    at, times = asked
    return now - at >= (FIRST_AGAIN if first else min(ASK_AGAIN * 2 ** (times - 1), PATIENCE))
