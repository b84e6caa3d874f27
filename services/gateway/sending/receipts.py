"""RULES of receipts: the outcome of a message is passed once to each callback that waits for it. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.common.events.types import Entry


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
