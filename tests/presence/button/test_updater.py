"""services/presence/button/updater.py on the real database and broker: generation first, whatever overlaps."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import holidays
import pytest

from services.common.clock import utcnow
from services.common.config.opening_hours import parse_hours
from services.common.events.agents import ButtonChanged
from services.common.events.event import Event
from services.common.events.places import PlacesChanged
from services.common.events.types import AgentState, ButtonColour, ButtonReason
from services.common.messaging import topology
from services.common.mongo.client import Database
from services.presence.agents.store import AgentStore
from services.presence.button import updater
from services.presence.context import Context
from services.presence.opening_hours import Schedule
from services.presence.stores import Stores
from tests.presence.conftest import Clock, EventObserver, account, eventually, standing, there, waiting_chats

BRUSSELS = ZoneInfo("Europe/Brussels")
BELGIAN = holidays.country_holidays("BE")
ALWAYS = {"algemeen": Schedule(None, BRUSSELS)}
OFFICE = {"algemeen": Schedule(parse_hours("Mon-Fri 09:00-17:00"), BRUSSELS)}
AN = account("an")


async def doc(stores: Stores) -> dict[str, Any]:
    (found,) = await stores.buttons.evaluated(["algemeen"])
    return found


def clock_at(text: str) -> Callable[[], datetime]:
    return standing(datetime.fromisoformat(text).replace(tzinfo=BRUSSELS))


async def test_nothing_is_shown_before_it_was_evaluated(stores: Stores) -> None:
    assert await stores.buttons.evaluated(["algemeen"]) == []


async def test_what_changed_is_published_and_nothing_else(stores: Stores) -> None:
    first = await updater.evaluate(stores, ALWAYS, utcnow)
    assert [(f.type) for f in first] == ["button.changed", "places.changed"]
    assert await updater.evaluate(stores, ALWAYS, utcnow) == []
    await there(stores, AN)
    shown, places = await updater.evaluate(stores, ALWAYS, utcnow)
    assert isinstance(shown, ButtonChanged)
    assert isinstance(places, PlacesChanged)
    assert (shown.colour, shown.reason, places.free) == (ButtonColour.GREEN, ButtonReason.AVAILABLE, 1)
    assert places.places == 1
    assert isinstance(first[0], ButtonChanged)
    assert shown.revision > first[0].revision

    await stores.queues.set_waiting("algemeen", 1, waiting_chats(1))
    (busy,) = await updater.evaluate(stores, ALWAYS, utcnow)
    assert isinstance(busy, ButtonChanged)
    assert busy.reason is ButtonReason.BUSY

    await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "f", utcnow())
    paused, none_free = await updater.evaluate(stores, ALWAYS, utcnow)
    assert isinstance(paused, ButtonChanged)
    assert isinstance(none_free, PlacesChanged)
    assert (paused.reason, none_free.free, none_free.places) == (ButtonReason.NO_AGENTS, 0, 0)


async def test_slots_that_are_all_taken_are_published_too(stores: Stores) -> None:
    """An estimate of the wait needs them."""
    bert = account("bert")
    await there(stores, AN, bert)
    await stores.agents.set_state(bert.id, AgentState.PAUSED, "request", "1", utcnow())
    await stores.agents.reserve(AN.id, "c", 1, utcnow())
    _, places = await updater.evaluate(stores, ALWAYS, utcnow)
    assert isinstance(places, PlacesChanged)
    assert (places.free, places.places) == (0, 1)
    await stores.agents.set_state(bert.id, AgentState.AVAILABLE, "request", "2", utcnow())
    await stores.agents.reserve(bert.id, "d", 1, utcnow())
    (places,) = await updater.evaluate(stores, ALWAYS, utcnow)
    assert isinstance(places, PlacesChanged)
    assert (places.free, places.places) == (0, 2)


async def test_an_agent_of_another_department_is_of_no_use(stores: Stores) -> None:
    await there(stores, account("bert", "premies"))
    await updater.evaluate(stores, ALWAYS, utcnow)
    assert (await doc(stores))["reason"] == "no_agents"


async def test_a_closed_button_has_the_time_of_opening(stores: Stores) -> None:
    await there(stores, AN)
    await updater.evaluate(stores, OFFICE, clock_at("2026-11-20T16:59:59"))
    assert updater.button_event(await doc(stores)).reason is ButtonReason.AVAILABLE
    await updater.evaluate(stores, OFFICE, clock_at("2026-11-20T17:00"))
    closed = updater.button_event(await doc(stores))
    assert (closed.colour, closed.reason) == (ButtonColour.BLUE, ButtonReason.CLOSED)
    assert closed.opens_at == datetime(2026, 11, 23, 8, tzinfo=UTC)


async def test_a_late_clock_does_not_open_again(stores: Stores) -> None:
    """Two replicas around 17:00, one a second behind."""
    await there(stores, AN)
    await updater.evaluate(stores, OFFICE, clock_at("2026-11-20T17:00"))
    assert await updater.evaluate(stores, OFFICE, clock_at("2026-11-20T16:59:59")) == []
    assert (await doc(stores))["reason"] == "closed"


async def test_an_evaluation_that_was_overtaken_writes_nothing(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """One evaluation stands still between reading and writing, while an agent comes and another one sees them."""
    await updater.evaluate(stores, ALWAYS, utcnow)
    await stores.queues.set_waiting("algemeen", 1, waiting_chats(0))
    read, go_on = asyncio.Event(), asyncio.Event()
    crew = AgentStore.crew

    async def slow(
        store: AgentStore, departments: Collection[str] | None = None
    ) -> list[tuple[AgentState, list[str], int, int]]:
        found = await crew(store, departments)
        read.set()
        await go_on.wait()
        return found

    await there(stores, AN)
    await updater.evaluate(stores, ALWAYS, utcnow)
    await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "1", utcnow())
    monkeypatch.setattr(AgentStore, "crew", slow)
    overtaken = asyncio.create_task(  # has read: nobody is available
        updater.evaluate(stores, ALWAYS, utcnow, ["algemeen"])
    )
    await read.wait()
    monkeypatch.setattr(AgentStore, "crew", crew)
    await stores.agents.set_state(AN.id, AgentState.AVAILABLE, "request", "2", utcnow())
    await updater.evaluate(stores, ALWAYS, utcnow, ["algemeen"])
    go_on.set()
    assert await overtaken == []
    assert (await doc(stores))["colour"] == "green"


async def test_ends_on_the_right_colour_under_concurrent_evaluations(db: Database, stores: Stores) -> None:
    """Many changes, each followed by an evaluation, all at once.

    The last state is shown, and published with the highest revision; no revision is published twice.
    """
    await there(stores, AN)
    dice = random.Random(7)
    for n in range(12):
        published: list[Event] = []

        async def change_and_evaluate(turn: int, waiting: int, published: list[Event] = published) -> None:
            await asyncio.sleep(dice.random() / 50)
            await stores.queues.set_waiting("algemeen", turn, waiting_chats(waiting))
            published += await updater.evaluate(stores, ALWAYS, utcnow)

        await asyncio.gather(*(change_and_evaluate(10 * n + k, dice.randint(0, 1)) for k in range(8)))
        queue = await db["queues"].find_one({"_id": "algemeen"})
        assert queue is not None
        shown = await doc(stores)
        assert shown["colour"] == ("blue" if queue["waiting"] else "green")
        buttons = [f for f in published if isinstance(f, ButtonChanged)]
        assert len({b.revision for b in buttons}) == len(buttons)
        if buttons:
            last = max(buttons, key=lambda b: b.revision)
            assert (last.colour.value, last.revision) == (shown["colour"], shown["revision"])


async def test_a_change_is_published_at_once_and_repeated(
    stores: Stores, context: Context, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "BUTTON_INTERVAL", 0.05)
    buttons = updater.ButtonUpdater(stores, context.publisher, ALWAYS, utcnow)
    await there(stores, AN)
    tasks = [asyncio.create_task(buttons.run()), asyncio.create_task(buttons.repeat())]
    try:
        await observer.wait_for(ButtonChanged)
        for n in range(1, 6):
            await _change(stores, observer, buttons, n)
        last = newest(observer.seen(ButtonChanged))

        async def repeated() -> bool:
            assert newest(observer.seen(ButtonChanged)) == last, "nothing changes any more"
            return [b.revision for b in observer.seen(ButtonChanged)].count(last.revision) >= 3

        async def none_free() -> bool:
            return newest(observer.seen(PlacesChanged)).free == 0

        await eventually(repeated, "the change, and two repetitions")
        await eventually(none_free, "the places")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_quiet_seconds_read_nothing_and_a_change_without_a_wake_up_is_seen_all_the_same(
    stores: Stores, context: Context, observer: EventObserver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica may have died between a change and its evaluation."""
    evaluated: list[int] = []
    looked, real = 0, updater.evaluate

    async def evaluate(stores: Stores, schedules: Mapping[str, Schedule], now: Callable[[], datetime]) -> list[Event]:
        evaluated.append(1)
        return await real(stores, schedules, now)

    def time_of_day() -> datetime:
        nonlocal looked
        looked += 1
        return clock()

    async def quiet() -> None:
        """Returns when the clock was looked at often enough for some looks at the hours."""
        before = looked

        async def enough() -> bool:
            return looked >= before + 10

        await eventually(enough, "looks at the clock")

    monkeypatch.setattr(updater, "evaluate", evaluate)
    await there(stores, AN)
    clock.later(0.95)  # just before a whole second: the next look is soon, and so is the one after it
    running = asyncio.create_task(updater.ButtonUpdater(stores, context.publisher, ALWAYS, time_of_day).run())
    try:
        await observer.wait_for(ButtonChanged)
        await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "nobody is woken", clock())
        await quiet()
        clock.later(updater.ANYWAY - updater.TICK)
        await quiet()
        assert len(evaluated) == 1, "quiet seconds ask nothing"
        clock.later(updater.TICK + 0.02)

        async def published() -> bool:
            return newest(observer.seen(ButtonChanged)).reason is ButtonReason.NO_AGENTS

        await eventually(published, "what nobody was woken for")
        assert len(evaluated) == 2
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


