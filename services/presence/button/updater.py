"""Button and free slots of each department: evaluated, published at a change, repeated.

An evaluation has three steps. (1) It writes its own generation into the documents. (2) It reads agents, waiting chats
and, at max(now, as_of), the opening hours. (3) It writes only where the generation is still its own; otherwise a later
evaluation has seen everything that this one saw. `as_of` prevents a replica whose clock is behind from opening a
department again that another one has closed.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Gauge

from services.common.events.agents import ButtonChanged
from services.common.events.event import Event
from services.common.events.places import PlacesChanged
from services.common.events.types import ButtonColour
from services.common.messaging import topology
from services.common.messaging.connection import Publisher
from services.common.messaging.consumer import DEPENDENCY_ERRORS
from services.presence.button.rules import Crew, Light, count, light, next_revision
from services.presence.opening_hours import Schedule, is_open, next_opening
from services.presence.stores import Stores

log = structlog.get_logger()

TICK = 1.0  # opening hours are checked at each whole second of the clock
ANYWAY = 3.0  # seconds after which everything is evaluated without a cause: another replica may have crashed with one
PAST = 0.002  # seconds after the whole second at which the check is done: a timer may be early by less
SPACING = 0.08  # seconds between two evaluations, in which causes are gathered
ONLINE = Gauge("eloket_agents_online", "Agents logged in", ["department"])
AVAILABLE = Gauge("eloket_agents_available", "Agents logged in and available", ["department"])
FREE = Gauge("eloket_places_free", "Chats that could be taken now", ["department"])
GREEN = Gauge("eloket_button_green", "1 while the button is green", ["department"])


def button_event(doc: Mapping[str, Any]) -> ButtonChanged:
    """Return the event of a department's button."""
    return ButtonChanged(
        department=doc["_id"],
        colour=doc["colour"],
        reason=doc["reason"],
        opens_at=doc["opens_at"],
        revision=doc["revision"],
    )


def places_event(doc: Mapping[str, Any]) -> PlacesChanged:
    """Return the event of a department's free slots."""
    return PlacesChanged(
        department=doc["_id"], free=doc["free"], revision=doc["places_revision"], places=doc.get("places")
    )


async def evaluate(stores: Stores, schedules: Mapping[str, Schedule], clock: Callable[[], datetime]) -> list[Event]:
    """Evaluate every department and store the result. Return the events of what changed."""
    generation = str(uuid.uuid4())
    ids = list(schedules)
    await stores.buttons.begin(ids, generation)
    crews = await stores.agents.crew()
    waiting = await stores.queues.waiting(ids)
    events: list[Event] = []
    for doc in await stores.buttons.read(ids):
        department = doc["_id"]
        now = max(clock(), doc.get("as_of", clock()))
        crew = count(crews, department)
        shown = _light(schedules[department], now, crew, waiting.get(department, 0))
        _measure(department, crew, shown)
        changes, news = _compare(doc, shown, crew, now)
        if changes and await stores.buttons.write(department, generation, changes):
            events += [make({**doc, **changes}) for make in news]
    return events


def _light(schedule: Schedule, now: datetime, crew: Crew, waiting: int) -> Light:
    return light(is_open(schedule, now), next_opening(schedule, now), crew, waiting)


def _compare(
    doc: Mapping[str, Any], shown: Light, crew: Crew, now: datetime
) -> tuple[dict[str, Any], list[Callable[[Mapping[str, Any]], Event]]]:
    """Return the fields to write, and the functions that make the events of them.

    Both are empty when nothing changed.
    """
    changes: dict[str, Any] = {}
    news: list[Callable[[Mapping[str, Any]], Event]] = []
    fields = {"colour": shown.colour.value, "reason": shown.reason.value, "opens_at": shown.opens_at}
    if doc["revision"] == 0 or any(doc[name] != value for name, value in fields.items()):
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


def until_tick(seen: float, now: float) -> float:
    """Return the seconds from `now` until the first whole second after `seen`; 0 when that is past.

    `seen` is when the opening hours were last checked. A clock that is set back makes no pause longer than a tick.
    """
    return min(max(math.floor(seen) + TICK + PAST - now, 0.0), TICK)


class ButtonUpdater:
    """Keeps the buttons up to date: evaluates when woken and at each tick, and repeats the events."""

    def __init__(
        self, stores: Stores, publisher: Publisher, schedules: Mapping[str, Schedule], clock: Callable[[], datetime]
    ) -> None:
        self._stores, self._publisher, self._schedules, self._clock = stores, publisher, schedules, clock
        self._woken = asyncio.Event()
        self._woken.set()
        self._evaluated = float("-inf")
        self._hours: list[tuple[bool, datetime | None]] = []

    def wake(self) -> None:
        """Request an evaluation, because something that the buttons depend on has changed."""
        self._woken.set()

    async def run(self) -> None:
        """Evaluate when woken, when the opening hours change, and at intervals. Runs until cancelled.

        An outage needs no handling: the next tick evaluates everything.
        """
        seen = self._clock().timestamp()
        while True:
            try:
                async with asyncio.timeout(until_tick(seen, self._clock().timestamp())):
                    await self._woken.wait()
            except TimeoutError:
                pass
            now = self._clock()
            seen, hours = now.timestamp(), [(is_open(s, now), next_opening(s, now)) for s in self._schedules.values()]
            if not self._woken.is_set() and hours == self._hours and abs(seen - self._evaluated) < ANYWAY:
                continue
            self._woken.clear()
            try:
                for event in await evaluate(self._stores, self._schedules, self._clock):
                    if isinstance(event, ButtonChanged):
                        log.info("button_changed", department=event.department, reason=event.reason.value)
                    await self._publisher.publish_best_effort(event)
                self._evaluated, self._hours = seen, hours
            except DEPENDENCY_ERRORS as error:
                log.warning("button_not_evaluated", error=type(error).__name__)
            await asyncio.sleep(SPACING)

    async def repeat(self) -> None:
        """Publish every department's button and slots, at once and each `BUTTON_INTERVAL`, until cancelled."""
        while True:
            try:
                for doc in await self._stores.buttons.evaluated(self._schedules):
                    await self._publisher.publish_best_effort(button_event(doc))
                    await self._publisher.publish_best_effort(places_event(doc))
            except DEPENDENCY_ERRORS as error:
                log.warning("button_not_repeated", error=type(error).__name__)
            await asyncio.sleep(topology.BUTTON_INTERVAL)
