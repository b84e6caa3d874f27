"""RULES of sequence numbers and results: which entries are written in which round, and what became of them. No I/O.

A batch is stored in rounds. In a round each chat has a run of entries, starting at its tail + 1. The tail is what this
writer itself has stored or read (both with majority). When a run has more than one entry, the round is stored in order
and ends at the first duplicate. Number n + 1 is therefore only tried when n exists, and a write that fails or lands
late leaves no gap. The seal is the last entry of a chat: nothing comes after it.

- An entry is `Stored`, `Refused`, or `WAITING` for its chat.
- An event has the result of its entries. It may also be `Refused` or `WAITING` as a whole, be `POISON`, or have
  `FAILED`.
- A delivery is requeued when one of its events has `FAILED`, dead-lettered when it is `POISON`, and otherwise
  acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from services.common.events.types import About, Attachment, Cause, CloseReason, Entry, Party, RefusalCode, derived_id

LONGEST_TEXT = 16_000  # bytes of one entry: 4,000 code points


@dataclass(frozen=True, slots=True)
class Stored:
    """The entry is in the log. `repeated`: it was there before this writer tried."""

    entry: Entry
    repeated: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The entry is not in the log and never will be. `code` says why."""

    code: RefusalCode


class Unstored(Enum):
    """Results without an answer to the sender."""

    WAITING = "waiting"
    POISON = "poison"
    FAILED = "failed"


WAITING: Final = Unstored.WAITING
"""The log has no beginning yet, because `chat.opened` was not received or is being stored. Try again."""
POISON: Final = Unstored.POISON
"""It can never be stored: dead-letter it."""
FAILED: Final = Unstored.FAILED
"""An unexpected error: requeue it."""

Result = Stored | Refused | Unstored


@dataclass(frozen=True, slots=True)
class Tail:
    """The last entry of a chat's log.

    Attributes:
        seq: Its sequence number; 0: there is none.
        sealed: Whether it is the seal.
        at: Its time.
        text: Bytes of all messages of the log; None: not known.
    """

    seq: int = 0
    sealed: bool = False
    at: datetime | None = None
    text: int | None = None


@dataclass(eq=False, slots=True)
class NewEntry:
    """An entry that is to be stored. The log gives it a sequence number.

    Attributes:
        after: The number of entries that come before it at least (`opened`, and the question of a citizen who asked
            one).
        posted_at: When the sender's gateway took the message.
        result: What became of it; None: not decided yet.

    The other attributes are those of an entry.
    """

    chat_id: str
    id: str
    party: Party
    sender_id: str
    name: str | None = None
    text: str | None = None
    attachment: Attachment | None = None
    event: Cause | None = None
    reason: CloseReason | None = None
    about: About | None = None
    after: int = 1
    posted_at: datetime | None = None
    result: Result | None = None

    @property
    def by_participant(self) -> bool:
        """Whether it comes from a participant, who waits for a receipt."""
        return self.party is not Party.SYSTEM

    @property
    def opens(self) -> bool:
        """Whether it is the first entry of a chat."""
        return self.event is Cause.OPENED

    def entry(self, seq: int, at: datetime) -> Entry:
        """Return the entry, built of values that were validated already."""
        return Entry.model_construct(
            chat_id=self.chat_id,
            seq=seq,
            id=self.id,
            party=self.party,
            sender_id=self.sender_id,
            name=self.name,
            text=self.text,
            attachment=self.attachment,
            event=self.event,
            reason=self.reason,
            about=self.about,
            at=at,
        )


