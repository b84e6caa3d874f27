"""`services/gateway/clients/upstream.py` against real HTTP servers that answer, refuse, are late or not there."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from services.common.http import problems
from services.common.http.tokens import Actor
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.gateway.clients import upstream as module
from services.gateway.clients.upstream import Declined, Unavailable, Upstream
from services.gateway.settings import Settings
from tests.gateway.making import CHAT, id_of, value_of
from tests.gateway.standing import KEYS, SECRET, listening, until
from tests.real import PATIENCE

pytestmark = pytest.mark.usefixtures("patience")
ACTOR = Actor(party="citizen", id=CHAT)
HAS = {CHAT: 6}


@contextlib.asynccontextmanager
async def asking(app: FastAPI | None) -> AsyncIterator[Upstream]:
    """Asks this application, or a port where nobody listens."""
    async with contextlib.AsyncExitStack() as stack:
        if app is None:
            taken = stack.enter_context(socket.socket())  # so that nobody else can listen there
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        else:
            problems.install(app)
            _, address = await stack.enter_async_context(listening(app, ws="none"))
            url = f"http://{address}"
        settings = Settings(token_secret=SECRET, presence_url=url, routing_url=url, transcripts_url=url)
        upstream = Upstream(settings, KEYS)
        stack.push_async_callback(upstream.close)
        yield upstream


def answering(path: str, status: int = 200, body: bytes = b"{}", media_type: str = "application/json") -> FastAPI:
    app = FastAPI()

    @app.post(path)
    async def answer() -> Response:
        return Response(body, status, media_type=media_type, headers={"Retry-After": "7"})

    return app


async def test_a_question_carries_a_service_token_and_its_trace() -> None:
    app, seen = FastAPI(), list[Request]()

    @app.post(routing_api.CHATS)
    async def chats(request: Request) -> Response:
        seen.append(request)
        assert await request.json() == {"chat_ids": [CHAT]}
        return Response(routing_api.Chats(chats=[]).model_dump_json(), media_type="application/json")

    async with asking(app) as upstream:
        assert await upstream.chats([CHAT]) == {}
    assert KEYS.service_of(seen[0].headers["authorization"].removeprefix("Bearer ")) == ("gateway", None)
    assert seen[0].headers["traceparent"].startswith("00-")


async def test_many_chats_are_asked_in_parts_and_none_in_no_question() -> None:
    app, sizes = FastAPI(), list[int]()

    @app.post(transcripts_api.TAILS)
    async def tails(request: Request) -> Response:
        ids = (await request.json())["chat_ids"]  # a former version hears no more than that, and tells all tails
        sizes.append(len(ids))
        return Response(
            transcripts_api.Tails(tails=dict.fromkeys(ids, 1)).model_dump_json(), media_type="application/json"
        )

    async with asking(app) as upstream:
        has = {id_of(n): n % 2 for n in range(450)}
        assert await upstream.grown(has) == {chat_id: 1 for chat_id, seq in has.items() if not seq}
        assert await upstream.grown({}) == {}
    assert sizes == [200, 200, 50]


async def test_many_who_want_a_page_share_a_question_and_each_gets_his_own() -> None:
    app, asked = FastAPI(), list[list[tuple[str, int]]]()
    waited = transcripts_api.HistoryWanted(chat_id=CHAT, after=1, at_least=2)

    @app.post(transcripts_api.HISTORY)
    async def history(query: transcripts_api.HistoryQuery) -> Response:
        asked.append([(w.chat_id, w.after) for w in query.chats])
        pages = [transcripts_api.ChatHistory(chat_id=w.chat_id, last_seq=w.after, entries=[]) for w in query.chats]
        known = [page for page in pages if page.chat_id != id_of(99)]
        return Response(transcripts_api.History(chats=known).model_dump_json(), media_type="application/json")

    async with asking(app) as upstream:
        many = [transcripts_api.HistoryWanted(chat_id=id_of(n % 10), after=n) for n in range(100)]
        pages = await asyncio.gather(*(upstream.page(w) for w in many), upstream.page(waited))
        assert [page and (page.chat_id, page.last_seq) for page in pages[:-1]] == [(w.chat_id, w.after) for w in many]
        assert await upstream.page(transcripts_api.HistoryWanted(chat_id=id_of(99))) is None
    assert [(CHAT, 1)] in asked, "who may have to wait holds nobody up"
    assert len(asked) <= 15
    assert all(len(dict(chats)) == len(chats) <= module.MOST_PAGES for chats in asked), "each chat once in a question"


async def test_nobody_there_is_unavailable() -> None:
    async with asking(None) as upstream:
        with pytest.raises(Unavailable, match="routing"):
            await upstream.chats([CHAT])
        with pytest.raises(Unavailable, match="presence"):
            await upstream.session("token")
        with pytest.raises(Unavailable, match="transcripts"):
            await upstream.stream("GET", "/x", ACTOR)


async def test_an_answer_that_does_not_come_in_time_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    app, over = FastAPI(), asyncio.Event()

    @app.post(routing_api.CHATS)
    async def chats() -> None:
        await over.wait()

    async with asking(app) as upstream:
        with pytest.raises(Unavailable):
            await upstream.chats([CHAT])
        over.set()


@pytest.mark.parametrize(
    ("status", "media_type"),
    [(500, "application/problem+json"), (503, "application/json"), (404, "text/html"), (400, "application/json")],
)
async def test_what_is_not_an_answer_of_ours_is_unavailable(status: int, media_type: str) -> None:
    async with asking(answering(presence_api.AGENTS, status, b'{"code":"x"}', media_type)) as upstream:
        with pytest.raises(Unavailable):
            await upstream.ask("presence", presence_api.AGENTS, None, presence_api.Agents)


async def test_a_problem_is_declined_with_its_code() -> None:
    app = answering(presence_api.AGENTS, 409, b'{"code":"taken","detail":"D"}', problems.MEDIA_TYPE)
    async with asking(app) as upstream:
        with pytest.raises(Declined) as caught:
            await upstream.ask("presence", presence_api.AGENTS, None, presence_api.Agents)
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (409, "taken", "7")


async def test_a_session_is_none_only_when_presence_says_so() -> None:
    gone = answering(presence_api.SESSION_LOOKUP, 401, b'{"code":"unauthenticated"}', problems.MEDIA_TYPE)
    async with asking(gone) as upstream:
        assert await upstream.session("token") is None
    odd = answering(presence_api.SESSION_LOOKUP, 422, b'{"code":"invalid"}', problems.MEDIA_TYPE)
    async with asking(odd) as upstream:
        with pytest.raises(Unavailable):
            await upstream.session("token")


async def test_a_refusal_where_none_is_expected_is_unavailable() -> None:
    app = answering(transcripts_api.HISTORY, 404, b'{"code":"no_such_chat"}', problems.MEDIA_TYPE)
    async with asking(app) as upstream:
        with pytest.raises(Unavailable):
            await upstream.history([transcripts_api.HistoryWanted(chat_id=CHAT)])


async def test_bytes_stream_both_ways_on_behalf_of_who_asks() -> None:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        known = KEYS.service_of(request.headers["authorization"].removeprefix("Bearer "))
        assert known == ("gateway", ACTOR)
        assert request.headers["x-file-name"] == "a.txt"
        pieces = [piece async for piece in request.stream()]
        return StreamingResponse(iter(pieces))

    async def body() -> AsyncIterator[bytes]:
        for number in range(50):
            yield bytes([number]) * 10_000

    async with asking(app) as upstream:
        response = await upstream.stream("POST", "/echo", ACTOR, {"X-File-Name": "a.txt"}, body())
        async with response:
            assert await response.read() == b"".join([piece async for piece in body()])


# ── several replicas behind one address ──────────────────────────────────────────────────────────────────────────────


class Replicas:
    """Answers on one port, each request as the next word says.

    The words are `answer`, `cut` (before an answer), `half` (within it), `hang` (until the client gives up), `late`
    (when another request has come). `ended`: requests that were given up.
    """

    def __init__(self, *words: str) -> None:
        self.words, self.heard, self.connections = list(words), list[str](), 0
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
        word = self.words[min(len(self.heard), len(self.words) - 1)]
        self.heard.append(word)
        if len(self.heard) > 1:
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
async def asking_replicas(*words: str) -> AsyncIterator[tuple[Upstream, Replicas]]:
    replicas = Replicas(*words)
    server = await asyncio.start_server(replicas.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    upstream = Upstream(Settings(token_secret=SECRET, presence_url=url, routing_url=url, transcripts_url=url), KEYS)
    try:
        yield upstream, replicas
    finally:
        await upstream.close()
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
    async with asking_replicas(*words) as (upstream, replicas):
        for _ in range(words.count("answer")):
            assert await upstream.grown(HAS) == {CHAT: 7}
    assert (replicas.heard, replicas.connections) == (words, connections)
    assert asked_again("transcripts", "broken") - before == len(words) - words.count("answer")


async def test_what_breaks_every_time_is_unavailable_after_six_tries() -> None:
    async with asking_replicas("cut") as (upstream, replicas):
        with pytest.raises(Unavailable, match="transcripts"):
            await upstream.grown(HAS)
    assert len(replicas.heard) == module.TRIES


@pytest.mark.parametrize("words", [["hang", "answer"], ["hang", "hang", "answer"], ["hang", "cut", "answer"]])
async def test_a_replica_that_stands_still_costs_a_reader_little(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "patience", Patience(*(0.05 for word in words if word == "hang")))
    before = asked_again("transcripts", "slow")
    async with asking_replicas(*words) as (upstream, replicas):
        assert await upstream.grown(HAS) == {CHAT: 7}
        async with asyncio.timeout(PATIENCE):  # the others are given up
            assert [await replicas.ended.get() for word in words if word == "hang"] == ["hang"] * words.count("hang")
        assert await upstream.grown(HAS) == {CHAT: 7}
    assert replicas.heard == [*words, "answer"]
    new = words[1] != "hang"  # every second try goes over a connection of its own, which is not kept
    assert replicas.connections == len(words) + new, "what answered is used again"
    assert asked_again("transcripts", "slow") - before == words.count("hang")


async def test_the_first_answer_counts_whichever_question_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "patience", Patience(0.05))
    async with asking_replicas("late", "hang") as (upstream, replicas):
        assert await upstream.grown(HAS) == {CHAT: 7}
        async with asyncio.timeout(PATIENCE):
            await replicas.ended.get()
    assert replicas.heard == ["late", "hang"]


async def test_what_changes_something_is_not_asked_twice_because_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Patience()
    monkeypatch.setattr(module, "patience", looked)
    question = routing_api.Transfer(chat_id=CHAT, agent_id="an", to_agent="bert")

    async def ask(upstream: Upstream) -> None:
        await upstream.ask("routing", routing_api.TRANSFER, question, transcripts_api.Tails)

    async with asking_replicas("hang") as (upstream, replicas):
        async with waited_for(asyncio.create_task(ask(upstream))):
            await until(lambda: replicas.heard, "the question")
        assert (replicas.heard, looked.looks) == (["hang"], 0), "an answer is waited for as long as it takes"
    async with asking_replicas("cut", "answer") as (upstream, replicas):
        await ask(upstream)
    assert replicas.heard == ["cut", "answer"]


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


async def test_a_service_that_is_slow_for_everybody_is_not_asked_much_more(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, most = Patience(then=0.02), 10 + 2 * (module.TRIES - 1)
    monkeypatch.setattr(module, "patience", looked)
    monkeypatch.setattr(module, "MOST_SLOW", 2)
    async with asking_replicas("hang") as (upstream, replicas):
        async with waited_for(*(asyncio.create_task(upstream.grown(HAS)) for _ in range(10))):
            await until(lambda: len(replicas.heard) >= most, "all tries of two of them")
            looks = looked.looks
            await until(lambda: looked.looks > looks + 30, "the others to think of it again")
            assert (len(replicas.heard), upstream.slow) == (most, 2)
        assert upstream.slow == 0


async def test_all_tries_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "patience", Patience(then=0.02))
    async with asking_replicas("hang") as (upstream, replicas):
        async with waited_for(asyncio.create_task(upstream.grown(HAS))):
            await until(lambda: len(replicas.heard) == module.TRIES, "all tries")
        monkeypatch.setattr(module, "TIMEOUT", aiohttp.ClientTimeout(total=0.3))
        with pytest.raises(Unavailable):
            await upstream.grown(HAS)
        assert len(replicas.heard) <= 2 * module.TRIES


async def test_a_stream_is_opened_again_unless_its_body_was_begun() -> None:
    async def body() -> AsyncIterator[bytes]:
        begun.append(True)
        yield b"x"

    begun: list[bool] = []
    async with asking_replicas("cut", "answer") as (upstream, replicas):
        async with await upstream.stream("GET", "/x", ACTOR) as response:
            assert b'"tails"' in await response.read()
        assert replicas.heard == ["cut", "answer"]
        replicas.words.append("cut")
        with pytest.raises(Unavailable):
            await upstream.stream("POST", "/x", ACTOR, {}, body())
    assert begun == [True]
    assert replicas.connections == 3, "a body goes over a new connection"
