"""The service as a process of its own: ready or not, killed in the middle of its work, drained."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from deploy.local import ports
from services.common.events.event import Event
from services.common.events.messages import MessagePosted
from services.common.events.types import Cause
from services.common.http.tokens import Actor, Keys
from services.transcripts.log.store import Store
from tests.support.conditions import until
from tests.support.servers import OUR_VARIABLES, PATIENCE, ROOT, running_database, unique, wait_for
from tests.transcripts import made
from tests.transcripts.conftest import SECRET, EventObserver, new_id, opened_event, posted, state
from tests.transcripts.outbox.receiver import KEY as HOOK_KEY
from tests.transcripts.outbox.receiver import LOOPBACK, Received, receiving
from tests.transcripts.outbox.receiver import SECRET as HOOK_SECRET

Run = Callable[..., "contextlib.AbstractContextManager[Running]"]
SERVICE = ("-m", "services.transcripts")
AT_ONCE = """
import runpy
from services.common.runtime import gc_tuning
from services.common.messaging import connection
connection.ABSENT_AFTER = 0.0
runpy.run_module("services.transcripts", run_name="__main__", alter_sys=True)
"""
"""The service, for which a broker that has not answered once is absent."""


class Running:
    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def checks(self) -> dict[str, str]:
        """What `/readyz` says of each check; `status` is that of the whole, empty when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=PATIENCE) as answer:
                body: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                body = json.loads(error.read())
        except OSError:
            return {}
        return {**body["checks"], "status": body["status"]}

    def lives(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=PATIENCE) as answer:
            return bool(answer.status == 200)

    def is_ready(self) -> bool:
        return self.checks().get("status") == "ok"

    def ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def run(tmp_path: Path, vhost_url: str) -> Run:
    def begin(arguments: Sequence[str], environ: dict[str, str]) -> Running:
        port, log = ports.pick(), tmp_path / f"{unique('log-')}.txt"
        with log.open("wb") as out:
            command, environ = [sys.executable, *arguments], {**environ, "TRANSCRIPTS_PORT": str(port)}
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=subprocess.STDOUT)
        return Running(process, port, log)

    @contextlib.contextmanager
    def start(
        mongodb_url: str, prefix: str = "", ready: bool = True, arguments: Sequence[str] = SERVICE, **more: str
    ) -> Iterator[Running]:
        environ = {
            **{name: value for name, value in os.environ.items() if name not in OUR_VARIABLES},
            "RABBITMQ_URL": vhost_url,
            "MONGODB_URL": mongodb_url,
            "MONGODB_PREFIX": prefix,
            "TOKEN_SECRET": SECRET,
            **more,
        }
        running = begin(arguments, environ)
        try:
            if ready:
                wait_for(lambda: running.ended() or running.is_ready(), "the service")
                if running.ended() and "already in use" in running.log.read_text():
                    running = begin(arguments, environ)  # another process took the port that was free
                    wait_for(lambda: running.ended() or running.is_ready(), "the service")
                assert not running.ended(), running.log.read_text()
            yield running
        finally:
            if not running.ended():
                running.process.kill()
                running.process.wait(PATIENCE)

    return start


def test_it_says_whether_it_can_work_and_ends_well(run: Run, tmp_path: Path) -> None:
    with contextlib.ExitStack() as database:
        url = database.enter_context(running_database(tmp_path / "database"))
        with run(url) as service:
            assert {"broker", "database", "consumers", "task_messages", "task_cleaner"} <= service.checks().keys()
            database.close()
            checks: dict[str, str] = {}

            def is_without_database() -> bool:
                nonlocal checks
                checks = service.checks()
                return checks.get("database", "ok") != "ok"

            wait_for(is_without_database, "the truth")
            assert checks["status"] == "degraded", "it stays in its Service: so do all other replicas"
            assert checks["broker"] == "ok"
            assert service.lives()
            assert service.kill(signal.SIGTERM) == 0


