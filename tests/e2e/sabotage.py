"""A transcript service with planted defects that is started again whenever it dies: `python -m tests.e2e.sabotage`.

What a message says happens to it: `KILL` ends the process at once, `DRAG` ends it after a second, `HURT` raises. Times
are short, so that a bad day and a delivery limit pass within seconds. SABOTAGE_LIMIT is the delivery limit,
SABOTAGE_PATIENCE how long a bad day lasts, SABOTAGE_KNOWS a type that only this version knows: another name of a note.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services import consuming, database, topology
from services.chassis import run
from services.contracts import Fact
from services.transcripts import app, handlers, recording
from services.transcripts import consumers as own
from services.transcripts.settings import Settings

TIMEOUTS = dict.fromkeys(("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), 1_000)


async def befall(fact: Fact) -> None:
    """What the text of this fact says happens."""
    text = getattr(fact, "text", None) or ""
    if text == "DRAG":
        await asyncio.sleep(1)
    if text in ("KILL", "DRAG"):
        os._exit(9)
    if text == "HURT":
        raise RuntimeError("it hurts")


def plant() -> None:
    topology.DELIVERY_LIMIT = int(os.environ.get("SABOTAGE_LIMIT", "3"))
    patience = float(os.environ.get("SABOTAGE_PATIENCE", consuming.BAD_DAY))
    consuming.retry_in_place.__defaults__ = (patience,)
    consuming.FIRST_DELAY = own.FIRST_DELAY = 0.05
    consuming.PROBE_INTERVAL = 0.2
    plant_defects()
    if new_type := os.environ.get("SABOTAGE_KNOWS", "").encode():
        known = consuming.decode
        consuming.decode = lambda body: known(body.replace(new_type, b"note.posted"))


def plant_defects() -> None:
    connect, record, handler = database.AsyncIOMotorClient, recording.Recorder.record, handlers.note_handler

    async def recorded(self: recording.Recorder, batch: Sequence[recording.Heard]) -> asyncio.Task[None]:
        for heard in batch:
            await befall(heard.fact)
        return await record(self, batch)

    def note_handler(*parts: Any) -> Callable[[Fact], Awaitable[None]]:
        handle = handler(*parts)

        async def handled(fact: Fact) -> None:
            await befall(fact)
            await handle(fact)

        return handled

    recording.Recorder.record = recorded  # type: ignore[method-assign]
    app.note_handler = note_handler
    database.AsyncIOMotorClient = lambda *a, **k: connect(*a, **k | TIMEOUTS)  # type: ignore[misc, assignment]


def live_again_and_again() -> None:
    """Each life is a fork, which is there at once; a line in the log for each death."""
    while child := os.fork():
        _, status = os.waitpid(child, 0)
        print(f"ended with {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    plant()
    live_again_and_again()
    run("transcripts", Settings, app.create_app)
