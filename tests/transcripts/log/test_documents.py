"""Mirrors services/transcripts/log/store.py: what is stored says the same when it is read again."""

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions

from services.common.events.types import Cause, Entry, Party
from services.transcripts.inactivity.rules import Inactivity, Last
from services.transcripts.log.store import (
    MAX_ENTRY,
    chat_document,
    chat_of,
    document,
    encodable,
    entry_of,
    last_after,
    state_noted,
    watched_of,
)
from tests.transcripts.conftest import OPENED_AT, attachment, entry, new_id, opened_event, seal_entry

AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


def stored(made: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from the database."""
    return bson.decode(bson.encode(made), AWARE)


def test_a_document_has_only_what_the_entry_has() -> None:
    stored = document(entry("c", 1))
    assert "attachment" not in stored
    assert "event" not in stored
    assert entry_of(stored) == entry("c", 1)


@pytest.mark.parametrize(("text", "fits"), [("x" * 4_000, True), ("x" * MAX_ENTRY, False), ("\ud800", False)])
def test_what_the_database_cannot_hold_is_known_beforehand(text: str, fits: bool) -> None:
    assert encodable(entry("c", 1).model_copy(update={"text": text})) is fits


@pytest.mark.parametrize(
    "one", [entry("c", 1, text=None, attachment=attachment()), seal_entry("c", 2)], ids=["attachment", "seal"]
)
def test_an_entry_is_the_same_when_it_is_read_again(one: Entry) -> None:
    assert entry_of(stored(document(one))) == one


def test_a_chat_is_the_same_when_it_is_read_again() -> None:
    opened = opened_event(new_id(), "Hoe laat?")
    chat = chat_of(stored({"_id": opened.chat_id, **chat_document(opened)}))
    for name in ("chat_id", "department", "locale", "name", "opened_at"):
        assert getattr(chat, name) == getattr(opened, name)
    assert (chat.asked, chat.watched, chat.closed_at, chat.v) == (True, False, None, 0)


def test_a_state_raises_v_and_adds_who_takes_part() -> None:
    assert state_noted(3, None, None) == {"$max": {"v": 3}}
    assert state_noted(3, "an", OPENED_AT) == {
        "$max": {"v": 3},
        "$set": {"silence_at": OPENED_AT},
        "$addToSet": {"participants": "an"},
    }


def test_how_a_log_ends_is_who_spoke_last_and_what_the_chat_said_last() -> None:
    first = last_after(None, {"party": "citizen", "at": OPENED_AT})
    assert first == Last(Party.CITIZEN, None, OPENED_AT)
    later = OPENED_AT + timedelta(seconds=1)
    assigned = last_after(first, {"party": "system", "event": "assigned", "at": later})
    assert assigned == replace(first, event=Cause.ASSIGNED, at=later)


def test_a_stored_warning_of_inactivity_is_read_again() -> None:
    published = Inactivity(OPENED_AT, 1, OPENED_AT + timedelta(seconds=300), OPENED_AT)
    watched = watched_of(stored({"_id": "c", "silence_at": OPENED_AT, "silence": asdict(published)}))
    assert (watched.chat_id, watched.check_at, watched.inactivity) == ("c", OPENED_AT, published)
    assert watched_of({"_id": "c", "silence_at": OPENED_AT}).inactivity is None
