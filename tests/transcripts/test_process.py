"""The service as a process of its own: ready or not, killed in the middle of its work, drained."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import psutil
import pytest

from deploy.local import ports
from services.common.events.types import Cause
from services.common.http.tokens import Actor, Keys
from services.common.messaging.connection import ABSENT_AFTER
from services.transcripts.log.store import Store
from tests.real import ROOT, running_database, unique, wait_for
from tests.transcripts import made
from tests.transcripts.conftest import SECRET, Ear, new_id, opened_event, posted, until

Run = Callable[..., "contextlib.AbstractContextManager[Running]"]


class Running:
    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def checks(self) -> dict[str, str]:
        """What `/readyz` says of each check; `status` is that of the whole, empty when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                body: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                body = json.loads(error.read())
        except OSError:
            return {}
        return {**body["checks"], "status": body["status"]}

    def lives(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)

    def is_ready(self) -> bool:
        return self.checks().get("status") == "ok"

    def kill(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(25)


@pytest.fixture
def run(tmp_path: Path, vhost_url: str) -> Run:
    @contextlib.contextmanager
    def start(mongodb_url: str, prefix: str = "", ready: bool = True, **more: str) -> Iterator[Running]:
        port, log = ports.pick(), tmp_path / f"{unique('log-')}.txt"
        environ = {
            **os.environ,
            "RABBITMQ_URL": vhost_url,
            "MONGODB_URL": mongodb_url,
            "MONGODB_PREFIX": prefix,
            "TRANSCRIPTS_PORT": str(port),
            "TOKEN_SECRET": SECRET,
            **more,
        }
        with log.open("wb") as out:
            command = [sys.executable, "-m", "services.transcripts"]
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=subprocess.STDOUT)
        running = Running(process, port, log)
        try:
            if ready:
                wait_for(running.is_ready, "the service", 30)
            yield running
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)

    return start


async def test_it_says_whether_it_can_work_and_ends_well(run: Run, tmp_path: Path):
    with contextlib.ExitStack() as database:
        url = database.enter_context(running_database(tmp_path / "database"))
        with run(url) as service:
            assert {"broker", "database", "consumers", "task_messages", "task_cleaner"} <= service.checks().keys()
            database.close()
            wait_for(lambda: service.checks().get("database") != "ok", "the truth")
            assert service.checks()["status"] == "degraded", "it stays in its Service: so do all other replicas"
            assert service.checks()["broker"] == "ok"
            assert service.lives()
            assert service.kill(signal.SIGTERM) == 0


async def test_without_a_broker_it_serves_what_is_stored_but_not_before_its_database_is_upgraded(
    run: Run, tmp_path: Path
):
    dead, mongodb = "amqp://127.0.0.1:9/", f"127.0.0.1:{ports.pick()}"
    with run(f"mongodb://{mongodb}/", ready=False, RABBITMQ_URL=dead) as service:
        wait_for(lambda: {"database", "broker"} <= service.checks().keys(), "an answer", 30)
        await asyncio.sleep(ABSENT_AFTER + 1)  # time is the subject
        assert service.checks()["status"] == "not_ready", "nothing of it works yet"
    with (
        running_database(tmp_path / "database") as url,
        run(url, prefix=unique("p"), ready=False, RABBITMQ_URL=dead) as service,
    ):
        wait_for(lambda: service.checks().get("status") == "degraded", "the answers of a database alone", 30)
        assert service.checks()["database"] == "ok"


async def test_it_refuses_to_start_without_a_secret(run: Run):
    with run("mongodb://127.0.0.1:1/", ready=False, TOKEN_SECRET="") as service:
        assert service.process.wait(20) == 78
        assert "TOKEN_SECRET" in service.log.read_text()


async def test_sigterm_finishes_what_is_in_hand(
    run: Run, ear: Ear, store: Store, mongodb_url: str, mongodb_prefix: str
):
    chats = [new_id() for _ in range(400)]
    with contextlib.ExitStack() as running:
        service = await asyncio.to_thread(running.enter_context, run(mongodb_url, mongodb_prefix))
        await ear.put(*(opened_event(c, None) for c in chats))
        await until(lambda: len(ear.stored()) > 50, "the work to begin")
        assert await asyncio.to_thread(service.kill, signal.SIGTERM) == 0
    told = {e.chat_id for e in ear.stored()}
    left = await ear.waiting()
    assert len(told) + left == 400, "each is either told and acknowledged or still in the queue"
    assert {c for c, tail in (await store.tails(chats)).items() if tail.seq} == told
    log = service.log.read_text()
    assert "draining" in log
    assert "Traceback" not in log
    assert "Waar vind ik" not in log
    assert "An Peeters" not in log


