"""What the parts do by themselves on this machine: the broker, the websocket library, the database.

Nothing of services/ handles these; the distance from them is what our own code and the way between them cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiormq
from motor.motor_asyncio import AsyncIOMotorClient
from pamqp.commands import Basic
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from deploy.local import ports
from services.transcripts.log.store import document
from tests.support.servers import PATIENCE, ROOT, System, running_database
from tests.system.bench.load_generator import Load, Side
from tests.system.bench.machine import Groups, costing
from tests.system.bench.messages import servers
from tests.system.bench.report import Report
from tests.system.bench.store import entries, listening_at
from tests.system.bench.websocket_client import WebSocketClient, connect
from tests.system.environment import broker_url

BODY = b"x" * 400  # about what a posted message is on the broker
UNDER_WAY = 64  # publishes whose confirm is awaited at a time
TOGETHER = 50  # deliveries acknowledged at a time
BATCHES = (1, 10, 20, 50)
ECHOES = 50  # websockets


async def limits(report: Report, system: System, home: Path, seconds: float) -> None:
    """All three, each for so many seconds."""
    for kind, declared in (("quorum", {"x-queue-type": "quorum"}), ("transient", {})):
        await _broker(report, system, kind, declared, seconds)
    await _echo(report, home, seconds)
    await _database(report, home, seconds)


def _add(report: Report, name: str, count: int, seconds: float, spent: float) -> None:
    report.add(f"limit: {name}", "/s", count / seconds, more_is_better=True)
    report.add(f"limit: {name}: processor for 1,000", "s", spent / max(count, 1) * 1000)


async def _broker(report: Report, system: System, kind: str, declared: dict[str, Any], seconds: float) -> None:
    """Published with confirms and consumed at the same time; the processor time is the broker's and the client's."""
    connections = [await aiormq.connect(broker_url(system)) for _ in range(2)]
    try:
        publishing, consuming = [await connection.channel() for connection in connections]
        queue = f"bench.{kind}.{uuid.uuid4().hex[:8]}"
        durable = kind == "quorum"
        await publishing.queue_declare(queue, durable=durable, arguments=declared)
        await consuming.basic_qos(prefetch_count=200)
        consumed = 0

        async def take(message: Any) -> None:
            nonlocal consumed
            consumed += 1
            if consumed % TOGETHER == 0:
                await consuming.basic_ack(message.delivery.delivery_tag, multiple=True)

        consumer = await consuming.basic_consume(queue, take)
        properties = Basic.Properties(delivery_mode=2 if durable else 1)

        async def publish() -> None:
            await publishing.basic_publish(BODY, routing_key=queue, properties=properties)

        groups = {"broker": servers(system)["broker"]}
        _, cost = await costing(groups, _as_often_as_possible(publish, seconds))
        _add(report, f"broker, {kind} queue, confirmed and acknowledged", consumed, seconds, cost.total + cost.client)
        # The client is the slower half: the rate is its limit, and the broker's own share distinguishes the queues.
        own = cost.total / max(consumed, 1) * 1000
        report.add(f"limit: broker, {kind} queue, confirmed and acknowledged: the broker's own for 1,000", "s", own)
        assert consumer.consumer_tag is not None
        await consuming.basic_cancel(consumer.consumer_tag)
        await publishing.queue_delete(queue)
    finally:
        for connection in connections:
            await connection.close()


async def _as_often_as_possible(work: Callable[[], Awaitable[Any]], seconds: float, lines: int = UNDER_WAY) -> int:
    end = time.monotonic() + seconds

    async def line() -> int:
        done = 0
        while time.monotonic() < end:
            await work()
            done += 1
        return done

    return sum(await asyncio.gather(*(line() for _ in range(lines))))


# ── the websocket library ────────────────────────────────────────────────────────────────────────────────────────────


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The least application: it gives back each text frame."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


class Echoed(Side):
    """One side which gets its own messages."""

    websocket: WebSocketClient

    def say(self, text: str) -> None:
        self.websocket.send(text.encode())

    def receive(self, payload: bytes) -> None:
        self.received(self, payload.decode())


async def _echo(report: Report, home: Path, seconds: float) -> None:
    async with _echo_server(home) as (port, pid):
        sides = [Echoed() for _ in range(ECHOES)]
        for side in sides:
            side.websocket = await connect(port, "/", side.receive)
        result, cost = await costing({"server": [pid]}, Load([(side, side) for side in sides]).closed(seconds))
        report.add("limit: websocket library, echoes", "/s", result.rate, more_is_better=True)
        report.add("limit: websocket library, echoes: processor for 1,000", "s", cost.total / result.shown * 1000)
        for side in sides:
            side.websocket.close()


@contextlib.asynccontextmanager
async def _echo_server(home: Path) -> AsyncIterator[tuple[int, int]]:
    port = ports.pick()
    options = ["--port", str(port), "--log-level", "warning", "--ws", "websockets-sansio", "--lifespan", "off"]
    with (home / "echo.log").open("wb") as log:
        command = [sys.executable, "-m", "uvicorn", "tests.system.bench.limits:echo", *options]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError):
                    (await connect(port, "/", lambda _: None)).close()
                    break
                await asyncio.sleep(0.05)
        yield port, process.pid
    finally:
        process.kill()
        process.wait(10)


# ── the database ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _database(report: Report, home: Path, seconds: float) -> None:
    """Entries of our shape, written with majority and journal, so many at a time by one writer."""
    with running_database(home / f"limit-{uuid.uuid4().hex[:8]}") as url:
        client: Any = AsyncIOMotorClient(url)
        written = WriteConcern("majority", j=True)
        for size in BATCHES:
            collection = client["limits"].get_collection(
                f"entries{size}", write_concern=written, read_concern=ReadConcern("majority")
            )

            async def write(collection: Any = collection, size: int = size) -> None:
                chat_id = str(uuid.uuid4())
                await collection.insert_many([document(e) for e in entries(chat_id, 1, size)], ordered=False)

            await write()
            groups: Groups = {"database": [listening_at(url).pid]}
            batches, cost = await costing(groups, _as_often_as_possible(write, seconds / 2, lines=1))
            spent = cost.total + cost.client
            _add(report, f"database, entries written {size} at a time", batches * size, seconds / 2, spent)
        client.close()
