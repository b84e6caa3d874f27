"""`python -m tests.system.chaos.writers --seed N --seconds S`: writers of the same logs, crashed at every point.

Real are the database, which is killed with kill -9 now and then, and all of transcripts that stores: `Store`, `Writer`,
`Recorder`. In memory are the queue, which gives a batch again when its writer died, and the participants, who send one
message after another, each again and again until its answer comes. Operations fail before and after they are done and
half done; writes land after their writer died; events are doubled, lost and late on the way to the participants.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import structlog
from prometheus_client import REGISTRY

from deploy.local import embedded_mongodb as embedded
from deploy.local import ports, processes
from services.common.config.settings import Settings
from services.common.events.chats import ChatOpened, ChatState
from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessageRefused, MessagesStored, MessageStored
from services.common.events.types import Cause, ChatStatus, CloseReason, Party, Sender
from services.common.messaging import consumer
from services.common.messaging.connection import Unconfirmed
from services.common.mongo.client import Database, open_database
from services.common.mongo.migrations import upgrade
from services.transcripts.attachments.store import Files
from services.transcripts.log.delivery import Delivery
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.sequencing import POISON, WAITING
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer, now_ms
from services.transcripts.migrations import STEPS
from services.transcripts.publisher import stored_event
from tests.system.chaos.logbook import Story, faults
from tests.system.chaos.struck import Crash, Strikes, StruckStore
from tests.system.soak.tables import table

OPENED_AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
WRITERS, CHATS = 3, 16  # at a time
BATCH = 12
SENDERS = ("citizen", "an", "bert")
LOST, DOUBLED = 0.1, 0.1  # of what is told; of what is sent
PATIENCE = 120.0  # seconds that the last chats may need beyond the time of the run
FIRST_AGAIN, LAST_AGAIN = 0.3, 2.0  # seconds after which a sender repeats what has no answer


class Town:
    """The queue, the participants and what they were told."""

    def __init__(self, strikes: Strikes) -> None:
        self.strikes, self.rng = strikes, strikes.rng
        self.queue: deque[tuple[Event, bool]] = deque()
        self.news = asyncio.Event()
        self.stories: dict[str, Story] = {}
        self._waiting: dict[tuple[str, str], asyncio.Event] = {}

    def put(self, *events: Event) -> None:
        self.queue.extend((f, False) for f in events)
        self.news.set()

    def give_back(self, events: Iterable[Event]) -> None:
        """Their writer died: they are delivered again, before what came later."""
        self.queue.extendleft((f, True) for f in reversed(list(events)))
        self.news.set()

    async def take(self) -> list[tuple[Event, bool]]:
        while not self.queue:
            self.news.clear()
            await self.news.wait()
        return [self.queue.popleft() for _ in range(min(len(self.queue), BATCH))]

    async def publish_all(self, events: Sequence[tuple[Event, object]]) -> None:
        """As a publisher; an event may be lost later, at the participants' gateways, or come late."""
        for event, _ in events:
            self.strikes.at("told: before", Unconfirmed())
            if self.rng.random() >= LOST:
                asyncio.get_running_loop().call_later(self.rng.uniform(0, 0.02), self._hear, event)
            self.strikes.at("told: after", Unconfirmed())

    def _hear(self, event: Event) -> None:
        if isinstance(event, MessagesStored):
            for entry in event.entries:
                self._hear(stored_event(entry))
            return
        if isinstance(event, MessageStored):
            story, id_ = self.stories[event.chat_id], event.entry.id
            story.receipts.append(event.entry)
        elif isinstance(event, MessageRefused):
            story, id_ = self.stories[event.chat_id], event.id
            story.refused.add(id_)
        else:
            return
        if waiting := self._waiting.get((story.chat_id, id_)):
            waiting.set()

    async def see_through(self, chat_id: str, id_: str, event: Event) -> None:
        """Puts the event into the queue, again and again, sometimes twice at once, until the answer comes."""
        answered = self._waiting[chat_id, id_] = asyncio.Event()
        pause = FIRST_AGAIN
        while not answered.is_set():
            self.put(event, *([event] if self.rng.random() < DOUBLED else []))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await answered.wait()
            pause = min(pause * 2, LAST_AGAIN)
        del self._waiting[chat_id, id_]

    async def chat(self) -> None:
        """One chat from its opening to its end, which comes while people write."""
        story = Story(str(uuid.uuid4()))
        self.stories[story.chat_id] = story
        opened = ChatOpened(chat_id=story.chat_id, department="algemeen", locale="nl", opened_at=OPENED_AT)
        self.put(opened, opened)
        talks = [asyncio.create_task(self._talk(story, sender)) for sender in SENDERS]
        await asyncio.sleep(self.rng.uniform(0.5, 3.0))
        story.ended = True
        closed = {"state": ChatStatus.CLOSED, "cause": Cause.CLOSED, "reason": CloseReason.CITIZEN, "turn": 1}
        self.put(ChatState(chat_id=story.chat_id, v=9, department="algemeen", at=OPENED_AT, **closed))
        await asyncio.gather(*talks)

    async def _talk(self, story: Story, sender: str) -> None:
        who = Sender(party=Party.CITIZEN if sender == "citizen" else Party.AGENT, id=sender)
        sent = story.sent[sender] = list[str]()
        while not (sent and sent[-1] in story.refused):
            id_ = str(uuid.uuid4())
            sent.append(id_)
            posted = MessagePosted(chat_id=story.chat_id, id=id_, sender=who, text=f"{sender} {len(sent)}")
            await self.see_through(story.chat_id, id_, posted)


