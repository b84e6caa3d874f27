"""services/routing/chats/deadlines.py: the table as a whole. What each row does is checked in test_rules.py."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.events.types import Cause, ChatStatus
from services.routing.chats import deadlines
from services.routing.chats.chat import Chat, Limits, Origin
from tests.support.servers import ROOT

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LIMITS = Limits()
TIMES = st.integers(-700, 700).map(lambda seconds: NOW + timedelta(seconds=seconds))
SOMETIMES = st.none() | TIMES
ORIGINS = st.none() | st.builds(
    Origin,
    agent_id=st.sampled_from([None, "an", "bert"]),
    department=st.just("algemeen"),
    to_department=st.just("premies"),
    to_agent=st.none(),
    answer_by=SOMETIMES,
)
UNOPENED = st.builds(Chat, id=st.just("c"), state=st.none(), claimed_since=SOMETIMES, untold_since=SOMETIMES)
OPENED = st.builds(
    Chat,
    id=st.just("c"),
    state=st.sampled_from([ChatStatus.WAITING, ChatStatus.ASSIGNED, ChatStatus.CLOSED]),
    turn=st.just(2),
    cause=st.just(Cause.OPENED),
    department=st.just("algemeen"),
    known_since=TIMES,
    greeted=st.booleans(),
    waiting_since=TIMES,
    wanted_agent=st.just("an"),
    wanted_until=SOMETIMES,
    agent_id=st.just("an"),
    assigned_at=TIMES,
    accepted=st.booleans(),
    untold_since=SOMETIMES,
    origin=ORIGINS,
)
CHATS = UNOPENED | OPENED


@settings(max_examples=300)
@given(chat=CHATS)
def test_a_deadline_is_reached_exactly_from_when_the_chat_is_due(chat: Chat) -> None:
    due = deadlines.due_at(chat, LIMITS)
    far = NOW + timedelta(days=1)
    assert (deadlines.reached(chat, False, far, LIMITS) is None) == (due is None)
    if due is not None:
        assert deadlines.reached(chat, False, due, LIMITS) is not None
        assert deadlines.reached(chat, False, due - timedelta(microseconds=1), LIMITS) is None


@settings(max_examples=300)
@given(chat=CHATS)
def test_what_was_done_at_a_deadline_is_not_due_again_for_the_same_reason(chat: Chat) -> None:
    """A timer would otherwise act for ever. What may be unpublished is due until it was published."""
    due = deadlines.due_at(chat, LIMITS)
    if due is None:
        return
    reached = deadlines.reached(chat, False, due, LIMITS)
    assert reached is not None
    after = deadlines.overdue(chat, False, due, LIMITS)
    again = deadlines.reached(replace(after, untold_since=None), False, due, LIMITS)
    if reached.reason == "untold":
        assert after is chat
    else:
        assert after != chat
        assert again is None or again.reason != reached.reason


@settings(max_examples=100)
@given(chat=OPENED)
def test_a_closed_chat_is_due_for_its_publication_alone(chat: Chat) -> None:
    closed = replace(chat, state=ChatStatus.CLOSED)
    due = closed.untold_since + LIMITS.republish if closed.untold_since else None
    assert deadlines.due_at(closed, LIMITS) == due


def test_every_reason_is_described_for_operators() -> None:
    line = next(s for s in (ROOT / "docs/metrics.md").read_text().splitlines() if "eloket_routing_repairs_total" in s)
    for deadline in (*deadlines.DEADLINES, deadlines.LISTED):
        assert deadline.reason in line
