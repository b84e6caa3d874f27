"""`services/gateway/websocket/session.py` behind a real server: every way to misbehave, and its answer.

Each is closed with its own code, and disturbs nobody else.
"""

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from services.common.events.agents import SessionEnded
from services.common.events.messages import MessagePosted
from services.common.events.types import ChatStatus
from services.common.internal_api import presence as presence_api
from services.gateway import app as composition
from services.gateway import rate_limits
from services.gateway.participants.sessions import CitizenSession
from services.gateway.websocket import session
from services.gateway.websocket.frames.client import Frame, Hello, Post
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits
from services.gateway.websocket.session import HELLO_LIMIT, FrameSession
from tests.gateway.browsers import Raw, browser, close_code, receive, say
from tests.gateway.making import AN, CHAT, OTHER, citizen, entry, id_of, seal, state, view
from tests.gateway.standing import KEYS, Gateway, World, gateway_of
from tests.support.conditions import until


@contextlib.asynccontextmanager
async def limited(world: World, monkeypatch: pytest.MonkeyPatch, **bursts: int) -> AsyncIterator[Gateway]:
    """A gateway with its abuse limits on, and with these bursts, beyond which nothing is earned during a test."""
    for name, burst in bursts.items():
        monkeypatch.setattr(rate_limits, name, rate_limits.Limit(burst, 1e-6))
    async with gateway_of(world.settings.model_copy(update={"rate_limits": "on"})) as one:
        yield one


# ── the first frame ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_hello_in_time_is_4401(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert HELLO_LIMIT == 5.0
    monkeypatch.setattr(session, "HELLO_LIMIT", 0.3)
    began = time.monotonic()
    async with browser(gateway) as one:
        assert await close_code(one) == Close.UNAUTHENTICATED
    assert time.monotonic() - began > 0.2


NO_FRAMES: tuple[str | bytes, ...] = (
    *("", "dag", "[]", "null", "{}", '{"type":[]}', '{"type":"shout"}', '{"type":"accept"}'),
    *(b'{"type":"hello"}', b"\0"),
)


async def test_what_is_no_frame_is_4400(gateway: Gateway) -> None:
    for first in NO_FRAMES:
        async with browser(gateway) as one:
            await one.send(first)
            assert await close_code(one) == Close.BAD_FRAME, first


async def test_another_first_frame_than_a_hello_is_4401(gateway: Gateway) -> None:
    for first in ({"type": "close"}, {"type": "read", "seq": 1}, {"type": "hello", "after": "1"}):
        async with browser(gateway) as one:
            await one.send(json.dumps(first))
            assert await close_code(one) == Close.UNAUTHENTICATED, first


async def test_a_bad_token_is_4401(gateway: Gateway) -> None:
    for token in ("", "nonsense", "a.b.c", "\U0001f3e0", KEYS.service_token("gateway"), "x" * 3_000, 7):
        async with browser(gateway) as one:
            await say(one, "hello", token=token)
            assert await close_code(one) == Close.UNAUTHENTICATED, token


async def test_another_chats_token_on_the_same_connection_is_4401(world: World, gateway: Gateway) -> None:
    token, other = world.others.open(CHAT), world.others.open(OTHER)
    async with browser(gateway) as one:
        await say(one, "hello", token=token)
        await receive(one, "message")
        await say(one, "hello", token=other)
        assert await close_code(one) == Close.UNAUTHENTICATED


@pytest.mark.parametrize("path", ["/ws/citizen", "/ws/agent"])
async def test_a_foreign_origin_is_4403(gateway: Gateway, path: str) -> None:
    for origin in ("https://evil.be", "null", "http://[::1", "x", ""):
        async with browser(gateway, path, Origin=origin) as one:
            assert await close_code(one) == Close.FORBIDDEN_ORIGIN, origin


