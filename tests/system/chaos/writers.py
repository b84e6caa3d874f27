"""`python -m tests.system.chaos.writers --seed N --seconds S`: writers of the same logs, crashed at every point.

The database is real and is killed with kill -9 at intervals; `Store`, `Writer` and `Recorder` of transcripts are real.
The queue is in memory and delivers a batch again when its writer crashed. The participants are in memory; they send one
message after another, each again until its answer comes. Operations fail before they are done, after that, and half
done; writes are completed after their writer crashed; events are published twice, lost and late.
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

from deploy.local import embedded_mongodb as embedded
from deploy.local import ports, processes
from services.common.config.settings import Settings
from services.common.events.chats import ChatOpened, ChatState
from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessageRefused, MessagesStored, MessageStored
from services.common.events.types import Cause, ChatStatus, CloseReason, Party, Sender
from services.common.messaging import retry
from services.common.messaging.publisher import Unconfirmed
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
from tests.support.metrics import sample
from tests.system.chaos.faulty_store import Crash, FaultInjector, FaultyStore
from tests.system.checker.messages import LOG_RULES, all_answered, check
from tests.system.checker.violations import Violation
from tests.system.history import CITIZEN, CloseRequested, Downloaded, Refused, Sent, Shown, digest, message_of_entry
from tests.system.history import Recorder as HistoryRecorder
from tests.system.tables import table

OPENED_AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
WRITERS, CHATS = 3, 16  # at a time
BATCH = 12
SENDERS = (CITIZEN, "an", "bert")
LOST, DOUBLED = 0.1, 0.1  # of what is published; of what is sent
PATIENCE = 120.0  # seconds that the last chats may need beyond the time of the run
FIRST_AGAIN, LAST_AGAIN = 0.3, 2.0  # seconds after which a sender repeats what has no answer


class Participants:
    """The participants of the chats, the queue of their events, and the history of what they sent and were shown."""

    def __init__(self, injector: FaultInjector) -> None:
        self.injector, self.rng = injector, injector.rng
        self.queue: deque[tuple[Event, bool]] = deque()
        self._changed = asyncio.Event()
        self.recorder = HistoryRecorder()
        self.refused: set[str] = set()
        self.chats: list[str] = []
        self._waiting: dict[tuple[str, str], asyncio.Event] = {}

    def put(self, *events: Event) -> None:
        self.queue.extend((f, False) for f in events)
        self._changed.set()

    def requeue(self, events: Iterable[Event]) -> None:
        """Their writer crashed: they are delivered again, before later events."""
        self.queue.extendleft((f, True) for f in reversed(list(events)))
        self._changed.set()

    async def take(self) -> list[tuple[Event, bool]]:
        while not self.queue:
            self._changed.clear()
            await self._changed.wait()
        return [self.queue.popleft() for _ in range(min(len(self.queue), BATCH))]

    async def publish_all(self, events: Sequence[tuple[Event, object]]) -> None:
        """Publish; an event may be lost at the participants' gateways, or come late."""
        for event, _ in events:
            self.injector.maybe_fail("published: before", Unconfirmed())
            if self.rng.random() >= LOST:
                asyncio.get_running_loop().call_later(self.rng.uniform(0, 0.02), self._receive, event)
            self.injector.maybe_fail("published: after", Unconfirmed())

    def _receive(self, event: Event) -> None:
        if isinstance(event, MessagesStored):
            for entry in event.entries:
                self._receive(stored_event(entry))
            return
        if isinstance(event, MessageStored):
            id_, who = event.entry.id, event.entry.sender_id if event.entry.party is not Party.SYSTEM else CITIZEN
            self.recorder.record(Shown(event.chat_id, who, 0, message_of_entry(event.entry)))
        elif isinstance(event, MessageRefused):
            id_ = event.id
            self.recorder.record(Refused(event.chat_id, event.sender_id, id_, event.code))
            self.refused.add(id_)
        else:
            return
        if waiting := self._waiting.get((event.chat_id, id_)):
            waiting.set()

    async def send_until_answered(self, chat_id: str, id_: str, event: Event) -> None:
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
        chat_id = str(uuid.uuid4())
        self.chats.append(chat_id)
        opened = ChatOpened(chat_id=chat_id, department="algemeen", locale="nl", opened_at=OPENED_AT)
        self.put(opened, opened)
        senders = [asyncio.create_task(self._write(chat_id, sender)) for sender in SENDERS]
        await asyncio.sleep(self.rng.uniform(0.5, 3.0))
        self.recorder.record(CloseRequested(chat_id, CITIZEN))
        closed = {"state": ChatStatus.CLOSED, "cause": Cause.CLOSED, "reason": CloseReason.CITIZEN, "turn": 1}
        self.put(ChatState(chat_id=chat_id, v=9, department="algemeen", at=OPENED_AT, **closed))
        await asyncio.gather(*senders)

    async def _write(self, chat_id: str, sender: str) -> None:
        """One message after another until one is refused, because the chat has ended."""
        who = Sender(party=Party.CITIZEN if sender == CITIZEN else Party.AGENT, id=sender)
        id_, number = "", 0
        while id_ not in self.refused:
            id_, number = str(uuid.uuid4()), number + 1
            text = f"{sender} {number}"
            self.recorder.record(Sent(chat_id, sender, id_, digest(text)))
            posted = MessagePosted(chat_id=chat_id, id=id_, sender=who, text=text)
            await self.send_until_answered(chat_id, id_, posted)


