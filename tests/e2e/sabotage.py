"""A transcript service with planted defects that is started again whenever it dies: `python -m tests.e2e.sabotage`.

What a message says happens to it: `KILL` ends the process at once, `DRAG` ends it after a second, `HURT` raises. Times
are short, so that an outage and a delivery limit pass within seconds. SABOTAGE_LIMIT is the delivery limit,
SABOTAGE_PATIENCE how long an outage lasts, SABOTAGE_KNOWS a type that only this version knows: another name of a note.
"""

import asyncio
import os
from collections.abc import Sequence
from unittest import mock

from motor.motor_asyncio import AsyncIOMotorClient

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.messages import NotePosted
from services.common.messaging import middlewares, retry, subscribers, topology
from services.common.mongo import client
from services.common.runtime.service import run
from services.transcripts import app
from services.transcripts.consumers import Handlers
from services.transcripts.log import message_consumer, recorder
from services.transcripts.log.delivery import DeliveredEvent
from services.transcripts.settings import Settings

TIMEOUTS = dict.fromkeys(("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), 1_000)


async def befall(event: Event) -> None:
    """What the text of this event says happens."""
    text = getattr(event, "text", None) or ""
    if text == "DRAG":
        await asyncio.sleep(1)
    if text in ("KILL", "DRAG"):
        os._exit(9)
    if text == "HURT":
        raise RuntimeError("it hurts")


def plant() -> None:
    topology.DELIVERY_LIMIT = int(os.environ.get("SABOTAGE_LIMIT", "3"))
    retry.OUTAGE_PATIENCE = float(os.environ.get("SABOTAGE_PATIENCE", retry.OUTAGE_PATIENCE))
    put(middlewares, "FIRST_DELAY", 0.05)
    put(message_consumer, "FIRST_DELAY", 0.05)
    retry.PROBE_INTERVAL = 0.2
    plant_defects()
    if new_type := os.environ.get("SABOTAGE_KNOWS", "").encode():
        put(subscribers, "decode", lambda body: decode(body.replace(new_type, b"note.posted")))


def put(module: object, name: str, value: object) -> None:
    """In this module the name stands for this from now on, whatever it was imported from."""
    mock.patch.object(module, name, value).start()


def plant_defects() -> None:
    record, note_posted = recorder.Recorder.record, Handlers.note_posted

    async def recorded(self: recorder.Recorder, batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
        for delivered in batch:
            await befall(delivered.event)
        return await record(self, batch)

    async def noted(self: Handlers, event: NotePosted) -> None:
        await befall(event)
        await note_posted(self, event)

    put(recorder.Recorder, "record", recorded)
    put(Handlers, "note_posted", noted)
    put(client, "AsyncIOMotorClient", lambda *a, **k: AsyncIOMotorClient(*a, **k | TIMEOUTS))


def live_again_and_again() -> None:
    """Each life is a fork, which is there at once; a line in the log for each death."""
    while child := os.fork():
        _, status = os.waitpid(child, 0)
        print(f"ended with {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    plant()
    live_again_and_again()
    run("transcripts", Settings, app.create_app)
