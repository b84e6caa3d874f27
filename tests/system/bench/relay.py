"""The baseline: the simplest implementation. Two processes, a broker between them, nothing stored or confirmed.

`/ws/{role}/{chat}`: a text of one role goes to the other role of the same chat. `/button` answers a fixed object.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aio_pika
import orjson
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from deploy.local import ports
from tests.support.servers import PATIENCE, ROOT, wait_for
from tests.system.bench.load_generator import Pair, Side
from tests.system.bench.websocket_client import WebSocketClient, connect

ROLES = ("citizen", "agent")
EXCHANGE = "bench.relay"


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    connection = await aio_pika.connect_robust(os.environ["BENCH_BROKER"])
    app.state.channel = await connection.channel(publisher_confirms=False)
    app.state.exchange = await app.state.channel.declare_exchange(EXCHANGE, "topic", auto_delete=True)
    yield
    await connection.close()


app = FastAPI(lifespan=lifespan)


@app.get("/button")
async def button() -> dict[str, Any]:
    return {"department": "algemeen", "colour": "green", "reason": "available", "opens_at": None, "revision": 42}


@app.websocket("/ws/{role}/{chat}")
async def chat_socket(websocket: WebSocket, role: str, chat: str) -> None:
    state = websocket.app.state
    await websocket.accept()
    queue = await state.channel.declare_queue(exclusive=True, auto_delete=True)
    await queue.bind(state.exchange, f"{chat}.{role}")

    async def show(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await websocket.send_text(message.body.decode())

    await queue.consume(show, no_ack=True)
    await websocket.send_text(json.dumps({"type": "ready"}))
    other = ROLES[1 - ROLES.index(role)]
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            frame = json.loads(await websocket.receive_text())
            body = json.dumps({"type": "message", "from": role, "text": frame["text"]}).encode()
            await state.exchange.publish(aio_pika.Message(body), f"{chat}.{other}")


class RelaySide(Side):
    """A client at the relay."""

    def __init__(self) -> None:
        super().__init__()
        self.websocket: WebSocketClient | None = None
        self.ready = asyncio.Event()

    def say(self, text: str) -> None:
        assert self.websocket is not None
        self.websocket.send(orjson.dumps({"type": "message", "text": text}))

    def receive(self, payload: bytes) -> None:
        frame = orjson.loads(payload)
        if frame["type"] == "message":
            self.received(self, frame["text"])
        else:
            self.ready.set()


@contextlib.asynccontextmanager
async def relay_pairs(where: dict[str, int], count: int) -> AsyncIterator[list[Pair]]:
    """So many connected pairs, each side at its own process."""
    pairs: list[Pair] = []
    websockets: list[WebSocketClient] = []
    try:
        for number in range(count):
            sides = RelaySide(), RelaySide()
            for role, side in zip(ROLES, sides, strict=True):
                side.websocket = await connect(where[role], f"/ws/{role}/chat{number}", side.receive)
                websockets.append(side.websocket)
                await asyncio.wait_for(side.ready.wait(), PATIENCE)
            pairs.append(sides)
        yield pairs
    finally:
        for websocket in websockets:
            websocket.close()


@contextlib.contextmanager
def running_relay(home: Path, broker_url: str) -> Iterator[tuple[dict[str, int], list[int]]]:
    """Its two processes while the context is open: the port of each role, and their process ids."""
    where = {role: ports.pick() for role in ROLES}
    started = []
    try:
        for role, port in where.items():
            with (home / f"relay-{role}.log").open("wb") as log:
                started.append(_start(port, broker_url, log))
        for role, port in where.items():
            wait_for(lambda port=port: _answers(port), f"the relay's process for the {role}")  # type: ignore[misc]
        yield where, [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait(10)


def _start(port: int, broker_url: str, log: Any) -> subprocess.Popen[bytes]:
    options = ["--port", str(port), "--log-level", "warning"]
    return subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "tests.system.bench.relay:app", *options],
        cwd=ROOT,
        env=os.environ | {"BENCH_BROKER": broker_url},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/button", timeout=PATIENCE):
        return True
    return False
