"""Button and free slots of each department: evaluated, published at a change, repeated.

An evaluation is of the departments that changed. (1) It writes its own generation into their documents. (2) It reads
agents, waiting chats and, at max(now, as_of), the opening hours. (3) It writes only where the generation is still its
own; otherwise a later evaluation has seen everything that this one saw. `as_of` prevents a replica whose clock is
behind from opening a department again that another one has closed.

Code that changes something evaluates its departments afterwards. Each replica also compares all documents with what
they should be, each `ANYWAY` seconds, and evaluates those that differ: another replica may have died between a change
and its evaluation. The comparison writes nothing, so it does not overtake an evaluation that is under way; the next
comparison finds what such a one leaves behind.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from prometheus_client import Gauge

from services.common.batches import batched, gather_limited
from services.common.events.agents import ButtonChanged, DepartmentButton
from services.common.events.event import Event
from services.common.events.places import DepartmentPlaces, PlacesChanged
from services.common.events.types import ButtonColour
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.presence.button.rules import Crew, Light, count, hours_with, intake_closed, light, next_revision
from services.presence.opening_hours import Schedule, hours_at
from services.presence.stores import Stores

log = structlog.get_logger()

TICK = 1.0  # opening hours are checked at each whole second of the clock
ANYWAY = 3.0  # seconds after which all departments are compared without a cause: another replica may have crashed
PAST = 0.002  # seconds after the whole second at which the check is done: a timer may be early by less
SPACING = 0.08  # seconds between two evaluations, in which causes are gathered
AT_ONCE = 50  # documents written, and events published, at a time
ONLINE = Gauge("eloket_agents_online", "Agents logged in", ["department"])
AVAILABLE = Gauge("eloket_agents_available", "Agents logged in and available", ["department"])
FREE = Gauge("eloket_places_free", "Chats that could be taken now", ["department"])
GREEN = Gauge("eloket_button_green", "1 while the button is green", ["department"])


def button_event(doc: Mapping[str, Any], others: list[DepartmentButton] | None = None) -> ButtonChanged:
    """Return the event of a department's button; with `others` it is a digest."""
    return ButtonChanged(**_button(doc), others=others)


def places_event(doc: Mapping[str, Any], others: list[DepartmentPlaces] | None = None) -> PlacesChanged:
    """Return the event of a department's free slots; with `others` it is a digest."""
    return PlacesChanged(**_places(doc), others=others)


def digests(docs: Sequence[Mapping[str, Any]]) -> list[Event]:
    """Return the events of the buttons and of the free slots of all these departments, in few messages."""
    found: list[Event] = []
    for first, *rest in batched(docs, topology.MOST_DEPARTMENTS):
        found.append(button_event(first, [DepartmentButton(**_button(doc)) for doc in rest]))
        found.append(places_event(first, [DepartmentPlaces(**_places(doc)) for doc in rest]))
    return found


def _button(doc: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: doc[name] for name in ("colour", "reason", "opens_at", "revision")}
    return {"department": doc["_id"], "intake": doc.get("stopped"), **shown}


def _places(doc: Mapping[str, Any]) -> dict[str, Any]:
    slots = {"free": doc["free"], "revision": doc["places_revision"], "places": doc.get("places")}
    return {"department": doc["_id"], **slots}


@dataclass(frozen=True)
class _Assessed:
    """A department as an evaluation found it: its document, what to write into it, and what to publish then."""

    doc: Mapping[str, Any]
    changes: Mapping[str, Any]
    news: Sequence[Callable[[Mapping[str, Any]], Event]]


async def evaluate(
    stores: Stores,
    schedules: Mapping[str, Schedule],
    clock: Callable[[], datetime],
    departments: Collection[str] | None = None,
) -> list[Event]:
    """Evaluate departments and store the result. Return the events of what changed.

    Args:
        stores: The stores.
        schedules: The opening hours of all departments.
        clock: Returns the present.
        departments: Which ones to evaluate. None: all whose document is not as it should be, which is first found out
            without writing anything.
    """
    if departments is None:
        departments = [a.doc["_id"] for a in await _assess(stores, schedules, clock) if a.changes]
    known = [d for d in departments if d in schedules]
    if not known:
        return []
    generation = str(uuid.uuid4())
    await stores.buttons.begin(known, generation)
    assessed = [a for a in await _assess(stores, schedules, clock, known) if a.changes]
    written = await gather_limited(
        AT_ONCE, [partial(stores.buttons.write, a.doc["_id"], generation, a.changes) for a in assessed]
    )
    done = [a for a, good in zip(assessed, written, strict=True) if good]
    return [make({**a.doc, **a.changes}) for a in done for make in a.news]


async def _assess(
    stores: Stores,
    schedules: Mapping[str, Schedule],
    clock: Callable[[], datetime],
    departments: Collection[str] | None = None,
) -> list[_Assessed]:
    """Read what the buttons of these departments, or of all, depend on, and compare it with their documents."""
    ids = list(schedules) if departments is None else list(departments)
    agents, waiting = await asyncio.gather(stores.agents.crew(departments), stores.queues.waiting(ids))
    crews, found = count(agents), []
    for doc in await stores.buttons.read(ids):
        department = doc["_id"]
        if (schedule := schedules.get(department)) is None:  # removed meanwhile
            continue
        now = max(clock(), doc.get("as_of", clock()))
        crew = crews.get(department, Crew())
        intake = intake_closed(doc, now)
        shown = light(*hours_with(schedule, now, intake), crew, waiting.get(department, 0))
        _measure(department, crew, shown)
        stopped = {name: intake[name] for name in ("reason", "until")} if intake else None
        found.append(_Assessed(doc, *_compare(doc, shown, crew, now, stopped)))
    return found


