"""A message that kills its process, one that hurts, and days without a database or broker: what becomes of the others.

A transcript service with planted defects (sabotage.py) on a real broker and database, started again when it dies.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPConnectionError

from deploy.local import embedded_mongodb as database_server
from deploy.local import ports, processes, rabbitmq
from deploy.local.processes import Program
from services.common.batches import batched
from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.events.messages import NotePosted, NoteStored
from services.common.messaging import topology
from services.common.messaging.declarations import declare_topology
from services.transcripts.log.store import Store
from tests.support.conditions import until
from tests.support.faults import freeze
from tests.support.servers import PATIENCE, ROOT, START_SECONDS, checks_at, in_thread, running, wait_for
from tests.transcripts import conftest as transcripts
from tests.transcripts.conftest import SECRET, EventObserver, new_id, opened_event, posted

LIMIT = 4  # each of two killers may strike once amid others in each of two replicas; from then on it is alone
NOTES, MESSAGES, LETTERS = "transcripts.notes", "transcripts.messages", "transcripts.dead-letters"
database, make_settings = transcripts.database, transcripts.make_settings
observer, store = transcripts.observer, transcripts.store


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queues that are declared here have the same short limit as those that the service declares."""
    monkeypatch.setattr(topology, "DELIVERY_LIMIT", LIMIT)


@dataclass(frozen=True)
class Replica:
    """A replica that is started again as soon as it has ended."""

    port: int
    log: Path
    process: "subprocess.Popen[bytes]"

    def deaths(self) -> int:
        return self.log.read_text().count("ended with 9")

    def is_ready(self) -> bool:
        """Whether it is ready and all that it depends on is there."""
        checks = checks_at(f"http://127.0.0.1:{self.port}")
        return bool(checks) and set(checks.values()) == {"ok"}


@contextlib.contextmanager
def serving(home: Path, vhost_url: str, mongodb_url: str, replicas: int = 1, **more: str) -> Iterator[list[Replica]]:
    common = {
        **os.environ,
        "RABBITMQ_URL": vhost_url,
        "MONGODB_URL": mongodb_url,
        "TOKEN_SECRET": SECRET,
        "SABOTAGE_LIMIT": str(LIMIT),
        **more,
    }
    made = []
    for number in range(replicas):
        port, log = ports.pick(), home / f"replica-{number}.log"
        with log.open("wb") as out:
            command, env = [sys.executable, "-m", "tests.e2e.sabotage"], {**common, "TRANSCRIPTS_PORT": str(port)}
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True)
        made.append(Replica(port, log, process))
    try:
        yield made
    except BaseException:
        for one in made:
            print(f"{one.log.name}:", *one.log.read_text(errors="replace").splitlines()[-120:], sep="\n")
        raise
    finally:
        for one in made:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait(PATIENCE)


async def until_empty(observer: EventObserver, *queues: str, letters: int, wait: float = START_SECONDS) -> None:
    """Returns when these queues are empty, no delivery is unacknowledged, and there are so many dead letters."""
    async with asyncio.timeout(wait):
        while True:
            if not any([await observer.waiting(q) for q in queues]) and await observer.waiting(LETTERS) >= letters:
                return
            await asyncio.sleep(0.05)


def note(chat: str, text: str = "let op") -> NotePosted:
    return NotePosted(chat_id=chat, id=new_id(), agent_id="an", agent_name="An", text=text)


