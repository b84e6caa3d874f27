"""Reads of the log for those who must not miss anything: wait for what was heard of, then read it with majority."""

from __future__ import annotations

import asyncio
import time

from services.contracts import Entry
from services.departments import Departments
from services.internal import PAGE, ChatHistory, HistoryWanted
from services.transcripts.access import Chat
from services.transcripts.rendering import Transcript
from services.transcripts.rounds import Tail, tail_after
from services.transcripts.store import Store

PATIENCE = 1.0  # seconds to wait for a seq that was heard of
LOOK_AGAIN = 0.05


async def reached(store: Store, chat_id: str, seq: int) -> None:
    """Returns as soon as the chat's log has `seq`, or after a second without it."""
    end = time.monotonic() + PATIENCE
    while True:
        if await store.grown({chat_id: seq - 1}) or time.monotonic() >= end:
            return
        await asyncio.sleep(LOOK_AGAIN)


async def history(store: Store, wanted: HistoryWanted, notes: bool) -> ChatHistory | None:
    """One page of a chat's log; None for a chat without a log. `last_seq` is never below the last entry given."""
    known, found = await _read_on(store, wanted)
    if wanted.at_least > known.seq and len(found) < PAGE:
        await reached(store, wanted.chat_id, wanted.at_least)
        known, found = await _read_on(store, wanted)
    if len(found) == PAGE or (wanted.after and not known.seq):  # there may be more than the page
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


async def _read_on(store: Store, wanted: HistoryWanted) -> tuple[Tail, list[Entry]]:
    """A page and what it shows of the tail. It is read from the last entry that the asker has: when nothing follows,

    that one is the tail, and one read has said so; a tail of seq 0 means that there was neither.
    """
    before = max(wanted.after - 1, 0)
    found = await store.entries(wanted.chat_id, before, PAGE + wanted.after - before)
    known = tail_after(found[-1]) if found else Tail()
    return known, found[1:] if found and found[0].seq == wanted.after else found


async def transcript(store: Store, chat: Chat, departments: Departments, at_least: int = 0) -> Transcript:
    """The whole conversation up to this moment."""
    if at_least:
        await reached(store, chat.chat_id, at_least)
    entries = await store.entries(chat.chat_id)
    department = departments.get(chat.department)
    return Transcript(
        chat_id=chat.chat_id,
        department=chat.department,
        department_name=department.names.in_(chat.locale) if department else chat.department,
        locale=chat.locale,
        opened_at=chat.opened_at,
        closed_at=entries[-1].at if entries and entries[-1].is_seal else None,
        entries=entries,
    )
