"""`services/gateway/websocket/connection.py`: bounded outboxes, and nothing before or within the answer to a hello."""

import asyncio
from collections.abc import Callable

import pytest

from services.common.events.types import Party
from services.gateway.websocket.connection import MOST_BYTES, MOST_FRAMES, Connection
from services.gateway.websocket.frames.server import Close
from tests.gateway.making import Paper, written
from tests.support.servers import PATIENCE


def answered(socket: Paper | None = None) -> Connection:
    """A connection whose hello was answered."""
    connection = Connection(Party.CITIZEN, socket or Paper())
    connection.end_answer()
    return connection


async def test_the_frames_of_a_turn_are_written_in_one_piece_in_order_and_the_close_after_them() -> None:
    socket = Paper(full=False)
    connection = answered(socket)
    connection.send(b"1")
    connection.send(b"2")
    assert (socket.written, socket.asked) == ([], 1)
    connection.close(Close.ENDED, "citizen")
    connection.send(b"3")
    await asyncio.sleep(0)
    assert (socket.written, socket.pieces, socket.closed) == ([b"1", b"2"], 1, (1000, "citizen"))


async def test_a_close_alone_is_written_too() -> None:
    socket = Paper(full=False)
    answered(socket).close(Close.RESTART, "restart")
    await asyncio.sleep(0)
    assert socket.closed == (1012, "restart")


async def test_what_a_full_socket_does_not_take_waits_and_goes_on_in_order() -> None:
    socket = Paper(full=False)
    connection = answered(socket)
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
    connection, frames = answered(socket), [bytes([n]) * 10_000 for n in range(100)]
    for frame in frames:
        connection.send(frame)
    await asyncio.sleep(0)
    assert socket.written == frames
    assert 10 < socket.pieces < 20
    assert not connection.waiting


async def test_the_first_code_stands() -> None:
    connection = answered()
    connection.close(Close.RESTART, "restart")
    connection.close(Close.ENDED, "later")
    assert connection.closing == (1012, "restart")


async def test_over_the_bound_of_bytes_the_connection_is_dropped_with_4430() -> None:
    socket = Paper()
    connection = answered(socket)
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
    connection = answered(socket)
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
    connection, frame = answered(socket), b"x" * 16_000

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
async def test_no_sender_waits_for_room_in_a_connection_that_is_over(over: Callable[[Connection], None]) -> None:
    connection = answered()
    connection.send(b"x" * (MOST_BYTES // 2 + 1))
    waiting = asyncio.create_task(connection.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    over(connection)
    await asyncio.wait_for(waiting, PATIENCE)


def test_a_connection_that_is_closed_gets_nothing() -> None:
    connection = answered()
    connection.end()
    connection.send(b"{}")
    assert written(connection) == []


def test_nothing_goes_out_before_or_within_the_answer_to_a_hello() -> None:
    connection = Connection(Party.CITIZEN, Paper())
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


def test_a_client_that_is_never_answered_costs_little_and_gets_only_the_reason() -> None:
    flooded = Connection(Party.CITIZEN, Paper())
    for _ in range(MOST_FRAMES + 1):
        flooded.send(b"x")
    assert flooded.closing
    assert flooded.closing[0] == Close.TOO_SLOW
    large = Connection(Party.CITIZEN, Paper())
    for _ in range(MOST_BYTES // 1000 + 1):
        large.send(b"x" * 1000)
    assert large.closing
    assert not large.waiting
    refused = Connection(Party.CITIZEN, Paper())
    refused.send(b"status")
    refused.answer(b"error")
    refused.close(Close.RESTART, "try again")
    refused.end_answer()
    assert written(refused) == [b"error"]
