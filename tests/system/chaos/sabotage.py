"""`python -m tests.system.chaos.sabotage KIND SERVICE`: a real service with one guarantee broken on purpose.

The checker must report each of them: a checker that has never reported a violation proves nothing.

`drop`: one in twenty messages is published as stored, and is not. `swap`: a gateway passes every fifth message on after
the next one of its sender. `double`: one in twenty is stored twice. `early`: published and acknowledged two seconds
before it is stored, which a kill -9 makes matter.
"""

from __future__ import annotations

import asyncio
import itertools
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import uuid4

from services.common.events.chats import ChatAccepted
from services.common.events.types import Entry
from services.gateway.participants.sessions import Session
from services.gateway.sending.sender import MessageSender
from services.gateway.websocket.frames.client import End, Post, WriteNote
from services.transcripts.log.sequencing import PendingEntries
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer

EARLY = 2.0  # seconds


def drop() -> None:
    """Stored, says the database's answer; but one in twenty was never written."""
    insert, turns = Store.insert, itertools.count(1)

    async def forgetful(self: Store, entries: Sequence[Entry], in_order: bool = False) -> set[int]:
        kept = [(i, e) for i, e in enumerate(entries) if e.event is not None or next(turns) % 20]
        taken = await insert(self, [e for _, e in kept], in_order) if kept else set()
        return {kept[i][0] for i in taken}

    Store.insert = forgetful  # type: ignore[method-assign]


def swap() -> None:
    """Every fifth message waits until its sender's next one has gone."""
    post, turns = MessageSender.post, itertools.count(1)
    held: dict[tuple[Session, str], Post] = {}

    def turned_around(
        self: MessageSender,
        session: Session,
        chat_id: str,
        frame: Post | WriteNote | End,
        first: ChatAccepted | None = None,
    ) -> None:
        before = held.pop((session, chat_id), None)
        if before is None and isinstance(frame, Post) and next(turns) % 5 == 0:
            held[session, chat_id] = frame
            return
        pair = [frame, before] if isinstance(frame, Post) else [before, frame]
        for one in pair:
            if one is not None:
                post(self, session, chat_id, one, first)

    MessageSender.post = turned_around  # type: ignore[method-assign]


def double() -> None:
    """One in twenty is stored a second time under an id of its own."""
    store, turns = Writer.store, itertools.count(1)

    async def store_twice(self: Writer, pending: PendingEntries) -> None:
        for head in pending.heads():
            for entry in pending.of_chat(head.chat_id):
                if entry.by_participant and next(turns) % 20 == 0:
                    pending.add(replace(entry, id=str(uuid4())))
        await store(self, pending)

    Writer.store = store_twice  # type: ignore[method-assign]


def early() -> None:
    """The database's answer is not waited for: receipt and acknowledgement go out before anything is written."""
    insert, writing = Store.insert, set()

    async def write_later(self: Store, entries: Sequence[Entry], in_order: bool) -> None:
        await asyncio.sleep(EARLY)
        await insert(self, entries, in_order)

    async def hasty(self: Store, entries: Sequence[Entry], in_order: bool = False) -> set[int]:
        if any(e.event is not None for e in entries):
            return await insert(self, entries, in_order)
        writing.add(task := asyncio.create_task(write_later(self, entries, in_order)))
        task.add_done_callback(writing.discard)
        return set()

    Store.insert = hasty  # type: ignore[method-assign]


KINDS: dict[str, tuple[str, Callable[[], None]]] = {
    "drop": ("transcripts", drop),
    "swap": ("gateway", swap),
    "double": ("transcripts", double),
    "early": ("transcripts", early),
}


def command(kind: str) -> str:
    """What the runner starts each service with."""
    return f"{sys.executable} -m tests.system.chaos.sabotage {kind} {{name}}"


if __name__ == "__main__":
    _, chosen, service = sys.argv
    broken, sabotage = KINDS[chosen]
    if service == broken:
        sabotage()
    sys.argv = sys.argv[:1]
    runpy.run_module(f"services.{service}", run_name="__main__")
