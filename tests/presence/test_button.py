"""services/presence/button.py on the real database and broker: generation first, whatever overlaps."""

import asyncio
import random
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.contracts import AgentState, ButtonChanged, ButtonColour, ButtonReason, Fact, PlacesChanged
from services.database import Database
from services.departments import parse_hours
from services.presence import button, store
from services.presence.hours import Schedule
from services.presence.telling import Desk, utcnow

from .conftest import Ear, account, eventually, there

BRUSSELS = ZoneInfo("Europe/Brussels")
ALWAYS = {"algemeen": Schedule(None, BRUSSELS)}
OFFICE = {"algemeen": Schedule(parse_hours("Mon-Fri 09:00-17:00"), BRUSSELS)}
AN = account("an")


async def doc(db: Database) -> dict[str, Any]:
    (found,) = await button.read_buttons(db, ["algemeen"])
    return found


def clock_at(text: str) -> Callable[[], datetime]:
    return lambda: datetime.fromisoformat(text).replace(tzinfo=BRUSSELS)


async def test_nothing_is_shown_before_it_was_evaluated(db: Database) -> None:
    assert await button.read_buttons(db, ["algemeen"]) == []


async def test_what_changed_is_told_and_nothing_else(db: Database) -> None:
    first = await button.evaluate(db, ALWAYS, utcnow)
    assert [(f.type) for f in first] == ["button.changed", "places.changed"]
    assert await button.evaluate(db, ALWAYS, utcnow) == []
    await there(db, AN)
    shown, places = await button.evaluate(db, ALWAYS, utcnow)
    assert isinstance(shown, ButtonChanged)
    assert isinstance(places, PlacesChanged)
    assert (shown.colour, shown.reason, places.free) == (ButtonColour.GREEN, ButtonReason.AVAILABLE, 1)
    assert isinstance(first[0], ButtonChanged)
    assert shown.revision > first[0].revision

    await button.set_waiting(db, "algemeen", 1, 1)
    (busy,) = await button.evaluate(db, ALWAYS, utcnow)
    assert isinstance(busy, ButtonChanged)
    assert busy.reason is ButtonReason.BUSY

    await store.set_state(db, AN.id, AgentState.PAUSED, "request", "f", utcnow())
    paused, none_free = await button.evaluate(db, ALWAYS, utcnow)
    assert isinstance(paused, ButtonChanged)
    assert isinstance(none_free, PlacesChanged)
    assert (paused.reason, none_free.free) == (ButtonReason.NO_AGENTS, 0)


async def test_an_agent_of_another_department_is_of_no_use(db: Database) -> None:
    await there(db, account("bert", "premies"))
    await button.evaluate(db, ALWAYS, utcnow)
    assert (await doc(db))["reason"] == "no_agents"


async def test_closed_tells_when_it_opens(db: Database) -> None:
    await there(db, AN)
    await button.evaluate(db, OFFICE, clock_at("2026-11-20T16:59:59"))
    assert button.button_fact(await doc(db)).reason is ButtonReason.AVAILABLE
    await button.evaluate(db, OFFICE, clock_at("2026-11-20T17:00"))
    closed = button.button_fact(await doc(db))
    assert (closed.colour, closed.reason) == (ButtonColour.BLUE, ButtonReason.CLOSED)
    assert closed.opens_at == datetime(2026, 11, 23, 8, tzinfo=UTC)


async def test_a_late_clock_does_not_open_again(db: Database) -> None:
    """Two replicas around 17:00, one a second behind."""
    await there(db, AN)
    await button.evaluate(db, OFFICE, clock_at("2026-11-20T17:00"))
    assert await button.evaluate(db, OFFICE, clock_at("2026-11-20T16:59:59")) == []
    assert (await doc(db))["reason"] == "closed"


async def test_a_lower_revision_of_the_queue_is_dropped(db: Database) -> None:
    assert await button.set_waiting(db, "algemeen", 5, 2)
    assert not await button.set_waiting(db, "algemeen", 4, 9)
    assert not await button.set_waiting(db, "algemeen", 5, 9)
    assert await button.set_waiting(db, "algemeen", 6, 0)
    stored = await db["queues"].find_one({"_id": "algemeen"})
    assert stored is not None
    assert stored["waiting"] == 0


