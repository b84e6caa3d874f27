"""What a checker reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Violation:
    """A rule that was broken in a chat. `about`: the id of a message, or whatever else the rule is about."""

    rule: StrEnum
    chat: str
    about: str = ""
    details: str = ""

    def __str__(self) -> str:
        parts = (self.rule.value, self.chat and f"chat {self.chat}", self.about, self.details)
        return ": ".join(part for part in parts if part)
