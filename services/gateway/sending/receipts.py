"""RULES of receipts: the outcome of a message is passed once to what waits for it. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.common.events.types import Entry


@dataclass(frozen=True, slots=True)
class Receipt:
    """It is stored. `repeated`: it was passed on before, so only who asks again needs to be told."""

    entry: Entry | None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """It is not stored and will not be; `code` says why."""

    code: str


Outcome = Receipt | Refusal
Settled = Callable[[Outcome], None]


class Receipts:
    """Who waits for what, by chat, sender and id. The id None is the chat's end, whose sender is the empty string."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str, str | None], list[Settled]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, chat_id: str, sender_id: str, id_: str | None, settled: Settled) -> None:
        """`settled` is called once, with the receipt or the refusal."""
        self._waiting.setdefault((chat_id, sender_id, id_), []).append(settled)

    def forget(self, chat_id: str, sender_id: str, id_: str | None, settled: Settled) -> None:
        """`settled` is not called any more."""
        waiting = self._waiting.get((chat_id, sender_id, id_), [])
        if settled in waiting:
            waiting.remove(settled)
        if not waiting:
            self._waiting.pop((chat_id, sender_id, id_), None)

    def settle(self, chat_id: str, sender_id: str, id_: str | None, outcome: Outcome) -> None:
        """This became of it."""
        for settled in self._waiting.pop((chat_id, sender_id, id_), ()):
            settled(outcome)