def test_without_a_broker_it_serves_what_is_stored_but_not_before_its_database_is_upgraded(
    run: Run, tmp_path: Path
) -> None:
    start = partial(run, ready=False, arguments=("-c", AT_ONCE), RABBITMQ_URL="amqp://127.0.0.1:9/")
    with start("mongodb://127.0.0.1:9/") as service:
        wait_for(lambda: {"database", "broker"} <= service.checks().keys(), "an answer")
        wait_for(lambda: "broker_link_failed" in service.log.read_text(), "the first attempt to connect")
        assert service.checks()["status"] == "not_ready", "nothing of it works yet"
    with running_database(tmp_path / "database") as url, start(url, prefix=unique("p")) as service:
        wait_for(lambda: service.checks().get("status") == "degraded", "the answers of a database alone")
        wait_for(lambda: service.checks().get("database") == "ok", "the database")


def test_it_refuses_to_start_without_a_secret(run: Run) -> None:
    with run("mongodb://127.0.0.1:1/", ready=False, TOKEN_SECRET="") as service:
        assert service.process.wait(PATIENCE) == 78
        assert "TOKEN_SECRET" in service.log.read_text()


async def test_sigterm_finishes_what_is_in_hand(
    run: Run, observer: EventObserver, store: Store, mongodb_url: str, mongodb_prefix: str
) -> None:
    chats = [new_id() for _ in range(400)]
    with contextlib.ExitStack() as running:
        service = await asyncio.to_thread(running.enter_context, run(mongodb_url, mongodb_prefix))
        await observer.put(*(opened_event(c, None) for c in chats))
        await until(lambda: len(observer.stored()) > 50, "the work to begin")
        assert await asyncio.to_thread(service.kill, signal.SIGTERM) == 0
    await observer.caught_up()
    published = {e.chat_id for e in observer.stored()}
    async with asyncio.timeout(PATIENCE):  # each is either published and acknowledged or still in the queue
        while len(published) + await observer.waiting() != 400:  # to which it comes back once the broker sees the end
            await asyncio.sleep(0.02)
    assert {c for c, tail in (await store.tails(chats)).items() if tail.seq} == published
    log = service.log.read_text()
    assert "draining" in log
    assert "Traceback" not in log
    assert "Waar vind ik" not in log
    assert "An Peeters" not in log


async def test_killed_in_the_middle_nothing_is_lost_or_doubled(
    run: Run, observer: EventObserver, store: Store, mongodb_url: str, mongodb_prefix: str
) -> None:
    chats = [new_id() for _ in range(8)]
    sent = {c: [posted(c) for _ in range(60)] for c in chats}
    with contextlib.ExitStack() as replicas:
        start = partial(run, mongodb_url, mongodb_prefix)
        first = await asyncio.to_thread(replicas.enter_context, start())  # the observer's connection lives on meanwhile
        second = await asyncio.to_thread(replicas.enter_context, start())
        await observer.put(*(opened_event(c, None) for c in chats))
        await until(lambda: len(observer.stored()) >= len(chats), "the chats")
        putting = asyncio.create_task(put_all(observer, list(sent.values())))
        for share, victim in ((60, first), (180, second)):
            await until(partial(published_at_least, observer, share), "work")
            await asyncio.to_thread(victim.kill, signal.SIGKILL)
            replicas.enter_context(start(ready=False))
        await putting
        await until(lambda: len({(e.chat_id, e.id) for e in observer.stored()}) == 8 * 61, "everything", 120)
    for chat in chats:
        log = await store.entries(chat)
        assert [e.seq for e in log] == list(range(1, 62))
        assert log[0].event is Cause.OPENED
        assert {e.id for e in log[1:]} == {m.id for m in sent[chat]}
        published = {e.id: e.seq for e in observer.stored(chat)}
        assert published == {e.id: e.seq for e in log}, "every telling agrees with the log"
    assert await observer.waiting("transcripts.dead-letters") == 0


def published_at_least(observer: EventObserver, number: int) -> bool:
    return len(observer.stored()) >= number


async def put_all(observer: EventObserver, conversations: list[list[MessagePosted]]) -> None:
    for turn in zip(*conversations, strict=True):
        await observer.put(*turn)


