"""`services/gateway/buttons.py`: green only while presence says so, and every open page hears of each change."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import ButtonChanged, ButtonColour, ButtonReason
from services.departments import load_departments
from services.gateway.buttons import LISTENERS, SILENCE, Button, Buttons
from tests.gateway.making import NOW

DEPARTMENTS = load_departments(Path(__file__).parents[2] / "deploy/departments.toml")
WALL = 1_795_420_800.0


def told(revision: int, green: bool = True, department: str = "algemeen", **more: Any) -> ButtonChanged:
    colour, reason = (ButtonColour.GREEN, ButtonReason.AVAILABLE) if green else (ButtonColour.BLUE, ButtonReason.CLOSED)
    return ButtonChanged(**{"department": department, "colour": colour, "reason": reason, "revision": revision, **more})


def body(button: Button) -> Any:
    return json.loads(button.shown.body)


def test_a_button_is_blue_until_presence_has_spoken() -> None:
    button = Button("algemeen", lambda: WALL)
    button.refresh(0.0, broker_up=True)
    assert body(button) == {
        "department": "algemeen",
        "colour": "blue",
        "reason": "unknown",
        "opens_at": None,
        "infofiche_url": "/infofiche/algemeen",
        "revision": int(WALL * 1000),
    }
    assert not button.shown.green


def test_it_shows_what_presence_told_and_drops_older_revisions() -> None:
    button = Button("algemeen", lambda: WALL)
    button.hear(told(9, green=False, opens_at=NOW), 0.0)
    button.refresh(0.0, broker_up=True)
    assert (body(button)["colour"], body(button)["reason"]) == ("blue", "closed")
    assert body(button)["opens_at"] == "2026-11-23T08:00:00.123Z"
    assert body(button)["revision"] == 9
    button.hear(told(8), 1.0)
    button.refresh(1.0, broker_up=True)
    assert body(button)["revision"] == 9
    button.hear(told(10), 2.0)
    button.refresh(2.0, broker_up=True)
    assert (button.shown.green, button.shown.revision) == (True, 10)


@pytest.mark.parametrize(("now", "up"), [(SILENCE + 0.1, True), (1.0, False)])
def test_silence_or_no_broker_is_unknown_with_a_higher_revision_and_so_is_the_return(now: float, up: bool) -> None:
    button = Button("algemeen", lambda: 0.001)
    button.hear(told(50), 0.0)
    button.refresh(0.0, broker_up=True)
    green = button.shown
    button.refresh(now, broker_up=up)
    unknown = button.shown
    assert (body(button)["reason"], unknown.green) == ("unknown", False)
    assert unknown.revision > green.revision
    button.hear(told(50), now)
    button.refresh(now, broker_up=True)
    assert button.shown.green
    assert button.shown.revision > unknown.revision
    assert len({green.etag, unknown.etag, button.shown.etag}) == 3


def test_a_repetition_changes_nothing_and_wakes_nobody() -> None:
    button, woken = Button("algemeen", lambda: WALL), asyncio.Event()
    button.hear(told(9), 0.0)
    button.refresh(0.0, broker_up=True)
    shown = button.shown
    button.listeners.add(woken)
    for second in range(1, 20):
        button.hear(told(9), float(second))
        button.refresh(float(second), broker_up=True)
    assert button.shown is shown
    assert not woken.is_set()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("told"), st.integers(0, 40), st.booleans()),
        st.tuples(st.just("time"), st.integers(0, 10), st.booleans()),
    ),
    max_size=50,
)


@given(STEPS)
def test_the_revision_grows_with_every_change_whatever_happens(steps: list[tuple[str, int, bool]]) -> None:
    wall = [0.005]
    button, now, before = Button("algemeen", lambda: wall[0]), 0.0, None
    truth: dict[int, bool] = {}
    for kind, number, flag in steps:
        if kind == "told":
            button.hear(told(number, green=truth.setdefault(number, flag)), now)
            button.refresh(now, broker_up=True)
        else:
            now += number
            wall[0] += number / 1000 * (1 if flag else -1)
            button.refresh(now, broker_up=flag)
        shown = button.shown
        if before is not None and shown is not before:
            assert shown.revision > before.revision
            assert (shown.body, shown.etag) != (before.body, before.etag)
        assert json.loads(shown.body)["revision"] == shown.revision
        before = shown


async def next_event(events: AsyncIterator[bytes], seconds: float = 5) -> bytes:
    async with asyncio.timeout(seconds):
        return await anext(events)


async def test_events_begin_with_the_present_and_tell_each_change() -> None:
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.hear(told(7))
    events = buttons.events("algemeen")
    assert (await next_event(events)).startswith(b"event: button\nid: 7\ndata: {")
    for revision in (8, 9):
        buttons.hear(told(revision, green=revision % 2 == 1))
        event = await next_event(events, 1)
        assert event.startswith(b"event: button\nid: %d\n" % revision)
        assert event.endswith(b"\n\n")
        assert event.count(b"\n") == 4
    await events.aclose()  # type: ignore[attr-defined]
    assert buttons.of["algemeen"].listeners == set()


async def test_all_open_pages_of_a_department_share_one_event() -> None:
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.hear(told(7))
    pages = [buttons.events("algemeen") for _ in range(3)]
    for revision in (7, 8):
        events = [await next_event(page) for page in pages]
        assert all(event is events[0] for event in events)
        buttons.hear(told(revision + 1, green=revision % 2 == 0))
    for page in pages:
        await page.aclose()  # type: ignore[attr-defined]


async def test_who_reads_slowly_gets_the_last_state_and_no_backlog() -> None:
    buttons = Buttons(DEPARTMENTS, lambda: True)
    stream = buttons.events("algemeen")
    buttons.hear(told(1))
    await next_event(stream)
    for revision in range(2, 500):  # while nothing is read
        buttons.hear(told(revision, green=bool(revision % 2)))
    assert b"id: 499\n" in await next_event(stream)
    buttons.hear(told(500, green=False))
    assert b"id: 500\n" in await next_event(stream)
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_change_while_an_event_is_being_sent_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.buttons.KEEPALIVE", 60)
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.hear(told(7))
    events = buttons.events("algemeen")
    await next_event(events)  # the stream is at its yield now: the page has not asked for more yet
    buttons.hear(told(8, green=False))
    assert b"id: 8\n" in await next_event(events, 1)
    await events.aclose()  # type: ignore[attr-defined]


async def test_quiet_streams_say_that_they_are_there_and_end_at_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.buttons.KEEPALIVE", 0.05)
    buttons = Buttons(DEPARTMENTS, lambda: True)
    before = LISTENERS._value.get()
    events = buttons.events("premies")
    await next_event(events)
    assert LISTENERS._value.get() == before + 1
    assert (await next_event(events)).startswith(b":")
    buttons.end()
    with pytest.raises(StopAsyncIteration):
        await next_event(events)
    assert LISTENERS._value.get() == before


async def test_departments_do_not_touch_each_other_and_unknown_ones_are_ignored() -> None:
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.refresh()
    buttons.hear(told(7))
    buttons.hear(told(7, department="elders"))
    assert buttons.of["algemeen"].shown.green
    assert not buttons.of["premies"].shown.green


async def test_settled_once_heard_or_after_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.refresh()
    assert not buttons.settled
    monkeypatch.setattr("services.gateway.buttons.FIRST_WAIT", -1.0)
    assert buttons.settled
    monkeypatch.undo()
    buttons.hear(told(7))
    assert buttons.settled
