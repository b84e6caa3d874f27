"""`services/gateway/connections.py`: bounded outboxes, and at most five connections of one participant."""

import asyncio

from services.contracts import Party
from services.gateway.connections import MOST_BYTES, MOST_FRAMES, PER_PARTICIPANT, Register
from services.gateway.frames import Close
from tests.gateway.making import AN, BERT, agent, citizen, sent


async def test_frames_come_out_in_order_and_the_close_after_them() -> None:
    connection = citizen()
    connection.send(b"1")
    connection.send(b"2")
    connection.close(Close.ENDED, "citizen")
    connection.send(b"3")
    assert [await connection.next_frame() for _ in range(3)] == [b"1", b"2", None]
    assert connection.closing == (1000, "citizen")


async def test_the_writer_is_woken_by_a_frame_and_by_a_close() -> None:
    connection = citizen()
    waiting = asyncio.create_task(connection.next_frame())
    await asyncio.sleep(0)
    connection.send(b"1")
    assert await waiting == b"1"
    waiting = asyncio.create_task(connection.next_frame())
    await asyncio.sleep(0)
    connection.close(Close.RESTART)
    assert await waiting is None


async def test_the_first_code_stands() -> None:
    connection = citizen()
    connection.close(Close.RESTART, "restart")
    connection.close(Close.ENDED, "later")
    assert connection.closing == (1012, "restart")


async def test_over_the_bound_of_bytes_the_connection_is_dropped_with_4430() -> None:
    dropped: list[int] = []
    connection = citizen(lambda code, reason: dropped.append(code))
    frame = b"x" * 64 * 1024
    for _ in range(MOST_BYTES // len(frame)):
        connection.send(frame)
    assert dropped == []
    connection.send(b"y")
    assert dropped == [Close.TOO_SLOW]
    assert connection.closing is not None
    assert connection.closing[0] == Close.TOO_SLOW
    assert not connection._outbox, "nothing is kept for it"
    connection.send(b"z")
    assert dropped == [Close.TOO_SLOW]
    assert await connection.next_frame() is None


async def test_over_the_bound_of_frames_too_and_what_was_read_does_not_count() -> None:
    dropped: list[int] = []
    connection = citizen(lambda code, reason: dropped.append(code))
    for _ in range(2 * MOST_FRAMES):
        connection.send(b"x")
        assert await connection.next_frame() == b"x"
    for _ in range(MOST_FRAMES):
        connection.send(b"x")
    assert dropped == []
    connection.send(b"x")
    assert dropped == [Close.TOO_SLOW]


async def test_a_long_log_waits_for_its_reader_and_is_never_too_slow() -> None:
    dropped: list[int] = []
    connection, frame = citizen(lambda code, reason: dropped.append(code)), b"x" * 16_000

    async def write() -> None:
        for _ in range(500):
            connection.send(frame)
            await connection.room()
        connection.close(Close.ENDED)

    writing, read = asyncio.create_task(write()), 0
    while await connection.next_frame() is not None:
        read += 1
    await writing
    assert (read, dropped) == (500, [])


async def test_nobody_waits_for_room_in_a_connection_that_is_over() -> None:
    connection = citizen()
    connection.send(b"x" * (MOST_BYTES // 2 + 1))
    waiting = asyncio.create_task(connection.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    connection.close(Close.RESTART)
    await asyncio.wait_for(waiting, 1)


def test_a_connection_that_is_gone_gets_nothing() -> None:
    connection = citizen()
    connection.gone = True
    connection.send(b"{}")
    assert sent(connection) == []


def test_the_first_and_the_last_of_a_participant_are_told() -> None:
    register = Register()
    one, two = agent(AN), agent(AN)
    assert register.join(one)
    assert not register.join(two)
    assert not register.join(two), "a repeated hello"
    assert register.join(agent(BERT))
    assert register.of(AN) == [one, two]
    assert not register.leave(one)
    assert register.leave(two)
    assert not register.leave(two)
    assert register.of(AN) == []
    assert [c.participant for c in register.connected] == [BERT]
    assert register.by_participant.keys() == {BERT}


def test_the_oldest_of_six_gives_way() -> None:
    register, six = Register(), [citizen() for _ in range(PER_PARTICIPANT + 1)]
    for connection in six[:-1]:
        register.join(connection)
    assert all(c.closing is None for c in six)
    register.join(six[-1])
    assert six[0].closing == (4409, "more than five connections")
    assert all(c.closing is None for c in six[1:])
    register.leave(six[0])
    seventh = citizen()
    register.join(seventh)
    assert [c.closing is not None for c in (*six, seventh)] == [True, True, *[False] * 5]


def test_citizens_and_agents_are_told_apart() -> None:
    register, one, two = Register(), citizen(), agent()
    register.join(one)
    register.join(two)
    assert list(register.of_party(Party.CITIZEN)) == [one]
    assert list(register.of_party(Party.AGENT)) == [two]
    assert one.participant.startswith("citizen/")