async def write(town: Town, database: Database, clock: Callable[[], datetime]) -> None:
    """One writer after another, each begun where the one before it crashed."""
    while True:
        store = StruckStore(database, town.strikes)
        recorder = Recorder(store, Files(database), town, Writer(store, 5_000, clock), together=True)  # type: ignore[arg-type]
        with contextlib.suppress(Crash):
            while True:
                await _record(town, recorder)


async def _record(town: Town, recorder: Recorder) -> None:
    deliveries = [Delivery(encode(event), redelivered=redelivered) for event, redelivered in await town.take()]
    batch = [delivered for delivery in deliveries for delivered in delivery.decode()]
    try:
        await (await recorder.record(batch))
    except BaseException:
        town.give_back(d.event for d in batch)
        raise
    if later := [d.event for d in batch if d.result is WAITING]:
        asyncio.get_running_loop().call_later(0.05, town.put, *later)
    assert all(d.result is not POISON for d in batch)


class Server:
    """The embedded database, which can be killed and comes back with what it had promised."""

    def __init__(self, home: Path) -> None:
        self._port = ports.pick()
        self.url = embedded.url(self._port)
        self._program = embedded.program(home / "database", self._port, home / "database.log")
        self.kills = 0

    async def start(self) -> None:
        self._process = processes.start(self._program)
        async with asyncio.timeout(60):
            while await self._program.ready() is not None:
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        processes.signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    async def kill(self, every: float) -> None:
        """Kill the process again and again (kill -9). Each time it is started again on the same data."""
        while True:
            await asyncio.sleep(every)
            self.stop()
            self.kills += 1
            await self.start()


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    faults: list[str]
    messages: int
    chats: int
    strikes: Strikes
    kills: int
    collisions: float

    def __str__(self) -> str:
        crashes = self.strikes.crashes
        rows = [
            ("messages stored", self.messages),
            ("chats", self.chats),
            ("writers crashed", crashes.total()),
            ("errors whose outcome was not known", self.strikes.errors),
            ("kill -9 of the database", self.kills),
            ("collisions", int(self.collisions)),
            ("holes, doubles, reorderings, false answers", len(self.faults)),
        ]
        points = table(("crashed at", "times"), sorted(crashes.items()))
        return "\n".join([table(("what", "how many"), rows), "", points, *self.faults[:20]])


def collisions() -> float:
    """Of all writers of this process so far."""
    return REGISTRY.get_sample_value("eloket_collisions_total") or 0.0


async def play(home: Path, rng: random.Random, seconds: float, kill_every: float, hurts: int = 0) -> Outcome:
    """A run of about so many seconds; at least until more than `hurts` crashes, errors, collisions and one kill."""
    strikes, server = Strikes(rng), Server(home)
    town, before = Town(strikes), collisions()

    def has_hurt() -> bool:
        least = min(strikes.crashes.total(), strikes.errors, collisions() - before)
        return not hurts or (least > hurts and server.kills > 0)

    await server.start()
    settings = Settings(token_secret="of a run of chaos", mongodb_url=server.url)
    opened = [open_database(settings, "transcripts") for _ in range(WRITERS + 1)]
    try:
        await upgrade(opened[0], STEPS)
        clocks = [lambda off=off: now_ms() + timedelta(seconds=off) for off in (0, 5, -5)]
        writers = [asyncio.create_task(write(town, d, c)) for d, c in zip(opened[1:], clocks, strict=True)]
        killing = asyncio.create_task(server.kill(kill_every))
        await _talks(town, seconds, has_hurt, [*writers, killing])
        killing.cancel()
        await asyncio.gather(killing, *strikes.late, return_exceptions=True)
        for task in writers:
            task.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        store = Store(opened[0])
        logs = {chat_id: await store.entries(chat_id) for chat_id in town.stories}
    finally:
        for one in opened:
            one.client.close()
        server.stop()
    found = [f for story in town.stories.values() for f in faults(story, logs[story.chat_id])]
    messages = sum(e.event is None for log in logs.values() for e in log)
    return Outcome(found, messages, len(logs), strikes, server.kills, collisions() - before)


async def _talks(
    town: Town, seconds: float, has_hurt: Callable[[], bool], others: Sequence[asyncio.Task[None]]
) -> None:
    """Chats one after another, so many at a time; those that find no end are left to the check.

    Raises when one of the others fails.
    """
    end = time.monotonic() + seconds

    async def several() -> None:
        while time.monotonic() < end - 3 or (not has_hurt() and time.monotonic() < end + PATIENCE / 2):
            await town.chat()

    talks = asyncio.gather(*(several() for _ in range(CHATS)))
    waited: set[asyncio.Future[Any]] = {talks, *others}
    await asyncio.wait(waited, timeout=seconds + PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        if task.done():
            task.result()
    if not talks.done():
        talks.cancel()
        await asyncio.gather(talks, return_exceptions=True)


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Bad days are tried again soon, so that a run can have hundreds of them."""
    with mock.patch.object(consumer, "LONGEST_PAUSE", 0.1), mock.patch.object(consumer, "FIRST_PAUSE", 0.005):
        yield


def main() -> int:
    """One run; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos.writers", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kill-every", type=float, default=4.0, help="seconds between two kills of the database")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="writers-", ignore_cleanup_errors=True) as home, impatient():
        rng = random.Random(options.seed)
        outcome = asyncio.run(play(Path(home), rng, options.seconds, options.kill_every))
    print(f"{outcome}\n\n(seed {options.seed}, {options.seconds:.0f} s)")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