def peak_memory(process: psutil.Process) -> int:
    """The most bytes that a process has held so far; 0 when it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return 0


async def test_bombs_are_refused_while_a_neighbours_messages_are_stored(
    run: Run, observer: EventObserver, store: Store, mongodb_url: str, mongodb_prefix: str
) -> None:
    """Under the memory that the manifest gives the service, its processes for files included."""
    attacker, neighbour = new_id(), new_id()
    headers = {
        "Authorization": f"Bearer {Keys(SECRET).service_token('gateway', Actor(party='citizen', id=attacker))}",
        "X-File-Name": "brief.docx",
    }
    bombs = list((await asyncio.to_thread(made.bombs)).values())
    most, refused, stored = 0, list[int](), 0
    over = asyncio.Event()
    with contextlib.ExitStack() as running:
        service = await asyncio.to_thread(running.enter_context, run(mongodb_url, mongodb_prefix))
        process = psutil.Process(service.process.pid)
        await observer.put(opened_event(attacker, None), opened_event(neighbour, None))
        await until(lambda: len(observer.stored()) == 2, "the chats")

        async def attack() -> None:
            url = f"http://127.0.0.1:{service.port}/chats/{attacker}/attachments"
            async with aiohttp.ClientSession(headers=headers) as client:
                for bomb in bombs:
                    async with client.post(url, data=io.BytesIO(bomb)) as answer:
                        refused.append(answer.status)

        async def look() -> None:
            nonlocal most
            while not over.is_set():
                most = max(most, sum(map(peak_memory, (process, *process.children()))))
                await asyncio.sleep(0.25)

        def is_stored(message: MessagePosted) -> bool:
            return message.id in {e.id for e in observer.stored(neighbour)}

        async def talk() -> None:
            nonlocal stored
            while not over.is_set():
                await observer.put(message := posted(neighbour))
                await until(partial(is_stored, message), "the receipt")
                stored += 1

        beside = [asyncio.create_task(look()), asyncio.create_task(talk())]
        await asyncio.gather(*(attack() for _ in range(2)))
        over.set()
        await asyncio.gather(*beside)
        assert service.process.poll() is None
    assert set(refused) == {415}
    assert len(refused) == 2 * len(bombs)
    assert stored > 0
    assert most < 640 * 1024 * 1024


async def test_killed_while_it_delivers_each_target_gets_everything_with_the_same_id(
    run: Run, observer: EventObserver, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    chats = [new_id() for _ in range(60)]
    events: list[Event] = []
    for chat in chats:
        ended = state(chat, 4, Cause.CLOSED, reason="citizen")
        events += [opened_event(chat, None), state(chat, 3, Cause.ASSIGNED, agent="an", accepted=True), ended]
    types = ("chat.opened", "chat.assigned", "chat.accepted", "chat.closed")
    async with receiving() as one, receiving() as two:
        tables = [
            f'[[webhooks]]\nid = "{id_}"\nurl = "{target.url}"\nsecrets = ["env:HOOK"]\nevents = {json.dumps(types)}\n'
            for id_, target in (("one", one), ("two", two))
        ]
        file = tmp_path / "integrations.toml"
        file.write_text("\n".join(tables))
        one.statuses = [500, 204, 204] * 100
        given = {
            "INTEGRATIONS_FILE": str(file),
            "OUTBOX_NETWORKS": LOOPBACK,
            "OUTBOX_TIMEOUT": "1",
            "HOOK": HOOK_SECRET,
        }
        with contextlib.ExitStack() as replicas:
            start = partial(run, mongodb_url, mongodb_prefix, **given)
            first = await asyncio.to_thread(replicas.enter_context, start())
            second = await asyncio.to_thread(replicas.enter_context, start())
            putting = asyncio.create_task(observer.put(*events))
            for share, victim in ((20, first), (100, second)):
                await until(lambda share=share: len(two.got) >= share, "deliveries")  # type: ignore[misc]
                await asyncio.to_thread(victim.kill, signal.SIGKILL)
                replicas.enter_context(start(ready=False))
            await putting
            for target in (one, two):
                await until(lambda target=target: len(target.ids) == 4 * len(chats), "everything", 300)  # type: ignore[misc]
    for target in (one, two):
        bodies: dict[str, set[bytes]] = {}
        for got in target.got:
            assert got.is_signed_by(HOOK_KEY)
            bodies.setdefault(got.id, set()).add(got.body)
        assert all(len(each) == 1 for each in bodies.values()), "an attempt repeats what was sent before"
        told = sorted((one.notice["data"]["chat_id"], one.notice["type"]) for one in first_of_each(target.got))
        assert told == sorted((chat, type_) for chat in chats for type_ in types)
    assert one.ids.keys() == two.ids.keys()
    assert await observer.waiting("transcripts.dead-letters") == 0


def first_of_each(got: Sequence[Received]) -> list[Received]:
    return list({one.id: one for one in got}.values())