@pytest.mark.parametrize(("replicas", "killer"), [(1, "KILL"), (2, "DRAG"), (1, "HURT")])
async def test_a_message_that_hurts_or_kills_its_process_takes_no_neighbour_with_it(
    observer: EventObserver,
    store: Store,
    vhost_url: str,
    mongodb_url: str,
    mongodb_prefix: str,
    tmp_path: Path,
    replicas: int,
    killer: str,
) -> None:
    chats = [new_id() for _ in range(20)]
    good = [posted(chat) for _ in range(3) for chat in chats]
    notes = [note(chat) for _ in range(3) for chat in chats]
    bad: list[Event] = [posted(chats[0], text=killer), note(chats[0], killer)]
    await observer.put(*(opened_event(chat, None) for chat in chats))
    await observer.put(*good[:30], bad[0], *good[30:])
    await observer.put(*notes[:30], bad[1], *notes[30:])
    began = time.monotonic()
    with serving(tmp_path, vhost_url, mongodb_url, replicas, MONGODB_PREFIX=mongodb_prefix) as running:
        await until_empty(observer, NOTES, MESSAGES, letters=2)
        letters = await observer.letters(2)
        took = time.monotonic() - began
        late = posted(chats[0])
        await observer.put(late)
        published = {g.id for g in (*good, late)}
        try:
            await until(
                lambda: published <= {e.id for e in observer.stored()},
                "all good ones, and one that came later",
                START_SECONDS,
            )
        except AssertionError:
            missing = published - {e.id for e in observer.stored()}
            kept = {e.id for chat in chats for e in await store.entries(chat)}
            print(f"not published: {missing}, of these stored: {missing & kept}, came later: {late.id}")
            print(f"dead letters: {letters}, and {await observer.letters(await observer.waiting(LETTERS))}")
            raise
        await until(lambda: len(notes_seen(observer)) == len(notes), "all notes", START_SECONDS)
        deaths = [one.deaths() for one in running]
    print(f"\n{replicas} x {killer}: dead-lettered after {took:.1f} s, deaths {deaths}")
    assert sorted(letters) == sorted(map(encode, bad)), "the two that kill, and nobody else"
    assert await observer.waiting(LETTERS) == 0
    for chat in chats:
        log = await store.entries(chat)
        assert [e.seq for e in log] == list(range(1, len(log) + 1))
        assert {e.id for e in log} >= {g.id for g in good if g.chat_id == chat}
        assert {n.id for n in await store.notes(chat)} == {n.id for n in notes if n.chat_id == chat}


def notes_seen(observer: EventObserver) -> set[str]:
    return {f.note.id for f in observer.seen if isinstance(f, NoteStored)}


