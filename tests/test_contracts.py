"""`services/contracts.py`: every fact against its golden sample, and what is no fact is refused."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.contracts import (
    Cause,
    CitizenArrived,
    Entry,
    Fact,
    Party,
    PlaceWanted,
    decode,
    derived_id,
    encode,
    is_id,
)
from tests.samples import CHAT, FACT_TYPES, FACTS, GOLDEN, golden

TYPES = sorted(FACT_TYPES)


def test_every_fact_has_a_golden_sample_and_nothing_else_has() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(FACT_TYPES)
    assert set(FACTS) == set(FACT_TYPES)


def test_no_golden_sample_was_changed() -> None:
    listed = dict(reversed(line.split("  ")) for line in (GOLDEN / "SHA256SUMS").read_text().splitlines())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in GOLDEN.glob("*.json")}
    assert found == listed, (
        "a golden sample is never edited: old facts wait in queues; add a new optional member instead"
    )


@pytest.mark.parametrize("type_", TYPES)
def test_a_golden_sample_decodes_to_its_fact(type_: str) -> None:
    fact = decode(golden(type_))
    assert type(fact) is FACT_TYPES[type_]
    assert fact == FACTS[type_]


@pytest.mark.parametrize("type_", TYPES)
def test_encoding_keeps_every_member(type_: str) -> None:
    assert _same(json.loads(encode(decode(golden(type_)))), json.loads(golden(type_)))


@pytest.mark.parametrize("type_", TYPES)
def test_unknown_members_are_ignored_at_every_depth(type_: str) -> None:
    assert decode(json.dumps(_with_more(json.loads(golden(type_)))).encode()) == FACTS[type_]


@pytest.mark.parametrize("type_", TYPES)
def test_a_fact_never_changes(type_: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FACTS[type_].event_id = "another"  # type: ignore[misc]


@pytest.mark.parametrize("type_", TYPES)
def test_a_missing_required_member_is_refused(type_: str) -> None:
    sample = json.loads(golden(type_))
    required = [name for name, info in FACT_TYPES[type_].model_fields.items() if info.is_required()]
    assert required, "a fact that says nothing"
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
def test_what_is_no_known_fact_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        decode(body)


def test_a_lone_surrogate_is_refused_escaped_or_raw() -> None:
    for text in (rb"\ud800", rb"x\udfffy", b"\xed\xa0\x80"):
        with pytest.raises(ValidationError):
            decode(b'{"type": "citizen.arrived", "chat_id": "' + text + b'"}')
    with pytest.raises(ValidationError):
        CitizenArrived(chat_id="\ud800")


def test_a_surrogate_pair_is_one_character() -> None:
    fact = decode(rb'{"type": "citizen.arrived", "chat_id": "\ud83c\udfe0"}')
    assert isinstance(fact, CitizenArrived)
    assert fact.chat_id == "🏠"


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
def test_silence_is_a_finite_time(number: str) -> None:
    body = golden("gateway.connections").replace(b"0.25", number.encode())
    with pytest.raises(ValidationError):
        decode(body)


@given(st.text())
def test_any_text_that_can_be_kept_comes_back_unchanged(text: str) -> None:
    fact = PlaceWanted(chat_id=CHAT, turn=1, department=text)
    assert decode(encode(fact)) == fact


def test_facts_get_an_id_and_a_time_of_their_own() -> None:
    one, two = CitizenArrived(chat_id=CHAT), CitizenArrived(chat_id=CHAT)
    assert is_id(one.event_id)
    assert one.event_id != two.event_id
    assert abs((datetime.now(UTC) - one.occurred_at).total_seconds()) < 5


def test_only_the_closed_event_is_the_seal() -> None:
    def entry(event: Cause | None) -> Entry:
        return Entry(
            chat_id=CHAT, seq=1, id="x", party=Party.SYSTEM, sender_id="system", event=event, at=datetime.now(UTC)
        )

    assert [event for event in (None, *Cause) if entry(event).is_seal] == [Cause.CLOSED]


def test_derived_ids_are_stable_and_tell_parts_apart() -> None:
    assert derived_id("chat", 1, "opened") == "13366996-e5b0-5a17-826c-7096da01ccd3"
    assert derived_id("chat", 1, "opened") != derived_id("chat", 2, "opened")
    assert is_id(derived_id("chat", 1))


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        CHAT.upper(),
        f"{{{CHAT}}}",
        CHAT.replace("-", ""),
        f"urn:uuid:{CHAT}",
        CHAT + " ",
        "z" * 36,
        "-" * 36,
    ],
)
def test_only_the_canonical_form_is_an_id(text: object) -> None:
    assert not is_id(text)
    assert is_id(CHAT)


def _same(one: Any, two: Any) -> bool:
    """Equal as JSON, times compared as moments (`…00Z` and `…00.000Z` are one)."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[k], two[k]) for k in one)
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


def test_the_base_of_facts_is_not_a_fact() -> None:
    assert Fact not in FACT_TYPES.values()
