"""What a dead letter says of itself: everything that helps, and nothing that a person wrote."""

from datetime import UTC, datetime

import pytest

from deploy.dead_letters.message import read_letter, tally, with_content, without_content
from tests.support.event_samples import golden

AT = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
DIED = {"x-first-death-queue": "transcripts.messages", "x-first-death-reason": "rejected"}
LATER = {"queue": "transcripts.messages", "reason": "delivery_limit", "count": 2, "time": AT.replace(hour=17)}
FIRST = {"queue": "transcripts.messages", "reason": "rejected", "count": 1, "time": AT}


def test_it_shows_the_origin_the_reason_and_the_time() -> None:
    letter = read_letter(golden("message.posted"), {**DIED, "x-death": [LATER, FIRST]}, None)
    assert (letter.type, letter.queue, letter.reason) == ("message.posted", "transcripts.messages", "rejected")
    assert (letter.since, letter.count, letter.problem) == (AT, 3, None)
    assert letter.id in golden("message.posted").decode()
    assert read_letter(golden("message.posted"), {}, "an-id").id == "an-id"


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"9" * 10_000, b"null", b'"x"', b'{"type": 7}', b"{}"])
def test_whatever_it_is_it_can_be_shown_and_chosen_again(body: bytes) -> None:
    letter = read_letter(body, {"x-death": "odd", "x-first-death-queue": 7}, "an id\x1b[2J")
    assert letter.id.startswith("sha-")
    assert letter.id == read_letter(body, {}, None).id
    assert (letter.queue, letter.reason, letter.since) == (None, "unknown", None)
    assert letter.problem
    assert without_content(body).isprintable()
    assert with_content(body).isprintable()


def test_a_text_of_a_participant_is_shown_as_its_length() -> None:
    shown = without_content(
        b'{"type": "later.type", "chat_id": "c-1", "seq": 7, "said": ["geheim", {"reason": "mijn reden", "nr": null}],'
        b' "mijn naam": 1, "text": "\\ud800", "state": "waiting"}'
    )
    assert shown == (
        '{"type": "later.type", "chat_id": "c-1", "seq": 7, "said": ["<6 characters>", '
        '{"reason": "<10 characters>", "nr": null}], "<9 characters>": 1, "text": "<1 characters>", "state": "waiting"}'
    )
    assert "Peeters" not in without_content(golden("message.posted"))


def test_letters_of_one_kind_are_counted_together_from_the_oldest() -> None:
    bodies = [golden("message.posted"), golden("note.posted"), golden("message.posted")]
    times = [AT.replace(hour=hour) for hour in (16, 15, 14)]
    letters = [
        read_letter(body, {**DIED, "x-death": [FIRST | {"time": at}]}, None)
        for body, at in zip(bodies, times, strict=True)
    ]
    assert [(n, oldest.type, oldest.since) for n, oldest in tally(letters)] == [
        (2, "message.posted", times[2]),
        (1, "note.posted", times[1]),
    ]