@contextlib.contextmanager
def started(program: Program) -> Iterator["subprocess.Popen[bytes]"]:
    """A program of the runner, ready; ended at the end, whatever was done to it."""
    process = processes.start(program)
    try:
        wait_for(lambda: in_thread(program.ready) is None, program.name)
        yield process
    finally:
        processes.signal_group(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


@pytest.mark.parametrize("strike", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_database_that_is_away_for_long_dead_letters_nothing(
    observer: EventObserver, vhost_url: str, tmp_path: Path, strike: signal.Signals
) -> None:
    port = ports.pick()
    program = database_server.program(tmp_path / "database", port, tmp_path / "database.log")
    chats = [new_id() for _ in range(10)]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(started(program))
        (replica,) = stack.enter_context(serving(tmp_path, vhost_url, database_server.url(port), SABOTAGE_PATIENCE="5"))
        await asyncio.to_thread(wait_for, replica.is_ready, "the service")
        await observer.put(*(opened_event(chat, None) for chat in chats))
        await until(lambda: len(observer.stored()) == 10, "the chats")
        if strike == signal.SIGSTOP:
            await asyncio.to_thread(freeze, server.pid)  # what is said from here on is not stored
        else:
            server.send_signal(strike)
        said = [posted(chat) for _ in range(50) for chat in chats]
        notes = [note(chat) for _ in range(6) for chat in chats]
        await observer.put(*said, *notes)
        await until(
            lambda: {"consumer_stopped", "consumers_stopped"} <= set(re.findall(r"\w+", replica.log.read_text())),
            "the end of patience",
            START_SECONDS,
        )
        assert not await asyncio.to_thread(replica.is_ready)
        await until_waiting(observer, {MESSAGES: 500, NOTES: 60, LETTERS: 0})
        if strike == signal.SIGSTOP:
            server.send_signal(signal.SIGCONT)
        else:
            await asyncio.to_thread(stack.enter_context, started(program))
        await until(lambda: len({e.id for e in observer.stored()}) == 510, "all that was said", START_SECONDS)
        await until(lambda: len(notes_seen(observer)) == 60, "all notes", START_SECONDS)
        await until_waiting(observer, {MESSAGES: 0, NOTES: 0, LETTERS: 0})
        await asyncio.to_thread(wait_for, replica.is_ready, "the service")
        assert replica.deaths() == 0
    for chat in chats:
        order = {e.seq: e.id for e in observer.stored(chat)}
        assert [order[seq] for seq in range(2, 52)] == [m.id for m in said if m.chat_id == chat]


async def until_waiting(observer: EventObserver, counts: dict[str, int]) -> None:
    """Returns when so many messages are ready in each of these queues. Raises `AssertionError` with what was."""
    end = time.monotonic() + PATIENCE
    while (found := {name: await observer.waiting(name) for name in counts}) != counts:
        assert time.monotonic() < end, f"waits: {found}, not {counts}"
        await asyncio.sleep(0.05)


async def test_an_event_of_a_later_version_is_dead_lettered_and_replayed_after_the_upgrade(
    observer: EventObserver, vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    renamed = encode(note(new_id())).replace(b"note.posted", b"note.renamed")
    with serving(tmp_path, vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix):
        await observer.raw(renamed, "note.posted")
        await until_waiting(observer, {NOTES: 0, LETTERS: 1})
    environ = {**os.environ, "RABBITMQ_URL": vhost_url}
    replay = [sys.executable, "-m", "deploy.dead_letters", "replay", "transcripts", "--type", "note.renamed"]
    with serving(tmp_path, vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix, SABOTAGE_KNOWS="note.renamed"):
        assert await asyncio.to_thread(subprocess.call, replay, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL) == 0
        await until(lambda: len(notes_seen(observer)) == 1, "the note")
        await until_waiting(observer, {NOTES: 0, LETTERS: 0})


async def test_a_broker_that_dies_while_it_dead_letters_loses_none(
    mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    sbin = rabbitmq.find_sbin()
    assert sbin is not None
    chosen = ports.remembered(tmp_path / "ports.json", rabbitmq.PORT_NAMES)
    node = rabbitmq.prepare(tmp_path / "broker", sbin, chosen)
    mapper, server = rabbitmq.programs(node, tmp_path / "broker.log")
    with running([mapper]), contextlib.ExitStack() as stack:
        first = await asyncio.to_thread(stack.enter_context, started(server))
        poison = await more_poison(node.url, 0)
        stack.enter_context(serving(tmp_path, node.url, mongodb_url, MONGODB_PREFIX=mongodb_prefix))
        while (dead := await many_letters(node.url, len(poison) - 1_400)) == len(poison):
            poison |= await more_poison(node.url, dead)  # it is to be struck amid the work, which was done already
        first.kill()
        first.wait(PATIENCE)
        await asyncio.to_thread(stack.enter_context, started(server))
        assert await letters_of(node.url, len(poison)) == poison


async def connected(url: str) -> AbstractConnection:
    """A connection to a broker that has just started: it may reset the first ones."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return await aio_pika.connect(url)
        except AMQPConnectionError:
            assert time.monotonic() < end, "the broker takes no connection"
            await asyncio.sleep(0.1)


async def more_poison(url: str, first: int) -> set[bytes]:
    """Puts many messages that nobody can read into the queue of notes; what they are."""
    bodies = {b"poison %d" % number for number in range(first, first + 1_500)}
    async with await connected(url) as connection, connection.channel() as channel:
        await declare_topology(channel)
        exchange = channel.default_exchange
        for some in batched(sorted(bodies), 100):  # one flood of frames may be reset by a broker that has just started
            await asyncio.gather(*(exchange.publish(aio_pika.Message(b, delivery_mode=2), NOTES) for b in some))
    return bodies


async def many_letters(url: str, number: int) -> int:
    """How many dead letters there are, as soon as there are so many."""
    async with asyncio.timeout(PATIENCE), await aio_pika.connect(url) as connection, connection.channel() as channel:
        while True:
            letters = await channel.declare_queue(LETTERS, passive=True)
            if (count := letters.declaration_result.message_count or 0) >= number:
                return count
            await asyncio.sleep(0.005)


async def letters_of(url: str, number: int) -> set[bytes]:
    """The dead letters, as soon as there are so many different ones: some may be there twice."""
    found: set[bytes] = set()
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(LETTERS)
        async with asyncio.timeout(2 * PATIENCE):
            while len(found) < number:
                if message := await queue.get(no_ack=True, fail=False, timeout=PATIENCE):
                    found.add(message.body)
                else:
                    await asyncio.sleep(0.02)
    return found
