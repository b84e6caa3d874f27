"""Reads of the log for those who must not miss anything: wait for what was heard of, then read it with majority."""

from __future__ import annotations

import asyncio
import time

from services.departments import Departments
from services.internal import PAGE, ChatHistory, HistoryWanted
from services.transcripts.access import Chat
from services.transcripts.rendering import Transcript
from services.transcripts.rounds import Tail
from services.transcripts.store import Store

PATIENCE = 1.0  # seconds to wait for a seq that was heard of
LOOK_AGAIN = 0.05


async def tail_at_least(store: Store, chat_id: str, at_least: int) -> Tail:
    """The chat's tail, as soon as it has reached `at_least`, or what it is after a second."""
    end = time.monotonic() + PATIENCE
    while True:
        tail = (await store.tails([chat_id]))[chat_id]
        if tail.seq >= at_least or time.monotonic() >= end:
            return tail
        await asyncio.sleep(LOOK_AGAIN)


async def history(store: Store, wanted: HistoryWanted, notes: bool) -> ChatHistory | None:
    """One page of a chat's log; None for a chat without a log. `last_seq` is never below the last entry given."""
    tail = await tail_at_least(store, wanted.chat_id, wanted.at_least)
    if not tail.seq:
        return None
    entries = await store.entries(wanted.chat_id, wanted.after, PAGE) if tail.seq > wanted.after else []
    last = entries[-1] if entries and entries[-1].seq > tail.seq else None
    sealed = last.is_seal if last else tail.sealed
    return ChatHistory.model_construct(
        chat_id=wanted.chat_id,
        last_seq=last.seq if last else tail.seq,
        entries=entries,
        notes=await store.notes(wanted.chat_id) if notes else [],
        sealed=sealed,
        closed_at=(last.at if last else tail.at) if sealed else None,
    )


async def transcript(store: Store, chat: Chat, departments: Departments, at_least: int = 0) -> Transcript:
    """The whole conversation up to this moment."""
    if at_least:
        await tail_at_least(store, chat.chat_id, at_least)
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
