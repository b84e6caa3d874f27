"""services/presence/slots/rules.py: when a slot is asked for again, is over, or is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.events.types import AgentState, ChatStatus, ReleaseReason
from services.presence.slots.rules import Agent, Slot, Wish, due, is_over, weigh

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SLOT = Slot("c", 2, NOW)
AN = Agent("an", "an", "An", ("d",), 1, False, ("nl",), True, AgentState.AVAILABLE, 0, (SLOT,), 1, "")
LEAVING = replace(SLOT, leaving=ReleaseReason.AGENT_GONE)
statuses = st.sampled_from(ChatStatus)
turns = st.integers(1, 4)
agents = st.sampled_from([None, "an", "bert"])


def test_a_reserved_attempt_is_claimed_again_by_the_same() -> None:
    assert weigh("c", 2, [AN]) == Wish(again=((AN, SLOT),))


def test_a_slot_that_is_leaving_has_no_reservation() -> None:
    assert weigh("c", 2, [replace(AN, slots=(LEAVING,))]) == Wish(open=True)


def test_an_attempt_that_was_overtaken_gets_no_agent() -> None:
    assert weigh("c", 1, [AN]) == Wish()


def test_a_new_attempt_seeks_an_agent() -> None:
    assert weigh("c", 3, [AN]) == Wish(open=True)
    assert weigh("other", 2, [AN]) == Wish(open=True)


@pytest.mark.parametrize(
    ("status", "turn", "agent", "over"),
    [
        (ChatStatus.CLOSED, 2, None, True),
        (ChatStatus.CLOSED, 1, None, True),
        (ChatStatus.WAITING, 2, None, False),
        (ChatStatus.WAITING, 3, None, True),
        (ChatStatus.WAITING, 1, None, False),
        (ChatStatus.ASSIGNED, 2, "an", False),
        (ChatStatus.ASSIGNED, 2, "bert", True),
        (ChatStatus.ASSIGNED, 1, "bert", False),
        (ChatStatus.ASSIGNED, 3, "an", True),
    ],
)
def test_a_slot_is_over(status: ChatStatus, turn: int, agent: str | None, over: bool) -> None:
    assert is_over(SLOT, "an", status, turn, agent) is over


@given(statuses, turns, agents, statuses, turns, agents)
def test_what_an_older_state_ends_every_later_one_ends_too(
    s1: ChatStatus, t1: int, a1: str | None, s2: ChatStatus, t2: int, a2: str | None
) -> None:
    """So the order of the events does not matter: a slot that is over once is over for good."""
    later = s2 is ChatStatus.CLOSED or (s1 is not ChatStatus.CLOSED and t2 > t1)
    if later and is_over(SLOT, "an", s1, t1, a1):
        assert is_over(SLOT, "an", s2, t2, a2)


def test_a_slot_of_a_press_is_reserved_until_it_is_confirmed() -> None:
    assert replace(SLOT, by_press=True).reserved
    assert not replace(SLOT, by_press=True, confirmed=True).reserved
    assert not SLOT.reserved


def test_slots_are_due_at_their_age() -> None:
    slots = [replace(SLOT, since=NOW - timedelta(seconds=s)) for s in (1, 2, 3)]
    assert due(slots, NOW, 2.0) == slots[1:]
