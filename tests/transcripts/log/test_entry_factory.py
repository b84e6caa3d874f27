"""`services/transcripts/log/entry_factory.py`: what each event wants written."""

import dataclasses

import pytest

from services.common.events.chats import ChatState
from services.common.events.types import Cause, ChatStatus, CloseReason, Party
from services.transcripts.access.rules import Chat
from services.transcripts.log.entry_factory import (
    has_attachment,
    is_acceptable,
    message_entry,
    never_opened,
    opening_entries,
    starts_inactivity,
    state_entry,
    state_entry_id,
)
from tests.transcripts.conftest import OPENED_AT, opened_event, posted, state

CHAT = "8d4a9a3e-2f35-4f0e-9d5c-0d1c2b3a4f50"
KNOWN = Chat(CHAT, "algemeen", "fr", OPENED_AT, v=2, asked=True)


def closed(department: str = "algemeen") -> ChatState:
    return state(CHAT, 3, Cause.CLOSED, state=ChatStatus.CLOSED, reason=CloseReason.AGENT, department=department)


def test_a_chat_opens_with_an_event_and_the_question_if_there_is_one() -> None:
    first, question = opening_entries(opened_event(CHAT))
    assert (first.party, first.event, question.party, question.text) == (
        Party.SYSTEM, Cause.OPENED, Party.CITIZEN, "Waar vind ik het formulier?",
    )  # fmt: skip
    assert [w.id for w in opening_entries(opened_event(CHAT, question=None))] == [first.id], (
        "told again it is the same entry"
    )


def test_what_is_said_keeps_its_id_its_sender_and_its_time() -> None:
    event = posted(CHAT)
    new = message_entry(event)
    assert (new.id, new.sender_id, new.text, new.posted_at) == (
        event.id,
        "citizen",
        "Dag",
        event.occurred_at,
    )


def test_a_state_has_an_entry_in_the_language_of_the_chat_after_the_question() -> None:
    new = state_entry(state(CHAT, 2, Cause.ASSIGNED, agent="an"), KNOWN)
    assert (new.event, new.after, new.reason) == (Cause.ASSIGNED, 2, None)
    assert new.text != state_entry(state(CHAT, 2, Cause.ASSIGNED, agent="an"), dutch()).text
    assert state_entry(closed(), KNOWN).reason is CloseReason.AGENT


def dutch() -> Chat:
    return dataclasses.replace(KNOWN, locale="nl")


def test_the_same_state_again_is_the_same_entry_and_the_next_attempt_is_not() -> None:
    one = state(CHAT, 2, Cause.ASSIGNED, turn=1, agent="an")
    again = state(CHAT, 5, Cause.ASSIGNED, turn=1, agent="an")
    assert (
        state_entry_id(one)
        == state_entry_id(again)
        != state_entry_id(state(CHAT, 6, Cause.ASSIGNED, turn=2, agent="an"))
    )


@pytest.mark.parametrize(("chat", "id_", "good"), [(CHAT, None, True), ("x", None, False), (CHAT, "X", False)])
def test_only_canonical_ids_become_keys(chat: str, id_: str | None, good: bool) -> None:
    assert is_acceptable(posted(chat, id_)) is good


def test_a_message_is_a_text_or_a_file() -> None:
    file = posted(CHAT, text=None, attachment_id="file")
    assert is_acceptable(file)
    assert has_attachment(file)
    assert not has_attachment(posted(CHAT))
    assert not is_acceptable(posted(CHAT, attachment_id="file"))
    assert not is_acceptable(posted(CHAT, text=None))


def test_the_end_of_a_chat_that_never_opened_is_written_nowhere() -> None:
    assert never_opened(closed(department=""))
    assert not never_opened(closed())


def test_inactivity_counts_from_an_assignment_and_is_not_postponed_by_a_repetition() -> None:
    assigned = state(CHAT, 2, Cause.ASSIGNED, agent="an")
    watched = dataclasses.replace(KNOWN, watched=True)
    assert starts_inactivity(assigned, KNOWN)
    assert not starts_inactivity(assigned, watched)
    assert starts_inactivity(state(CHAT, 3, Cause.ASSIGNED, agent="an"), watched)
    assert not starts_inactivity(state(CHAT, 3, Cause.CLOSED), watched)
