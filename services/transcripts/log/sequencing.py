"""RULES of sequence numbers: which entries go into which round, and what a duplicate key means. No I/O.

A batch is stored in rounds. In a round each chat has a run of entries, from its tail + 1 on. The tail is what this
writer itself has stored, or has read (both with majority); where a run is longer than one, the round is stored in order
and ends at the first duplicate. So n + 1 is only tried where n is there, and whatever fails or lands late leaves no
hole. The seal is the last entry of a chat: nothing comes after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.common.events.types import About, Attachment, Cause, CloseReason, Entry, Party, RefusalCode, derived_id

LONGEST_TEXT = 16_000  # bytes of one entry: 4,000 code points


@dataclass(frozen=True, slots=True)
class Tail:
    """The last entry of a chat's log; `seq` 0: there is none. `text`: bytes of all that was said, None: not known."""

    seq: int = 0
    sealed: bool = False
    at: datetime | None = None
    text: int | None = None


@dataclass(eq=False, slots=True)
class Wanted:
    """Something that wants to become an entry. `said`: it came from a participant, who waits for an answer.

    `after`: so many entries come before it (`opened`, and the question of a citizen who asked one).
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

    @property
    def said(self) -> bool:
        return self.party is not Party.SYSTEM

    @property
    def opens(self) -> bool:
        return self.event is Cause.OPENED

    def entry(self, seq: int, at: datetime) -> Entry:
        """The entry that it becomes (built of values that were validated already)."""
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


@dataclass(frozen=True, slots=True)
class Stored:
    """It is in the log; `repeated`: it was there before this writer tried."""

    entry: Entry
    repeated: bool


@dataclass(frozen=True, slots=True)
class Refused:
    code: RefusalCode


class Unknown:
    """The beginning of the chat's log is not there yet: its `chat.opened` was not heard, or is being stored."""


UNKNOWN = Unknown()
Outcome = Stored | Refused | Unknown


@dataclass(slots=True)
class Lines:
    """What is still to be stored, one line for each chat, the first in line first."""

    _lines: dict[str, deque[Wanted]] = field(default_factory=dict)

    def add(self, wanted: Wanted) -> None:
        self._lines.setdefault(wanted.chat_id, deque()).append(wanted)

    def heads(self) -> list[Wanted]:
        """The first in each line: those that a round may try."""
        return [line[0] for line in self._lines.values()]

    def line(self, chat_id: str) -> list[Wanted]:
        return list(self._lines.get(chat_id, ()))

    def finish(self, wanted: Wanted) -> None:
        """It has its outcome and leaves the line."""
        line = self._lines[wanted.chat_id]
        line.remove(wanted)
        if not line:
            del self._lines[wanted.chat_id]


def unread(heads: Iterable[Wanted], tails: Mapping[str, Tail]) -> list[str]:
    """The chats whose tail must be read first. `opened` may try seq 1 without: before 1 there can be no hole."""
    return [w.chat_id for w in heads if w.chat_id not in tails and not w.opens]


def barred(wanted: Wanted, tail: Tail, limit: int, most: int | None = None) -> Outcome | None:
    """Why nothing of this kind can be added after `tail`, or None when it can.

    `limit`: entries, and `most`: bytes of text, from which on nothing more is said in a chat; its end always fits.
    Only the log decides, so every writer decides the same at every time. It may be in the log all the same (a repeat):
    look there before answering.
    """
    if tail.sealed:
        return Refused(RefusalCode.CHAT_CLOSED)
    if tail.seq < wanted.after and not wanted.opens:
        return UNKNOWN
    full = tail.seq >= limit or (most is not None and tail.text is not None and tail.text >= most)
    if wanted.said and full:
        return Refused(RefusalCode.UNAVAILABLE)
    return None


def next_entry(wanted: Wanted, tail: Tail, now: datetime) -> Entry:
    """The entry after `tail`; times within a chat never go back, though the clocks of two writers differ."""
    return wanted.entry(tail.seq + 1, max(now, tail.at) if tail.at else now)


def run_of(
    line: Iterable[Wanted], tail: Tail, limit: int, now: datetime, most: int | None = None
) -> list[tuple[Wanted, Entry]]:
    """The entries of a chat that may go in one round, one after the other: up to the first that is barred."""
    run: list[tuple[Wanted, Entry]] = []
    for wanted in line:
        if barred(wanted, tail, limit, most) is not None or (run and is_uncounted(tail, most)):
            break
        entry = next_entry(wanted, tail, now)
        run.append((wanted, entry))
        tail = tail_after(entry, tail.text)
    return run


def is_uncounted(tail: Tail, most: int | None) -> bool:
    """Whether the log may have `most` bytes of text already, but they are not counted. Short logs need not be."""
    return most is not None and tail.text is None and not tail.sealed and tail.seq * LONGEST_TEXT >= most


def tail_after(entry: Entry, text: int | None = None) -> Tail:
    """The tail that an entry is; `text`: the bytes before it, None when they are not known."""
    return Tail(entry.seq, entry.is_seal, entry.at, None if text is None else text + text_bytes(entry))


def text_bytes(entry: Entry) -> int:
    """The bytes (UTF-8) of what people wrote in an entry: its text, or the name of its file."""
    return len((entry.attachment.name if entry.attachment else entry.text or "").encode("utf-8", "replace"))


def repeat(wanted: Wanted, there: Entry) -> Outcome:
    """What it means that this id is in the log: told again to its sender; to anybody else the id is taken."""
    if there.sender_id != wanted.sender_id or there.party is not wanted.party:
        return Refused(RefusalCode.INVALID)
    return Stored(there, repeated=True)


# ── ids of what the system says ──────────────────────────────────────────────────────────────────────────────────────


def opened_id(chat_id: str) -> str:
    return derived_id(chat_id, "opened")


def question_id(chat_id: str) -> str:
    return derived_id(chat_id, "question")


def event_id(chat_id: str, cause: Cause, turn: int) -> str:
    """The same however often, and under whichever `v`, it is told: an event happens once in a turn, the seal once."""
    return derived_id(chat_id, "closed") if cause is Cause.CLOSED else derived_id(chat_id, "state", turn, cause.value)
