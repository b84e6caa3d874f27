"""A closed intake, on the real database and broker: the button, presses, its end, and a restart."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.common.clock import utcnow
from services.common.config.opening_hours import parse_hours
from services.common.events.agents import ButtonChanged
from services.common.events.types import ButtonColour, ButtonReason
from services.common.internal_api.presence import HoldQuery
from services.common.mongo.client import Database
from services.presence.button import rules, updater
from services.presence.context import Context
from services.presence.opening_hours import Schedule, hours_of_day
from services.presence.slots.allocator import Allocator, reserve
from services.presence.stores import Stores
from tests.presence.conftest import Clock, account, standing, there

BRUSSELS = ZoneInfo("Europe/Brussels")
ALWAYS = {"algemeen": Schedule(None, BRUSSELS)}
OFFICE = Schedule(parse_hours("Mon-Fri 09:00-12:00,13:00-17:00"), BRUSSELS)
AN = account("an")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BRUSSELS)


def intake(until: datetime, since: datetime | None = None, reason: str = "staff") -> dict[str, Any]:
    return {"reason": reason, "until": until, "agent_id": "chef", "name": "Chef", "at": since or utcnow()}


async def evaluated(stores: Stores, clock: Callable[[], datetime] = utcnow) -> list[ButtonChanged]:
    events = await updater.evaluate(stores, ALWAYS, clock)
    return [event for event in events if isinstance(event, ButtonChanged)]


def test_a_closed_intake_counts_as_outside_the_hours_until_its_end() -> None:
    monday = at("2026-11-23T10:00")
    assert rules.hours_with(OFFICE, monday, None) == (True, None)
    assert rules.hours_with(OFFICE, monday, {"until": at("2026-11-23T11:00")}) == (False, at("2026-11-23T11:00"))
    assert rules.hours_with(OFFICE, monday, {"until": at("2026-11-23T12:30")}) == (False, at("2026-11-23T13:00"))
    assert rules.hours_with(OFFICE, monday, {"until": at("2026-11-23T20:00")}) == (False, at("2026-11-24T09:00"))
    assert rules.intake_closed({"intake": {"until": monday}}, monday) is None
    assert rules.intake_closed({}, monday) is None


def test_hours_of_a_day() -> None:
    assert hours_of_day(OFFICE, at("2026-11-23T10:00")) == ["09:00-12:00", "13:00-17:00"]
    assert hours_of_day(OFFICE, at("2026-11-22T10:00")) == []
    night = Schedule(parse_hours("Mon 20:00-02:00"), BRUSSELS)
    assert hours_of_day(night, at("2026-11-23T10:00")) == ["20:00-24:00"]


async def test_the_button_is_blue_with_the_reason_until_the_end(stores: Stores) -> None:
    await there(stores, AN)
    (green,) = await evaluated(stores)
    assert (green.colour, green.intake) == (ButtonColour.GREEN, None)
    clock = Clock()
    until = clock.now + timedelta(minutes=30)
    assert await stores.buttons.close_intake("algemeen", intake(until))
    (blue,) = await evaluated(stores, clock)
    assert (blue.colour, blue.reason, blue.opens_at) == (ButtonColour.BLUE, ButtonReason.CLOSED, until)
    assert blue.intake is not None
    assert (blue.intake.reason, blue.intake.until) == ("staff", until)
    assert blue.revision > green.revision
    assert await evaluated(stores, clock) == []
    await stores.buttons.close_intake("algemeen", intake(until, reason="technical"))
    (changed,) = await evaluated(stores, clock)
    assert changed.intake is not None
    assert changed.intake.reason == "technical"
    (digest,) = [
        e for e in updater.digests(await stores.buttons.evaluated(["algemeen"])) if isinstance(e, ButtonChanged)
    ]
    assert digest.intake == changed.intake
    clock.later(30 * 60)
    (open_again,) = await evaluated(stores, clock)
    assert (open_again.colour, open_again.intake) == (ButtonColour.GREEN, None)


async def test_opening_again_removes_it_once(stores: Stores) -> None:
    await there(stores, AN)
    assert not await stores.buttons.close_intake("elders", intake(utcnow()))
    await stores.buttons.close_intake("algemeen", intake(utcnow() + timedelta(hours=1)))
    (blue,) = await evaluated(stores)
    assert blue.colour is ButtonColour.BLUE
    assert await stores.buttons.open_intake("algemeen")
    assert not await stores.buttons.open_intake("algemeen")
    (green,) = await evaluated(stores)
    assert green.colour is ButtonColour.GREEN


@pytest.mark.parametrize(("age", "green", "held"), [(0, True, True), (0, False, False), (60, True, False)])
async def test_presses_are_refused_as_outside_the_hours(context: Context, age: float, green: bool, held: bool) -> None:
    """A press on a button that was green is let in for a few seconds, as after closing time."""
    await there(context.stores, AN)
    now = utcnow()
    since = now - timedelta(seconds=age)
    await context.stores.buttons.close_intake("algemeen", intake(now + timedelta(hours=1), since))
    allocator = Allocator(replace(context, clock=standing(now)), ALWAYS, {"algemeen": 20})
    answer = await reserve(allocator, HoldQuery(chat_id="c", department="algemeen", green=green))
    assert bool(answer.hold) is held
    if not held:
        assert (answer.reason, answer.may_wait) == (ButtonReason.CLOSED, False)


async def test_it_survives_a_restart(stores: Stores, db: Database) -> None:
    until = (utcnow() + timedelta(hours=1)).replace(microsecond=0)
    await stores.buttons.close_intake("algemeen", intake(until))
    again = Stores(db)
    await again.buttons.create(["algemeen"])
    (found,) = await again.buttons.closed_intakes(["algemeen", "elders"], utcnow())
    assert (found["department"], found["reason"], found["until"]) == ("algemeen", "staff", until)
    assert await again.buttons.closed_intakes(["algemeen"], until) == []
