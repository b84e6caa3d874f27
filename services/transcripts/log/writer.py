"""Writer of entries in rounds: sequence numbers without gaps, each id once, nothing after the seal, whatever fails.

The rules are in `sequencing.py`; this module applies them to the database. Any number of writers, in any number of
processes, may store into the same chats at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from services.common.clock import utcnow
from services.common.events.types import Entry
from services.common.lru import LruCache
from services.common.messaging.retry import retry_with_backoff
from services.transcripts import metrics
from services.transcripts.log.sequencing import (
    WAITING,
    NewEntry,
    PendingEntries,
    Result,
    Stored,
    Tail,
    barred,
    is_uncounted,
    repeat,
    run_of,
    tail_after,
    unread,
)
from services.transcripts.log.store import Store

KNOWN_TAILS = 10_000
TAILS_KEPT = 300.0  # seconds; less than `retention.rules.SETTLED`: no tail from before an erasure is used after it
MAX_PAUSE = 0.2  # seconds between rounds without progress: the majority has not confirmed another writer's entry yet


def now_ms() -> datetime:
    """Return the present in whole milliseconds, which is what the database stores.

    What is published then equals what is read back.
    """
    now = utcnow()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Writer:
    """Stores entries. It remembers the tails of chats, as long as no write fails."""

    def __init__(
        self, store: Store, max_messages: int, clock: Callable[[], datetime] = now_ms, max_text: int | None = None
    ) -> None:
        """Create a writer.

        Args:
            store: The store.
            max_messages: Entries of a chat from which on messages are refused.
            clock: Returns the present in whole milliseconds.
            max_text: Bytes of messages in a chat from which on messages are refused.
        """
        self._store, self._limit, self._clock, self._most = store, max_messages, clock, max_text
        self._tails: LruCache[Tail] = LruCache(KNOWN_TAILS)
        self._known_since = time.monotonic()

    async def store(self, pending: PendingEntries) -> None:
        """Store all of `pending`, which is empty afterwards: each entry has its result.

        Outages are waited out in place.

        Raises:
            DependencyOutage: An outage lasted too long. What was stored until then stays stored, and a later call
                with the same ids finds it.
        """
        idle = 0
        while before := len(pending):
            await retry_with_backoff(lambda: self._round(pending))
            idle = 0 if len(pending) < before else idle + 1
            if idle > 1:
                await asyncio.sleep(min(0.005 * 2.0 ** min(idle, 8), MAX_PAUSE))

    async def _round(self, pending: PendingEntries) -> None:
        try:
            await self._learn_tails(pending)
            await self._bar(pending)
            heads = pending.heads()
            if heads:
                await self._insert(heads, pending)
        except BaseException:
            self._tails.clear()  # it is unknown what was stored: read it again
            raise

    async def _learn_tails(self, pending: PendingEntries) -> None:
        if time.monotonic() - self._known_since > TAILS_KEPT:
            self._tails.clear()
            self._known_since = time.monotonic()
        known = {e.chat_id: t for e in pending.heads() if (t := self._tails.get(e.chat_id))}
        for chat_id, tail in (await self._store.tails(unread(pending.heads(), known))).items():
            self._tails.set(chat_id, tail)
        for chat_id in {e.chat_id for e in pending.heads()}:
            known_tail = self._tails.get(chat_id)
            if known_tail and is_uncounted(known_tail, self._most):
                text = await self._store.text_bytes(chat_id, known_tail.seq)
                self._tails.set(chat_id, replace(known_tail, text=text))

    async def _bar(self, pending: PendingEntries) -> None:
        """Answer what cannot be added.

        The tail was read first: a repetition that is not found now will never be in the log.
        """
        for head in pending.heads():
            tail = self._tails.get(head.chat_id)
            if tail is None or barred(head, tail, self._limit, self._most) is None:
                continue
            queue = pending.of_chat(head.chat_id)
            there = await self._store.find(head.chat_id, [e.id for e in queue]) if tail.seq else {}
            for new in queue:
                if answer := barred(new, tail, self._limit, self._most):
                    found = there.get(new.id)
                    _finish(pending, new, repeat(new, found) if found else answer)
            if head.result is WAITING:
                self._tails.forget(head.chat_id)

    async def _insert(self, heads: Sequence[NewEntry], pending: PendingEntries) -> None:
        now = self._clock()
        known = [(e.chat_id, self._tails.get(e.chat_id) or Tail(text=0)) for e in heads]
        runs = [
            pair
            for chat_id, tail in known
            for pair in run_of(pending.of_chat(chat_id), tail, self._limit, now, self._most)
        ]
        in_order = len(runs) > len(heads)
        taken = await self._store.insert([entry for _, entry in runs], in_order)
        metrics.ROUNDS.inc()
        tried = runs[: min(taken)] if in_order and taken else runs
        for index, (new, entry) in enumerate(tried):
            if index not in taken:
                before = self._tails.get(new.chat_id)
                text = before.text if before else 0 if entry.seq == 1 else None
                self._tails.set(new.chat_id, tail_after(entry, text))
                _finish(pending, new, Stored(entry, repeated=False))
        if taken:
            metrics.COLLISIONS.inc(len(taken))
            await self._look_up([runs[i][0] for i in sorted(taken)], pending)

    async def _look_up(self, collided: Sequence[NewEntry], pending: PendingEntries) -> None:
        """Handle duplicate keys: an id that exists keeps its seq, any other entry is tried again after the new tail."""
        for chat_id, tail in (await self._store.tails([e.chat_id for e in collided])).items():
            self._tails.set(chat_id, tail)
        found = await asyncio.gather(*(self._store.find(e.chat_id, [e.id]) for e in collided))
        for new, there in zip(collided, found, strict=True):
            entry: Entry | None = there.get(new.id)
            if entry:
                _finish(pending, new, repeat(new, entry))


def _finish(pending: PendingEntries, new: NewEntry, result: Result) -> None:
    pending.finish(new, result)
    if isinstance(result, Stored):
        (metrics.REPEATED if result.repeated else metrics.STORED.labels(new.party.value)).inc()