E = TypeVar("E", ButtonChanged, PlacesChanged)


def newest(seen: list[E]) -> E:
    """The one of the highest revision: a repetition of an older one may come after it."""
    return max(seen, key=lambda event: event.revision)


async def _change(stores: Stores, observer: EventObserver, buttons: updater.ButtonUpdater, n: int) -> None:
    """Change the agent's state and return when the button that follows from it was published."""
    before = newest(observer.seen(ButtonChanged)).revision
    state = (AgentState.AVAILABLE, AgentState.PAUSED)[n % 2]
    wanted = (ButtonReason.AVAILABLE, ButtonReason.NO_AGENTS)[n % 2]
    await stores.agents.set_state(AN.id, state, "request", f"event {n}", utcnow())
    buttons.wake(["algemeen"])

    async def published() -> bool:
        button = newest(observer.seen(ButtonChanged))
        return button.revision > before and button.reason is wanted

    await eventually(published, wanted)


MANY = {f"dienst-{n}": Schedule(None, BRUSSELS) for n in range(450)}


async def many(stores: Stores) -> None:
    """Four hundred and fifty departments; every third one has an agent."""
    await stores.buttons.create(MANY)
    await stores.queues.create(MANY)
    await there(stores, *(account(f"agent{n}", f"dienst-{n}", capacity=2) for n in range(0, 450, 3)))
    await updater.evaluate(stores, MANY, utcnow)


