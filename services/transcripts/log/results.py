"""RULES of results: what became of an entry, of the event that adds it, and of the delivery of that event. No I/O.

- An entry is `Stored`, `Refused`, or `WAITING` for its chat.
- An event has the result of its entries. It may also be `Refused` or `WAITING` as a whole, be `POISON`, or have
  `FAILED`.
- A delivery is requeued when one of its events has `FAILED`, dead-lettered when it is `POISON`, and otherwise
  acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.common.events.types import Entry, RefusalCode


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
