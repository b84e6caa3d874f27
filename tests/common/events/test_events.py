"""Every event has a golden sample that is never edited, an id and a time, and never changes."""

import hashlib

import pytest
from pydantic import ValidationError

from services.common.clock import utcnow
from services.common.events import agents, chats, configuration, identification, messages, places, presence
from services.common.events.chats import CitizenArrived
from services.common.events.event import Event
from services.common.events.types import is_id
from tests.support.event_samples import CHAT, EVENT_TYPES, EVENTS, GOLDEN

TYPES = sorted(EVENT_TYPES)
MODULES = (agents, chats, configuration, identification, messages, places, presence)


def test_every_event_has_a_golden_sample_and_nothing_else_has() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(EVENT_TYPES)
    assert set(EVENTS) == set(EVENT_TYPES)


def test_no_golden_sample_was_changed() -> None:
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in GOLDEN.glob("*.json")}
    assert found == listed, (
        "a golden sample is never edited: old events wait in queues; add a new optional member instead"
    )


@pytest.mark.parametrize("type_", TYPES)
def test_an_event_never_changes(type_: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        EVENTS[type_].event_id = "another"  # type: ignore[misc]


def test_events_get_an_id_and_a_time_of_their_own() -> None:
    before = utcnow()
    one, two = CitizenArrived(chat_id=CHAT), CitizenArrived(chat_id=CHAT)
    assert is_id(one.event_id)
    assert one.event_id != two.event_id
    assert before <= one.occurred_at <= two.occurred_at <= utcnow()


def test_the_base_of_events_is_not_an_event() -> None:
    assert Event not in EVENT_TYPES.values()


def test_every_event_can_be_decoded() -> None:
    named = [value for module in MODULES for value in vars(module).values()]
    defined = {kind for kind in named if isinstance(kind, type) and issubclass(kind, Event)} - {Event}
    assert defined == set(EVENT_TYPES.values())
