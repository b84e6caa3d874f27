"""`services/gateway/http/citizen/frames.py` behind a real server: a citizen's frames without a websocket."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import aiohttp
import pytest

from services.common.clock import utcnow
from services.common.events.chats import CloseRequested
from services.common.events.messages import (
    CitizenPresence,
    CitizenSilent,
    CitizenStayed,
    MessagePosted,
    MessageRefused,
    ReadShown,
    TypingShown,
)
from services.common.events.presence import GatewayConnections
from services.common.events.types import ChatStatus, CloseReason, Party, RefusalCode
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.gateway import rate_limits
from services.gateway.chats import subscriptions
from services.gateway.http.citizen import frame_stream, frames
from services.gateway.participants import posted_frames
from services.gateway.participants.citizen import EXTEND_EACH
from services.gateway.websocket.frames.server import Close
from tests.gateway.browsers import browser, receive, say
from tests.gateway.making import AN, CHAT, OTHER, entry, id_of, seal, state, view
from tests.gateway.standing import KEYS, Gateway, World, gateway_of
from tests.support.conditions import until
from tests.support.servers import PATIENCE

Frame = dict[str, Any]


class Stream:
    """One answer that is being read."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.ids: dict[str, str] = {}

    async def event(self) -> dict[str, str] | None:
        """The next event; None at the end of the answer."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE):
            async for line in self.answer.content:
                name, _, value = line.decode().removesuffix("\n").partition(": ")
                if name:
                    fields[name] = value
                elif fields and "data" in fields:
                    return fields
        return None

    async def frame(self, *kinds: str) -> Frame:
        """The next frame of one of these kinds, or the next at all but `sync`, which may come at any time."""
        while (event := await self.event()) is not None:
            frame: Frame = json.loads(event["data"])
            if event.get("event") == "close":
                frame["type"] = "close"
            if "id" in event:
                self.ids[frame["type"]] = event["id"]
            if frame["type"] in kinds if kinds else frame["type"] != "sync":
                return frame
        raise AssertionError(f"the answer ended without {kinds}")

    async def rest(self) -> list[Frame]:
        """All frames until the end of the answer."""
        found = []
        with contextlib.suppress(AssertionError):
            while True:
                found.append(await self.frame())
        return found


class Visitor:
    """A citizen without a websocket."""

    def __init__(self, gateway: Gateway, session: aiohttp.ClientSession, chat_id: str = CHAT) -> None:
        self.session, self.chat_id = session, chat_id
        self.base = f"http://{gateway.address}/api/chats/{chat_id}"
        self.headers = {"Authorization": f"Bearer {KEYS.chat_token(chat_id)}"}

    @contextlib.asynccontextmanager
    async def stream(self, headers: dict[str, str] | None = None, **query: object) -> AsyncIterator[Stream]:
        asked = {name: str(value) for name, value in query.items()}
        timeout = aiohttp.ClientTimeout(total=None)
        given = self.headers if headers is None else headers
        async with self.session.get(f"{self.base}/stream", params=asked, headers=given, timeout=timeout) as answer:
            yield Stream(answer)

    async def post(self, *sent: Frame, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and body of the answer to these frames."""
        data = json.dumps({"frames": sent}).encode() if body is None else body
        named = {"Content-Type": "application/json", **self.headers, **headers}
        async with self.session.post(f"{self.base}/frames", data=data, headers=named) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def visitor(world: World, gateway: Gateway) -> AsyncIterator[Visitor]:
    world.others.open(CHAT)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Visitor(gateway, session)


@contextlib.asynccontextmanager
async def limited(world: World, monkeypatch: pytest.MonkeyPatch, **bursts: int) -> AsyncIterator[Visitor]:
    """A citizen of a gateway with its abuse limits on, with these bursts, beyond which nothing is earned."""
    world.others.open(CHAT)
    for name, burst in bursts.items():
        monkeypatch.setattr(rate_limits, name, rate_limits.Limit(burst, 1e-6))
    settings = world.settings.model_copy(update={"rate_limits": "on"})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession() as session:
        yield Visitor(gateway, session)