def _compare(
    doc: Mapping[str, Any], shown: Light, crew: Crew, now: datetime, stopped: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], list[Callable[[Mapping[str, Any]], Event]]]:
    """Return the fields to write, and the functions that make the events of them.

    Both are empty when nothing changed.
    """
    changes: dict[str, Any] = {}
    news: list[Callable[[Mapping[str, Any]], Event]] = []
    fields: dict[str, Any] = {
        "colour": shown.colour.value,
        "reason": shown.reason.value,
        "opens_at": shown.opens_at,
    }
    fields |= {"stopped": stopped} if stopped or doc.get("stopped") else {}
    if doc["revision"] == 0 or any(doc.get(name) != value for name, value in fields.items()):
        changes |= {**fields, "revision": next_revision(doc["revision"], now)}
        news.append(button_event)
    if (doc.get("free"), doc.get("places")) != (crew.free, crew.slots):
        revision = next_revision(doc["places_revision"], now)
        changes |= {"free": crew.free, "places": crew.slots, "places_revision": revision}
        news.append(places_event)
    return ({**changes, "as_of": now} if changes else {}), news


def _measure(department: str, crew: Crew, shown: Light) -> None:
    ONLINE.labels(department).set(crew.online)
    AVAILABLE.labels(department).set(crew.available)
    FREE.labels(department).set(crew.free)
    GREEN.labels(department).set(shown.colour is ButtonColour.GREEN)


def forget(departments: Iterable[str]) -> None:
    """Export no more metrics of these departments: they do not exist any more."""
    for department in departments:
        for gauge in (ONLINE, AVAILABLE, FREE, GREEN):
            gauge.remove(department)


def until_tick(seen: float, now: float) -> float:
    """Return the seconds from `now` until the first whole second after `seen`; 0 when that is past.

    `seen` is when the opening hours were last checked. A clock that is set back makes no pause longer than a tick.
    """
    return min(max(math.floor(seen) + TICK + PAST - now, 0.0), TICK)


class ButtonUpdater:
    """Keeps the buttons up to date: evaluates when woken and at intervals, and repeats the events."""

    def __init__(
        self,
        stores: Stores,
        publisher: Publisher,
        schedules: Mapping[str, Schedule],
        clock: Callable[[], datetime],
        all_read_digests: Callable[[], bool] = lambda: True,
    ) -> None:
        """Create an updater that has evaluated nothing yet.

        Args:
            stores: The stores.
            publisher: The publisher of events.
            schedules: The opening hours of all departments.
            clock: Returns the present.
            all_read_digests: Whether every gateway and every replica of routing reads digests.
        """
        self._stores, self._publisher, self._schedules, self._clock = stores, publisher, schedules, clock
        self._all_read_digests = all_read_digests
        self._woken = asyncio.Event()
        self._changed: set[str] = set()
        self._evaluated = float("-inf")
        self._hours: list[tuple[bool, datetime | None]] = []

    def wake(self, departments: Iterable[str]) -> None:
        """Request an evaluation, because something that the buttons of these departments depend on has changed."""
        self._changed.update(departments)
        self._woken.set()

    async def run(self) -> None:
        """Evaluate the departments that changed, and all of them at intervals. Runs until cancelled.

        All are compared with their documents when the opening hours of one change and each `ANYWAY` seconds. An outage
        needs no other handling.
        """
        seen = 0.0  # when the opening hours were last checked
        while True:
            try:
                async with asyncio.timeout(until_tick(seen, self._clock().timestamp())):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            now = self._clock()
            hours = self._hours
            if math.floor(now.timestamp()) != math.floor(seen):
                seen, hours = now.timestamp(), [hours_at(schedule, now) for schedule in self._schedules.values()]
            every = hours != self._hours or abs(now.timestamp() - self._evaluated) >= ANYWAY
            if not every and not self._changed:
                continue
            departments, self._changed = self._changed, set()
            try:
                await self._evaluate(departments, every)
            except DEPENDENCY_ERRORS as error:
                log.warning("button_not_evaluated", error=type(error).__name__)
                self._evaluated = float("-inf")
            else:
                if every:
                    self._evaluated, self._hours = now.timestamp(), hours
            await asyncio.sleep(SPACING)

    async def _evaluate(self, departments: set[str], every: bool) -> None:
        found = []
        if departments:
            found += await evaluate(self._stores, self._schedules, self._clock, departments)
        if every:
            found += await evaluate(self._stores, self._schedules, self._clock)
        for event in found:
            if isinstance(event, ButtonChanged):
                log.info("button_changed", department=event.department, reason=event.reason.value)
        await self._publish(found)

    async def repeat(self) -> None:
        """Publish every department's button and slots, at once and each `BUTTON_INTERVAL`, until cancelled.

        They are published in digests; also one by one while a gateway or a replica of routing may not read these.
        """
        while True:
            try:
                docs = await self._stores.buttons.evaluated(self._schedules)
                events = digests(docs)
                if not self._all_read_digests():
                    events += [make(doc) for doc in docs for make in (button_event, places_event)]
                await self._publish(events)
            except DEPENDENCY_ERRORS as error:
                log.warning("button_not_repeated", error=type(error).__name__)
            await asyncio.sleep(topology.BUTTON_INTERVAL)

    async def _publish(self, events: Sequence[Event]) -> None:
        """Publish events that may be lost, because they are repeated. Their confirms are awaited together."""
        for batch in batched(events, AT_ONCE):
            try:
                await self._publisher.publish_all([(event, None) for event in batch])
            except Unconfirmed as error:
                log.debug("events_not_published", types=sorted({e.type for e in batch}), error=str(error))
