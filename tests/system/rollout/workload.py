"""Who uses the system while its processes are replaced, as their browsers do it; what each of them was shown."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from tests.support.clients import Agent, Citizen, agent, begin, citizen, http_client, new_id
from tests.support.lasting_clients import Lasting, Talk
from tests.system.soak.people import FAILED, Caller, Manners, Worker, many_browsers

RESTART_JITTER, FIRST_DELAY, LONGEST_DELAY = 1.0, 0.5, 20.0  # as services/gateway/web/shared/connection.js has them
CLIENT_RETRIES = (0, 503)  # what the element tries again by itself, with the same key
BACKLOG = 4  # messages without a receipt
Span = tuple[float, float]


@dataclass
class Seen:
    """What the people saw: answers over HTTP, errors in frames, and the spans in which something was not as it ought.

    `dots`: a citizen's dot not green. `desks`: an agent without a connection. `buttons`: a page without a green button.
    `receipts`, `helped`: from what was said to its receipt, and from a press to the green dot, all of them.
    """

    answers: list[tuple[float, str, int]] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    dots: list[Span] = field(default_factory=list)
    desks: list[Span] = field(default_factory=list)
    buttons: list[Span] = field(default_factory=list)
    receipts: list[Span] = field(default_factory=list)
    helped: list[Span] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def statuses(self, since: float, until: float) -> Counter[str]:
        """Answers by what was asked and the status, those that are as they ought to be left out."""
        bad = [(w, s) for at, w, s in self.answers if since <= at < until and s not in (200, 201, 204)]
        return Counter(f"{what} {status or 'no answer'}" for what, status in bad)


class Viewer(Lasting):
    """A side of a chat in a browser: it waits before it connects again as the element and the console do."""

    def __init__(self, side: Lasting) -> None:
        super().__init__(side.http, side.url, side.hello, side.chat_id)
        self.spans: list[Span] = []
        self.receipts: list[Span] = []
        self._since: float | None = None
        self._said: dict[str, float] = {}

    async def post(self, **content: str) -> str:
        began = time.monotonic()
        id_ = await super().post(**content)
        self._said[id_] = began
        return id_

    async def run(self) -> None:
        tries = 0
        while not self.over:
            heard, closes = len(self.frames), len(self.closes)
            with contextlib.suppress(*FAILED):
                await self._connection()
            self._ws = None
            if self.over:
                return
            self._since = self._since or time.monotonic()
            tries = 0 if len(self.frames) > heard else tries
            restart = tries == 0 and self.closes[closes:] == [1012]
            await asyncio.sleep(
                random.uniform(0, RESTART_JITTER if restart else min(LONGEST_DELAY, FIRST_DELAY * 2**tries))
            )
            tries += 1

    async def _hear(self, ws: aiohttp.ClientWebSocketResponse, frame: dict[str, object]) -> None:
        await super()._hear(ws, frame)
        if frame["type"] == "message" and frame["id"] in self._said:
            self.receipts.append((self._said.pop(str(frame["id"])), time.monotonic()))
        if self.chat_id is None and frame["type"] == "status":
            self._lit(frame["dot"] == "green")
        elif self.chat_id is not None and frame["type"] == "welcome":
            self._lit(True)

    def _lit(self, good: bool) -> None:
        now = time.monotonic()
        if good and self._since is not None:
            self.spans.append((self._since, now))
            self._since = None
        elif not good and self._since is None:
            self._since = now


class Pair(Talk):
    """Two who go on talking, and now and then send or fetch a file or the transcript.

    Each waits when too much of what they said has no receipt: a backlog would say nothing of how long others wait.
    """

    def __init__(self, visitor: Citizen, helper: Agent, pause: float) -> None:
        super().__init__(visitor, helper)
        sides = (self.citizen, self.agent)
        self.citizen, self.agent = (Viewer(side) for side in sides)
        self._pause = pause

    async def _talk(self) -> None:
        while not self._quiet.is_set():
            self._count += 1
            for side, text in ((self.citizen, "vraag"), (self.agent, "antwoord")):
                if len(side.pending) < BACKLOG:
                    await side.say(f"{text} {self._count}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), self._pause)

    async def fetch(self, seen: Seen, rng: random.Random) -> None:
        """Until cancelled: uploads a file, posts it, and downloads it and the conversation."""
        formats = ("json", "txt", "html", "pdf")
        for number in range(10_000):
            body = b"%PDF-1.4\n" + rng.randbytes(2_000) if number < 15 else b""
            began, status = time.monotonic(), 0
            if body:
                with contextlib.suppress(*FAILED):
                    answer = await self.visitor.upload(f"attest {number}.pdf", body)
                    status = answer.status
                seen.answers.append((began, "upload", status))
                if status == 201:
                    id_ = (await answer.json())["id"]
                    await self.citizen.post(attachment=id_)
                    await self._get(seen, f"attachments/{id_}", body)
            await self._get(seen, f"transcript?format={rng.choice(formats)}", None)
            await asyncio.sleep(rng.uniform(0.3, 1.0))

    async def _get(self, seen: Seen, what: str, body: bytes | None) -> None:
        began, status = time.monotonic(), 0
        url = f"{self.visitor.base}/api/chats/{self.visitor.chat_id}/{what}"
        with contextlib.suppress(*FAILED):
            answer = await self.visitor.http.get(url, headers=self.visitor.bearer)
            status = answer.status
            if body is not None and status == 200 and await answer.read() != body:
                seen.wrong.append(f"{what} is not what was uploaded")
        seen.answers.append((began, f"GET {what.split('/')[0].split('?')[0]}", status))


@contextlib.asynccontextmanager
async def paired(base: str, username: str, seen: Seen, pause: float) -> AsyncIterator[Pair]:
    """A talk under way; at the end it is held against the transcript, and its spans are among what was seen."""
    async with agent(base, username) as helper, citizen(base) as visitor:
        await begin(visitor)
        pair = Pair(visitor, helper, pause)
        running = [asyncio.create_task(side.run()) for side in (pair.citizen, pair.agent)]
        try:
            await pair.citizen.status(dot="green")
            await pair.agent.until(lambda: pair.agent.log, "the chat")
            pair.begin()
            await pair.agent.until(lambda: len(pair.agent.log) > 4, "a conversation under way")
            await helper.socket.close()
            yield pair
            await _judge(pair, username, seen)
            await pair.citizen.end()
        finally:
            for task in (*running, *pair.tasks):
                task.cancel()
            await asyncio.gather(*running, *pair.tasks, return_exceptions=True)


async def _judge(pair: Pair, username: str, seen: Seen) -> None:
    try:
        kept = await pair.check()
        events = [m["event"] for m in kept if m["from"] == "system"]
        if events != ["opened", "assigned"]:
            seen.wrong.append(f"the chat of {username} did not keep its agent: {events}")
    except AssertionError as error:
        seen.wrong.append(f"the talk of {username}: {error}")
    assert isinstance(pair.citizen, Viewer)
    assert isinstance(pair.agent, Viewer)
    seen.dots += pair.citizen.spans
    seen.desks += pair.agent.spans
    seen.receipts += pair.citizen.receipts + pair.agent.receipts
    for side in (pair.citizen, pair.agent):
        seen.errors += [(at, f"{f['code']} (id {f.get('id')})") for at, f in side.frames if f["type"] == "error"]


async def press(base: str, seen: Seen, rng: random.Random) -> None:
    """Until cancelled: somebody presses, is helped, says something and leaves."""
    async with many_browsers() as http:
        while True:
            caller, key = Caller(http, base), new_id()
            while (status := await caller.press(key)) in CLIENT_RETRIES:
                seen.answers.append((caller.visit.presses[-1].began, "press", status))
                await asyncio.sleep(rng.uniform(0.2, 1.0))
            seen.answers.append((caller.visit.presses[-1].began, "press", status))
            if status == 201:
                await _visit(caller, seen)
            await asyncio.sleep(rng.uniform(0.2, 0.8))


async def _visit(caller: Caller, seen: Seen) -> None:
    began = caller.visit.presses[0].began
    caller.join()
    try:
        if not await caller.until_green(20) or not caller.visit.served_at:
            seen.wrong.append(f"a citizen who pressed had no agent: {caller.visit.closed}")
            return
        seen.helped.append((began, caller.visit.served_at))
        await caller.say("Dag")
        if not await caller.leave(30):
            seen.wrong.append("a chat was not closed in 30 s")
        seen.errors += [(at, f["code"]) for at, f in caller.visit.frames if f["type"] == "error"]
    finally:
        await caller.gone()


async def page(base: str, seen: Seen, rng: random.Random) -> None:
    """Until cancelled: an open page that shows the button, which ought to be green all the time."""
    since: float | None = None
    async with http_client() as http:
        while True:
            with contextlib.suppress(*FAILED):
                timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
                async with http.get(f"{base}/api/button/events", timeout=timeout) as stream:
                    seen.answers.append((time.monotonic(), "GET button/events", stream.status))
                    async for line in stream.content:
                        if line.startswith(b"data: "):
                            since = _shown(json.loads(line[6:])["colour"] == "green", since, seen)
            await asyncio.sleep(rng.uniform(0, 1))  # as button.js waits; what was shown stays meanwhile


def _shown(green: bool, since: float | None, seen: Seen) -> float | None:
    now = time.monotonic()
    if green and since is not None:
        seen.buttons.append((since, now))
        return None
    return now if not green and since is None else since


async def ask(base: str, seen: Seen) -> None:
    """Until cancelled: the button is asked for on a new connection each time, as a browser that opens the page does."""
    since: float | None = None
    async with http_client(connector=aiohttp.TCPConnector(force_close=True)) as http:
        while True:
            began, status = time.monotonic(), 0
            with contextlib.suppress(*FAILED):
                answer = await http.get(f"{base}/api/button")
                status = answer.status
                since = _shown(status == 200 and (await answer.json())["colour"] == "green", since, seen)
            seen.answers.append((began, "GET button", status))
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def crowd(base: str, pairs: int, workers: int, rng: random.Random) -> AsyncIterator[Seen]:
    """All of them are there while the context is open; what they saw is complete when it is closed."""
    seen = Seen()
    async with contextlib.AsyncExitStack() as stack:
        talks = [await stack.enter_async_context(paired(base, f"agent{n}", seen, 0.2)) for n in range(1, pairs + 1)]
        helpers = [
            Worker(base, f"agent{pairs + n}", rng, Manners(closes=0.0, longest=60.0)) for n in range(1, workers + 1)
        ]
        await asyncio.gather(*(helper.come() for helper in helpers))
        doing = [talk.fetch(seen, rng) for talk in talks]
        doing += [press(base, seen, rng), ask(base, seen), *(page(base, seen, rng) for _ in range(5))]
        tasks = [asyncio.create_task(one) for one in doing]
        try:
            await asyncio.sleep(1)
            yield seen
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(helper.away() for helper in helpers))
