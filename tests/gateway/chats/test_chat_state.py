"""`chat_state.py`: an event and an answer of routing give the same state, and an acceptance is never taken back."""

from datetime import UTC, datetime

import pytest

from services.common.events.types import ChatStatus
from services.gateway.chats.chat_state import State
from tests.gateway.making import AN, state, view


def test_the_state_of_a_event_and_of_a_view_show_the_same() -> None:
    for status, agent_id in ((ChatStatus.WAITING, None), (ChatStatus.ASSIGNED, AN), (ChatStatus.CLOSED, AN)):
        event, held = State.of_event(state(3, status, agent_id)), State.of_view(view(3, status, agent_id))
        assert event == held
        assert event.shown == (status, None, None, "An" if status is ChatStatus.ASSIGNED else None, False)


def test_who_has_a_chat_and_has_not_accepted_it_is_not_shown() -> None:
    offered = State.of_event(state(3, ChatStatus.ASSIGNED, AN, accepted=False))
    assert offered == State.of_view(view(3, ChatStatus.ASSIGNED, AN, tells_acceptance=True))
    assert (offered.connected, offered.offered, offered.shown) == (
        False,
        True,
        (ChatStatus.ASSIGNED, None, None, None, True),
    )
    taken = State.of_view(view(4, ChatStatus.ASSIGNED, AN, accepted=True, tells_acceptance=True))
    assert (taken.connected, taken.shown[3]) == (True, "An")
    former = State.of_view(view(4, ChatStatus.ASSIGNED, AN))  # its `accepted` is published to no client
    assert (former.connected, former.offered) == (True, False)


def test_of_the_same_version_an_acceptance_is_learnt_and_never_taken_back() -> None:
    for known, given, news in (
        (None, None, False),
        (None, False, True),
        (None, True, True),
        (False, None, False),
        (False, False, False),
        (False, True, True),
        (True, None, False),
        (True, False, False),
        (True, True, False),
    ):
        assert State.of_event(state(3, ChatStatus.ASSIGNED, AN, accepted=known)).learns(given) is news, (known, given)


@pytest.mark.parametrize("status", list(ChatStatus))
def test_a_position_is_shown_only_while_waiting(status: ChatStatus) -> None:
    held = State.of_view(view(1, status, AN, position=2, closed_at=datetime(2026, 1, 1, tzinfo=UTC)))
    assert held.shown[1] == (2 if status is ChatStatus.WAITING else None)
    assert held.closed_at is not None