def message(number: int, text: str = "") -> Frame:
    return {"type": "message", "id": id_of(number), "text": text or f"bericht {number}"}


# ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_stream_has_the_frames_of_the_websocket_in_their_order(
    world: World, gateway: Gateway, visitor: Visitor
) -> None:
    await world.append(entry(2, text="regel\u2028twee\n\ndrie"), publish=False)
    async with visitor.stream() as stream, browser(gateway) as socket:
        headers = stream.answer.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert "no-store" in headers["Cache-Control"]
        assert headers["X-Accel-Buffering"] == "no"
        await say(socket, "hello", token=KEYS.chat_token(CHAT))
        for _ in range(4):
            assert await stream.frame() == await receive(socket)
        await world.append(entry(3))
        assert (await stream.frame("message"))["seq"] == 3


async def test_the_first_bytes_come_before_the_answer_to_the_hello(world: World, visitor: Visitor) -> None:
    come = asyncio.Event()

    async def wait() -> None:
        await come.wait()

    world.others.meanwhile[routing_api.CHATS] = wait
    async with visitor.stream() as stream:
        first = await asyncio.wait_for(stream.answer.content.readline(), PATIENCE)
        assert first.startswith(b":")
        assert len(first) > 2_000
        come.set()
        assert (await stream.frame())["type"] == "welcome"


async def test_the_stream_goes_on_after_the_seq_that_the_client_has(world: World, visitor: Visitor) -> None:
    await world.append(entry(2), entry(3), publish=False)
    async with visitor.stream(after=2) as stream:
        assert [(await stream.frame("message"))["seq"]] == [3]