async def write(participants: Participants, database: Database, clock: Callable[[], datetime]) -> None:
    """One writer after another, each begun where the one before it crashed."""
    while True:
        store = FaultyStore(database, participants.injector)
        recorder = Recorder(store, Files(database), participants, Writer(store, 5_000, clock), together=True)  # type: ignore[arg-type]
        with contextlib.suppress(Crash):
            while True:
                await _record(participants, recorder)


async def _record(participants: Participants, recorder: Recorder) -> None:
    deliveries = [Delivery(encode(event), redelivered=redelivered) for event, redelivered in await participants.take()]
    batch = [delivered for delivery in deliveries for delivered in delivery.decode()]
    try:
        await (await recorder.record(batch))
    except BaseException:
        participants.requeue(d.event for d in batch)
        raise
    if later := [d.event for d in batch if d.result is WAITING]:
        asyncio.get_running_loop().call_later(0.05, participants.put, *later)
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

    violations: list[Violation]
    messages: int
    chats: int
    injector: FaultInjector
    kills: int
    collisions: float

    def __str__(self) -> str:
        crashes = self.injector.crashes
        rows = [
            ("messages stored", self.messages),
            ("chats", self.chats),
            ("writers crashed", crashes.total()),
            ("errors whose outcome was not known", self.injector.errors),
            ("kill -9 of the database", self.kills),
            ("collisions", int(self.collisions)),
            ("holes, doubles, reorderings, false answers", len(self.violations)),
        ]
        points = table(("crashed at", "times"), sorted(crashes.items()))
        return "\n".join([table(("what", "how many"), rows), "", points, *map(str, self.violations[:20])])


def collisions() -> float:
    """Of all writers of this process so far."""
    return sample("eloket_collisions_total") or 0.0


async def run(home: Path, rng: random.Random, seconds: float, kill_every: float, least: int = 0) -> Outcome:
    """A run of about so many seconds; at least until more than `least` crashes, errors, collisions and one kill."""
    injector, server = FaultInjector(rng), Server(home)
    participants, before = Participants(injector), collisions()

    def has_had_enough() -> bool:
        fewest = min(injector.crashes.total(), injector.errors, collisions() - before)
        return not least or (fewest > least and server.kills > 0)

    await server.start()
    settings = Settings(token_secret="of a run of chaos", mongodb_url=server.url)
    opened = [open_database(settings, "transcripts") for _ in range(WRITERS + 1)]
    try:
        await upgrade(opened[0], STEPS)
        clocks = [lambda off=off: now_ms() + timedelta(seconds=off) for off in (0, 5, -5)]
        writers = [asyncio.create_task(write(participants, d, c)) for d, c in zip(opened[1:], clocks, strict=True)]
        killing = asyncio.create_task(server.kill(kill_every))
        await _run_chats(participants, seconds, has_had_enough, [*writers, killing])
        killing.cancel()
        await asyncio.gather(killing, *injector.late, return_exceptions=True)
        for task in writers:
            task.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        store = Store(opened[0])
        logs = {chat_id: await store.entries(chat_id) for chat_id in participants.chats}
    finally:
        for one in opened:
            one.client.close()
        server.stop()
    for chat_id, log in logs.items():
        entries = tuple(message_of_entry(entry) for entry in log)
        is_sealed = any(entry.is_seal for entry in log)
        participants.recorder.record(Downloaded(chat_id, CITIZEN, time.monotonic(), entries, is_sealed, final=True))
    found = check(participants.recorder.events, (*LOG_RULES, all_answered)).violations
    messages = sum(e.event is None for log in logs.values() for e in log)
    return Outcome(found, messages, len(logs), injector, server.kills, collisions() - before)


async def _run_chats(
    participants: Participants, seconds: float, has_had_enough: Callable[[], bool], others: Sequence[asyncio.Task[None]]
) -> None:
    """Chats one after another, so many at a time; those that find no end are left to the check.

    Raises when one of the others fails.
    """
    end = time.monotonic() + seconds

    async def several() -> None:
        while time.monotonic() < end - 3 or (not has_had_enough() and time.monotonic() < end + PATIENCE / 2):
            await participants.chat()

    chats = asyncio.gather(*(several() for _ in range(CHATS)))
    waited: set[asyncio.Future[Any]] = {chats, *others}
    await asyncio.wait(waited, timeout=seconds + PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        if task.done():
            task.result()
    if not chats.done():
        chats.cancel()
        await asyncio.gather(chats, return_exceptions=True)


@contextlib.contextmanager
def short_backoff() -> Iterator[None]:
    """Retry soon after an outage, so that a run can have hundreds of outages."""
    with mock.patch.object(retry, "LONGEST_PAUSE", 0.1), mock.patch.object(retry, "FIRST_PAUSE", 0.005):
        yield


def main() -> int:
    """One run; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos.writers", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kill-every", type=float, default=4.0, help="seconds between two kills of the database")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="writers-", ignore_cleanup_errors=True) as home, short_backoff():
        rng = random.Random(options.seed)
        outcome = asyncio.run(run(Path(home), rng, options.seconds, options.kill_every))
    print(f"{outcome}\n\n(seed {options.seed}, {options.seconds:.0f} s)")
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
