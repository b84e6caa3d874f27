"""Mirrors services/transcripts/outbox/rules.py."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from services.common.events.agents import ButtonChanged, DepartmentButton
from services.common.events.chats import ChatOpened
from services.common.events.types import ButtonColour, ButtonReason, Cause, Form, is_id
from services.transcripts.outbox.rules import (
    FIRST_REST,
    LONGEST_PAUSE,
    LONGEST_REST,
    OPENS_AFTER,
    Circuit,
    Verdict,
    body_of,
    buttons_of,
    judged,
    notice_of_button,
    notice_of_opening,
    notice_of_question,
    notice_of_rating,
    notices_of_state,
    pause_after,
)
from tests.transcripts.conftest import OPENED_AT, new_id, opened_event, state

CHAT = new_id()
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def test_an_opening_is_announced_without_a_word_of_the_citizen() -> None:
    form = Form(id="premie", title="Aanvraag van An", url="https://a.example/?rijksregister=1")
    event: ChatOpened = opened_event(CHAT).model_copy(update={"form": form})
    notice = notice_of_opening(event)
    assert notice.data == {"chat_id": CHAT, "department": "algemeen", "locale": "nl", "form_id": "premie"}
    assert (notice.type, notice.department, notice.at, notice.chat_id) == ("chat.opened", "algemeen", OPENED_AT, CHAT)
    assert is_id(notice.id)
    assert notice_of_opening(opened_event(CHAT)).id == notice.id, "an event that is handled twice makes one notice"


def test_an_assignment_is_announced_once_and_its_acceptance_once() -> None:
    offered = notices_of_state(state(CHAT, 2, Cause.ASSIGNED, agent="an", accepted=False))
    assert [n.type for n in offered] == ["chat.assigned"]
    taken = notices_of_state(state(CHAT, 3, Cause.ASSIGNED, agent="an", accepted=True))
    assert [n.type for n in taken] == ["chat.assigned", "chat.accepted"]
    assert taken[0].id == offered[0].id
    assert taken[1].data == {"chat_id": CHAT, "department": "algemeen", "attempt": 1}, "no agent is named"
    of_old_release = notices_of_state(state(CHAT, 3, Cause.ASSIGNED, agent="an"))
    assert of_old_release == taken
    again = notices_of_state(state(CHAT, 6, Cause.ASSIGNED, turn=2, agent="bert", accepted=False))
    assert again[0].id != offered[0].id, "another attempt"


def test_an_end_is_announced_with_its_reason() -> None:
    (notice,) = notices_of_state(state(CHAT, 9, Cause.CLOSED, reason="agent"))
    assert (notice.type, notice.data["reason"]) == ("chat.closed", "agent")
    assert notices_of_state(state(CHAT, 9, Cause.CLOSED, reason="citizen", department="")) == [], "never opened"
    assert notices_of_state(state(CHAT, 4, Cause.AGENT_LEFT)) == [], "it waits again"


def test_a_question_and_a_rating_are_announced_without_contact_data() -> None:
    question = {
        "_id": CHAT,
        "department": "algemeen",
        "name": "An Peeters",
        "contact": "02 123 45 67",
        "text": "Waar is mijn premie?",
        "at": NOW,
        "number": "K7Q2",
        "source": "button",
    }
    left = notice_of_question(question)
    assert left.data == {"question_id": CHAT, "department": "algemeen", "source": "button", "number": "K7Q2"}
    given = {"_id": CHAT, "department": "algemeen", "helped": "yes", "score": 5, "at": NOW}
    first, second = notice_of_rating(given), notice_of_rating({**given, "at": NOW + timedelta(seconds=1), "score": 4})
    assert first.data == {"chat_id": CHAT, "department": "algemeen", "helped": "yes", "score": 5}
    assert first.id != second.id


def test_a_digest_has_the_buttons_of_all_its_departments() -> None:
    green, available = ButtonColour.GREEN, ButtonReason.AVAILABLE
    other = DepartmentButton(department="premies", colour=green, reason=available, revision=7)
    event = ButtonChanged(department="algemeen", colour=green, reason=available, revision=3, others=[other])
    own, second = buttons_of(event)
    assert (own.department, own.revision, second) == ("algemeen", 3, other)
    notice = notice_of_button(second, NOW)
    assert notice.chat_id is None
    assert notice.data == {"department": "premies", "colour": "green", "reason": "available", "opens_at": None}
    assert notice_of_button(second.model_copy(update={"revision": 8}), NOW).id != notice.id


def test_the_body_is_the_same_each_time() -> None:
    data = {"department": "algemeen", "opens_at": NOW, "chat_id": CHAT}
    body = body_of("button.changed", NOW, data)
    assert body == body_of("button.changed", NOW, dict(reversed(data.items())))
    assert json.loads(body) == {
        "type": "button.changed",
        "timestamp": "2026-11-29T12:00:00Z",
        "data": {"department": "algemeen", "opens_at": "2026-11-29T12:00:00Z", "chat_id": CHAT},
    }


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((s, Verdict.DELIVERED) for s in (200, 202, 204, 299)),
        *((s, Verdict.FAILED) for s in (301, 302, 307, 400, 401, 404, 429, 500, 503)),
        (410, Verdict.HOPELESS),
    ],
)
def test_a_status_decides(status: int, verdict: Verdict) -> None:
    assert judged(status, None, NOW).verdict is verdict


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, 0),
        ("120", 120),
        ("999999999", LONGEST_PAUSE),
        ("Sun, 29 Nov 2026 12:01:00 GMT", 60),
        ("Sun, 29 Nov 2026 11:00:00 GMT", 0),
        ("Sun, 29 Nov 2026 12:01:00", 0),
        ("-5", 0),
        ("²", 0),
        ("soon", 0),
        ("9" * 5_000, 0),
    ],
)
def test_a_receiver_may_ask_to_wait_but_not_for_ever(given: str | None, seconds: float) -> None:
    assert judged(503, given, NOW).retry_after == seconds
    assert judged(500, given, NOW).retry_after == 0


def test_pauses_grow_to_an_hour_and_are_spread() -> None:
    assert [pause_after(n, 0.5).total_seconds() for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert pause_after(10_000, 0.5).total_seconds() == LONGEST_PAUSE
    assert (pause_after(1, 0.0).total_seconds(), pause_after(1, 1.0).total_seconds()) == (2.5, 7.5)
    assert pause_after(1, 0.5, retry_after=300).total_seconds() == 300


def test_a_circuit_opens_after_failures_in_a_row_and_closes_after_a_delivery() -> None:
    circuit = Circuit()
    assert not any(circuit.failed(0, 0.5) for _ in range(OPENS_AFTER - 1))
    assert not circuit.delivered()
    assert [circuit.failed(0, 0.5) for _ in range(OPENS_AFTER)] == [False] * (OPENS_AFTER - 1) + [True]
    assert circuit.rests_for(1) == FIRST_REST - 1
    assert circuit.rests_for(FIRST_REST) == 0
    assert circuit.is_open, "one attempt decides"
    assert not circuit.failed(100, 0.5), "it was open"
    assert circuit.rests_for(100) == 2 * FIRST_REST
    for _ in range(100):
        circuit.failed(200, 1.0)
    assert circuit.rests_for(200) == 1.5 * LONGEST_REST
    assert circuit.delivered()
    assert (circuit.is_open, circuit.rests_for(200)) == (False, 0)