async def test_our_own_origin_is_welcome_and_a_citizen_may_have_none(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    for headers in ({}, {"Origin": f"http://{gateway.address}"}):
        async with browser(gateway, **headers) as one:
            await say(one, "hello", token=token)
            assert (await receive(one))["type"] == "welcome"


async def test_an_agent_needs_an_origin_and_a_session(world: World, gateway: Gateway) -> None:
    own = {"Origin": f"http://{gateway.address}"}
    cookie = {"Cookie": f"eloket-agent={world.others.log_in(AN)}"}
    async with browser(gateway, "/ws/agent", **cookie) as one:
        assert await close_code(one) == Close.FORBIDDEN_ORIGIN
    for wrong in ({}, {"Cookie": "eloket-agent=stolen"}):
        async with browser(gateway, "/ws/agent", **own, **wrong) as one:
            assert await close_code(one) == Close.UNAUTHENTICATED
    async with browser(gateway, "/ws/agent", **own, **cookie) as one:
        await say(one, "hello", chats={})
        assert (await receive(one))["agent"]["id"] == AN
        await world.publisher.publish(SessionEnded(agent_id=AN, session_id=f"session-{AN}"))
        assert await close_code(one) == Close.UNAUTHENTICATED
    world.others.away.add(presence_api.SESSION_LOOKUP)
    async with browser(gateway, "/ws/agent", **own, **cookie) as one:
        assert (await receive(one))["code"] == "unavailable"
        assert await close_code(one) == Close.RESTART


# ── after the welcome ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_sent_right_behind_the_hello_is_taken_in_order(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    async with browser(gateway) as one:
        await say(one, "hello", token=token)
        for number in range(10, 30):
            await say(one, "message", id=id_of(number), text=f"bericht {number}")
        for number in range(10, 30):
            frame = await receive(one, "message") if number > 10 else await _second(one)
            assert (frame["seq"], frame["id"]) == (number - 8, id_of(number))
    assert [p.id for p in world.received(MessagePosted)] == [id_of(n) for n in range(10, 30)]


async def test_what_a_hello_shows_takes_no_room_in_the_queue_when_it_is_sent_again(
    world: World, gateway: Gateway
) -> None:
    token, sent_before, new = world.others.open(CHAT), range(10, 42), range(42, 47)
    async with browser(gateway) as one:
        await say(one, "hello", token=token)
        for number in sent_before:
            await say(one, "message", id=id_of(number), text=f"bericht {number}")
        while (await receive(one, "message"))["id"] != id_of(sent_before[-1]):
            pass
    async with browser(gateway) as again:  # it had lost all receipts
        await say(again, "hello", token=token)
        for number in (*sent_before, *new):
            await say(again, "message", id=id_of(number), text=f"bericht {number}")
        received: list[dict[str, Any]] = []
        while not received or received[-1].get("id") != id_of(new[-1]):
            received.append(await receive(again, "message", "error"))
    assert [f for f in received if f["type"] == "error"] == []
    assert {f["id"] for f in received} >= {id_of(n) for n in (*sent_before, *new)}
    assert [p.id for p in world.received(MessagePosted)] == [id_of(n) for n in (*sent_before, *new)]


async def _second(one: ClientConnection) -> dict[str, Any]:
    assert (await receive(one, "message"))["event"] == "opened"
    return await receive(one, "message")


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"type": "message", "id": id_of(1), "text": ""}, "invalid"),
    ({"type": "message", "id": id_of(1), "text": "x" * 4_001}, "too_long"),
    ({"type": "message", "id": id_of(1), "text": "a\0b"}, "invalid"),
    ({"type": "message", "id": "7", "text": "x"}, "invalid"),
    ({"type": "read", "seq": 99}, "invalid"),
    ({"type": "read", "seq": True}, "invalid"),
    ({"type": "typing", "active": "yes"}, "invalid"),
    ({"type": "hello", "token": "x", "after": -1}, "invalid"),
    ({"type": "message", "id": id_of(1), "text": "x" * 60_000}, "too_long"),
)


