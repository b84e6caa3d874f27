"""`delivery_metrics.py`, as the chats call it: once for each message that came live, by who was shown it."""

import time
from datetime import timedelta

import pytest

from services.common.clock import utcnow
from services.common.events.types import Entry, Party
from services.gateway.participants.sessions import AgentSession, CitizenSession
from services.gateway.sending.delivery_metrics import SECONDS
from tests.gateway.chats.test_event_router import Stage
from tests.gateway.making import agent, citizen, entry, stored, value_of


def counted(to: str) -> tuple[float, float]:
    """How many messages were shown to this party, and the seconds that they took together."""
    return value_of(SECONDS, "_count", to=to), value_of(SECONDS, "_sum", to=to)


def posted(seq: int, by: Party, seconds_ago: float = 0.2) -> Entry:
    return entry(seq, party=by, posted_at=utcnow() - timedelta(seconds=seconds_ago))


@pytest.mark.parametrize(("by", "to"), [(Party.CITIZEN, Party.AGENT), (Party.AGENT, Party.CITIZEN)])
def test_a_message_counts_once_when_the_other_party_is_shown_it(by: Party, to: Party) -> None:
    stage = Stage()
    for session in (citizen(), agent(), agent()):
        stage.join(session)
    count, seconds = counted(to.value)
    own, began = counted(by.value), time.monotonic()
    stage.router.handle(stored(posted(1, by)))
    stage.router.handle(stored(posted(1, by)))
    after, together = counted(to.value)
    assert after - count == 1, "told twice, shown once, on two connections"
    assert 0.199 <= together - seconds <= 0.201 + time.monotonic() - began
    assert counted(by.value) == own


def test_what_nobody_of_the_other_party_is_shown_here_does_not_count() -> None:
    stage = Stage()
    stage.join(citizen())
    before = counted("agent")
    stage.router.handle(stored(posted(1, Party.CITIZEN)))
    assert counted("agent") == before


@pytest.mark.parametrize("by", [Party.CITIZEN, Party.SYSTEM])
def test_what_is_read_again_or_said_by_the_system_does_not_count(by: Party) -> None:
    stage = Stage()
    members: tuple[CitizenSession, AgentSession] = (citizen(), agent())
    for session in members:
        stage.join(session)
    before = counted("agent"), counted("citizen")
    stage.router.handle(stored(entry(1, party=by)))
    assert (counted("agent"), counted("citizen")) == before


def test_a_clock_that_is_behind_the_senders_makes_no_negative_time() -> None:
    stage = Stage()
    stage.join(agent())
    _, before = counted("agent")
    stage.router.handle(stored(posted(1, Party.CITIZEN, seconds_ago=-3_600)))
    assert counted("agent")[1] == before
