"""`chats/chat.py`: each warning once to each session, and its end whatever brought it about."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.common.events.messages import CitizenSilent, CitizenStayed
from services.common.events.types import CloseReason, Party
from services.gateway.chats.chat import LASTS
from tests.gateway.chats.test_event_router import ASSIGNED, CLOSED, WAITING, Stage
from tests.gateway.making import AN, CHAT, NOW, OTHER, agent, citizen, entry, seal, sent, state, stored

PUBLISHED_AT, CLOSES_AT = NOW + timedelta(seconds=600), NOW + timedelta(seconds=900)
OVER = {"type": "inactive", "warning": 0, "closes_at": None, "seconds": None}


def silent(warning: int = 1, after: float = 0, chat_id: str = CHAT) -> CitizenSilent:
    """Transcripts warns; `after`: seconds since `NOW` at which the citizen was last spoken to."""
    later = timedelta(seconds=after)
    given = {"since": NOW + later, "closes_at": CLOSES_AT + later, "occurred_at": PUBLISHED_AT + later}
    return CitizenSilent(chat_id=chat_id, warning=warning, **given)


@pytest.fixture
def stage() -> Stage:
    """A chat with an agent."""
    one = Stage()
    one.receive(state(2, ASSIGNED, AN))
    return one


def warnings(frames: list[dict[str, Any]]) -> list[int]:
    return [f["warning"] for f in frames if f["type"] == "inactive"]


def test_a_warning_reaches_the_citizen_and_their_agent_once(stage: Stage) -> None:
    one, console = stage.join(citizen()), stage.join(agent())
    stage.receive(silent(), silent(), silent())
    warned = {"type": "inactive", "warning": 1, "closes_at": "2026-11-23T08:15:00.123Z", "seconds": 300}
    assert sent(one) == [warned]
    assert sent(console) == [{**warned, "chat_id": CHAT}]
    stage.receive(silent(2), silent(2))
    assert warnings(sent(one)) == warnings(sent(console)) == [2]


def test_a_connection_made_during_the_warning_is_warned_too_with_the_seconds_that_are_left(stage: Stage) -> None:
    stage.receive(silent())
    stage.now += 40.4
    tab, console = stage.join(citizen()), stage.join(agent())
    for frames in (sent(tab), sent(console)):
        assert [(f["warning"], f["seconds"]) for f in frames] == [(1, 260)]
    stage.receive(silent(), CitizenStayed(chat_id=CHAT))
    assert sent(stage.join(citizen())) == [], "nothing holds any more"


ENDS: list[tuple[str, Callable[[Stage], None]]] = [
    ("stayed", lambda stage: stage.receive(CitizenStayed(chat_id=CHAT))),
    ("wrote", lambda stage: stage.receive(stored(entry(1, at=PUBLISHED_AT)))),
    ("was spoken to", lambda stage: stage.receive(stored(entry(1, party=Party.AGENT, sender_id=AN, at=PUBLISHED_AT)))),
    ("lost his agent", lambda stage: stage.receive(state(3, WAITING))),
]


@pytest.mark.parametrize("end", [e for _, e in ENDS], ids=[n for n, _ in ENDS])
def test_it_is_over_for_both_and_an_earlier_warning_comes_too_late(stage: Stage, end: Callable[[Stage], None]) -> None:
    one, console = stage.join(citizen()), stage.join(agent())
    stage.receive(silent())
    sent(one), sent(console)
    end(stage)
    assert [f for f in sent(one) if f["type"] == "inactive"] == [OVER]
    assert {**OVER, "chat_id": CHAT} in sent(console)
    stage.receive(silent(), silent(2))
    assert warnings(sent(one)) == warnings(sent(console)) == []


def test_the_next_inactivity_is_warned_of_again(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(silent(), CitizenStayed(chat_id=CHAT), silent(after=700))
    stage.receive(stored(entry(1, at=NOW + timedelta(seconds=1_400))), silent(after=1_399), silent(after=1_400))
    assert warnings(sent(one)) == [1, 0, 1, 0, 1]


def test_one_who_stayed_in_another_tab_before_the_warning_came_is_not_warned(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(stored(entry(1, party=Party.AGENT, sender_id=AN, at=NOW)), CitizenStayed(chat_id=CHAT), silent())
    assert warnings(sent(one)) == []
    stage.receive(silent(after=1))
    assert warnings(sent(one)) == [1]


def test_who_has_no_agent_is_not_warned_and_the_end_is_no_end_of_a_warning(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(silent())
    sent(one)
    stage.receive(stored(seal(1, CloseReason.INACTIVE)))
    assert [f["type"] for f in sent(one)] == ["message", "status", "closed"]
    for v, status in ((3, WAITING), (4, CLOSED)):
        other = Stage()
        tab = other.join(citizen())
        other.receive(state(v, status), silent())
        assert warnings(sent(tab)) == []
    other.receive(silent(chat_id=OTHER), CitizenStayed(chat_id=OTHER))


def test_a_warning_that_is_not_repeated_is_over(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(silent())
    for _ in range(3):
        stage.now += LASTS - 1
        stage.chats.inactivity_warnings.end_old(stage.chat)
        stage.receive(silent())
    assert warnings(sent(one)) == [1]
    stage.now += LASTS + 1
    stage.chats.inactivity_warnings.end_old(stage.chat)
    assert warnings(sent(one)) == [0]
