"""RULES of a send queue: the messages of one connection in one chat go out one at a time, in order. No I/O.

The first is published and stays first until its receipt or refusal; only then the next one goes. Without a confirm of
the broker it is published again after 0.2 s, growing; confirmed, after 10 s, doubling to 60 s. A full queue, or 30 s
without a confirm, refuses, and then refuses everything until the refused id or a new hello comes, so that the order is
kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from services.common.events.chats import ChatAccepted
from services.common.events.event import Event

CAPACITY = 32
CONFIRM_PATIENCE = 30.0
FIRST_UNCONFIRMED, MOST_UNCONFIRMED = 0.2, 5.0
FIRST_CONFIRMED, MOST_CONFIRMED = 10.0, 60.0


@dataclass(slots=True)
class Item:
    """One thing to be said: its id (None for the end of the chat), the event that tells it, when it came (ns, epoch).

    `first`: what must be confirmed before it is told: that the agent has accepted the chat.
    """

    id: str | None
    event: Event
    came: int = 0
    began: float | None = None
    pause: float = 0.0
    confirmed: bool = False
    first: ChatAccepted | None = None


@dataclass(slots=True)
class Line:
    """`broken_at`: the id that was refused, after which nothing goes on until it comes again.

    `running`: somebody works it off.
    """

    items: deque[Item] = field(default_factory=deque)
    running: bool = False
    broken: bool = False
    broken_at: str | None = None

    def offer(self, item: Item) -> str | None:
        """Takes the item into the line, or says the code with which it is refused. What stands in it is taken once."""
        if self.holds(item.id):
            return None
        if self.broken:
            if item.id != self.broken_at:
                return "unavailable"
            self.mend()
        if len(self.items) >= CAPACITY:
            self.break_at(item.id)
            return "unavailable"
        self.items.append(item)
        return None

    def takes(self, id_: str) -> bool:
        """Whether an item of this id would be taken as a new one."""
        return not self.holds(id_) and not (self.broken and id_ != self.broken_at) and len(self.items) < CAPACITY

    def break_at(self, id_: str | None) -> None:
        """From now on all is refused, until this id comes again or `mend` is called. The first refused id stands."""
        if not self.broken:
            self.broken, self.broken_at = True, id_

    def holds(self, id_: str | None) -> bool:
        """Whether this id stands in the line."""
        return any(i.id == id_ for i in self.items)

    def mend(self) -> None:
        """A new hello: the line takes again."""
        self.broken, self.broken_at = False, None

    @property
    def idle(self) -> bool:
        """Nothing stands in it, nobody works it off and it refuses nothing: a new line would do as well."""
        return not (self.items or self.running or self.broken)

    @property
    def head(self) -> Item | None:
        return self.items[0] if self.items else None

    def settle(self, id_: str | None) -> bool:
        """A receipt or refusal came for this id: it leaves the line. False when it was not in it."""
        for item in self.items:
            if item.id == id_:
                self.items.remove(item)
                return True
        return False

    def give_up(self) -> list[Item]:
        """Nothing was confirmed for too long: all leave the line, to be refused in order, and the line is broken."""
        refused = list(self.items)
        self.items.clear()
        if refused:  # they stood before whatever was refused already
            self.broken, self.broken_at = True, refused[0].id
        return refused


def after_attempt(item: Item, confirmed: bool, now: float) -> float | None:
    """Seconds until this item is published again if no receipt comes; None when it is to be given up."""
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
