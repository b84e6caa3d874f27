"""`services/common/events/types.py`: ids in one form only, and records that hold nothing the database could not."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.events.types import Cause, Entry, Note, Party, Sender, derived_id, is_id
from tests.support.event_samples import CHAT


def test_only_the_closed_event_is_the_seal() -> None:
    def entry(event: Cause | None) -> Entry:
        return Entry(
            chat_id=CHAT, seq=1, id="x", party=Party.SYSTEM, sender_id="system", event=event, at=datetime.now(UTC)
        )

    assert [event for event in (None, *Cause) if entry(event).is_seal] == [Cause.CLOSED]


def test_derived_ids_are_stable_and_differ_for_other_parts() -> None:
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


@given(st.lists(st.text(max_size=5) | st.integers(), min_size=1, max_size=4))
def test_any_derived_id_is_an_id(parts: list[object]) -> None:
    assert is_id(derived_id(*parts))
    assert derived_id(*parts) == derived_id(*parts)


def test_a_record_does_not_change_and_holds_no_lone_surrogate() -> None:
    note = Note(chat_id=CHAT, id="n", agent_id="an", name="An", text="…", at=datetime.now(UTC))
    with pytest.raises(ValidationError, match="frozen"):
        note.text = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="unicode"):
        Sender(party=Party.CITIZEN, id="citizen", name="\udfff")
