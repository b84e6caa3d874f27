"""RULES of sending: the messages of one session in one chat go out one at a time, in order. No I/O.

The first message is published and stays first until its receipt or refusal; only then the next one is published.
Without a confirm of the broker it is published again after 0.2 s, growing to 5 s; after a confirm without a receipt,
after 10 s, doubling to 60 s. A full queue, or 30 s without a confirm, refuses the message. The queue then refuses
everything until the first refused id or a new hello comes, so that the order is kept. A refused message that was
published may still be stored. Its sender, who sees that, does not repeat it: then the next refused id counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from services.common.events.chats import ChatAccepted
from services.common.events.event import Event
from services.common.events.types import Entry

CAPACITY = 32
CONFIRM_PATIENCE = 30.0
FIRST_UNCONFIRMED, MOST_UNCONFIRMED = 0.2, 5.0
FIRST_CONFIRMED, MOST_CONFIRMED = 10.0, 60.0


@dataclass(slots=True)
class Item:
    """A message in a send queue.

    Attributes:
        id: The message's id; None for the end of the chat.
        event: The event that is published for it.
        came: When it arrived, in nanoseconds since the epoch.
        began: When its first attempt ended, in seconds of a monotonic clock.
        pause: Seconds until it is published again.
        confirmed: Whether the broker has confirmed it.
        first: The agent's acceptance of the chat, which must be confirmed before this is published.
    """

    id: str | None
    event: Event
    came: int = 0
    began: float | None = None
    pause: float = 0.0
    confirmed: bool = False
    first: ChatAccepted | None = None


@dataclass(slots=True)
class SendQueue:
    """A send queue.

    Attributes:
        items: The messages without a receipt, in order.
        running: Whether a task processes the queue.
        broken: Whether the queue refuses everything but the first refused id; it takes messages again when that comes.
        refused: The refused ids that are not stored, in order; of many the first ones.
    """

    items: deque[Item] = field(default_factory=deque)
    running: bool = False
    broken: bool = False
    refused: deque[str | None] = field(default_factory=deque)

    def offer(self, item: Item) -> str | None:
        """Add a message, or return the code with which it is refused.

        A message that is in the queue already is ignored.
        """
        if self.contains(item.id):
            return None
        if self.broken:
            if not self._is_first_refused(item.id):
                self._note_refused(item.id)
                return "unavailable"
            self.reopen()
        if len(self.items) >= CAPACITY:
            self.break_at(item.id)
            return "unavailable"
        self.items.append(item)
        return None

    def takes(self, id_: str) -> bool:
        """Return whether a message with this id would be added as a new one."""
        open_to_it = not self.broken or self._is_first_refused(id_)
        return not self.contains(id_) and open_to_it and len(self.items) < CAPACITY

    def break_at(self, id_: str | None) -> None:
        """Refuse everything until this id comes again or `reopen` is called. An earlier refused id counts first."""
        self.broken = True
        self._note_refused(id_)

    def note_stored(self, id_: str) -> None:
        """Record that a refused message was stored after all: its sender does not repeat it."""
        if id_ in self.refused:
            self.refused.remove(id_)
            self.broken = bool(self.refused)

    def _is_first_refused(self, id_: str | None) -> bool:
        return bool(self.refused) and self.refused[0] == id_

    def _note_refused(self, id_: str | None) -> None:
        if len(self.refused) <= CAPACITY and id_ not in self.refused:
            self.refused.append(id_)

    def contains(self, id_: str | None) -> bool:
        """Return whether a message with this id is in the queue."""
        return any(i.id == id_ for i in self.items)

    def reopen(self) -> None:
        """Accept messages again, because of a new hello."""
        self.broken = False
        self.refused.clear()

    @property
    def idle(self) -> bool:
        """Whether the queue is empty, is not being processed and refuses nothing. A new queue would be equal."""
        return not (self.items or self.running or self.broken)

    @property
    def head(self) -> Item | None:
        """The first message, or None."""
        return self.items[0] if self.items else None

    def settle(self, id_: str | None) -> bool:
        """Remove a message whose receipt or refusal came. Return False when it was not in the queue."""
        for item in self.items:
            if item.id == id_:
                self.items.remove(item)
                return True
        return False

    def give_up(self) -> list[Item]:
        """Remove and return all messages, to be refused in order, and refuse what follows.

        Called when nothing was confirmed for too long.
        """
        given_up = list(self.items)
        self.items.clear()
        if given_up:  # they come before any message that was refused already
            self.broken = True
            self.refused.extendleft(item.id for item in reversed(given_up))
        return given_up


def after_attempt(item: Item, confirmed: bool, now: float) -> float | None:
    """Return the seconds until this message is published again if no receipt comes.

    Args:
        item: The message; the result of the attempt is recorded in it.
        confirmed: Whether the broker confirmed the attempt.
        now: The present, in seconds of a monotonic clock.

    Returns:
        The seconds; None when the message is to be given up.
    """
    if item.began is None:
        item.began = now
    if confirmed:
        item.pause = min(item.pause * 2, MOST_CONFIRMED) if item.confirmed else FIRST_CONFIRMED
        item.confirmed = True
        return item.pause
    if not item.confirmed and now - item.began >= CONFIRM_PATIENCE:
        return None
    item.pause = min(max(item.pause * 2, FIRST_UNCONFIRMED), MOST_UNCONFIRMED)
    return item.pause


@dataclass(frozen=True, slots=True)
class Receipt:
    """The message is stored.

    Attributes:
        entry: The entry; None for an internal note.
        repeated: The entry was passed on before. Only a sender who repeats the message still needs the frame.
    """

    entry: Entry | None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The message is not stored and will not be. `code` says why."""

    code: str


Outcome = Receipt | Refusal
Settled = Callable[[Outcome], None]


class Receipts:
    """Callbacks by chat, sender and id. The id None stands for the chat's end, whose sender is the empty string."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str, str | None], list[Settled]] = {}

    def __len__(self) -> int:
        """Return the number of messages that are waited for."""
        return len(self._waiting)

    def wait(self, chat_id: str, sender_id: str, id_: str | None, settled: Settled) -> None:
        """Register `settled`. It is called once, with the receipt or the refusal."""
        self._waiting.setdefault((chat_id, sender_id, id_), []).append(settled)

    def forget(self, chat_id: str, sender_id: str, id_: str | None, settled: Settled) -> None:
        """Remove `settled`; it is not called any more."""
        waiting = self._waiting.get((chat_id, sender_id, id_), [])
        if settled in waiting:
            waiting.remove(settled)
        if not waiting:
            self._waiting.pop((chat_id, sender_id, id_), None)

    def settle(self, chat_id: str, sender_id: str, id_: str | None, outcome: Outcome) -> None:
        """Pass the outcome of a message to the callbacks that wait for it."""
        for settled in self._waiting.pop((chat_id, sender_id, id_), ()):
            settled(outcome)
