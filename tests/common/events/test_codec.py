"""`services/common/events/codec.py`: every event against its golden sample, and what is no event is refused."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.events.chats import CitizenArrived
from services.common.events.codec import decode, encode
from services.common.events.places import PlaceWanted
from tests.support.event_samples import CHAT, EVENT_TYPES, EVENTS, golden

TYPES = sorted(EVENT_TYPES)


@pytest.mark.parametrize("type_", TYPES)
def test_a_golden_sample_decodes_to_its_event(type_: str) -> None:
    event = decode(golden(type_))
    assert type(event) is EVENT_TYPES[type_]
    assert event == EVENTS[type_]


@pytest.mark.parametrize("type_", TYPES)
def test_encoding_keeps_every_member(type_: str) -> None:
    assert _same(json.loads(encode(decode(golden(type_)))), json.loads(golden(type_)))


@pytest.mark.parametrize("type_", TYPES)
def test_unknown_members_are_ignored_at_every_depth(type_: str) -> None:
    assert decode(json.dumps(_with_more(json.loads(golden(type_)))).encode()) == EVENTS[type_]


@pytest.mark.parametrize("type_", TYPES)
def test_a_missing_required_member_is_refused(type_: str) -> None:
    sample = json.loads(golden(type_))
    required = [name for name, info in EVENT_TYPES[type_].model_fields.items() if info.is_required()]
    assert required, "an event that says nothing"
    for name in required:
        with pytest.raises(ValidationError):
            decode(json.dumps({k: v for k, v in sample.items() if k != name}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"chat.opened"',
        b"{}",
        b"not json",
        b"\xff\xfe",
        b'{"type": "chat.renamed", "chat_id": "x"}',
        b'{"type": ["citizen.arrived"], "chat_id": "x"}',
        b'{"type": "citizen.arrived", "chat_id": 7}',
        b'{"type": "citizen.arrived", "chat_id": "x", "occurred_at": "yesterday"}',
    ],
)
def test_what_is_no_known_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        decode(body)


def test_a_lone_surrogate_is_refused_escaped_or_raw() -> None:
    for text in (rb"\ud800", rb"x\udfffy", b"\xed\xa0\x80"):
        with pytest.raises(ValidationError):
            decode(b'{"type": "citizen.arrived", "chat_id": "' + text + b'"}')
    with pytest.raises(ValidationError):
        CitizenArrived(chat_id="\ud800")


def test_a_surrogate_pair_is_one_character() -> None:
    event = decode(rb'{"type": "citizen.arrived", "chat_id": "\ud83c\udfe0"}')
    assert isinstance(event, CitizenArrived)
    assert event.chat_id == "🏠"


def _whole_numbers(schema: dict[str, Any], value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in _whole_numbers(schema, v, (*path, k))]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in _whole_numbers(schema, v, (*path, i))]
    return [path] if isinstance(value, int) and not isinstance(value, bool) else []


@pytest.mark.parametrize("type_", TYPES)
def test_whole_numbers_beyond_64_bits_are_refused(type_: str) -> None:
    for path in _whole_numbers({}, json.loads(golden(type_))):
        for number, fits in ((2**63 - 1, True), (2**63, False), (-(2**63) - 1, False), (10**30, False)):
            sample = json.loads(golden(type_))
            place = sample
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = number
            body = json.dumps(sample).encode()
            if fits:
                assert decode(body).type == type_
            else:
                with pytest.raises(ValidationError):
                    decode(body)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1", "1e999"])
def test_the_time_since_a_sign_of_life_is_finite(number: str) -> None:
    body = golden("gateway.connections").replace(b"0.25", number.encode())
    with pytest.raises(ValidationError):
        decode(body)


@given(st.text())
def test_any_text_that_can_be_kept_comes_back_unchanged(text: str) -> None:
    event = PlaceWanted(chat_id=CHAT, turn=1, department=text)
    assert decode(encode(event)) == event


def _same(one: Any, two: Any) -> bool:
    """Equal as JSON, times compared as moments (`…00Z` and `…00.000Z` are one).

    `two` may be older: what was added since has no value, or is not so.
    """
    if isinstance(one, dict) and isinstance(two, dict):
        added = {k for k in one.keys() - two.keys() if one[k] in (None, False)}
        return one.keys() - added == two.keys() and all(_same(one[k], two[k]) for k in two)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(_same(a, b) for a, b in zip(one, two, strict=True))
    return one == two or _moment(one) == _moment(two) is not None


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        return None


def _with_more(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{k: _with_more(v) for k, v in value.items()}, "added_later": {"by": ["a newer version", 2**70]}}
    return [_with_more(v) for v in value] if isinstance(value, list) else value
