"""Reader of logs for callers that must not miss an entry: wait for entries that are known to exist, then read.

Reads use read concern "majority".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from services.common.config.departments import Departments
from services.common.events.types import Entry
from services.common.internal_api.transcripts import PAGE, ChatHistory, HistoryWanted
from services.transcripts.access.rules import Chat
from services.transcripts.log.sequencing import Tail, tail_after
from services.transcripts.log.store import Store
from services.transcripts.rendering.transcript import Transcript

PAGE_BYTES = 512 * 1024  # of text, in one page; the entry that exceeds it is the last
PATIENCE = 1.0  # seconds to wait for a sequence number that is known to exist
LOOK_AGAIN = 0.05


async def reached(store: Store, chat_id: str, seq: int) -> None:
    """Return as soon as the chat's log has this sequence number, or after a second without it."""
    end = time.monotonic() + PATIENCE
    while True:
        if await store.grown({chat_id: seq - 1}) or time.monotonic() >= end:
            return
        await asyncio.sleep(LOOK_AGAIN)


async def history(store: Store, wanted: HistoryWanted, notes: bool, most: int = PAGE_BYTES) -> ChatHistory | None:
    """Return one page of a chat's log, of about `most` bytes; None for a chat without a log.

    `last_seq` is never below the last returned entry, and an incomplete page has at least one entry. A caller that
    continues after the last entry therefore reaches the end.
    """
    known, found, whole = await _read_on(store, wanted, most)
    if wanted.at_least > known.seq and whole:
        await reached(store, wanted.chat_id, wanted.at_least)
        known, found, whole = await _read_on(store, wanted, most)
    if not whole or (wanted.after and not known.seq):  # there may be more than the page
        known = (await store.tails([wanted.chat_id]))[wanted.chat_id]
    if not known.seq:
        return None
    return ChatHistory.model_construct(
        chat_id=wanted.chat_id,
        last_seq=known.seq,
        entries=found,
        notes=await store.notes(wanted.chat_id) if notes else [],
        sealed=known.sealed,
        closed_at=known.at if known.sealed else None,
    )


async def _read_on(store: Store, wanted: HistoryWanted, most: int) -> tuple[Tail, list[Entry], bool]:
    """Return a page, what it shows of the tail, and whether nothing follows it.

    The read starts at the last entry that the caller has. When nothing follows, that entry is the tail, and one read
    has found it. A tail with seq 0 means that there was no entry.
    """
    before = max(wanted.after - 1, 0)
    found, whole = await store.page(wanted.chat_id, before, PAGE + wanted.after - before, most)
    known = tail_after(found[-1]) if found else Tail()
    return known, found[1:] if found and found[0].seq == wanted.after else found, whole


async def heading(
    store: Store, chat: Chat, departments: Departments, at_least: int = 0, last: int | None = None
) -> tuple[Transcript, AsyncIterator[list[Entry]]]:
    """Return the conversation up to this moment without its entries, and the entries a page at a time.

    Args:
        store: The store.
        chat: The chat.
        departments: All departments, for the name of the chat's one.
        at_least: A sequence number to wait for.
        last: The last sequence number that the reader may read; the end of the chat is then not shown. None: all of
            it.
    """
    if at_least:
        await reached(store, chat.chat_id, at_least)
    tail = (await store.tails([chat.chat_id]))[chat.chat_id]
    department = departments.get(chat.department)
    head = Transcript(
        chat_id=chat.chat_id,
        department=chat.department,
        department_name=department.names.in_(chat.locale) if department else chat.department,
        locale=chat.locale,
        opened_at=chat.opened_at,
        closed_at=tail.at if tail.sealed and last is None else None,
        entries=(),
        last=tail.seq if last is None else min(last, tail.seq),
    )
    return head, pages(store, chat.chat_id, head.last)


async def pages(store: Store, chat_id: str, last: int) -> AsyncIterator[list[Entry]]:
    """Yield the log up to seq `last`, in order, about `PAGE_BYTES` at a time.

    Raises:
        EOFError: The log is shorter.
    """
    seq = 0
    while seq < last:
        found, _ = await store.page(chat_id, seq, min(PAGE, last - seq), PAGE_BYTES)
        if not found:
            raise EOFError
        seq = found[-1].seq
        yield found
