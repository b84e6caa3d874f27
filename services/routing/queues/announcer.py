"""Announcer of department queues: publishes the positions of the waiting chats, and answers requests for them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from services.common.batches import batched, gather_in_batches, gather_limited
from services.common.events.chats import EmptyQueue, QueueChanged
from services.common.events.places import DepartmentPlaces, PlacesChanged
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.routing.chats.store import Store
from services.routing.queues.store import QueueStore

log = structlog.get_logger()

COALESCE = 0.1  # seconds in which changes of one department's queue become one event
REST = 3  # pause before the next publication, as a multiple of the time that the last one took: queues may be long
SLOTS_EVERY = 2.0  # seconds after which the number of slots is compared with the stored one, changed or not
AT_ONCE = 20  # queues published at a time
RETRY = 1.0  # seconds before a queue that could not be published is tried again


@dataclass(frozen=True)
class Positions:
    """The positions in a department queue, from 1, as read `at` this time of a monotonic clock.

    `seconds_each`: in how many seconds the queue moves up by one; None: unknown.
    """

    of: dict[str, int]
    seconds_each: float | None
    at: float


class Announcer:
    """Publishes the queues of all departments."""

    def __init__(
        self,
        store: Store,
        queue_store: QueueStore,
        publisher: Publisher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an announcer with nothing to publish.

        Args:
            store: The store of chats.
            queue_store: The store of queues.
            publisher: The publisher of events.
            clock: A monotonic clock, in seconds.
        """
        self._store, self._queue_store, self._publisher, self._clock = store, queue_store, publisher, clock
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._announced: set[str] = set()
        self._positions: dict[str, Positions] = {}
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # by department: the number of slots that is stored, and when it was compared
        self._slots: dict[str, tuple[int | None, float]] = {}

    async def slots_changed(self, event: PlacesChanged) -> None:
        """Store the number of slots of a department, for the estimated wait."""
        slots, at = self._slots.get(event.department, (None, 0.0))
        if slots == event.places and self._clock() - at < SLOTS_EVERY:
            return
        await self._queue_store.note_slots(event)
        self._slots[event.department] = event.places, self._clock()

    async def slots_listed(self, listed: Sequence[DepartmentPlaces]) -> None:
        """Store the numbers of slots of these departments, with one query as long as none differs."""
        now = self._clock()
        due = []
        for places in listed:
            slots, at = self._slots.get(places.department, (None, 0.0))
            if slots != places.places or now - at >= SLOTS_EVERY:
                due.append(places)
        if due:
            await self._queue_store.note_slots_of(due)
            self._slots.update((places.department, (places.places, now)) for places in due)

    def changed(self, *departments: str | None) -> None:
        """Request publication of these departments' queues, within `COALESCE` seconds."""
        self._changed.update(d for d in departments if d)
        self._wake.set()

    async def run(self) -> None:
        """Publish the requested queues until cancelled."""
        took = 0.0
        while True:
            await self._wake.wait()
            await asyncio.sleep(max(COALESCE, REST * took))
            self._wake.clear()
            began = self._clock()
            try:
                await self.flush()
                took = self._clock() - began
            except DEPENDENCY_ERRORS as error:
                log.warning("queue_not_published", error=type(error).__name__)
                await asyncio.sleep(RETRY)

    async def flush(self) -> None:
        """Publish every requested queue now, `AT_ONCE` at a time. A queue that cannot be published stays requested."""
        while self._changed:
            await gather_in_batches(AT_ONCE, [partial(self._announce_requested, d) for d in self._changed])

    async def _announce_requested(self, department: str) -> None:
        if department not in self._changed:  # another flush was first
            return
        self._changed.discard(department)
        try:
            await self.announce(department)
        except BaseException:  # also when it is cancelled: a drain publishes what is left
            self.changed(department)
            raise

    async def announce(self, department: str) -> None:
        """Publish the waiting chats in order, with a revision above all earlier ones."""
        revision = await self._queue_store.next_revision(department, at_least=time.time_ns() // 1_000_000)
        order, since = await self._store.waiting_queue(department)
        pace = await self._queue_store.seconds_each(department)
        event = QueueChanged(department=department, revision=revision, order=order, since=since, pace=pace)
        await self._publisher.publish(event)
        self._announced.add(department)

    async def repeat(self, departments: Collection[str], all_read_digests: bool) -> None:
        """Publish the queues of these departments again, changed or not.

        An empty queue that this process has announced before is published with its present revision and pace, and
        others in a digest, without a query of its own. The revisions are read first, so a chat that joins afterwards
        has a later one, or is read here. The first announcement has a new revision, in case the database was restored.

        Args:
            departments: The departments.
            all_read_digests: False: a former replica of presence may run, which needs an event for each department.
        """
        revisions = await self._queue_store.revisions(departments)
        waiting = await self._store.waiting_departments()
        empty = [d for d in departments if d in revisions and d in self._announced and d not in waiting]
        await gather_limited(AT_ONCE, [partial(self.announce, d) for d in {*departments, *waiting} - {*empty}])
        paces = await self._queue_store.paces(empty)
        queues = [EmptyQueue(department=d, revision=revisions[d], pace=paces.get(d)) for d in empty]
        size = topology.MOST_DEPARTMENTS if all_read_digests else 1
        events = [
            QueueChanged(
                department=batch[0].department,
                revision=batch[0].revision,
                order=[],
                pace=batch[0].pace,
                empty=list(batch[1:]) or None,
            )
            for batch in batched(queues, size)
        ]
        await gather_limited(AT_ONCE, [partial(self._publisher.publish, event) for event in events])

    async def positions(self, department: str, having: Collection[str] = ()) -> Positions:
        """Return the positions, at most `COALESCE` seconds old and with all of `having` that wait. Reads are shared.

        `announce` publishes what changed since then.
        """
        asked = self._clock()
        async with self._reading[department]:
            known = self._positions.get(department)
            if known is None or known.at < asked - COALESCE or (known.at < asked and not known.of.keys() >= {*having}):
                at, ids = self._clock(), await self._store.waiting_ids(department)
                seconds_each = await self._queue_store.seconds_each(department)
                known = Positions({c: n for n, c in enumerate(ids, 1)}, seconds_each, at)
                self._positions[department] = known
            return known