async def test_a_wrong_value_is_an_error_and_the_connection_stays(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    async with browser(gateway) as one:
        await say(one, "hello", token=token)
        await receive(one, "message")
        for frame, code in WRONG:
            await one.send(json.dumps(frame))
            error = await receive(one, "error")
            assert (error["code"], error.get("id")) == (code, frame.get("id")), frame
        await say(one, "message", id=id_of(2), text="‮<b>kan nog\u200b</b>")
        assert (await receive(one, "message"))["text"] == "‮<b>kan nog\u200b</b>"


async def test_what_is_no_frame_is_4400_then_too_and_affects_no_other(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    async with browser(gateway) as other:
        await say(other, "hello", token=token)
        await receive(other, "message")
        frames: tuple[str | bytes, ...] = ("dag", "{}", '{"type":{}}', '{"type":"note"}', b"\1\2")
        for seq, frame in enumerate((*frames, '{"type":"message","text":"\\ud800"}'), 2):
            async with browser(gateway) as one:
                await say(one, "hello", token=token)
                await receive(one, "message")
                await one.send(frame)
                assert await close_code(one) == Close.BAD_FRAME, frame
            await say(other, "message", id=id_of(seq), text="ik ben er nog")
            assert (await receive(other, "message"))["seq"] == seq


async def test_a_frame_over_64_kib_is_1009_in_one_piece_or_in_many(world: World, gateway: Gateway) -> None:
    world.others.open(CHAT)
    async with browser(gateway) as one:
        await one.send("x" * (64 * 1024 + 1))
        assert await close_code(one) == Close.TOO_BIG
    raw = await Raw.open(gateway)
    raw.send(b"x" * 40_000, opcode=1, fin=False)
    raw.send(b"x" * 40_000, opcode=0, fin=False)
    assert await raw.close_code() == Close.TOO_BIG
    raw.drop()
    async with browser(gateway) as one:
        await one.send("x" * 64 * 1024)
        assert await close_code(one) == Close.BAD_FRAME, "64 KiB may be read; this was no JSON"


async def test_bytes_that_are_no_utf8_are_not_read(gateway: Gateway) -> None:
    raw = await Raw.open(gateway)
    raw.send(b'{"type":"\xff"}')
    assert await raw.close_code() == 1007
    raw.drop()


async def test_the_sixth_tab_closes_the_oldest(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(browser(gateway)) for _ in range(6)]
        for one in opened:
            await say(one, "hello", token=token)
            await receive(one, "message")
        assert await close_code(opened[0]) == Close.TOO_MANY_CONNECTIONS
        await world.append(entry(2))
        assert [(await receive(one, "message"))["seq"] for one in opened[1:]] == [2] * 5


async def test_the_seal_closes_with_1000_after_everything_was_shown(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    async with browser(gateway) as one:
        await say(one, "hello", token=token)
        await receive(one, "message")
        world.others.chats[CHAT] = view(2, ChatStatus.CLOSED)
        await world.publisher.publish(state(2, ChatStatus.CLOSED))
        await world.append(seal(2))
        assert (await receive(one, "message"))["event"] == "closed"
        assert (await receive(one, "closed"))["reason"] == "citizen"
        assert await close_code(one) == Close.ENDED


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_too_many_frames_are_4429(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = world.others.open(CHAT)
    async with limited(world, monkeypatch, FRAMES_PER_PARTICIPANT=20) as gateway, browser(gateway) as one:
        await say(one, "hello", token=token)
        await receive(one, "message")
        for _ in range(21):
            await say(one, "typing", active=True)
        assert await close_code(one) == Close.TOO_MANY_FRAMES


async def test_too_many_hellos_are_4429_also_on_new_connections(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token, other = world.others.open(CHAT), world.others.open(OTHER)
    async with limited(world, monkeypatch, HELLOS_PER_PARTICIPANT=3) as gateway:
        async with browser(gateway) as one:
            for _ in range(3):
                await say(one, "hello", token=token)
                await receive(one, "welcome")
            await say(one, "hello", token=token)
            assert await close_code(one) == Close.TOO_MANY_FRAMES
        async with browser(gateway) as another:
            await say(another, "hello", token=token)
            assert await close_code(another) == Close.TOO_MANY_FRAMES
        async with browser(gateway) as neighbour:
            await say(neighbour, "hello", token=other)
            assert (await receive(neighbour))["type"] == "welcome"


async def test_too_many_bad_frames_are_4400_also_on_new_connections(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = world.others.open(CHAT)
    async with limited(world, monkeypatch, BAD_FRAMES_PER_PARTICIPANT=10) as gateway:
        for _ in range(2):
            async with browser(gateway) as one:
                await say(one, "hello", token=token)
                for _ in range(5):
                    await say(one, "typing", active=1)
                assert [(await receive(one, "error"))["code"] for _ in range(5)] == ["invalid"] * 5
        for _ in range(2):
            async with browser(gateway) as one:
                await say(one, "hello", token=token)
                await say(one, "typing", active=1)
                assert await close_code(one) == Close.BAD_FRAME


async def test_too_many_messages_are_refused_until_the_refused_one_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, now = world.others.open(CHAT), [1_000.0]
    monkeypatch.setattr(composition, "MessageLimits", functools.partial(MessageLimits, clock=lambda: now[0]))
    monkeypatch.setattr(rate_limits, "MESSAGES_PER_SENDER", rate_limits.Limit(3, 0.2))
    async with limited(world, monkeypatch) as gateway, browser(gateway) as one:
        await say(one, "hello", token=token)
        await receive(one, "message")
        assert [(await _said(one, id_of(number)))["type"] for number in (2, 3, 4)] == ["message"] * 3
        assert (await _said(one, id_of(5)))["code"] == "rate_limited"
        assert (await _said(one, id_of(6)))["code"] == "unavailable", "out of its turn"
        now[0] += 4
        assert (await _said(one, id_of(5)))["code"] == "rate_limited"
        now[0] += 1
        assert (await _said(one, id_of(5)))["type"] == "message"


async def _said(one: ClientConnection, id_: str) -> dict[str, Any]:
    """The answer to this message."""
    await say(one, "message", id=id_, text="x")
    while (answer := await receive(one, "message", "error")).get("id") != id_:
        pass
    return answer


async def test_a_new_connection_or_another_tab_may_not_say_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token, number, allowed = world.others.open(CHAT), 10, 10
    answers: list[str] = []
    async with limited(world, monkeypatch, MESSAGES_PER_SENDER=allowed) as gateway:
        for _ in range(3):
            async with browser(gateway) as one, browser(gateway) as tab:
                for socket_ in (one, tab):
                    await say(socket_, "hello", token=token)
                    await receive(socket_, "welcome")
                for socket_ in (one, tab) * 3:
                    number += 1
                    answers.append((await _said(socket_, id_of(number)))["type"])
    assert answers == ["message"] * allowed + ["error"] * (18 - allowed)
    assert len(world.others.logs[CHAT]) == 1 + allowed


async def test_what_is_sent_again_after_a_reconnect_is_not_counted_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = world.others.open(CHAT)
    world.storing = False  # no receipt comes
    ids = [id_of(number) for number in range(10, 40)]
    async with limited(world, monkeypatch, MESSAGES_PER_SENDER=60) as gateway:
        for _ in range(5):  # 150 messages, but 30 ids
            async with browser(gateway) as one:
                await say(one, "hello", token=token)
                await receive(one, "message")
                for id_ in ids:
                    await say(one, "message", id=id_, text="x")
                await say(one, "read", seq=999)
                assert (await receive(one, "error"))["code"] == "invalid", "nothing was refused before"


# ── one conversation ─────────────────────────────────────────────────────────────────────────────────────────────────


FREE = MessageLimits(limited=False)


class Room:
    """Answers a hello when it is let, and notes what it was given."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.taken: list[str] = []

    def identify(self, of: CitizenSession, hello: Hello) -> bool:
        return True

    async def greet(self, of: CitizenSession, hello: Hello) -> None:
        await asyncio.shield(self.answer)

    def take(self, of: CitizenSession, frame: Frame) -> None:
        assert isinstance(frame, Post)
        self.taken.append(frame.text or "")

    def leave(self, of: CitizenSession) -> None:
        self.taken.append("left")


def _post(number: int) -> bytes:
    return json.dumps({"type": "message", "id": id_of(number), "text": str(number)}).encode()


async def test_a_frame_that_comes_as_the_hello_is_answered_stays_behind_those_before_it() -> None:
    room, loop = Room(), asyncio.get_running_loop()
    on_socket = FrameSession(citizen(), room, FREE)
    on_socket.greet(Hello("t"))
    await asyncio.sleep(0)
    on_socket.receive(_post(1))
    on_socket.receive(_post(2))
    assert room.taken == []
    room.answer.set_result(None)
    for number in range(3, 9):  # at every moment around the end of the greeting
        loop.call_soon(on_socket.receive, _post(number))
        await asyncio.sleep(0)
    await until(lambda: len(room.taken) == 8, "all to be taken")
    assert room.taken == [str(n) for n in range(1, 9)]
    await on_socket.end()
    assert room.taken[-1] == "left"


async def test_a_hello_that_fails_unexpectedly_is_1012_and_what_followed_is_not_taken() -> None:
    room = Room()
    citizen_ = citizen()
    connection = citizen_.connection
    on_socket = FrameSession(citizen_, room, FREE)
    on_socket.greet(Hello("t"))
    on_socket.receive(_post(1))
    room.answer.set_exception(ValueError())
    await until(lambda: connection.closing, "the close")
    await asyncio.sleep(0)
    assert connection.closing == (1012, "try again")
    assert room.taken == []
    await on_socket.end()


async def test_what_comes_after_our_close_is_not_taken() -> None:
    room, citizen_ = Room(), citizen()
    connection = citizen_.connection
    on_socket = FrameSession(citizen_, room, FREE)
    on_socket.greet(Hello("t"))
    room.answer.set_result(None)
    on_socket.receive(_post(1))
    await until(lambda: room.taken, "the first")
    connection.close(Close.RESTART)
    on_socket.receive(_post(2))
    on_socket.receive(b"no frame")
    assert room.taken == ["1"]
    assert connection.closing == (1012, "")


async def test_what_waits_for_a_welcome_is_bounded() -> None:
    citizen_ = citizen()
    connection = citizen_.connection
    on_socket = FrameSession(citizen_, Room(), FREE)
    on_socket.greet(Hello("t"))
    for number in range(session.MOST_STASHED + 1):
        assert connection.closing is None
        on_socket.receive(_post(number))
    assert connection.closing is not None
    assert connection.closing[0] == Close.TOO_MANY_FRAMES
    await on_socket.end()