async def test_killed_in_the_middle_nothing_is_lost_or_doubled(
    run: Run, ear: Ear, store: Store, mongodb_url: str, mongodb_prefix: str
):
    chats = [new_id() for _ in range(8)]
    sent = {c: [posted(c) for _ in range(60)] for c in chats}
    with contextlib.ExitStack() as replicas:
        start = partial(run, mongodb_url, mongodb_prefix)
        first = await asyncio.to_thread(replicas.enter_context, start())  # the ear's connection lives on meanwhile
        second = await asyncio.to_thread(replicas.enter_context, start())
        await ear.put(*(opened_event(c, None) for c in chats))
        await until(lambda: len(ear.stored()) >= len(chats), "the chats")
        putting = asyncio.create_task(put_all(ear, list(sent.values())))
        for share, victim in ((60, first), (180, second)):
            await until(partial(told_at_least, ear, share), "work")
            await asyncio.to_thread(victim.kill, signal.SIGKILL)
            replicas.enter_context(start(ready=False))
        await putting
        await until(lambda: len({(e.chat_id, e.id) for e in ear.stored()}) == 8 * 61, "everything", 60)
    for chat in chats:
        log = await store.entries(chat)
        assert [e.seq for e in log] == list(range(1, 62))
        assert log[0].event is Cause.OPENED
        assert {e.id for e in log[1:]} == {m.id for m in sent[chat]}
        told = {e.id: e.seq for e in ear.stored(chat)}
        assert told == {e.id: e.seq for e in log}, "every telling agrees with the log"
    assert await ear.waiting("transcripts.dead-letters") == 0


def told_at_least(ear: Ear, number: int) -> bool:
    return len(ear.stored()) >= number


async def put_all(ear: Ear, conversations: list[list[Any]]) -> None:
    for turn in zip(*conversations, strict=True):
        await ear.put(*turn)


async def test_bombs_are_refused_while_a_neighbours_messages_are_stored(
    run: Run, ear: Ear, store: Store, mongodb_url: str, mongodb_prefix: str
):
    """Under the memory that the manifest gives the service, its processes for files included."""
    attacker, neighbour = new_id(), new_id()
    headers = {
        "Authorization": f"Bearer {Keys(SECRET).service_token('gateway', Actor(party='citizen', id=attacker))}",
        "X-File-Name": "brief.docx",
    }
    bombs = list((await asyncio.to_thread(made.bombs)).values())
    most, refused, stored = 0, list[int](), list[float]()
    over = asyncio.Event()
    with contextlib.ExitStack() as running:
        service = await asyncio.to_thread(running.enter_context, run(mongodb_url, mongodb_prefix))
        process = psutil.Process(service.process.pid)
        await ear.put(opened_event(attacker, None), opened_event(neighbour, None))
        await until(lambda: len(ear.stored()) == 2, "the chats")

        async def attack() -> None:
            url = f"http://127.0.0.1:{service.port}/chats/{attacker}/attachments"
            async with aiohttp.ClientSession(headers=headers) as client:
                for bomb in bombs * 2:
                    async with client.post(url, data=io.BytesIO(bomb)) as answer:
                        refused.append(answer.status)

        async def look() -> None:
            nonlocal most
            while not over.is_set():
                with contextlib.suppress(psutil.NoSuchProcess):
                    most = max(most, sum(p.memory_info().rss for p in (process, *process.children(recursive=True))))
                await asyncio.sleep(0.02)

        async def talk() -> None:
            while not over.is_set():
                began = time.monotonic()
                await ear.put(posted(neighbour))
                await until(lambda: len(ear.stored(neighbour)) == len(stored) + 2, "the receipt", 60)
                stored.append(time.monotonic() - began)

        beside = [asyncio.create_task(look()), asyncio.create_task(talk())]
        await asyncio.gather(*(attack() for _ in range(2)))
        over.set()
        await asyncio.gather(*beside)
        assert service.process.poll() is None
    assert set(refused) == {415}
    assert len(refused) == 4 * len(bombs)
    assert len(stored) > 0
    assert most < 640 * 1024 * 1024
    print(f"memory at most {most / 2**20:.0f} MiB; {len(stored)} receipts, median {median(stored):.3f} s,", end=" ")
    print(f"worst {max(stored):.3f} s")
