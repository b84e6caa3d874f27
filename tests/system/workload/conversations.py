"""Conversations of citizens and agents that begin, continue whatever fails, and end; and begin again."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.clients import new_id
from tests.system.history import Recorder
from tests.system.workload.agent import AgentChat, LastingAgent
from tests.system.workload.citizen import LastingCitizen, many_browsers
from tests.system.workload.participant import Participant
from tests.system.workload.reconnecting import SOON, Reconnecting, until_done

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001"
    "e221bc330000000049454e44ae426082"
)
WORDS = ("aanvraag", "premie", "bijlage", "dossier", "nummer", "morgen", "dank", "één", "geïnd", "€", "😀", "formulier")
BEGIN = 120.0  # seconds for all conversations to begin
INTERVAL = 0.02  # seconds between two looks at a condition


@dataclass(frozen=True)
class Behaviour:
    """How participants converse. Shares are of messages.

    `pause`: seconds from one message of a conversation to its next, on average. `lasts`: seconds of a conversation,
    at random between. `backlog`: messages without a receipt with which a participant waits before the next one.
    """

    pause: float = 1.0
    lasts: tuple[float, float] = (20.0, 60.0)
    backlog: int = 30
    attached: float = 0.05
    files: int = 5  # of a chat, at most
    downloaded: float = 0.03
    formats: tuple[str, ...] = ("json",)
    reloaded: float = 0.015
    tabs: float = 0.015
    abrupt: float = 0.25  # of the ends: the other participant is still writing
    patience: float = 90.0  # seconds for an end
    reconnecting: Reconnecting = SOON


@dataclass
class Workload:
    """All participants of a run, and the history that they record.

    `agent_chats`: for each chat, the agents who had it in turn. `written`: the number of texts and files so far.
    """

    base: str
    rng: random.Random
    behaviour: Behaviour
    http: aiohttp.ClientSession
    recorder: Recorder = field(default_factory=Recorder)
    agents: list[LastingAgent] = field(default_factory=list)
    agent_chats: dict[str, list[AgentChat]] = field(default_factory=lambda: defaultdict(list))
    citizens: list[LastingCitizen] = field(default_factory=list)
    written: int = 0

    def text(self, who: str) -> str:
        """A text that nothing else in this run contains, of a few words or of many."""
        self.written += 1
        words = self.rng.choices(WORDS, k=self.rng.choice([1, 3, 8, 20, 200]))
        return f"{who} {self.written}: {' '.join(words)}"

    def file(self) -> tuple[str, bytes]:
        """A name and contents that no other attachment of this run has."""
        self.written += 1
        return f"bijlage {self.written}.png", PNG + self.rng.randbytes(self.rng.choice([10, 1_000, 60_000, 300_000]))

    def agent(self, username: str) -> LastingAgent:
        """An agent who accepts each chat at once and greets its citizen; the conversation does the rest."""

        async def greet(chat: AgentChat) -> None:
            await chat.accept()
            await chat.say(self.text(username))

        agent = LastingAgent(
            self.base,
            username,
            self.recorder,
            greet,
            self.behaviour.reconnecting,
            lambda c: self.agent_chats[c.chat].append(c),
        )
        self.agents.append(agent)
        return agent

    async def read_everything(self) -> None:
        """Agents read the ends of chats that they missed; each citizen downloads their transcript and attachments."""
        await asyncio.gather(*(agent.read_all() for agent in self.agents))
        await read_everything(self.citizens)

    async def until_written(self, number: int) -> None:
        """Returns when participants have written so many texts and files."""
        end = time.monotonic() + BEGIN
        while self.written < number:
            assert time.monotonic() < end, f"{self.written} of {number} messages were written"
            await asyncio.sleep(INTERVAL)


@contextlib.asynccontextmanager
async def running_workload(
    base: str, usernames: Sequence[str], behaviour: Behaviour, rng: random.Random
) -> AsyncIterator[Workload]:
    """A workload whose agents are logged in, without conversations yet."""
    async with many_browsers() as http:
        workload = Workload(base, rng, behaviour, http)
        agents = [workload.agent(username) for username in usernames]
        try:
            await asyncio.gather(*(agent.come() for agent in agents))
            yield workload
        finally:
            await asyncio.gather(*(agent.close(log_out=False) for agent in agents))


async def read_everything(citizens: Sequence[LastingCitizen], at_a_time: int = 8) -> None:
    """Each citizen downloads their transcript when every chat has ended, and once more every attachment in it."""
    slots = asyncio.Semaphore(at_a_time)

    async def read(citizen: LastingCitizen) -> None:
        async with slots:
            await citizen.chat.download(final=True)
            for message in citizen.chat.messages():
                if attachment := message.get("attachment"):
                    await citizen.chat.fetch(attachment["id"])

    await asyncio.gather(*(read(citizen) for citizen in citizens if citizen.participant))


class Conversation:
    """A citizen and whichever agent has their chat, in one chat after another."""

    def __init__(self, workload: Workload) -> None:
        self._workload, self._rng = workload, random.Random(workload.rng.random())
        self._tasks: set[asyncio.Task[Any]] = set()
        self._citizen: LastingCitizen | None = None
        self.citizen: Participant | None = None
        self.is_under_way = False  # both are there, and neither has asked for the end
        self.held = False  # neither asks for the end now
        self.chats = 0

    @property
    def agent(self) -> AgentChat | None:
        """The agent who has the chat now."""
        chats = self._workload.agent_chats[self.citizen.chat] if self.citizen else []
        return next((chat for chat in reversed(chats) if not chat.over), None)

    async def run(self, over: asyncio.Event) -> None:
        """Chats one after the other, until `over` is set and the last one has ended."""
        try:
            while not over.is_set():
                await self._chat(over)
                await asyncio.sleep(self._rng.uniform(0.1, 1.0))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # ── recovery ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def probe(self) -> None:
        """Both say something now."""
        for participant in (self.citizen, self.agent):
            if participant is not None:
                self._start(self._say(participant))

    def recovered(self, since: float) -> float | None:
        """Seconds until something that each of the two wrote from then on was shown to both; None: not yet."""
        assert self.citizen
        agents = self._workload.agent_chats[self.citizen.chat]
        directions = []
        for authors in ([self.citizen], agents):
            new = [id_ for author in authors for id_, at in author.sent_at.items() if at >= since]
            both = [
                max(self.citizen.shown_at[id_], min(agent.shown_at[id_] for agent in agents if id_ in agent.shown_at))
                for id_ in new
                if id_ in self.citizen.shown_at and any(id_ in agent.shown_at for agent in agents)
            ]
            if not both:
                return None
            directions.append(min(both) - since)
        return max(directions)

    # ── one chat ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _chat(self, over: asyncio.Event) -> None:
        self._citizen = await self._begin(over)
        if self._citizen is None:
            self.citizen = None
            return
        self.citizen = citizen = self._citizen.chat
        self.chats += 1
        self._citizen.join()
        try:
            if await self._both_are_there(citizen):
                self.is_under_way = True
                await self._converse(over)
                self.is_under_way = False
            await self._end(citizen)
        finally:
            self.is_under_way = False
            await self._citizen.close()

    async def _begin(self, over: asyncio.Event) -> LastingCitizen | None:
        """Press until a chat has begun; the same press as long as it is not answered."""
        workload, key = self._workload, new_id()
        citizen = LastingCitizen(workload.http, workload.base, workload.recorder, workload.behaviour.reconnecting)

        async def press() -> bool:
            nonlocal key
            status = await citizen.press(key, name="Lies", locale="nl")
            if status == 409:
                key = new_id()
            return status == 201

        while citizen.participant is None and not over.is_set():
            await until_done(press, over.is_set)
        if citizen.participant is None:
            return None
        workload.citizens.append(citizen)
        return citizen

    async def _both_are_there(self, citizen: Participant) -> bool:
        with contextlib.suppress(AssertionError):
            await citizen.until(lambda: citizen.over or citizen.last("status").get("dot") == "green", "an agent")
        end = time.monotonic() + 15
        while self.agent is None and not citizen.over and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return self.agent is not None and not citizen.over

    async def _converse(self, over: asyncio.Event) -> None:
        assert self.citizen
        assert self._citizen
        behaviour, rng, files = self._workload.behaviour, self._rng, 0
        end = time.monotonic() + rng.uniform(*behaviour.lasts)
        while not self.citizen.over and (self.held or (time.monotonic() < end and not over.is_set())):
            await asyncio.sleep(rng.expovariate(1 / behaviour.pause))
            participant, chance = rng.choice([self.citizen, self.agent or self.citizen]), rng.random()
            if (chance := chance - behaviour.attached) < 0 and files < behaviour.files:
                files += 1
                self._start(participant.attach(*self._workload.file()))
            elif (chance := chance - behaviour.downloaded) < 0:
                self._start(participant.download(rng.choice(behaviour.formats)))
            elif (chance := chance - behaviour.reloaded) < 0:
                self._start(self.citizen.reload())
            elif (chance := chance - behaviour.tabs) < 0:
                self._start(self._citizen.second_tab(rng.uniform(1, 10)))
            else:
                self._start(self._say(participant))

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say(self, participant: Participant) -> None:
        """Say something, unless so much is without a receipt that they would have to wait."""
        if len(participant.pending) < self._workload.behaviour.backlog and not participant.over:
            await participant.say(self._workload.text(participant.who))

    async def _end(self, citizen: Participant) -> None:
        """One of them closes: when both were shown everything, or while the other is still writing."""
        behaviour, rng, agent = self._workload.behaviour, self._rng, self.agent
        closer = rng.choice([citizen, agent or citizen])
        if rng.random() < behaviour.abrupt:
            for participant in [citizen, agent] if agent else [citizen]:
                for _ in range(3):
                    self._start(self._say(participant))
        else:
            await self._all_shown(citizen)
        for one in (closer, citizen):
            if one.over and not citizen.over:
                continue  # the agent has lost the chat meanwhile
            with contextlib.suppress(TimeoutError, AssertionError):
                async with asyncio.timeout(behaviour.patience):
                    if not citizen.over:
                        await one.end()
                    await citizen.until(lambda: citizen.over, "the end")
            if citizen.over:
                break
        await self._until_read(citizen)

    async def _all_shown(self, citizen: Participant) -> None:
        end = time.monotonic() + self._workload.behaviour.patience
        while time.monotonic() < end and not citizen.over and self._has_pending(citizen):
            await asyncio.sleep(0.05)

    def _has_pending(self, citizen: Participant) -> bool:
        agent = self.agent
        participants: list[Participant] = [citizen, agent] if agent else [citizen]
        return any(p.pending for p in participants) or len({max(p.log, default=0) for p in participants}) > 1

    async def _until_read(self, citizen: Participant) -> None:
        """Returns when the agent knows of the end too, and the citizen has fetched everything."""
        end = time.monotonic() + self._workload.behaviour.patience
        while time.monotonic() < end and self.agent is not None:
            await asyncio.sleep(0.05)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._workload.behaviour.patience):
                await citizen.fetched()


async def until_all_converse(conversations: Sequence[Conversation]) -> None:
    """Returns when all conversations are under way at the same time: none of them ends before that."""
    end = time.monotonic() + BEGIN
    for conversation in conversations:
        conversation.held = True
    while not all(conversation.is_under_way for conversation in conversations):
        assert time.monotonic() < end, "the conversations do not begin"
        await asyncio.sleep(INTERVAL)
    for conversation in conversations:
        conversation.held = False


async def recovery(conversations: Sequence[Conversation], moment: float, limit: float) -> float:
    """Seconds from `moment` until what both sides of each held conversation wrote since was shown to both.

    Infinite when that takes more than `limit` seconds.
    """
    measured = [conversation for conversation in conversations if conversation.held and conversation.is_under_way]
    await asyncio.gather(*(conversation.probe() for conversation in measured))
    took = 0.0
    for conversation in measured:
        while (seconds := conversation.recovered(moment)) is None:
            if time.monotonic() - moment > limit:
                return math.inf
            await asyncio.sleep(INTERVAL)
        took = max(took, seconds)
    return took