async def test_an_evaluation_that_was_overtaken_writes_nothing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One evaluation stands still between reading and writing, while an agent comes and another one sees him."""
    await button.evaluate(db, ALWAYS, utcnow)
    await button.set_waiting(db, "algemeen", 1, 0)
    read, go_on = asyncio.Event(), asyncio.Event()
    crew = store.crew

    async def slow(database: Database) -> Any:
        found = await crew(database)
        read.set()
        await go_on.wait()
        return found

    await there(db, AN)
    await button.evaluate(db, ALWAYS, utcnow)
    await store.set_state(db, AN.id, AgentState.PAUSED, "request", "1", utcnow())
    monkeypatch.setattr(store, "crew", slow)
    overtaken = asyncio.create_task(button.evaluate(db, ALWAYS, utcnow))  # has read: nobody is available
    await read.wait()
    monkeypatch.setattr(store, "crew", crew)
    await store.set_state(db, AN.id, AgentState.AVAILABLE, "request", "2", utcnow())
    await button.evaluate(db, ALWAYS, utcnow)
    go_on.set()
    assert await overtaken == []
    assert (await doc(db))["colour"] == "green"


async def test_ends_on_the_right_colour_under_concurrent_evaluations(db: Database) -> None:
    """Many changes, each followed by an evaluation, all at once: the last state is shown, and told under the highest
    revision; no revision is told twice."""
    await there(db, AN)
    dice = random.Random(7)
    for n in range(12):
        told: list[Fact] = []

        async def change_and_evaluate(turn: int, waiting: int, told: list[Fact] = told) -> None:
            await asyncio.sleep(dice.random() / 50)
            await button.set_waiting(db, "algemeen", turn, waiting)
            told += await button.evaluate(db, ALWAYS, utcnow)

        await asyncio.gather(*(change_and_evaluate(10 * n + k, dice.randint(0, 1)) for k in range(8)))
        queue = await db["queues"].find_one({"_id": "algemeen"})
        assert queue is not None
        shown = await doc(db)
        assert shown["colour"] == ("blue" if queue["waiting"] else "green")
        buttons = [f for f in told if isinstance(f, ButtonChanged)]
        assert len({b.revision for b in buttons}) == len(buttons)
        if buttons:
            last = max(buttons, key=lambda b: b.revision)
            assert (last.colour.value, last.revision) == (shown["colour"], shown["revision"])


async def test_a_change_is_told_within_200_ms_and_repeated(db: Database, desk: Desk, ear: Ear) -> None:
    buttons = button.Buttons(db, desk.publisher, ALWAYS, utcnow)
    tasks = [asyncio.create_task(buttons.run()), asyncio.create_task(buttons.repeat())]
    try:
        await there(db, AN)
        await ear.hear(ButtonChanged)
        took = [await _seconds_until_told(db, ear, buttons, n) for n in range(1, 6)]
        assert statistics.median(took) < 0.2
        last = ear.heard(ButtonChanged)[-1]
        repeated = await ear.hear(ButtonChanged, len(ear.heard(ButtonChanged)) + 2, seconds=6)
        assert {b.revision for b in repeated[-2:]} == {last.revision}
        assert ear.heard(PlacesChanged)[-1].free == 0
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _seconds_until_told(db: Database, ear: Ear, buttons: button.Buttons, n: int) -> float:
    state = (AgentState.AVAILABLE, AgentState.PAUSED)[n % 2]
    wanted = (ButtonReason.AVAILABLE, ButtonReason.NO_AGENTS)[n % 2]
    await asyncio.sleep(0.15)
    await store.set_state(db, AN.id, state, "request", f"fact {n}", utcnow())
    began = asyncio.get_running_loop().time()
    buttons.wake()

    async def told() -> bool:
        return ear.heard(ButtonChanged)[-1].reason is wanted

    await eventually(told, wanted)
    return asyncio.get_running_loop().time() - began
