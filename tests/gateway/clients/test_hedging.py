"""`gateway/clients/http_client.py` with several replicas behind one address: what breaks or hangs costs little."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.common.http.tokens import Actor
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.gateway.clients import http_client
from services.gateway.clients import http_client as module
from services.gateway.clients.http_client import Unavailable
from tests.gateway.clients.serving import Clients
from tests.gateway.making import CHAT, value_of
from tests.support.conditions import until
from tests.support.servers import PATIENCE

pytestmark = pytest.mark.usefixtures("patience")
ACTOR = Actor(party="citizen", id=CHAT)
HAS = {CHAT: 6}


class Replicas:
    """Answers on one port, each request as the next word says.

    The words are `answer`, `cut` (before an answer), `half` (within it), `hang` (until the client gives up), `late`
    (when another request has come). `ended`: requests that were given up.
    """

    def __init__(self, *words: str) -> None:
        self.words, self.received, self.connections = list(words), list[str](), 0
        self.ended = asyncio.Queue[str]()
        self._another = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._request(reader, writer):
                pass
        writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(h[15:]) for h in head.splitlines() if h.lower().startswith(b"content-length:")), 0)
        await reader.readexactly(length)
        word = self.words[min(len(self.received), len(self.words) - 1)]
        self.received.append(word)
        if len(self.received) > 1:
            self._another.set()
        if word == "late":
            await self._another.wait()
        if word == "hang":
            await reader.read()
            self.ended.put_nowait(word)
        if word in ("cut", "hang"):
            return False
        body = transcripts_api.Tails(tails={CHAT: 7}).model_dump_json().encode()
        kind = b"Content-Type: application/json\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (kind, len(body)))
        writer.write(body[:5] if word == "half" else body)
        await writer.drain()
        return word != "half"


@contextlib.asynccontextmanager
async def asking_replicas(*words: str) -> AsyncIterator[tuple[Clients, Replicas]]:
    replicas = Replicas(*words)
    server = await asyncio.start_server(replicas.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    clients = Clients(url)
    try:
        yield clients, replicas
    finally:
        await clients.http.close()
        server.close()


def asked_again(service: str, why: str) -> float:
    return value_of(module.AGAIN, "_total", service=service, why=why)


class Patience:
    """How long each try may take before the next one: so many seconds in their order, and `then` so many."""

    def __init__(self, *seconds: float, then: float = PATIENCE) -> None:
        self.seconds, self.then, self.looks = list(seconds), then, 0

    def __call__(self, slow: bool) -> float:
        self.looks += 1
        return self.seconds.pop(0) if self.seconds else self.then


@pytest.mark.parametrize(
    ("words", "connections"),
    [
        (["cut", "answer"], 2),
        (["half", "answer"], 2),
        (["cut", "half", "cut", "answer"], 4),
        (["answer", "cut", "answer"], 2),  # over a connection that was kept
    ],
)
async def test_a_connection_that_breaks_costs_no_answer(words: list[str], connections: int) -> None:
    before = asked_again("transcripts", "broken")
    async with asking_replicas(*words) as (clients, replicas):
        for _ in range(words.count("answer")):
            assert await clients.transcripts.grown(HAS) == {CHAT: 7}
    assert (replicas.received, replicas.connections) == (words, connections)
    assert asked_again("transcripts", "broken") - before == len(words) - words.count("answer")


async def test_what_breaks_every_time_is_unavailable_after_six_tries() -> None:
    async with asking_replicas("cut") as (clients, replicas):
        with pytest.raises(Unavailable, match="transcripts"):
            await clients.transcripts.grown(HAS)
    assert len(replicas.received) == module.TRIES


@pytest.mark.parametrize("words", [["hang", "answer"], ["hang", "hang", "answer"], ["hang", "cut", "answer"]])
async def test_a_replica_that_stands_still_costs_a_reader_little(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "patience", Patience(*(0.05 for word in words if word == "hang")))
    before = asked_again("transcripts", "slow")
    async with asking_replicas(*words) as (clients, replicas):
        assert await clients.transcripts.grown(HAS) == {CHAT: 7}
        async with asyncio.timeout(PATIENCE):  # the others are given up
            assert [await replicas.ended.get() for word in words if word == "hang"] == ["hang"] * words.count("hang")
        assert await clients.transcripts.grown(HAS) == {CHAT: 7}
    assert replicas.received == [*words, "answer"]
    new = words[1] != "hang"  # every second try goes over a connection of its own, which is not kept
    assert replicas.connections == len(words) + new, "what answered is used again"
    assert asked_again("transcripts", "slow") - before == words.count("hang")


async def test_the_first_answer_counts_whichever_question_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "patience", Patience(0.05))
    async with asking_replicas("late", "hang") as (clients, replicas):
        assert await clients.transcripts.grown(HAS) == {CHAT: 7}
        async with asyncio.timeout(PATIENCE):
            await replicas.ended.get()
    assert replicas.received == ["late", "hang"]


async def test_what_changes_something_is_not_asked_twice_because_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Patience()
    monkeypatch.setattr(module, "patience", looked)
    question = routing_api.Transfer(chat_id=CHAT, agent_id="an", to_agent="bert")

    async def ask(clients: Clients) -> None:
        await clients.http.ask("routing", routing_api.TRANSFER, question, transcripts_api.Tails)

    async with asking_replicas("hang") as (clients, replicas):
        async with waited_for(asyncio.create_task(ask(clients))):
            await until(lambda: replicas.received, "the question")
        assert (replicas.received, looked.looks) == (["hang"], 0), "an answer is waited for as long as it takes"
    async with asking_replicas("cut", "answer") as (clients, replicas):
        await ask(clients)
    assert replicas.received == ["cut", "answer"]


@contextlib.asynccontextmanager
async def waited_for(*asked: asyncio.Task[Any]) -> AsyncIterator[None]:
    """The answers are waited for while the context is open, and then given up."""
    try:
        yield
        assert not any(task.done() for task in asked)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_a_service_that_is_slow_for_all_gets_few_more_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, most = Patience(then=0.02), 10 + 2 * (module.TRIES - 1)
    monkeypatch.setattr(module, "patience", looked)
    monkeypatch.setattr(module, "MOST_SLOW", 2)
    async with asking_replicas("hang") as (clients, replicas):
        async with waited_for(*(asyncio.create_task(clients.transcripts.grown(HAS)) for _ in range(10))):
            await until(lambda: len(replicas.received) >= most, "all tries of two of them")
            looks = looked.looks
            await until(lambda: looked.looks > looks + 30, "the others to think of it again")
            assert (len(replicas.received), clients.http.slow_requests.count) == (most, 2)
        assert clients.http.slow_requests.count == 0


async def test_all_tries_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "patience", Patience(then=0.02))
    async with asking_replicas("hang") as (clients, replicas):
        async with waited_for(asyncio.create_task(clients.transcripts.grown(HAS))):
            await until(lambda: len(replicas.received) == module.TRIES, "all tries")
        monkeypatch.setattr(http_client, "TIMEOUT", aiohttp.ClientTimeout(total=0.3))
        with pytest.raises(Unavailable):
            await clients.transcripts.grown(HAS)
        assert len(replicas.received) <= 2 * module.TRIES


async def test_a_stream_is_opened_again_unless_its_body_was_begun() -> None:
    async def body() -> AsyncIterator[bytes]:
        begun.append(True)
        yield b"x"

    begun: list[bool] = []
    async with asking_replicas("cut", "answer") as (clients, replicas):
        async with await clients.transcripts.stream("GET", "/x", ACTOR) as response:
            assert b'"tails"' in await response.read()
        assert replicas.received == ["cut", "answer"]
        replicas.words.append("cut")
        with pytest.raises(Unavailable):
            await clients.transcripts.stream("POST", "/x", ACTOR, {}, body())
    assert begun == [True]
    assert replicas.connections == 3, "a body goes over a new connection"