async def test_a_stream_ends_by_itself_and_the_next_one_keeps_the_citizen_online(
    world: World, gateway: Gateway, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert frame_stream.STREAM_SECONDS == 25.0
    monkeypatch.setattr(frame_stream, "STREAM_SECONDS", 0.3)
    monkeypatch.setattr(frames, "LINGER", PATIENCE)
    for after in (0, 1, 1):
        async with visitor.stream(after=after, session="s") as stream:
            frames_ = await stream.rest()
            assert [f["type"] for f in frames_][:2] == ["welcome", "status"]
    assert [p.online for p in await world.receive(CitizenPresence)] == [True], "never offline between them"
    monkeypatch.setattr(frame_stream, "STREAM_SECONDS", PATIENCE)
    async with visitor.stream(after=1, session="s") as stream:
        await stream.frame("status")
        monkeypatch.setattr(frames, "LINGER", 0.1)  # not before: the one before may only now begin to linger
    await until(lambda: [p.online for p in world.received(CitizenPresence)] == [True, False], "the end of the presence")


async def test_an_answer_of_the_same_session_replaces_the_one_before(world: World, visitor: Visitor) -> None:
    async with visitor.stream(session="a") as first, visitor.stream(session="b") as other:
        await first.frame("message")
        await other.frame("message")
        async with visitor.stream(session="a") as second:
            await second.frame("message")
            assert [f["type"] for f in await first.rest() if f["type"] != "sync"] == []
            await world.append(entry(2))
            assert (await second.frame("message"))["seq"] == (await other.frame("message"))["seq"] == 2


async def test_the_citizen_is_in_the_list_of_connections_until_the_client_has_disconnected(
    world: World, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "LINGER", 0.2)

    def listed() -> list[bool]:
        return [CHAT in c.chats for c in world.received(GatewayConnections) if c.chats is not None]

    async with visitor.stream() as stream:
        await stream.frame("message")
        await until(lambda: listed()[-1:] == [True], "the citizen in a list")
    await until(lambda: listed()[-1:] == [False], "a list without the citizen")


async def test_reloads_take_no_place_of_other_tabs(world: World, gateway: Gateway, visitor: Visitor) -> None:
    async with browser(gateway) as tab:
        await say(tab, "hello", token=KEYS.chat_token(CHAT))
        await receive(tab, "message")
        for number in range(7):
            async with visitor.stream(session=f"{number}") as stream:
                await stream.frame("message")
        await world.append(entry(2))
        assert (await receive(tab, "message"))["seq"] == 2


async def test_the_seal_ends_the_stream_as_the_websocket(world: World, visitor: Visitor) -> None:
    async with visitor.stream() as stream:
        await stream.frame("message")
        world.others.chats[CHAT] = view(2, ChatStatus.CLOSED)
        await world.publisher.publish(state(2, ChatStatus.CLOSED))
        await world.append(seal(2))
        news = [f["type"] for f in await stream.rest() if f["type"] not in ("status", "sync")]
        assert news == ["message", "closed", "close"]
    async with visitor.stream(after=2) as again:
        assert (await again.rest())[-1]["code"] == Close.ENDED


async def test_a_drain_sends_the_citizen_elsewhere(world: World, gateway: Gateway, visitor: Visitor) -> None:
    async with visitor.stream() as stream:
        await stream.frame("message")
        draining = asyncio.create_task(gateway.service.drain())
        assert (await stream.frame("close"))["code"] == Close.RESTART
        assert await stream.event() is None
        await asyncio.wait_for(draining, PATIENCE)


async def test_an_unavailable_service_is_1012(world: World, visitor: Visitor) -> None:
    world.others.away.add(transcripts_api.HISTORY)
    async with visitor.stream() as stream:
        assert [f.get("code") for f in await stream.rest()] == ["unavailable", Close.RESTART]


async def test_an_unknown_chat_is_4404_and_an_expired_one_4401(
    world: World, gateway: Gateway, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "KNOWN_WAIT", (0.1,))
    ended = utcnow() - timedelta(hours=49)
    world.others.chats[CHAT] = view(3, ChatStatus.CLOSED, chat_id=CHAT).model_copy(update={"closed_at": ended})
    async with visitor.stream() as stream:
        assert (await stream.frame("close"))["code"] == Close.UNAUTHENTICATED
    assert (await visitor.post(message(2)))[0] == 401
    nobody = Visitor(gateway, visitor.session, OTHER)
    async with nobody.stream() as stream:
        assert (await stream.frame("close"))["code"] == Close.NO_SUCH_CHAT
    assert [(await nobody.post(message(2)))[1]["code"]] == ["no_such_chat"]


async def test_a_token_ends_citizen_access_after_its_chat(world: World) -> None:
    world.others.open(CHAT)
    ended = utcnow() - timedelta(hours=2)
    world.others.chats[CHAT] = view(3, ChatStatus.CLOSED, chat_id=CHAT).model_copy(update={"closed_at": ended})
    settings = world.settings.model_copy(update={"citizen_access": 3600.0})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession() as session:
        visitor = Visitor(gateway, session)
        async with visitor.stream() as stream:
            assert (await stream.frame("close"))["code"] == Close.UNAUTHENTICATED
        assert (await visitor.post(message(2)))[0] == 401


async def test_too_many_hellos_are_4429(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with limited(world, monkeypatch, HELLOS_PER_PARTICIPANT=2) as visitor:
        codes = []
        for _ in range(3):
            async with visitor.stream(poll=True) as stream:
                codes.append((await stream.rest())[-1].get("code"))
    assert codes == [None, None, Close.TOO_MANY_FRAMES]


# ── polls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_poll_ends_with_its_first_news_and_waits_for_some_when_there_is_none(
    world: World, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert frame_stream.POLL_SECONDS == 8.0
    monkeypatch.setattr(frame_stream, "POLL_SECONDS", PATIENCE)
    async with visitor.stream(poll=True) as first:
        assert [f["type"] for f in await first.rest()] == ["welcome", "status", "message"]
    known = ",".join(first.ids.values())
    assert known == f"{crc32(json.dumps(STATUS, separators=(',', ':')).encode()):08x}"
    async with visitor.stream(poll=True, after=1, known=known) as second:
        assert [(await second.frame())["type"] for _ in range(2)] == ["welcome", "status"]
        await world.append(entry(2))
        assert [f["type"] for f in await second.rest()] == ["message"]
    async with visitor.stream(poll=True, after=2, known="0") as third:
        assert [f["type"] for f in await third.rest()] == ["welcome", "status"], (
            "a status that it does not have is news"
        )
    monkeypatch.setattr(frame_stream, "POLL_SECONDS", 0.5)
    began = time.monotonic()
    async with visitor.stream(poll=True, after=2, known=known) as fourth:
        assert [f["type"] for f in await fourth.rest()] == ["welcome", "status"]
    assert time.monotonic() - began > 0.4


STATUS = {"type": "status", "dot": "grey", "position": None, "wait": None, "agent": None}


async def test_the_seconds_until_the_end_of_a_silent_chat_are_no_news(
    world: World, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_stream, "POLL_SECONDS", PATIENCE)
    world.others.chats[CHAT] = view(1, ChatStatus.ASSIGNED, AN, accepted=True)
    async with visitor.stream(session="s") as stream:
        await stream.frame("message")
        since = utcnow()
        closes_at = since + timedelta(seconds=300)
        await world.publisher.publish(CitizenSilent(chat_id=CHAT, warning=1, since=since, closes_at=closes_at))
        await stream.frame("inactive")
        known = ",".join(stream.ids.values())
        await asyncio.sleep(1.1)
        async with visitor.stream(poll=True, after=1, known=known) as poll:
            assert (await poll.frame("inactive"))["seconds"] < 300
            await world.append(entry(2))
            assert "message" in [f["type"] for f in await poll.rest()]


async def test_a_long_log_comes_whole_in_one_poll(world: World, visitor: Visitor) -> None:
    world.others.logs[CHAT] += [entry(seq, text="x" * 2_000) for seq in range(2, 1_203)]
    async with visitor.stream(poll=True) as stream:
        assert [f["seq"] for f in await stream.rest() if f["type"] == "message"] == list(range(1, 1_203))


# ── frames of the citizen ────────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_are_stored_in_order_and_their_receipts_come_by_the_stream(
    world: World, visitor: Visitor
) -> None:
    async with visitor.stream() as stream:
        await stream.frame("message")
        assert await visitor.post(*(message(number) for number in range(10, 20))) == (200, {"frames": []})
        assert [p.id for p in world.received(MessagePosted)] == [id_of(n) for n in range(10, 20)]
        assert [(await stream.frame("message"))["id"] for _ in range(10)] == [id_of(n) for n in range(10, 20)]
        assert (await visitor.post(message(15, "anders")))[0] == 200
        assert [e.id for e in world.others.logs[CHAT]][1:] == [id_of(n) for n in range(10, 20)]


async def test_another_replica_takes_the_frames_too(world: World, gateway: Gateway, visitor: Visitor) -> None:
    async with gateway_of(world.settings) as second, visitor.stream() as stream:
        await stream.frame("message")
        there = Visitor(second, visitor.session)
        for number in range(10, 30, 4):
            for at in (visitor, there):
                pair = (number, number + 1) if at is visitor else (number + 2, number + 3)
                assert await at.post(*map(message, pair)) == (200, {"frames": []})
        assert [e.id for e in world.others.logs[CHAT]][1:] == [id_of(n) for n in range(10, 30)]
        assert [(await stream.frame("message"))["id"] for _ in range(20)] == [id_of(n) for n in range(10, 30)]
        assert await there.post({"type": "read", "seq": 21}) == (200, {"frames": []})
        assert (await there.post({"type": "read", "seq": 99}))[1]["frames"][0]["code"] == "invalid"
        assert [r.seq for r in await world.receive(ReadShown)] == [21]
        asked = [path for path, _ in world.others.asked]
        assert asked.count(routing_api.CHATS) == 2, "one for the stream, one for the requests at the other replica"


async def test_a_request_is_answered_only_with_the_receipts_of_its_messages(
    world: World, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert posted_frames.ANSWER_LIMIT == 20.0
    world.storing = False
    asking = asyncio.create_task(visitor.post(message(2), message(3)))
    [posted] = await world.receive(MessagePosted)
    await asyncio.sleep(0.2)
    assert not asking.done()
    assert len(world.received(MessagePosted)) == 1, "the next one waits for the receipt"
    world.storing = True
    await world.store(posted)
    assert await asking == (200, {"frames": []})
    world.storing = False
    monkeypatch.setattr(posted_frames, "ANSWER_LIMIT", 0.2)
    status, body = await visitor.post(message(4))
    assert (status, body["code"]) == (503, "unavailable")


async def test_a_request_that_is_cut_and_repeated_goes_on_where_the_one_before_was(
    world: World, visitor: Visitor
) -> None:
    world.storing = False
    sent = message(2), message(3)
    cut = asyncio.create_task(visitor.post(*sent))
    [second] = await world.receive(MessagePosted)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    await world.store(second)
    await world.receive(MessagePosted, 2)  # of the request that was cut: the first message has its receipt
    repeated = asyncio.create_task(visitor.post(*sent))
    *_, third = await world.receive(MessagePosted, 3)
    assert [p.id for p in world.received(MessagePosted)] == [id_of(2), id_of(3), id_of(3)]
    await world.store(third)
    assert await repeated == (200, {"frames": []})
    assert await visitor.post(*sent) == (200, {"frames": []}), "nothing is published any more: nothing would store it"


async def test_the_other_frames_do_what_they_do_on_the_websocket(
    world: World, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert EXTEND_EACH == 2.0
    monkeypatch.setattr(posted_frames, "EXTEND_EACH", 10 * PATIENCE)
    sent = ({"type": "typing", "active": True}, {"type": "read", "seq": 1}, {"type": "extend"}, {"type": "extend"})
    assert await visitor.post(*sent) == (200, {"frames": []})
    [typing], [read] = await world.receive(TypingShown), await world.receive(ReadShown)
    assert (typing.party, typing.active, read.seq) == (Party.CITIZEN, True, 1)
    assert await visitor.post({"type": "extend"}) == (200, {"frames": []})
    await world.receive(CitizenStayed)
    ending = asyncio.create_task(visitor.post(message(2, "dag"), {"type": "close"}))
    await world.receive(CloseRequested)
    assert [e.text for e in world.others.logs[CHAT]][1:] == ["dag"]
    await world.append(seal(3))
    assert await ending == (200, {"frames": []})
    assert len(world.received(CitizenStayed)) == 1, "one in so many seconds"


async def test_what_is_wrong_is_an_error_and_the_others_count(world: World, visitor: Visitor) -> None:
    wrong = ({"type": "message", "id": id_of(2), "text": ""}, {"type": "message", "id": id_of(3), "text": "x" * 4_001})
    status, body = await visitor.post(message(10), *wrong, message(11))
    assert status == 200
    assert [(f["type"], f["code"], f["id"]) for f in body["frames"]] == [
        ("error", "invalid", id_of(2)),
        ("error", "too_long", id_of(3)),
    ]
    assert [e.id for e in world.others.logs[CHAT]][1:] == [id_of(10), id_of(11)]


@pytest.mark.parametrize(
    "body",
    [
        *(b"dag", b"[]", b"{}", b'{"frames":{}}', b'{"frames":[7]}', b'{"frames":[{}]}'),
        *(b'{"frames":[{"type":"shout"}]}', b'{"frames":[{"type":"hello","token":"x"}]}'),
        *(b'{"frames":[{"type":"accept","chat_id":"x"}]}', b'{"frames":[{"type":"message","text":"\\ud800"}]'),
        b'{"frames":[' + b",".join([b'{"type":"typing","active":true}'] * 65) + b"]}",
    ],
)
async def test_what_is_no_list_of_frames_is_422(world: World, visitor: Visitor, body: bytes) -> None:
    status, answered = await visitor.post(body=body)
    assert (status, answered["code"]) == (422, "invalid")
    assert world.received(MessagePosted) == []


async def test_half_a_character_is_refused_alone_and_the_others_go(world: World, visitor: Visitor) -> None:
    half = b'{"type":"message","id":"%s","text":"a\\ud83d"}' % id_of(2).encode()
    whole = b'{"type":"message","id":"%s","text":"\\ud83d\\ude00"}' % id_of(3).encode()
    status, answered = await visitor.post(body=b'{"frames":[%s,%s]}' % (half, whole))
    assert (status, [(f["code"], f["id"]) for f in answered["frames"]]) == (200, [("invalid", id_of(2))])
    assert [entry.text for entry in world.others.logs[CHAT]][1:] == ["\U0001f600"]


async def test_frames_of_more_than_64_kib_are_413(visitor: Visitor) -> None:
    status, answered = await visitor.post(body=b'{"frames":[' + b" " * 65_536 + b"]}")
    assert (status, answered["code"]) == (413, "too_large")
    status, answered = await visitor.post(body=b"{}", **{"Content-Type": "text/plain"})
    assert (status, answered["code"]) == (415, "unsupported_media_type")


async def test_a_chat_that_has_ended_takes_no_message(world: World, visitor: Visitor) -> None:
    world.storing = False
    asking = asyncio.create_task(visitor.post(message(2)))
    [posted] = await world.receive(MessagePosted)
    await world.publisher.publish(
        MessageRefused(chat_id=CHAT, id=posted.id, sender_id="citizen", code=RefusalCode.CHAT_CLOSED)
    )
    status, body = await asking
    assert (status, [f["code"] for f in body["frames"]]) == (200, ["chat_closed"])


async def test_too_many_messages_are_refused_and_what_follows_them_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(world, monkeypatch, MESSAGES_PER_SENDER=3) as visitor:
        _, body = await visitor.post(*(message(number) for number in range(2, 7)))
        assert [(f["code"], f["id"]) for f in body["frames"]] == [
            ("rate_limited", id_of(5)),
            ("unavailable", id_of(6)),
        ]
        _, body = await visitor.post(message(6))
        assert [f["code"] for f in body["frames"]] == ["rate_limited"], "another request earns nothing"


async def test_too_many_frames_or_requests_are_429(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with limited(world, monkeypatch, FRAMES_PER_PARTICIPANT=5) as visitor:
        typing = {"type": "typing", "active": True}
        assert (await visitor.post(typing, typing))[0] == 200
        status, body = await visitor.post(typing, typing)
        assert (status, body["code"]) == (429, "rate_limited")
        assert (await visitor.post())[0] == 429
    monkeypatch.setattr(posted_frames, "AT_A_TIME", 2)
    world.storing = False
    async with gateway_of(world.settings) as gateway, aiohttp.ClientSession() as session:
        visitor = Visitor(gateway, session)
        waiting = [asyncio.create_task(visitor.post(message(number))) for number in (2, 3)]
        await world.receive(MessagePosted, 2)
        assert (await visitor.post(message(4)))[0] == 429
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_too_many_bad_frames_are_422(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with limited(world, monkeypatch, BAD_FRAMES_PER_PARTICIPANT=2) as visitor:
        bad = {"type": "typing", "active": 1}
        assert (await visitor.post(bad, bad))[0] == 200
        assert (await visitor.post(bad))[0] == 422


async def test_a_chat_is_let_go_some_time_after_the_last_request(
    world: World, gateway: Gateway, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def times_asked() -> int:
        return [path for path, _ in world.others.asked].count(routing_api.CHATS)

    monkeypatch.setattr(posted_frames, "KEPT", 10 * PATIENCE)
    for _ in range(2):
        assert (await visitor.post(message(2)))[0] == 200
    assert times_asked() == 1
    monkeypatch.setattr(posted_frames, "KEPT", 0.0)
    async with asyncio.timeout(PATIENCE):
        while times_asked() == 1:
            assert (await visitor.post(message(3)))[0] == 200


async def test_a_service_that_is_away_is_503(world: World, visitor: Visitor) -> None:
    world.others.away.add(routing_api.CHATS)
    status, body = await visitor.post(message(2))
    assert (status, body["code"]) == (503, "unavailable")


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_the_token_of_this_chat_opens_the_stream_and_sends(world: World, visitor: Visitor) -> None:
    agent = world.others.log_in(AN)
    for token, status, code in (
        (None, 401, "unauthenticated"),
        ("Bearer nonsense", 401, "unauthenticated"),
        (f"Bearer {KEYS.service_token('gateway')}", 401, "unauthenticated"),
        (f"Bearer {KEYS.chat_token(OTHER)}", 403, "forbidden"),
    ):
        visitor.headers = {"Authorization": token} if token else {"Cookie": f"eloket-agent={agent}"}
        async with visitor.stream() as stream:
            assert (stream.answer.status, (await stream.answer.json())["code"]) == (status, code)
        got, body = await visitor.post(message(2))
        assert (got, body["code"]) == (status, code)
    assert world.received(MessagePosted) == []


async def test_a_revoked_token_sends_nothing_at_any_replica_and_ends_the_stream(
    world: World, gateway: Gateway, visitor: Visitor
) -> None:
    gone = state(6, ChatStatus.CLOSED, AN, reason=CloseReason.AGENT, revoked_by="officer")
    async with gateway_of(world.settings) as second, aiohttp.ClientSession() as session, visitor.stream() as stream:
        await stream.frame("message")
        other = Visitor(second, session)
        assert [(await one.post(message(number)))[0] for number, one in ((2, visitor), (3, other))] == [200, 200]
        world.others.chats[CHAT] = view(6, ChatStatus.CLOSED, AN, closed_at=utcnow(), revoked_by="officer")
        await world.publisher.publish(gone)
        last = (await stream.rest())[-2:]
        assert [frame["type"] for frame in last] == ["closed", "close"]
        assert last[1]["code"] == 4401
        for one in (visitor, other):
            async with asyncio.timeout(PATIENCE):
                while (answered := await one.post(message(4)))[0] != 401:
                    await asyncio.sleep(0.05)
            assert answered[1]["code"] == "unauthenticated"
            async with one.stream() as again:
                assert [frame["code"] for frame in await again.rest()] == [4401]
    async with gateway_of(world.settings) as restarted, aiohttp.ClientSession() as session:
        assert (await Visitor(restarted, session).post(message(5)))[0] == 401
    assert not [m for m in world.received(MessagePosted) if m.id == id_of(5)]


async def test_a_page_of_another_site_gets_nothing_unless_it_is_listed(
    world: World, visitor: Visitor, tmp_path: Path
) -> None:
    visitor.headers["Origin"] = "https://evil.example"
    async with visitor.stream() as stream:
        assert (stream.answer.status, (await stream.answer.json())["code"]) == (403, "origin_not_allowed")
    assert (await visitor.post(message(2)))[1]["code"] == "origin_not_allowed"
    departments = tmp_path / "departments.toml"
    text = world.settings.departments_file.read_text("utf-8")
    departments.write_text(text.replace("origins = []", 'origins = ["https://loket.be"]', 1), "utf-8")
    settings = world.settings.model_copy(update={"departments_file": departments})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession() as session:
        listed = Visitor(gateway, session)
        listed.headers["Origin"] = "https://loket.be"
        async with listed.stream(poll=True) as stream:
            assert stream.answer.headers["Access-Control-Allow-Origin"] == "https://loket.be"
            assert (await stream.rest())[0]["type"] == "welcome"
        assert (await listed.post(message(2)))[0] == 200
        for path, method, wanted in (
            ("stream", "GET", "authorization"),
            ("frames", "POST", "authorization,content-type"),
        ):
            asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": wanted}
            for origin, status in (("https://loket.be", 200), ("https://evil.be", 400)):
                url = f"{listed.base}/{path}"
                async with session.options(url, headers={**asked, "Origin": origin}) as answer:
                    assert answer.status == status


@pytest.mark.parametrize("query", ["after=-1", "after=x", "poll=maybe", f"session={'x' * 65}", f"known={'x' * 101}"])
async def test_a_wrong_query_is_422(visitor: Visitor, query: str) -> None:
    async with visitor.session.get(f"{visitor.base}/stream?{query}", headers=visitor.headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "invalid")


async def test_agents_frames_are_unknown_here(visitor: Visitor) -> None:
    assert (await visitor.post({"type": "state", "state": "paused"}))[0] == 422
