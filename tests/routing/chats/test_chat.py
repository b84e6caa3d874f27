"""What of a chat is published, and when there is nothing to publish yet."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.common.events.types import Cause, ChatStatus, CloseReason
from services.routing.chats import rules
from services.routing.chats.chat import Chat, state_of, view_of

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
WAITING = Chat(
    "c", 1, 1, ChatStatus.WAITING, 1, Cause.OPENED, NOW, "algemeen", opened_at=NOW, name="An", question="Waar?"
)


def test_nothing_is_published_of_a_chat_whose_opening_was_not_handled() -> None:
    assert state_of(Chat("c", greeted=True)) is None
    assert view_of(Chat("c", greeted=True)) is None


def test_a_chat_closed_before_its_opening_is_published_once_its_department_is_known() -> None:
    tombstone = Chat("c", 1, 1, ChatStatus.CLOSED, 0, Cause.CLOSED, NOW, reason=CloseReason.CITIZEN)
    assert state_of(tombstone) is None
    assert view_of(tombstone) is None


def test_the_event_never_has_the_personal_data_of_the_citizen() -> None:
    event = state_of(WAITING)
    assert event is not None
    assert "An" not in event.model_dump_json()
    assert "Waar?" not in event.model_dump_json()
    assert (event.v, event.turn, event.state, event.cause) == (1, 1, ChatStatus.WAITING, Cause.OPENED)


def test_the_end_of_a_chat_says_whether_its_agent_had_accepted_it() -> None:
    with_agent = replace(WAITING, state=ChatStatus.ASSIGNED, agent_id="an", assigned_at=NOW)
    for accepted in (True, False):
        event = state_of(rules.closed(replace(with_agent, accepted=accepted), CloseReason.CITIZEN, NOW))
        assert event is not None
        assert (event.agent_id, event.accepted) == ("an", accepted)
    nobody = state_of(rules.closed(WAITING, CloseReason.CITIZEN, NOW))
    assert nobody is not None
    assert (nobody.agent_id, nobody.accepted) == (None, None)


def test_the_view_says_until_when_an_assigned_chat_can_be_accepted() -> None:
    assigned = replace(WAITING, state=ChatStatus.ASSIGNED, agent_id="an", assigned_at=NOW)
    limit = timedelta(seconds=30)

    def until(chat: Chat, accept: timedelta | None = limit) -> datetime | None:
        view = view_of(chat, accept=accept)
        assert view is not None
        return view.accept_by

    assert until(assigned) == NOW + limit
    assert until(assigned, None) is None
    assert until(replace(assigned, accepted=True)) is None
    assert until(WAITING) is None


def test_the_view_has_it_and_the_position() -> None:
    view = view_of(WAITING, position=3)
    assert view is not None
    assert (view.name, view.question, view.position) == ("An", "Waar?", 3)
