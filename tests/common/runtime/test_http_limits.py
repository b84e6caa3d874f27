"""`services/common/runtime/http_limits.py` on a real server: what a connection may cost."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import uvloop
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import Response

from services.common.http import problems
from services.common.runtime import http_limits
from services.common.runtime import server as runtime_server
from services.common.runtime.http_limits import Bounds
from services.common.runtime.server import server
from services.gateway.websocket.transport import ReceivingProtocol
from tests.support.conditions import until
from tests.support.http_server import listener
from tests.support.metrics import sample
from tests.support.servers import PATIENCE

GET = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"


def application(waiting: set[Request]) -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/ok")
    async def ok() -> Response:
        return Response(b"ok")

    @app.post("/body")
    async def body(request: Request) -> dict[str, int]:
        waiting.add(request)
        try:
            return {"size": len(await request.body())}
        finally:
            waiting.discard(request)

    @app.get("/large")
    async def large() -> Response:
        return Response(b"x" * 30_000_000)

    @app.get("/wait")
    async def wait(request: Request) -> Response:
        waiting.add(request)
        try:
            while (await request.receive())["type"] != "http.disconnect":
                pass
        finally:
            waiting.discard(request)
        return Response(b"late")

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    return app


@dataclass
class Served:
    port: int
    peers: list["Peer"] = field(default_factory=list)
    held: set[Request] = field(default_factory=set)

    def waiting(self) -> int:
        """How many requests of `/wait` and `/body` are under way."""
        return len(self.held)

    async def open(self) -> "Peer":
        self.peers.append(Peer(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.peers[-1]

    async def ask(self, *sent: bytes) -> tuple[int, dict[str, str], bytes]:
        """One connection, these bytes, and the answer."""
        peer = await self.open()
        for data in sent:
            peer.send(data)
        try:
            return await peer.answer()
        finally:
            peer.close()


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def close(self) -> None:
        self.writer.transport.abort()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            return int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def ended(self) -> bytes:
        """What came until the other end closed."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
            return b""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit of time runs out because the machine stands still for some seconds; a test of one sets its own."""
    for name in ("HEAD_SECONDS", "IDLE_SECONDS", "BODY_EVERY", "BODY_SECONDS", "UNREAD_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(http_limits, name, 10 * PATIENCE)
    monkeypatch.setattr(runtime_server, "KEEP_ALIVE", 10 * PATIENCE)


@contextlib.asynccontextmanager
async def served(limits: Bounds | None = None, ws: str | type[ReceivingProtocol] = "none") -> AsyncIterator[Served]:
    """The application on a loop of uvloop in a thread, as services run it."""
    with listener() as bound:
        at = Served(bound.getsockname()[1])
        one = server(application(at.held), ws, limits)
        loops = []

        async def serve() -> None:
            loops.append(asyncio.get_running_loop())
            await one.serve([bound])

        thread = threading.Thread(target=lambda: uvloop.run(serve()))
        thread.start()
        try:
            await until(lambda: one.started or not thread.is_alive(), "the server")
            yield at
        finally:
            for peer in at.peers:
                peer.close()
            if thread.is_alive():
                loops[0].call_soon_threadsafe(one.end)
            await asyncio.to_thread(thread.join)


@pytest.fixture
async def at() -> AsyncIterator[Served]:
    async with served() as one:
        yield one


def refused(why: str) -> float:
    return sample("eloket_http_refused_total", {"why": why}) or 0


def code_of(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    status, headers, body = answer
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    said = json.loads(body)
    assert said["status"] == status
    return status, said["code"]


def counted(limits: Bounds) -> dict[str, int]:
    """The connections of each address now. A copy: the server changes them in its thread."""
    return dict(limits.by_address)


async def all_given_back(limits: Bounds) -> None:
    await until(lambda: not limits.total and not counted(limits), "all connections to count no more")


async def answered_in_time(at: Served, sent: bytes, status: int) -> tuple[Peer, int]:
    """A connection to which this was sent, and which has this answer; how many were too late for a short limit.

    When the machine stands still before the application has answered, the limit is over first.
    """
    async with asyncio.timeout(PATIENCE):
        late = 0
        while True:
            peer = await at.open()
            peer.send(sent)
            answer = await peer.answer()
            if answer[0] != 408:
                assert answer[0] == status
                return peer, late
            late += 1


# ── the head ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        *((b"1.1", (host,), 200) for host in (b"x", b"x:8000", b"[::1]:8000", b"127.0.0.1", b"a_b.example.", b"")),
        *((b"1.1", (host,), 400) for host in (b"a, b", b"a/b", b"u@a", b"a b", b"a:b", b"[::1", b"a?b", b"\xe9")),
        (b"1.1", (), 400),
        (b"1.1", (b"x", b"x"), 400),
        (b"1.1", (b"x", b"evil.example"), 400),
        (b"1.0", (), 200),
        (b"1.0", (b"x", b"evil.example"), 400),
    ],
)
async def test_a_request_names_one_host(at: Served, version: bytes, hosts: tuple[bytes, ...], status: int) -> None:
    peer = await at.open()
    peer.send(b"GET /ok HTTP/%s\r\n%s\r\n" % (version, b"".join(b"Host: %s\r\n" % host for host in hosts)))
    answer = await peer.answer()
    assert answer[0] == status
    if status != 200:
        assert code_of(answer) == (400, "invalid")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /ok HTTP/1.1\r\nHost: x\r\nX-A: %s\r\n\r\n" % (b"a" * 31_000), 200),
        (b"GET /ok HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"X-A: b\r\n" * 99), 200),
        (b"GET /ok?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 8_000), 200),
        (b"GET /ok HTTP/1.1\r\nHost: x\r\nX-A: %s\r\n\r\n" % (b"a" * 33_000), 431),
        (b"GET /ok HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"X-A: b\r\n" * 100), 431),
        (b"GET /ok HTTP/1.1\r\n%s: x\r\n\r\n" % (b"a" * 33_000), 431),
        (b"GET /ok?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 8_200), 414),
        (b"GET /ok?%s" % (b"a" * 40_000), 414),
        (b"\r\n" * 20_000, 431),
        (b"nonsense\r\n\r\n", 400),
    ],
)
@pytest.mark.parametrize("piece", [1_000_000, 1_000])
async def test_a_head_has_bounds_however_it_comes(at: Served, head: bytes, status: int, piece: int) -> None:
    peer = await at.open()
    for start in range(0, len(head), piece):
        peer.send(head[start : start + piece])
        await asyncio.sleep(0)
    answer = await peer.answer()
    assert answer[0] == status
    if status != 200:
        code_of(answer)
        assert await peer.ended() == b""
    peer.close()


async def test_a_header_of_50_mb_costs_neither_memory_nor_the_time_of_others(at: Served) -> None:
    peer, neighbour = await at.open(), await at.open()
    peer.send(b"GET /ok HTTP/1.1\r\nX-A: ")

    async def flood() -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(800):
                peer.send(b"a" * 65_536)
                await peer.writer.drain()

    flooding = asyncio.create_task(flood())
    assert code_of(await peer.answer()) == (431, "headers_too_large")
    neighbour.send(GET)
    assert (await neighbour.answer())[0] == 200
    await flooding
    peer.close()


async def trickle(peer: Peer) -> None:
    for byte in b"GET /ok HTTP/1.1\r\nX: " + b"x" * 10_000:
        if peer.writer.is_closing():
            return
        peer.send(bytes([byte]))
        await asyncio.sleep(0.02)


async def test_half_heads_end(at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "HEAD_SECONDS", 0.5)
    before = refused("head_slow")
    half = [await at.open() for _ in range(50)]
    trickled = [await at.open() for _ in range(5)]
    blank = await at.open()
    blank.send(b"\r\n")
    for peer in half:
        peer.send(b"GET /ok HTTP/1.1\r\nHost: x\r\nX-A: ")
    trickling = [asyncio.create_task(trickle(peer)) for peer in trickled]
    used = await at.open()
    used.send(GET)
    assert (await used.answer())[0] == 200
    used.send(GET[:10])
    for peer in (*half, *trickled, blank, used):
        assert code_of(await peer.answer()) == (408, "timeout")
        assert await peer.ended() == b""
    for task in trickling:
        task.cancel()
    assert refused("head_slow") == before + 57


async def test_silent_connections_end(at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "IDLE_SECONDS", 0.3)
    before = refused("idle")
    for peer in [await at.open() for _ in range(50)]:
        assert await peer.ended() == b""
    assert refused("idle") == before + 50


async def test_a_head_that_takes_its_time_within_bounds_is_answered(at: Served) -> None:
    peer = await at.open()
    for part in (GET[:5], GET[5:20], GET[20:]):
        peer.send(part)
        await asyncio.sleep(0.05)
    assert (await peer.answer())[0] == 200
    peer.send(GET[:7])
    await asyncio.sleep(0.05)
    peer.send(GET[7:])
    assert (await peer.answer())[0] == 200
    peer.close()


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize(
    "sent",
    [
        HANDSHAKE + b"X-A: %s\r\n\r\n" % (b"a" * 9_000),
        HANDSHAKE.replace(b"/ws", b"/ws?%s" % (b"a" * 8_180)) + b"\r\n",
        HANDSHAKE + b"Content-Length: 5\r\n\r\nabcde",
        HANDSHAKE.replace(b"GET", b"POST") + b"Content-Length: 5\r\n\r\nabcde",
        HANDSHAKE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["header", "address", "body", "post", "chunked"],
)
async def test_what_is_no_websocket_handshake_is_refused_and_does_not_stay(sent: bytes) -> None:
    limits = Bounds()
    async with served(limits, ReceivingProtocol) as at:
        peer = await at.open()
        peer.send(sent)
        assert code_of(await peer.answer()) == (400, "invalid")
        assert await peer.ended() == b""
        peer.close()
        await all_given_back(limits)
        other = await at.open()
        other.send(HANDSHAKE + b"\r\n")
        assert (await other.reader.readline()).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("apart", [False, True])
async def test_no_websocket_begins_while_an_answer_is_under_way(apart: bool) -> None:
    """Else the earlier request would never learn that its client has disconnected, and stay for ever."""
    async with served(None, ReceivingProtocol) as at:
        peer = await at.open()
        peer.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        if apart:
            await until(lambda: at.waiting() == 1, "the request")
        peer.send(HANDSHAKE + b"\r\n")
        assert b"101 Switching" not in await peer.ended()
        await until(lambda: at.waiting() == 0, "the end of the request")


LATE_BODIES = [(b"Content-Length: 3", b"abc"), (b"Transfer-Encoding: chunked", b"0\r\n\r\n")]
NOWHERE = b"POST /nowhere HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n"


@pytest.mark.parametrize(("head", "rest"), LATE_BODIES)
async def test_who_is_answered_before_the_body_came_may_ask_again(at: Served, head: bytes, rest: bytes) -> None:
    peer = await at.open()
    peer.send(NOWHERE % head)
    assert (await peer.answer())[0] == 404
    peer.send(rest + GET)
    assert (await peer.answer())[0] == 200


@pytest.mark.parametrize(("head", "rest"), LATE_BODIES)
async def test_who_is_answered_before_the_body_came_does_not_stay_without_end(
    monkeypatch: pytest.MonkeyPatch, head: bytes, rest: bytes
) -> None:
    monkeypatch.setattr(runtime_server, "KEEP_ALIVE", 0.5)
    async with served() as at:
        peer = await at.open()
        peer.send(NOWHERE % head)
        assert (await peer.answer())[0] == 404
        peer.send(rest)
        assert await peer.ended() == b""


async def test_a_request_that_was_answered_is_not_answered_again(at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "BODY_EVERY", 0.3)
    peer, _ = await answered_in_time(at, NOWHERE % b"Content-Length: 3", 404)
    assert await peer.ended() == b""


# ── the body ─────────────────────────────────────────────────────────────────────────────────────────────────────────

POST = b"POST /body HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


async def test_bodies_come_in_any_way(at: Served) -> None:
    large = b"x" * 1_000_000
    assert (await at.ask(POST + b"Content-Length: 1000000\r\n\r\n", large))[2] == b'{"size":1000000}'
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    assert (await at.ask(CHUNKED, *[chunk] * 100, b"0\r\nX-Trailer: y\r\n\r\n"))[2] == b'{"size":1000000}'
    assert (await at.ask(CHUNKED, b"1\r\nx\r\n" * 5_000, b"0\r\n\r\n"))[2] == b'{"size":5000}'


@pytest.mark.parametrize("codings", [b"gzip, chunked", b"deflate,chunked", b"gzip\r\nTransfer-Encoding: chunked"])
async def test_a_body_that_is_compressed_on_its_way_is_not_read_as_if_it_were_not(at: Served, codings: bytes) -> None:
    before = refused("coding")
    sent = POST + b"Transfer-Encoding: %s\r\n\r\n" % codings
    assert code_of(await at.ask(sent, b"1\r\nx\r\n0\r\n\r\n")) == (501, "invalid")
    assert (await at.ask(CHUNKED.replace(b"chunked", b" Chunked "), b"1\r\nx\r\n0\r\n\r\n"))[2] == b'{"size":1}'
    assert refused("coding") == before + 1


async def test_chunks_that_are_all_framing_end(at: Served) -> None:
    assert code_of(await at.ask(CHUNKED, *[b"1;%s\r\nx\r\n" % (b"a" * 9_000)] * 20)) == (400, "invalid")
    assert code_of(await at.ask(CHUNKED, b"1;%s" % (b"a" * 90_000))) == (400, "invalid")
    assert code_of(await at.ask(CHUNKED, b"1\r\nx\r\n0\r\n", b"X-A: b\r\n" * 101)) == (431, "headers_too_large")
    trailer = b"X-A: %s" % (b"a" * 90_000)
    assert code_of(await at.ask(CHUNKED, b"1\r\nx\r\n0\r\n", trailer)) == (400, "invalid")
    chunk = b"F4240\r\n" + b"x" * 1_000_000 + b"\r\n"  # much data pays for no trailer
    assert code_of(await at.ask(CHUNKED, chunk, b"0\r\n", *[trailer] * 20)) == (400, "invalid")


async def test_a_body_that_hardly_comes_ends(at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "BODY_EVERY", 0.3)
    before = refused("body_slow")
    peers = [await at.open() for _ in range(3)]
    peers[0].send(POST + b"Content-Length: 1000\r\n\r\n")
    peers[1].send(POST + b"Content-Length: 1000\r\n\r\nx")
    peers[2].send(CHUNKED + b"5\r\nxxxxx\r\n")
    for peer in peers:
        assert code_of(await peer.answer()) == (408, "timeout")
    # A route that reads no body answers at once; what is still to come has its limit all the same.
    peer, late = await answered_in_time(at, b"GET /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 200)
    assert await peer.ended() == b""
    assert refused("body_slow") == before + 4 + late


async def test_a_whole_body_has_its_time(at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "BODY_EVERY", 0.2)
    monkeypatch.setattr(http_limits, "BODY_SECONDS", 0.5)
    peer = await at.open()
    peer.send(POST + b"Content-Length: 100000000\r\n\r\n")

    async def feed() -> None:
        while True:
            peer.send(b"x" * 1_000)
            await asyncio.sleep(0.01)

    feeding = asyncio.create_task(feed())
    assert code_of(await peer.answer()) == (408, "timeout")
    feeding.cancel()
    peer.close()


async def test_who_breaks_off_a_body_is_no_error_of_ours(at: Served, caplog: pytest.LogCaptureFixture) -> None:
    peer = await at.open()
    peer.send(POST + b"Content-Length: 1000\r\n\r\nx")
    await until(lambda: at.waiting() == 1, "the request")
    peer.close()
    await until(lambda: at.waiting() == 0, "the end of the request")
    assert (await at.ask(GET))[0] == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_pipelined_requests_are_answered_in_order_up_to_a_number(at: Served) -> None:
    peer = await at.open()
    peer.send(GET * 10)
    assert [(await peer.answer())[0] for _ in range(10)] == [200] * 10
    peer.close()
    before = refused("pipelined")
    peer = await at.open()
    peer.send(GET * 10_000)
    assert (await peer.ended()).count(b"HTTP/1.1 200") <= http_limits.MOST_PIPELINED + 1
    assert refused("pipelined") == before + 1


async def test_who_does_not_read_the_answer_is_cut_off(at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "UNREAD_SECONDS", 0.5)
    before = refused("unread")
    peer = await at.open()
    assert isinstance(peer.writer.transport, asyncio.Transport)
    peer.writer.transport.pause_reading()
    peer.send(GET.replace(b"/ok", b"/large"))
    await until(lambda: refused("unread") == before + 1, "the end")
    peer.close()


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_address_has_so_many_connections_and_they_come_free(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(limits := Bounds(per_address=3), ReceivingProtocol) as at:
        peers = [await at.open() for _ in range(3)]
        peers[0].send(GET)
        assert (await peers[0].answer())[0] == 200
        peers[1].send(GET.replace(b"/ok", b"/wait"))
        key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        peers[2].send(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + b"\r\n")
        assert b" 101 " in await peers[2].reader.readuntil(b"\r\n\r\n")
        answer = await at.ask(GET)
        assert code_of(answer) == (429, "rate_limited")
        assert int(answer[1]["retry-after"]) > 0
        peers[2].close()
        await until(lambda: counted(limits) == {"127.0.0.1": 2}, "one that comes free")
        assert (await at.ask(GET))[0] == 200
        for peer in peers:
            peer.close()
        await all_given_back(limits)


async def test_a_trusted_proxy_is_not_struck_and_its_clients_are_counted_one_by_one() -> None:
    async with served(limits := Bounds(per_address=2, proxies="127.0.0.1"), ReceivingProtocol) as at:
        waiting = [await at.open() for _ in range(6)]
        for number, peer in enumerate(waiting):
            given = b"" if number >= 4 else b"X-Forwarded-For: 198.51.100.%d\r\n" % (number // 2)
            peer.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n" + given + b"\r\n")
        await until(lambda: counted(limits) == {"198.51.100.0": 2, "198.51.100.1": 2}, "four requests")
        one_more = b"GET /ok HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.%d\r\n\r\n"
        assert code_of(await at.ask(one_more % 0)) == (429, "rate_limited")
        assert (await at.ask(one_more % 2))[0] == 200
        assert (await at.ask(GET))[0] == 200, "the proxy itself"
        kept = await at.open()
        for _ in range(5):  # one after the other
            kept.send(one_more % 3)
            assert (await kept.answer())[0] == 200
        for peer in (*waiting, kept):
            peer.close()
        await all_given_back(limits)


async def test_all_connections_together_have_a_bound() -> None:
    async with served(limits := Bounds(most=3)) as at:
        peers = [await at.open() for _ in range(3)]
        await until(lambda: limits.total == 3, "three connections")
        answer = await at.ask(GET)
        assert code_of(answer) == (503, "unavailable")
        assert int(answer[1]["retry-after"]) > 0
        for peer in peers:
            peer.close()
        await all_given_back(limits)
        assert (await at.ask(GET))[0] == 200
