"""Citizens and agents in talks that begin, go on whatever fails, and end; and begin again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.clients import Frame, http_client, new_id
from tests.support.lasting_clients import Lasting
from tests.system.chaos.history import CITIZEN
from tests.system.chaos.sides import AGENT_SILENCE, FAILED, Notes, Side, until_done

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001"
    "e221bc330000000049454e44ae426082"
)
FILES_OF_A_CHAT = 5
WORDS = ("aanvraag", "premie", "bijlage", "dossier", "nummer", "morgen", "dank", "één", "geïnd", "€", "😀", "formulier")


@dataclass(frozen=True)
class Manners:
    """How people talk. `pause`: seconds from one message of a talk to its next, on average. Shares are of messages."""

    pause: float = 1.0
    talks: tuple[float, float] = (20.0, 60.0)  # seconds
    attached: float = 0.05
    downloaded: float = 0.03
    reloaded: float = 0.015
    tabs: float = 0.015
    abrupt: float = 0.25  # of the ends: the other one is still writing
    patience: float = 90.0  # seconds for an end


@dataclass
class Company:
    """All who take part in a run, and what they wrote down. `sides`: of each chat, the agents who had it in turn."""

    base: str
    rng: random.Random
    manners: Manners
    http: aiohttp.ClientSession
    notes: Notes = field(default_factory=Notes)
    sides: dict[str, list[Side]] = field(default_factory=lambda: defaultdict(list))
    citizens: list[Side] = field(default_factory=list)
    count: int = 0

    def text(self, who: str) -> str:
        """Something that nobody has said before, of a few words or of many."""
        self.count += 1
        words = self.rng.choices(WORDS, k=self.rng.choice([1, 3, 8, 20, 200]))
        return f"{who} {self.count}: {' '.join(words)}"

    def file(self) -> tuple[str, bytes]:
        """A name and contents that nobody has attached before."""
        self.count += 1
        return f"bijlage {self.count}.png", PNG + self.rng.randbytes(self.rng.choice([10, 1_000, 60_000, 300_000]))


class Desk(Lasting):
    """An agent's first tab, open all the time: for each chat that comes to them they open another one."""

    def __init__(self, company: Company, username: str) -> None:
        self.http = http_client(cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0))
        super().__init__(self.http, f"{company.base}/ws/agent", lambda _: {"type": "hello", "chats": {}}, "none")
        self._company, self.username = company, username
        self._at_work: dict[str, tuple[Side, asyncio.Task[None]]] = {}

    async def come(self) -> None:
        """Logs in, however often they have to try."""
        body, origin = {"username": self.username, "password": "demo"}, {"Origin": self._company.base}

        async def log_in() -> bool:
            answer = await self.http.post(f"{self._company.base}/api/agent/session", json=body, headers=origin)
            return answer.status == 204

        assert await until_done(log_in), f"{self.username} cannot log in"

    async def go(self) -> None:
        """Their browser is closed."""
        tasks = [task for _, task in self._at_work.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.http.close()

    async def _connection(self) -> None:
        timeout = aiohttp.ClientWSTimeout(ws_receive=AGENT_SILENCE, ws_close=1)
        try:
            async with asyncio.timeout(6):
                ws = await self.http.ws_connect(self.url, headers={"Origin": self._company.base}, timeout=timeout)
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                await self.come()
            return
        try:
            await ws.send_json(self.hello(0))
            async for message in ws:
                await self._hear(ws, message.json())
            if ws.close_code == 4401:
                await self.come()
        finally:
            with contextlib.suppress(*FAILED):
                await ws.close()

    async def _hear(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        if frame["type"] == "welcome":
            for chat in frame["chats"]:
                self._take(chat["chat_id"])
        elif frame["type"] == "assigned":
            self._take(frame["chat"]["chat_id"])
        state = frame["agent"]["state"] if frame["type"] == "welcome" else frame.get("state")
        if state == "paused":  # they were slow to accept a chat
            await ws.send_json({"type": "state", "state": "available"})

    def _take(self, chat_id: str) -> None:
        side, _ = self._at_work.get(chat_id, (None, None))
        if side is not None and not side.over:
            return
        company = self._company

        def hello(after: int) -> Frame:
            return {"type": "hello", "chats": {chat_id: after}}

        origin = {"Origin": company.base}
        side = Side(self.http, company.base, hello, company.notes, chat_id, self.username, origin)
        company.sides[chat_id].append(side)
        self._at_work[chat_id] = side, asyncio.create_task(self._attend(side))

    async def _attend(self, side: Side) -> None:
        """One chat from when they get it until it is over for them; they read what they missed of its end."""
        saying = asyncio.create_task(side.say(self._company.text(self.username)))
        try:
            await side.run()
            if side.reason is None and not side.left and not await side.download():
                side.gone_elsewhere()
            await side.fetched()
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)


class Talk:
    """A place in the run: one citizen after the other, each in a chat with whoever is free."""

    def __init__(self, company: Company) -> None:
        self._company, self._rng = company, company.rng
        self._tasks: set[asyncio.Task[object]] = set()
        self.citizen: Side | None = None
        self.talking = False  # both are there, and neither has asked for the end
        self.held = False  # nobody asks for the end now
        self.chats = 0

    @property
    def agent(self) -> Side | None:
        """Whoever has the chat now."""
        sides = self._company.sides[self.citizen.chat] if self.citizen else []
        return next((side for side in reversed(sides) if not side.over), None)

    async def run(self, over: asyncio.Event) -> None:
        """Chats one after the other, until it is over and the last one has ended."""
        try:
            while not over.is_set():
                await self._chat(over)
                await asyncio.sleep(self._rng.uniform(0.1, 1.0))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # ── from the moment of a blow ────────────────────────────────────────────────────────────────────────────────────

    async def probe(self) -> None:
        """Both say something now."""
        for side in (self.citizen, self.agent):
            if side is not None:
                self._start(self._say(side))

    def flowed(self, since: float) -> float | None:
        """Seconds until something that each of the two wrote from then on was shown to both; None: not yet."""
        assert self.citizen
        agents = self._company.sides[self.citizen.chat]
        ways = []
        for authors in ([self.citizen], agents):
            new = [id_ for side in authors for id_, at in side.written.items() if at >= since]
            both = [
                max(self.citizen.seen[id_], min(side.seen[id_] for side in agents if id_ in side.seen))
                for id_ in new
                if id_ in self.citizen.seen and any(id_ in side.seen for side in agents)
            ]
            if not both:
                return None
            ways.append(min(both) - since)
        return max(ways)

    # ── one chat ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _chat(self, over: asyncio.Event) -> None:
        self.citizen = citizen = await self._begin(over)
        if citizen is None:
            return
        self.chats += 1
        connected = asyncio.create_task(citizen.run())
        try:
            if await self._together(citizen):
                self.talking = True
                await self._talk(over)
                self.talking = False
            await self._end(citizen)
        finally:
            self.talking = False
            connected.cancel()
            await asyncio.gather(connected, return_exceptions=True)

    async def _begin(self, over: asyncio.Event) -> Side | None:
        """Presses until a chat has begun; the same press as long as it is not answered."""
        company, key, begun = self._company, new_id(), []

        async def press() -> bool:
            nonlocal key
            url, headers = f"{company.base}/api/chats", {"Idempotency-Key": key}
            answer = await company.http.post(url, json={"name": "Lies", "locale": "nl"}, headers=headers)
            if answer.status == 201:
                begun.append(await answer.json())
            elif answer.status == 409:
                key = new_id()
            return bool(begun)

        while not begun and not over.is_set():
            await until_done(press, over.is_set)
        if not begun:
            return None
        chat, token = begun[0]["chat_id"], begun[0]["token"]

        def hello(after: int) -> Frame:
            return {"type": "hello", "token": token, "after": after}

        bearer = {"Authorization": f"Bearer {token}"}
        company.citizens.append(Side(company.http, company.base, hello, company.notes, chat, headers=bearer))
        return company.citizens[-1]

    async def _together(self, citizen: Side) -> bool:
        with contextlib.suppress(AssertionError):
            await citizen.until(lambda: citizen.over or citizen.last("status").get("dot") == "green", "an agent")
        end = time.monotonic() + 15
        while self.agent is None and not citizen.over and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return self.agent is not None and not citizen.over

    async def _talk(self, over: asyncio.Event) -> None:
        assert self.citizen
        manners, rng, files = self._company.manners, self._rng, 0
        end = time.monotonic() + rng.uniform(*manners.talks)
        while not self.citizen.over and (self.held or (time.monotonic() < end and not over.is_set())):
            await asyncio.sleep(rng.expovariate(1 / manners.pause))
            side, chance = rng.choice([self.citizen, self.agent or self.citizen]), rng.random()
            if (chance := chance - manners.attached) < 0 and files < FILES_OF_A_CHAT:
                files += 1
                self._start(side.attach(*self._company.file()))
            elif (chance := chance - manners.downloaded) < 0:
                self._start(side.download())
            elif (chance := chance - manners.reloaded) < 0:
                self._start(self.citizen.reload())
            elif (chance := chance - manners.tabs) < 0:
                self._start(self._second_tab(self.citizen))
            else:
                self._start(self._say(side))

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say(self, side: Side) -> None:
        """Unless so much is without a receipt that they would have to wait."""
        if len(side.pending) < 30 and not side.over:
            await side.say(self._company.text(side.who))

    async def _second_tab(self, first: Side) -> None:
        """The citizen's chat in another tab for a while."""
        company = self._company
        tab = Side(first.http, first.base, first.hello, company.notes, first.chat, headers=first.headers, mere=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._rng.uniform(1, 10)):
                await tab.run()

    async def _end(self, citizen: Side) -> None:
        """Either of them closes: when everybody was shown everything, or while the other is still writing."""
        manners, rng, agent = self._company.manners, self._rng, self.agent
        closer = rng.choice([citizen, agent or citizen])
        if rng.random() < manners.abrupt:
            for side in [citizen, agent] if agent else [citizen]:
                for _ in range(3):
                    self._start(self._say(side))
        else:
            await self._quiet(citizen)
        for one in (closer, citizen):
            with contextlib.suppress(TimeoutError, AssertionError):
                async with asyncio.timeout(manners.patience):
                    if not citizen.over:
                        await one.ask_for_the_end()
                    await citizen.until(lambda: citizen.over, "the end")
            if citizen.over:
                break
        await self._gone(citizen)

    async def _quiet(self, citizen: Side) -> None:
        end = time.monotonic() + self._company.manners.patience
        while time.monotonic() < end and not citizen.over and self._unsettled(citizen):
            await asyncio.sleep(0.05)

    def _unsettled(self, citizen: Side) -> bool:
        agent = self.agent
        sides = [citizen, agent] if agent else [citizen]
        return any(side.pending for side in sides) or len({max(side.log, default=0) for side in sides}) > 1

    async def _gone(self, citizen: Side) -> None:
        """The agents know of the end too, and everything was fetched."""
        end = time.monotonic() + self._company.manners.patience
        while time.monotonic() < end and self.agent is not None:
            await asyncio.sleep(0.05)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._company.manners.patience):
                await citizen.fetched()


async def read_everything(company: Company) -> None:
    """Each citizen downloads their transcript when all is over, and once more every attachment in it."""
    at_a_time = asyncio.Semaphore(8)

    async def read(citizen: Side) -> None:
        async with at_a_time:
            await citizen.download(final=True)
            for message in citizen.messages():
                if attachment := message.get("attachment"):
                    await citizen.fetch(attachment["id"])

    assert all(side.who == CITIZEN for side in company.citizens)
    await asyncio.gather(*(read(citizen) for citizen in company.citizens))