async def repetition(
    buttons: updater.ButtonUpdater, context: Context, observer: EventObserver, enough: int
) -> list[ButtonChanged | PlacesChanged]:
    """What is published again in the first round, up to the event with this number."""
    await observer.catch_up(context.publisher)
    observer.events.clear()
    running = asyncio.create_task(buttons.repeat())
    try:
        await observer.wait_for(ButtonChanged, enough)
        await observer.wait_for(PlacesChanged, enough)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await observer.catch_up(context.publisher)
    return [event for event in observer.events if isinstance(event, ButtonChanged | PlacesChanged)]


async def test_all_departments_are_published_again_in_few_messages(
    stores: Stores, context: Context, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "BUTTON_INTERVAL", 3_600.0)
    await many(stores)
    buttons = updater.ButtonUpdater(stores, context.publisher, MANY, utcnow)
    found = await repetition(buttons, context, observer, 3)
    assert len(found) == 6, "200, 200 and 50 departments, buttons and slots"
    shown = [s for e in found if isinstance(e, ButtonChanged) for s in (e, *(e.others or ()))]
    assert sorted(s.department for s in shown) == sorted(MANY)
    stored = {d["_id"]: d for d in await stores.buttons.evaluated(MANY)}
    assert {(s.department, s.revision) for s in shown} == {(d, doc["revision"]) for d, doc in stored.items()}
    assert all(s.colour == stored[s.department]["colour"] for s in shown)
    slots = [p for e in found if isinstance(e, PlacesChanged) for p in e.departments]
    assert {p.department: (p.free, p.places) for p in slots} == {
        d: (2, 2) if int(d.removeprefix("dienst-")) % 3 == 0 else (0, 0) for d in MANY
    }


