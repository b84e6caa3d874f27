"""`services/gateway/sending/sender.py`: deliveries to the other party, and messages that have no receipt."""

import time
from datetime import timedelta

import pytest

from services.common.clock import utcnow
from services.common.events.chats import CloseRequested
from services.common.events.types import CloseReason, Entry, Party
from services.gateway.chats.live_chats import DELIVERY_TIME
from services.gateway.participants.sessions import AgentSession, CitizenSession
from services.gateway.sending.send_queue import Item, SendQueue
from services.gateway.sending.sender import FRAMES, OLDEST, Pending
from tests.gateway.chats.test_event_router import Stage
from tests.gateway.making import CHAT, agent, citizen, entry, id_of, stored, value_of


def counted(to: str) -> tuple[float, float]:
    """How many messages were shown to this party, and the seconds that they took together."""
    return value_of(DELIVERY_TIME, "_count", to=to), value_of(DELIVERY_TIME, "_sum", to=to)


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


def test_what_the_other_party_is_not_shown_here_does_not_count() -> None:
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


# ── without a receipt ────────────────────────────────────────────────────────────────────────────────────────────────


def shown() -> tuple[float, float]:
    return value_of(FRAMES), value_of(OLDEST)


def item(number: int, seconds_ago: float) -> Item:
    at = utcnow() - timedelta(seconds=seconds_ago)
    return Item(id_of(number), CloseRequested(chat_id=CHAT, by=CloseReason.CITIZEN, occurred_at=at))


def test_all_frames_of_all_send_queues_count_and_the_oldest_head_is_the_oldest() -> None:
    pending, one, other, here = Pending(), SendQueue(), SendQueue(), citizen()
    assert shown() == (0, 0)
    for queue, ages in ((one, (5.0, 2.0)), (other, (40.0, 1.0, 0.0))):
        for number, age in enumerate(ages, len(queue.items) + 1):
            queue.offer(item(number, age))
        pending.begin(queue, here)
    frames, oldest = shown()
    assert frames == 5
    assert 40 <= oldest < 80
    other.settle(id_of(1))
    frames, oldest = shown()
    assert frames == 4
    assert 5 <= oldest < 40
    pending.end(one)
    pending.end(other)
    pending.end(other)
    assert shown() == (0, 0)


def test_what_a_browser_left_behind_counts_as_waited_for_no_more() -> None:
    pending, queue, left = Pending(), SendQueue(), citizen()
    queue.offer(item(1, 5.0))
    pending.begin(queue, left)
    assert shown()[0] == 1
    left.connection.end()
    assert shown() == (0, 0)
