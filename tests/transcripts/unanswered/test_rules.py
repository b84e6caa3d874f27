"""`unanswered/rules.py`: since when a citizen has been waiting for an answer of their agent."""

from datetime import UTC, datetime, timedelta

import pytest

from services.common.events.types import Cause, CloseReason, Entry, Party
from services.transcripts.unanswered.rules import AGAIN, look, unanswered_since

BEGIN = datetime(2026, 11, 23, 9, tzinfo=UTC)
EVENTS = {"opened": Cause.OPENED, "assigned": Cause.ASSIGNED, "left": Cause.AGENT_LEFT, "closed": Cause.CLOSED}


def entry(number: int, word: str) -> Entry:
    """An entry of the log: a citizen's message `c`, an agent's `a`, or a system event."""
    event = EVENTS.get(word)
    return Entry(
        chat_id="x",
        seq=number + 1,
        id=str(number),
        party={"c": Party.CITIZEN, "a": Party.AGENT}.get(word, Party.SYSTEM),
        sender_id="s",
        event=event,
        reason=CloseReason.AGENT if event is Cause.CLOSED else None,
        at=BEGIN + timedelta(minutes=number),
    )


@pytest.mark.parametrize(
    ("words", "minute"),
    [
        ("", None),
        ("opened", None),
        ("opened c", None),
        ("opened c assigned", 2),
        ("opened assigned", None),
        ("opened assigned c", 2),
        ("opened c assigned c", 3),
        ("opened assigned c c c", 2),
        ("opened assigned c a", None),
        ("opened assigned c a c c", 4),
        ("opened assigned c a left", None),
        ("opened assigned c a left c", None),
        ("opened assigned c a left c assigned", 6),
        ("opened assigned a left assigned", None),
        ("opened assigned c closed", None),
        ("c c c", 0),
    ],
)
def test_since_when(words: str, minute: int | None) -> None:
    expected = None if minute is None else BEGIN + timedelta(minutes=minute)
    latest = [entry(number, word) for number, word in enumerate(words.split())][::-1]
    assert unanswered_since(latest) == expected


AFTER = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("words", "now", "since", "again"),
    [
        ("", 10, None, 15),
        ("opened assigned c a", 10, None, 15),
        ("opened assigned c", 6, None, 7),
        ("opened assigned c c", 7, 2, None),
        ("opened c assigned", 6, None, 7),
        ("opened assigned c closed", 10, None, -1),
    ],
)
def test_when_a_wait_is_too_long_and_when_to_look_again(
    words: str, now: int, since: int | None, again: int | None
) -> None:
    """`again` None: soon, because the wait may last; -1: never, because the chat has ended."""
    latest = [entry(number, word) for number, word in enumerate(words.split())][::-1]
    at = BEGIN + timedelta(minutes=now)
    later = at + AGAIN if again is None else None if again < 0 else BEGIN + timedelta(minutes=again)
    assert look(latest, AFTER, at) == (None if since is None else BEGIN + timedelta(minutes=since), later)