async def test_a_former_gateway_or_routing_gets_each_department_by_itself(
    stores: Stores, context: Context, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 1.1 reads the first department of a digest only."""
    monkeypatch.setattr(topology, "BUTTON_INTERVAL", 3_600.0)
    await many(stores)
    buttons = updater.ButtonUpdater(stores, context.publisher, MANY, utcnow, all_read_digests=lambda: False)
    found = await repetition(buttons, context, observer, 3 + len(MANY))
    for kind in (ButtonChanged, PlacesChanged):
        single = [e.department for e in found if isinstance(e, kind) and e.others is None]
        assert sorted(single) == sorted(MANY)


async def test_an_evaluation_touches_only_the_departments_that_changed(db: Database, stores: Stores) -> None:
    await many(stores)

    async def generations() -> dict[str, str]:
        return {d["_id"]: d["generation"] async for d in db["buttons"].find({"_id": {"$in": list(MANY)}})}

    before = await generations()
    assert await updater.evaluate(stores, MANY, utcnow) == []
    assert await generations() == before, "a comparison that finds nothing writes nothing"
    await stores.agents.reserve(account("agent3").id, "chat", 1, utcnow())
    assert [type(e) for e in await updater.evaluate(stores, MANY, utcnow, ["dienst-3"])] == [PlacesChanged]
    after = await generations()
    assert {d for d in MANY if after[d] != before[d]} == {"dienst-3"}
    await stores.agents.reserve(account("agent6").id, "chat 2", 1, utcnow())
    assert [e.department for e in await updater.evaluate(stores, MANY, utcnow) if isinstance(e, PlacesChanged)] == [
        "dienst-6"
    ], "a change that nobody was woken for"


@pytest.mark.parametrize(
    ("seen", "now", "pause"),
    [
        (59.9, 59.95, 0.05),
        (59.9, 60.05, 0.0),  # the whole second went by while something else was looked at
        (60.0, 60.0, 1.0),
        (60.3, 60.4, 0.6),
        (60.3, 20.0, 1.0),  # the clock was put back
    ],
)
def test_hours_are_looked_at_in_each_whole_second(seen: float, now: float, pause: float) -> None:
    assert updater.until_tick(seen, now) == pytest.approx(pause, abs=0.003)


async def test_opens_and_closes_in_the_second_that_the_clock_says(
    stores: Stores, context: Context, observer: EventObserver
) -> None:
    """Begun 0.4 s before the whole second. How late it is at most is measured by `make soak`."""
    await there(stores, AN)
    for text, reason in (
        ("2026-11-20T08:59:59.6", ButtonReason.AVAILABLE),
        ("2026-11-20T16:59:59.6", ButtonReason.CLOSED),
    ):
        began, start = datetime.fromisoformat(text).replace(tzinfo=BRUSSELS), time.monotonic()

        def clock(began: datetime = began, start: float = start) -> datetime:
            return began + timedelta(seconds=time.monotonic() - start)

        running = asyncio.create_task(updater.ButtonUpdater(stores, context.publisher, OFFICE, clock).run())

        async def published(reason: ButtonReason = reason) -> bool:
            seen = observer.seen(ButtonChanged)
            return bool(seen) and newest(seen).reason is reason

        try:
            await eventually(published, reason)
            assert (clock() - began).total_seconds() >= 0.4, "not before the second that the hours name"
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


NIGHT = "Sun 01:30-02:30; Sun 03:00-04:00; Mon-Fri 09:00-17:00"  # hours that the change of the clock cuts and doubles
SKEW = timedelta(seconds=2)
DAYS = {
    "forward 2026": ("2026-03-27T16:59", "2026-03-30T09:01"),
    "Easter 2026": ("2026-04-03T16:59", "2026-04-07T09:01"),
    "national holiday 2026": ("2026-07-20T16:59", "2026-07-22T09:01"),
    "back 2026": ("2026-10-23T16:59", "2026-10-26T09:01"),
    "All Saints 2026": ("2026-10-30T16:59", "2026-11-02T09:01"),
    "Armistice 2026": ("2026-11-10T16:59", "2026-11-12T09:01"),
    "forward and Easter 2027": ("2027-03-26T16:59", "2027-03-30T09:01"),
    "back and All Saints 2027": ("2027-10-29T16:59", "2027-11-02T09:01"),
}


def changes_of(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """When it opens and closes, minute by minute on the wall of Brussels, without the service's own rules."""
    easter = {"2026-04-05", "2026-04-06", "2027-03-28", "2027-03-29"}
    closed = easter | {"2026-07-21", "2026-11-01", "2026-11-11", "2027-11-01"}

    def works(at: datetime) -> bool:
        wall = at.astimezone(BRUSSELS)
        if wall.strftime("%Y-%m-%d") in closed:
            return False
        clock = wall.strftime("%H:%M")
        night = schedule is HOURS["premies"] and wall.weekday() == 6
        return (wall.weekday() < 5 and "09:00" <= clock < "17:00") or (
            night and ("01:30" <= clock < "02:30" or "03:00" <= clock < "04:00")
        )

    minutes = [start + timedelta(minutes=n) for n in range(int((end - start).total_seconds() // 60))]
    return [b for a, b in pairwise(minutes) if works(a) != works(b)]


HOURS = {
    d: Schedule(parse_hours(hours), BRUSSELS, is_holiday=BELGIAN.__contains__)
    for d, hours in (("algemeen", "Mon-Fri 09:00-17:00"), ("premies", NIGHT))
}


@pytest.mark.parametrize("days", DAYS)
async def test_two_clocks_that_differ_change_each_button_once_at_each_boundary(stores: Stores, days: str) -> None:
    """Across both changes of the clock and the holidays: second by second around each opening and closing.

    One replica's clock is 2 s late. Colour, reason and next opening are those of the clock ahead; nothing flaps back.
    """
    await there(stores, account("wide", "algemeen", "premies"))
    start, end = (datetime.fromisoformat(t).replace(tzinfo=BRUSSELS).astimezone(UTC) for t in DAYS[days])
    changes = {d: changes_of(schedule, start, end) for d, schedule in HOURS.items()}
    published: dict[str, list[ButtonChanged]] = {d: [] for d in HOURS}

    async def evaluate_both(at: datetime) -> None:
        for clock in (at, at - SKEW):
            for event in await updater.evaluate(stores, HOURS, standing(clock)):
                if isinstance(event, ButtonChanged):
                    published[event.department].append(event)

    await evaluate_both(start)
    for moment in sorted({at for found in changes.values() for at in found}):
        for second in (-1, 0, 1, 2, 3):
            at = moment + timedelta(seconds=second)
            await evaluate_both(at)
            for shown in await stores.buttons.evaluated(HOURS):
                past = [c for c in changes[shown["_id"]] if c <= at]
                opened = len(past) % 2 == 0  # they begin open: it is a working day at 16:59
                assert (shown["colour"], shown["reason"]) == (
                    ("green", "available") if opened else ("blue", "closed")
                ), at
                following = next((c for c in changes[shown["_id"]] if c > at), None)
                assert shown["opens_at"] == (None if opened else following)
    for department, events in published.items():
        assert len(events) == 1 + len(changes[department])
        assert [f.revision for f in events] == sorted({f.revision for f in events})
