"""`services/facts.py`: every fact has a golden sample that is never edited, an id and a time, and never changes."""

import hashlib
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from services import facts, said
from services.facts import CitizenArrived, Fact
from services.values import is_id
from tests.samples import CHAT, FACT_TYPES, FACTS, GOLDEN

TYPES = sorted(FACT_TYPES)


def test_every_fact_has_a_golden_sample_and_nothing_else_has() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(FACT_TYPES)
    assert set(FACTS) == set(FACT_TYPES)


def test_no_golden_sample_was_changed() -> None:
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in GOLDEN.glob("*.json")}
    assert found == listed, (
        "a golden sample is never edited: old facts wait in queues; add a new optional member instead"
    )


@pytest.mark.parametrize("type_", TYPES)
def test_a_fact_never_changes(type_: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FACTS[type_].event_id = "another"  # type: ignore[misc]


def test_facts_get_an_id_and_a_time_of_their_own() -> None:
    one, two = CitizenArrived(chat_id=CHAT), CitizenArrived(chat_id=CHAT)
    assert is_id(one.event_id)
    assert one.event_id != two.event_id
    assert abs((datetime.now(UTC) - one.occurred_at).total_seconds()) < 5


def test_the_base_of_facts_is_not_a_fact() -> None:
    assert Fact not in FACT_TYPES.values()


def test_every_fact_can_be_decoded() -> None:
    named = (*vars(facts).values(), *vars(said).values())
    defined = {kind for kind in named if isinstance(kind, type) and issubclass(kind, Fact)} - {Fact}
    assert defined == set(FACT_TYPES.values())
