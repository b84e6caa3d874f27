"""services/routing as a process: events in, events out, the truth about itself, and its end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local import embedded_mongodb, ports, processes
from services.common.events.chats import ChatState, CitizenArrived, QueueChanged
from services.common.events.places import PlaceClaimed, PlaceWanted
from tests.routing.scene import SECRET, listening, opening
from tests.support.conditions import until
from tests.support.faults import freeze
from tests.support.publishers import publishing
from tests.support.servers import OUR_VARIABLES, PATIENCE, ROOT, wait_for

START_PATIENCE = 3 * PATIENCE  # seconds: a process that starts computes for long where many others do


class Process:
    """A routing process with a port of its own."""

    def __init__(self, log: Path, **variables: str) -> None:
        self.port, self.log = ports.pick(), log
        environ = {k: v for k, v in os.environ.items() if k not in OUR_VARIABLES}
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.routing"],
                cwd=ROOT,
                env=environ | {"TOKEN_SECRET": SECRET, "ROUTING_PORT": str(self.port), **variables},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def ready(self) -> bool:
        """Ready, and all that it depends on is there."""
        status, said = self.get("/readyz")
        return status == 200 and json.loads(said)["status"] == "ok"

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def running(log: Path, **variables: str) -> Iterator[Process]:
    process = Process(log, **variables)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
        process.process.wait(10)


async def test_events_in_events_out_and_a_clean_end(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    variables = {"RABBITMQ_URL": vhost_url, "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": mongodb_prefix}
    with running(tmp_path / "log", **variables) as routing:
        await asyncio.to_thread(wait_for, lambda: routing.ready, "routing to be ready", START_PATIENCE)
        async with publishing(vhost_url) as publisher, listening(vhost_url) as observer:
            event = opening()
            await publisher.publish(event)
            await publisher.publish(CitizenArrived(chat_id=event.chat_id))
            wanted = await observer.wait_for(PlaceWanted)
            await observer.wait_for(QueueChanged, lambda q: q.order == [event.chat_id])
            await publisher.publish(
                PlaceClaimed(chat_id=event.chat_id, turn=wanted.turn, agent_id="an", agent_name="An Claes")
            )
            state = await observer.wait_for(ChatState, lambda s: s.state == "assigned")
            assert (state.chat_id, state.agent_id, state.v) == (event.chat_id, "an", 2)
            await observer.wait_for(QueueChanged, lambda q: q.order == [])
        status, metrics = await asyncio.to_thread(routing.get, "/metrics")
        assert status == 200
        assert 'eloket_routing_assigned_total{department="algemeen"} 1.0' in metrics
        routing.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(routing.process.wait, PATIENCE) == 0
    events = {line["event"]: line for line in routing.lines()}
    assert events["chat_assigned"]["chat_id"] == event.chat_id
    assert events["chat_assigned"]["trace_id"]
    text = routing.log.read_text()
    assert not any(private in text for private in ("Peeters", "Wat nu", "An Claes"))


async def test_the_truth_when_the_database_is_away_and_nothing_is_lost(vhost_url: str, tmp_path: Path) -> None:
    port = ports.pick()
    started = processes.start(embedded_mongodb.program(tmp_path / "database", port, tmp_path / "database.log"))
    try:
        variables = {"RABBITMQ_URL": vhost_url, "MONGODB_URL": embedded_mongodb.url(port)}
        with running(tmp_path / "log", **variables) as routing:
            await asyncio.to_thread(wait_for, lambda: routing.ready, "routing to be ready", START_PATIENCE)
            await asyncio.to_thread(freeze, started.pid)
            async with publishing(vhost_url) as publisher, listening(vhost_url) as observer:
                events = [opening() for _ in range(3)]
                for event in events:
                    await publisher.publish(event)

                def missed() -> bool:
                    status, said = routing.get("/readyz")
                    assert status == 200, "every other replica misses it too"
                    return bool(json.loads(said)["checks"]["database"] != "ok")

                await asyncio.to_thread(wait_for, missed, "the database to be missed")
                _, metrics = await asyncio.to_thread(routing.get, "/metrics")
                assert 'eloket_dependency_up{dependency="database"} 0.0' in metrics
                assert (await asyncio.to_thread(routing.get, "/healthz"))[0] == 200
                processes.signal_group(started.pid, signal.SIGCONT)
                opened = {event.chat_id for event in events}
                await until(lambda: opened == {s.chat_id for s in observer.of(ChatState)}, "the state of each chat")
            await asyncio.to_thread(wait_for, lambda: routing.ready, "routing to be ready again", START_PATIENCE)
    finally:
        processes.signal_group(started.pid, signal.SIGKILL)
        started.wait(10)


def test_impossible_settings_are_refused_on_a_line_each(tmp_path: Path) -> None:
    with running(tmp_path / "log", TOKEN_SECRET="short", ACCEPT_LIMIT="-1") as routing:
        assert routing.process.wait(START_PATIENCE) == 78
    text = routing.log.read_text()
    assert "routing: TOKEN_SECRET:" in text
    assert "routing: ACCEPT_LIMIT:" in text


def test_importing_opens_nothing_and_reads_no_environment() -> None:
    modules = [
        *("app", "consumers", "context", "timers", "api", "__main__"),
        *(
            "chats.citizen_presence",
            "chats.store",
            "queues.overflow",
            "queues.slot_requests",
            "queues.announcer",
            "queues.store",
        ),
    ]
    code = (
        "import importlib, sys, threading\n"
        "for module in sys.argv[1:]:\n"
        "    importlib.import_module('services.routing.' + module)\n"
        "    assert threading.active_count() == 1, module\n"
    )
    subprocess.run([sys.executable, "-c", code, *modules], cwd=ROOT, env={"PATH": os.environ["PATH"]}, check=True)
