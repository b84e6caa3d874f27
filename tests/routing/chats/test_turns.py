"""services/routing/chats/turns.py: what every change of a chat has in common."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.common.events.types import Cause, ChatStatus, Detail
from services.routing.chats.chat import Chat
from services.routing.chats.turns import changed, marked, requeued

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
ASSIGNED = Chat("c", v=2, state=ChatStatus.ASSIGNED, turn=1, agent_id="an", accepted=True, waiting_since=NOW)


def test_a_change_is_a_version_more_and_has_only_its_own_detail() -> None:
    chat = changed(replace(ASSIGNED, detail=Detail.REFUSED), LATER, Cause.CLOSED)
    assert (chat.v, chat.cause, chat.changed_at, chat.detail) == (3, Cause.CLOSED, LATER, None)


def test_a_lost_turn_is_a_turn_more_at_the_head() -> None:
    chat = requeued(ASSIGNED, LATER, Cause.AGENT_LEFT, "an")
    assert (chat.state, chat.turn, chat.head, chat.waiting_since) == (ChatStatus.WAITING, 2, True, LATER)
    assert (chat.agent_id, chat.accepted, chat.former_agent_id) == (None, False, "an")
    again = requeued(chat, LATER + timedelta(seconds=9), Cause.OPENED, "bert")
    assert (again.turn, again.waiting_since) == (3, LATER), "the same wait"


def test_a_mark_stays_until_it_is_taken_away() -> None:
    assert requeued(marked(ASSIGNED, NOW), LATER, Cause.AGENT_LEFT, "an").untold_since == NOW
