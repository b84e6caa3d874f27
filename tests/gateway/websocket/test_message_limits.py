"""`services/gateway/websocket/message_limits.py`: what a participant may do, whatever the number of connections."""

import asyncio

import pytest

from services.common.events.types import Party
from services.gateway import rate_limits
from services.gateway.websocket import message_limits
from services.gateway.websocket.message_limits import AT_A_TIME, MessageLimits
from tests.gateway.making import AN, CHAT, OTHER, entry, id_of


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def said(ours: MessageLimits, first: int, count: int, sender: str = "citizen", size: int = 1, chat: str = CHAT) -> int:
    """How many of so many new messages are taken."""
    return sum(ours.message(chat, sender, id_of(first + n), size) for n in range(count))


def test_messages_are_counted_by_chat_and_sender(clock: Clock) -> None:
    ours = MessageLimits(clock=clock)
    assert said(ours, 0, 150) == 100
    assert said(ours, 1_000, 150, sender=AN) == 100
    assert said(ours, 0, 150, chat=OTHER) == 100
    clock.now += 2
    assert said(ours, 200, 150) == 20


def test_bytes_are_counted_beside_messages(clock: Clock) -> None:
    ours = MessageLimits(clock=clock)
    assert said(ours, 0, 100, size=4_000) == 100, "texts of 4,000 characters of one byte are never too large"
    other = MessageLimits(clock=clock)
    taken = said(other, 0, 100, size=16_000)
    assert 25 <= taken <= 26
    clock.now += 10
    assert said(other, 200, 100, size=16_000) <= 26, "40,000 bytes a second"


def test_an_id_is_counted_once_and_a_repeat_costs_little(clock: Clock) -> None:
    ours = MessageLimits(clock=clock)
    assert said(ours, 0, 32, size=4_000) == 32
    for _ in range(10):  # ten reconnects with 32 messages under way each
        assert said(ours, 0, 32, size=4_000) == 32
    assert said(ours, 100, 100) >= 30
    assert not all(ours.message(CHAT, "citizen", id_of(0), 1) for _ in range(1_000)), "but not for ever"


def test_what_came_by_way_of_another_gateway_counts_too(clock: Clock) -> None:
    ours = MessageLimits(clock=clock)
    assert said(ours, 0, 10) == 10
    for number in range(60):  # ten of them are its own
        ours.stored(entry(number + 1, id=id_of(number)))
        ours.stored(entry(number + 1, id=id_of(500 + number), party=Party.SYSTEM, sender_id="system"))
    assert said(ours, 100, 100) == 40


def test_without_limits_nothing_is_refused_but_bad_frames(clock: Clock) -> None:
    ours = MessageLimits(limited=False, clock=clock)
    assert said(ours, 0, 1_000, size=16_000) == 1_000
    assert all(ours.frame("citizen/a") and ours.hello("citizen/a") for _ in range(1_000))
    assert sum(ours.bad_frame("citizen/a") for _ in range(100)) == rate_limits.BAD_FRAMES_PER_PARTICIPANT.burst


def test_who_was_shown_a_long_log_again_and_again_waits(clock: Clock) -> None:
    ours = MessageLimits(clock=clock)
    for _ in range(2):
        assert ours.hello("citizen/a")
        ours.showed("citizen/a", 10 * 2**20)
    assert not ours.hello("citizen/a")
    assert ours.hello("citizen/b")
    clock.now += 4 * 2**20 / rate_limits.LOG_BYTES_PER_CITIZEN.per_second + 1
    assert ours.hello("citizen/a")


def test_hellos_are_counted_by_participant(clock: Clock) -> None:
    ours = MessageLimits(clock=clock)
    assert sum(ours.hello("citizen/a") for _ in range(50)) == rate_limits.HELLOS_PER_PARTICIPANT.burst
    clock.now += 3
    assert sum(ours.hello("citizen/a") for _ in range(50)) == 3


async def test_two_hellos_of_one_participant_are_answered_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, at_once, most = MessageLimits(), 0, 0

    async def answer(participant: str) -> None:
        nonlocal at_once, most
        async with ours.turn(participant):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(answer("citizen/a") for _ in range(20)))
    assert most == AT_A_TIME
    assert not ours.answering, "nothing is kept of who is answered"
    monkeypatch.setattr(message_limits, "TURN_LIMIT", 0.01)
    async with ours.turn("citizen/a"), ours.turn("citizen/a"), ours.turn("citizen/b"):
        with pytest.raises(TimeoutError):
            async with ours.turn("citizen/a"):
                raise AssertionError("nobody was done")
    assert not ours.answering