@dataclass(slots=True)
class PendingEntries:
    """Entries that have no result yet: one queue for each chat."""

    _queues: dict[str, deque[NewEntry]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of entries."""
        return sum(map(len, self._queues.values()))

    def add(self, entry: NewEntry) -> None:
        """Add an entry to the queue of its chat."""
        self._queues.setdefault(entry.chat_id, deque()).append(entry)

    def heads(self) -> list[NewEntry]:
        """Return the first entry of each queue."""
        return [queue[0] for queue in self._queues.values()]

    def of_chat(self, chat_id: str) -> list[NewEntry]:
        """Return the queue of a chat."""
        return list(self._queues.get(chat_id, ()))

    def finish(self, entry: NewEntry, result: Result) -> None:
        """Set the result of an entry, and remove it from its queue."""
        entry.result = result
        queue = self._queues[entry.chat_id]
        queue.remove(entry)
        if not queue:
            del self._queues[entry.chat_id]


def unread(heads: Iterable[NewEntry], tails: Mapping[str, Tail]) -> list[str]:
    """Return the chats whose tail must be read first. `opened` may try seq 1 without: before 1 there can be no gap."""
    return [w.chat_id for w in heads if w.chat_id not in tails and not w.opens]


def barred(new: NewEntry, tail: Tail, limit: int, most: int | None = None) -> Result | None:
    """Return why this entry cannot be added after `tail`, or None when it can.

    Only the log decides, so every writer decides the same. The entry may be in the log already (a repetition): look it
    up before answering.

    Args:
        new: The entry.
        tail: The end of the log.
        limit: Number of entries from which on messages are refused; the seal always fits.
        most: Bytes of text from which on messages are refused; None: no limit.
    """
    if tail.sealed:
        return Refused(RefusalCode.CHAT_CLOSED)
    if tail.seq < new.after and not new.opens:
        return WAITING
    full = tail.seq >= limit or (most is not None and tail.text is not None and tail.text >= most)
    if new.by_participant and full:
        return Refused(RefusalCode.UNAVAILABLE)
    return None


def next_entry(new: NewEntry, tail: Tail, now: datetime) -> Entry:
    """Return the entry after `tail`. Times within a chat never go back, even when the clocks of two writers differ."""
    return new.entry(tail.seq + 1, max(now, tail.at) if tail.at else now)


def run_of(
    queue: Iterable[NewEntry], tail: Tail, limit: int, now: datetime, most: int | None = None
) -> list[tuple[NewEntry, Entry]]:
    """Return the entries of a chat that one round may write in order: up to the first one that is barred."""
    run: list[tuple[NewEntry, Entry]] = []
    for new in queue:
        if barred(new, tail, limit, most) is not None or (run and is_uncounted(tail, most)):
            break
        entry = next_entry(new, tail, now)
        run.append((new, entry))
        tail = tail_after(entry, tail.text)
    return run


def is_uncounted(tail: Tail, most: int | None) -> bool:
    """Return whether the log may have `most` bytes of text that are not counted yet. Short logs need not be counted."""
    return most is not None and tail.text is None and not tail.sealed and tail.seq * LONGEST_TEXT >= most


def tail_after(entry: Entry, text: int | None = None) -> Tail:
    """Return the tail after an entry. `text`: bytes of all messages before it; None: not known."""
    return Tail(entry.seq, entry.is_seal, entry.at, None if text is None else text + text_bytes(entry))


def text_bytes(entry: Entry) -> int:
    """Return the bytes (UTF-8) of a participant's text in an entry: its text, or the name of its file."""
    return len((entry.attachment.name if entry.attachment else entry.text or "").encode("utf-8", "replace"))


def repeat(new: NewEntry, there: Entry) -> Result:
    """Return the result when this id is in the log: stored for the same sender, refused for any other."""
    if there.sender_id != new.sender_id or there.party is not new.party:
        return Refused(RefusalCode.INVALID)
    return Stored(there, repeated=True)


# ── ids of system entries ────────────────────────────────────────────────────────────────────────────────────────────


def opened_id(chat_id: str) -> str:
    """Return the id of the entry that opens a chat."""
    return derived_id(chat_id, "opened")


def question_id(chat_id: str) -> str:
    """Return the id of the entry with the citizen's question."""
    return derived_id(chat_id, "question")


def event_id(chat_id: str, cause: Cause, turn: int) -> str:
    """Return the id of a system entry. It depends on the cause and the attempt, not on the version or on repetitions.

    An event happens once in an attempt, the seal once in a chat.
    """
    return derived_id(chat_id, "closed") if cause is Cause.CLOSED else derived_id(chat_id, "state", turn, cause.value)
