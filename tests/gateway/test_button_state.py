"""`services/gateway/button_state.py`: green only while presence says so, and its revision grows with each change."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from services.common.config.departments import Departments, Notice, load_departments
from services.common.events.agents import ButtonChanged, DepartmentButton
from services.common.events.chats import EmptyQueue, QueueChanged
from services.common.events.types import ButtonColour, ButtonReason
from services.gateway import button_state
from services.gateway.button_state import LATE_PRESS, QUEUE_EVERY, SILENCE, Blue, Button, Buttons
from tests.gateway.making import NOW
from tests.support.metrics import sample
from tests.support.servers import PATIENCE

DEPARTMENTS = load_departments(Path(__file__).parents[2] / "deploy/departments.toml")
WALL = 1_795_420_800.0


def button_event(revision: int, green: bool = True, department: str = "algemeen", **more: Any) -> ButtonChanged:
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
        "contact": [],
        "start": "press",
    }
    assert not button.shown.green


def test_a_press_counts_as_one_on_green_for_a_moment_after_that_revision() -> None:
    button = Button("algemeen", lambda: WALL, start="form")
    assert body(button)["start"] == "form"
    button.handle(button_event(9), 0.0)
    button.refresh(0.0, broker_up=True)
    assert not button.was_green(9, 0.0), "it is green now"
    button.handle(button_event(10, green=False), 5.0)
    button.refresh(5.0, broker_up=True)
    assert button.was_green(9, 5.0 + LATE_PRESS)
    assert not button.was_green(9, 5.1 + LATE_PRESS)
    assert not button.was_green(8, 5.0)
    assert not button.was_green(10, 5.0), "that was blue"


def test_it_shows_what_presence_published_and_drops_older_revisions() -> None:
    button = Button("algemeen", lambda: WALL)
    button.handle(button_event(9, green=False, opens_at=NOW), 0.0)
    button.refresh(0.0, broker_up=True)
    assert (body(button)["colour"], body(button)["reason"]) == ("blue", "closed")
    assert body(button)["opens_at"] == "2026-11-23T08:00:00.123Z"
    assert body(button)["revision"] == 9
    button.handle(button_event(8), 1.0)
    button.refresh(1.0, broker_up=True)
    assert body(button)["revision"] == 9
    button.handle(button_event(10), 2.0)
    button.refresh(2.0, broker_up=True)
    assert (button.shown.green, button.shown.revision) == (True, 10)


def test_a_digest_is_the_state_of_each_department_in_it() -> None:
    buttons = Buttons(DEPARTMENTS, lambda: True)
    first, second = (d.id for d in DEPARTMENTS.departments[:2])
    buttons.handle(button_event(9, department=second))
    others = [DepartmentButton(**button_event(n, False, d).model_dump()) for n, d in ((8, second), (7, "elsewhere"))]
    buttons.handle(button_event(8, department=first, others=others))
    assert (buttons.of[first].shown.revision, buttons.of[first].shown.green) == (8, True)
    assert (buttons.of[second].shown.revision, buttons.of[second].shown.green) == (9, True), "an older revision"
    buttons.handle(button_event(9, department=first, others=[others[0].model_copy(update={"revision": 10})]))
    assert (buttons.of[second].shown.revision, buttons.of[second].shown.reason) == (10, "closed")


@pytest.mark.parametrize(("now", "up"), [(SILENCE + 0.1, True), (1.0, False)])
def test_no_event_or_no_broker_is_unknown_with_a_higher_revision_and_so_is_the_return(now: float, up: bool) -> None:
    button = Button("algemeen", lambda: 0.001)
    button.handle(button_event(50), 0.0)
    button.refresh(0.0, broker_up=True)
    green = button.shown
    button.refresh(now, broker_up=up)
    unknown = button.shown
    assert (body(button)["reason"], unknown.green) == ("unknown", False)
    assert unknown.revision > green.revision
    button.handle(button_event(50), now)
    button.refresh(now, broker_up=True)
    assert button.shown.green
    assert button.shown.revision > unknown.revision
    assert len({green.etag, unknown.etag, button.shown.etag}) == 3


def test_a_repetition_changes_nothing_and_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    button = Button("algemeen", lambda: WALL)
    revisions: list[int] = []
    monkeypatch.setattr(button.listeners, "changed", lambda: revisions.append(button.revision))
    button.handle(button_event(9), 0.0)
    button.refresh(0.0, broker_up=True)
    shown = button.shown
    for second in range(1, 20):
        button.handle(button_event(9), float(second))
        button.refresh(float(second), broker_up=True)
    assert button.shown is shown
    button.handle(button_event(10, green=False), 20.0)
    button.refresh(20.0, broker_up=True)
    assert revisions == [9, 10]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 40), st.booleans()),
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
        if kind == "event":
            button.handle(button_event(number, green=truth.setdefault(number, flag)), now)
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


async def test_departments_do_not_touch_each_other_and_unknown_ones_are_ignored() -> None:
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.refresh()
    buttons.handle(button_event(7))
    buttons.handle(button_event(7, department="elders"))
    assert buttons.of["algemeen"].shown.green
    assert not buttons.of["premies"].shown.green


async def test_settled_after_the_first_event_or_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert button_state.FIRST_WAIT == 3.0
    monkeypatch.setattr(button_state, "FIRST_WAIT", PATIENCE)
    buttons = Buttons(DEPARTMENTS, lambda: True)
    buttons.refresh()
    assert not buttons.settled
    monkeypatch.setattr(button_state, "FIRST_WAIT", -1.0)
    assert buttons.settled
    monkeypatch.setattr(button_state, "FIRST_WAIT", PATIENCE)
    buttons.handle(button_event(7))
    assert buttons.settled


async def test_the_answer_brings_the_other_ways_to_reach_the_department_and_stays_small() -> None:
    shown = Buttons(DEPARTMENTS, lambda: True).of["algemeen"].shown
    assert json.loads(shown.body)["contact"] == [
        {"kind": "phone", "value": "+32 2 555 01 00", "href": "tel:+3225550100"},
        {"kind": "email", "value": "e-loket@example.be", "href": "mailto:e-loket@example.be"},
        {"kind": "visit", "value": "Stadsplein 1, 1000 Brussel"},
    ]
    assert len(shown.body) < 500
    assert shown.body in shown.event


BUSY: dict[str, Any] = {"green": False, "reason": ButtonReason.BUSY}


def waiting_button(**more: Any) -> Button:
    """A button of a department that lets three citizens wait, which shows that all agents are busy."""
    button = Button("algemeen", lambda: WALL, (), Blue(longest=3, **more))
    button.handle(button_event(9, **BUSY), 0.0)
    return button


def test_only_a_department_that_offers_more_shows_more() -> None:
    button = Button("algemeen", lambda: WALL)
    button.note_queue(1, 2, 60.0)
    button.handle(button_event(9, **BUSY), 0.0)
    button.refresh(0.0, broker_up=True)
    assert not {"queue", "questions", "answer_within", "timezone"} & set(body(button))
    button = waiting_button(questions=True, answer_within=2)
    button.refresh(0.0, broker_up=True)
    assert body(button)["queue"] == {"position": None, "wait": None}, "no queue was told yet"
    assert (body(button)["questions"], body(button)["answer_within"]) == (True, 2)


def test_an_opening_time_comes_with_its_time_zone() -> None:
    button = Button("algemeen", lambda: WALL, (), Blue(timezone="Europe/London"))
    button.handle(button_event(9, green=False, opens_at=NOW), 0.0)
    button.refresh(0.0, broker_up=True)
    assert body(button)["timezone"] == "Europe/London"


def test_it_shows_the_next_position_and_its_wait_while_there_is_room() -> None:
    button, now = waiting_button(), 0.0
    seen: list[object] = []
    for revision, waiting, pace in ((1, 0, None), (2, 2, 90.4), (1, 0, 5.0), (3, 3, 90.4), (4, 1, None)):
        button.note_queue(revision, waiting, pace)
        button.refresh(now := now + QUEUE_EVERY, broker_up=True)
        button.handle(button_event(9, **BUSY), now)
        seen.append(body(button)["queue"])
    assert seen == [
        {"position": 1, "wait": None},
        {"position": 3, "wait": 271},
        {"position": 3, "wait": 271},  # an older queue is dropped
        None,  # full
        {"position": 2, "wait": 181},  # a queue without a pace has the last one
    ]
    assert button.revision == 9, "the numbers of a queue are no new revision"


@pytest.mark.parametrize("reason", [ButtonReason.CLOSED, ButtonReason.NO_AGENTS, ButtonReason.AVAILABLE])
def test_waiting_is_offered_only_for_busy_agents(reason: ButtonReason) -> None:
    button = Button("algemeen", lambda: WALL, (), Blue(longest=3))
    button.note_queue(1, 0, 60.0)
    button.handle(button_event(9, green=reason is ButtonReason.AVAILABLE, reason=reason), 0.0)
    button.refresh(0.0, broker_up=True)
    assert body(button)["queue"] is None


def test_open_pages_get_the_queue_at_most_so_often() -> None:
    button = waiting_button()
    button.note_queue(1, 0, 60.0)
    button.refresh(0.0, broker_up=True)
    button.note_queue(2, 1, 60.0)
    button.refresh(QUEUE_EVERY / 2, broker_up=True)
    assert body(button)["queue"]["position"] == 1
    button.refresh(QUEUE_EVERY, broker_up=True)
    assert body(button)["queue"]["position"] == 2


def test_a_digest_of_queues_names_the_empty_ones() -> None:
    one, two = (d.model_copy(update={"busy": "queue"}) for d in DEPARTMENTS.departments[:2])
    buttons = Buttons(DEPARTMENTS.model_copy(update={"departments": (one, two)}), lambda: True)
    empty = [EmptyQueue(department=two.id, revision=5, pace=30.0), EmptyQueue(department="elders", revision=5)]
    buttons.note_queue(QueueChanged(department=one.id, revision=5, order=[], pace=60.0, empty=empty))
    for department, wait in ((one.id, 60), (two.id, 30)):
        buttons.handle(button_event(9, department=department, **BUSY))
        assert body(buttons.of[department])["queue"] == {"position": 1, "wait": wait}


def test_a_notice_appears_and_disappears_by_itself() -> None:
    text = {"nl": "Wij verhuizen.", "fr": "Nous déménageons.", "de": "Wir ziehen um.", "en": "We are moving."}
    start = datetime.fromtimestamp(WALL, UTC)
    notice = Notice.model_validate({"start": start, "end": start + timedelta(hours=1), "text": text})
    wall = [WALL - 1]

    def current(now: datetime) -> Notice | None:
        return notice if notice.start <= now < notice.end else None

    button = Button("algemeen", lambda: wall[0], notice=current)
    button.handle(button_event(9), 0.0)
    seen = []
    for moment in (WALL - 1, WALL, WALL + 3599, WALL + 3600):
        wall[0] = moment
        button.refresh(0.0, broker_up=True)
        seen.append(body(button).get("notice"))
    shown = {**text, "until": "2026-11-23T09:00:00.000Z"}
    assert seen == [None, shown, shown, None]


LAST = "elders"


def more_departments() -> Departments:
    """The departments and one more, the last one."""
    another = DEPARTMENTS.departments[0].model_copy(update={"id": LAST})
    return DEPARTMENTS.model_copy(update={"departments": (*DEPARTMENTS.departments, another)})


async def test_a_button_shows_what_its_department_says_after_a_change() -> None:
    departments = more_departments()
    buttons, (first, second, *_) = Buttons(departments, lambda: True), departments.ids
    for department in departments.ids:
        buttons.handle(button_event(9, department=department))
    before, untouched = buttons.of[first].shown, buttons.of[second].shown
    one, *others = DEPARTMENTS.departments
    changed = one.model_copy(update={"start": "form", "busy": "queue"})
    departments.take_over(DEPARTMENTS.model_copy(update={"departments": (changed, *others)}))
    gone = buttons.follow_departments()
    after = buttons.of[first].shown
    assert (body(buttons.of[first])["start"], body(buttons.of[first])["queue"]) == ("form", None)
    assert after.revision > before.revision, "a page shows no older revision"
    assert after.green
    assert buttons.of[second].shown is untouched
    assert [button.department for button in gone] == [LAST]
    buttons.handle(button_event(after.revision + 1, green=False, department=first))
    assert buttons.of[first].shown.revision == after.revision + 1, "presence goes on from there"


async def test_the_button_of_a_department_that_is_gone_ends_its_streams_and_metrics() -> None:
    departments = more_departments()
    buttons = Buttons(departments, lambda: True)
    labels = {"department": LAST, "reason": "unknown"}
    assert sample("eloket_gateway_button", labels) == 1
    departments.take_over(DEPARTMENTS)
    gone = buttons.follow_departments()
    await buttons.forget(gone)
    assert sample("eloket_gateway_button", labels) is None
    written: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the stream has not ended")

    async def send(message: Message) -> None:
        written.append(message)

    await gone[0].listeners.listen(receive, send)
    assert [message["type"] for message in written] == ["http.response.start", "http.response.body"]
    assert not written[-1]["more_body"], "a page that connects late is sent away"
    departments.take_over(more_departments())
    assert buttons.follow_departments() == []
    assert body(buttons.of[LAST])["reason"] == "unknown", "a new department, of which presence has said nothing yet"
