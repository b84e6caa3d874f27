"""`services/gateway/websocket/connection.py`: bounded outboxes, and at most five connections of one participant."""

import asyncio
from collections.abc import Callable

import pytest

from services.common.events.types import Party
from services.gateway.websocket.connection import MOST_BYTES, MOST_FRAMES, PER_PARTICIPANT, Connection, Register
from services.gateway.websocket.frames.server import Close
from tests.gateway.making import AN, BERT, Paper, agent, citizen, fresh_citizen, sent, written
from tests.real import PATIENCE


async def test_the_frames_of_a_turn_are_written_in_one_piece_in_order_and_the_close_after_them() -> None:
    socket = Paper(full=False)
    connection = citizen(socket)
    connection.send(b"1")
    connection.send(b"2")
    assert (socket.written, socket.asked) == ([], 1)
    connection.close(Close.ENDED, "citizen")
    connection.send(b"3")
    await asyncio.sleep(0)
    assert (socket.written, socket.pieces, socket.closed) == ([b"1", b"2"], 1, (1000, "citizen"))


async def test_a_close_alone_is_written_too() -> None:
    socket = Paper(full=False)
    citizen(socket).close(Close.RESTART, "restart")
    await asyncio.sleep(0)
    assert socket.closed == (1012, "restart")


async def test_what_a_full_socket_does_not_take_waits_and_goes_on_in_order() -> None:
    socket = Paper(full=False)
    connection = citizen(socket)
    connection.send(b"1")
    await asyncio.sleep(0)
    socket.full = True
    connection.send(b"2")
    connection.send(b"3")
    connection.close(Close.ENDED)
    connection.flush()
    assert (socket.written, socket.closed) == ([b"1"], None)
    socket.full = False
    connection.flush()
    assert (socket.written, socket.closed) == ([b"1", b"2", b"3"], (1000, ""))


async def test_what_is_much_is_written_in_pieces() -> None:
    """However long the outbox, the kernel is given little more at a time than it has said that it takes."""
    socket = Paper(full=False)
    connection, frames = citizen(socket), [bytes([n]) * 10_000 for n in range(100)]
    for frame in frames:
        connection.send(frame)
    await asyncio.sleep(0)
    assert socket.written == frames
    assert 10 < socket.pieces < 20
    assert not connection.waiting


async def test_the_first_code_stands() -> None:
    connection = citizen()
    connection.close(Close.RESTART, "restart")
    connection.close(Close.ENDED, "later")
    assert connection.closing == (1012, "restart")


async def test_over_the_bound_of_bytes_the_connection_is_dropped_with_4430() -> None:
    socket = Paper()
    connection = citizen(socket)
    frame = b"x" * 64 * 1024
    for _ in range(MOST_BYTES // len(frame)):
        connection.send(frame)
    assert socket.closed is None
    connection.send(b"y")
    assert socket.closed == (Close.TOO_SLOW, "reads too slowly")
    assert connection.closing == socket.closed
    assert not connection.waiting, "nothing is kept for it"
    connection.send(b"z")
    assert not connection.waiting


async def test_over_the_bound_of_frames_too_and_what_was_read_does_not_count() -> None:
    socket = Paper(full=False)
    connection = citizen(socket)
    for _ in range(2 * MOST_FRAMES):
        connection.send(b"x")
        connection.flush()
    assert len(socket.written) == 2 * MOST_FRAMES
    socket.full = True
    for _ in range(MOST_FRAMES):
        connection.send(b"x")
    assert socket.closed is None
    connection.send(b"x")
    assert connection.closing == (Close.TOO_SLOW, "reads too slowly")


async def test_a_long_log_waits_for_its_reader_and_is_never_too_slow() -> None:
    socket = Paper()
    connection, frame = citizen(socket), b"x" * 16_000

    async def write() -> None:
        for _ in range(500):
            connection.send(frame)
            await connection.room()
        connection.close(Close.ENDED)

    writing = asyncio.create_task(write())
    while not writing.done():
        await asyncio.sleep(0)
        assert connection.waiting < 50
        socket.full = False
        connection.flush()
        socket.full = True
    socket.full = False
    connection.flush()
    assert (len(socket.written), socket.closed) == (500, (1000, ""))


@pytest.mark.parametrize("over", [lambda c: c.close(Close.RESTART), lambda c: c.end()])
async def test_nobody_waits_for_room_in_a_connection_that_is_over(over: Callable[[Connection], None]) -> None:
    connection = citizen()
    connection.send(b"x" * (MOST_BYTES // 2 + 1))
    waiting = asyncio.create_task(connection.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    over(connection)
    await asyncio.wait_for(waiting, PATIENCE)


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


def test_nothing_goes_out_before_or_within_the_answer_to_a_hello() -> None:
    connection = fresh_citizen()
    for answer in (b"welcome", b"welcome again"):
        connection.begin_answer()
        connection.send(b"status")
        assert written(connection) == []
        assert not connection.answered
        connection.answer(answer)
        connection.send(b"typing")
        connection.answer(b"message")
        connection.end_answer()
        assert written(connection) == [answer, b"message", b"status", b"typing"]
        connection.send(b"live")
        assert written(connection) == [b"live"]


def test_who_is_never_answered_costs_little_and_hears_only_why() -> None:
    flooded = fresh_citizen()
    for _ in range(MOST_FRAMES + 1):
        flooded.send(b"x")
    assert flooded.closing
    assert flooded.closing[0] == Close.TOO_SLOW
    large = fresh_citizen()
    for _ in range(MOST_BYTES // 1000 + 1):
        large.send(b"x" * 1000)
    assert large.closing
    assert not large.waiting
    refused = fresh_citizen()
    refused.send(b"status")
    refused.answer(b"error")
    refused.close(Close.RESTART, "try again")
    refused.end_answer()
    assert written(refused) == [b"error"]
