"""Internal API of the outbox's dead letters, as the operator's command uses it (`make deliveries`). No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.common.events.types import Record

# transcripts
TARGETS = "/internal/outbox/targets"  # TargetsQuery → Targets
DEAD = "/internal/outbox/dead"  # DeadQuery → DeadLetters
REPLAY = "/internal/outbox/replay"  # LettersWanted → LettersDone | 404 no_such_target
DISCARD = "/internal/outbox/discard"  # LettersWanted → LettersDone

PAGE = 500  # dead letters in one answer
Name = Annotated[str, Field(min_length=1, max_length=200)]


class TargetsQuery(Record):
    """Request for what each target has not got."""


class Target(Record):
    """What a target has not got.

    Attributes:
        id: The target.
        due: Deliveries that are still tried.
        oldest: When the oldest of them was made.
        dead: Dead letters.
    """

    id: str
    due: int
    oldest: datetime | None = None
    dead: int


class Targets(Record):
    """All targets of the integrations file."""

    targets: list[Target]


class DeadQuery(Record):
    """Request for dead letters of a target, or of all: those after the key `after`."""

    target: Name | None = None
    after: Name | None = None


class DeadLetter(Record):
    """A delivery that is not tried any more.

    Attributes:
        key: Its place in the list.
        target: The target.
        id: The id of the notice, which the target sees as `webhook-id`.
        type: The type of the notice.
        department: The department.
        chat_id: The chat or the left question; None for a button.
        at: When it happened.
        tried_at: When it was tried last.
        attempts: How often.
        cause: Why the last attempt failed.
    """

    key: str
    target: str
    id: str
    type: str
    department: str
    chat_id: str | None = None
    at: datetime
    tried_at: datetime | None = None
    attempts: int
    cause: str = ""


class DeadLetters(Record):
    """Some dead letters, at most `PAGE`, in the order of their keys."""

    letters: list[DeadLetter]


class LettersWanted(Record):
    """Request to replay or discard the dead letters of a target: one, or (None) all."""

    target: Name
    id: Name | None = None


class LettersDone(Record):
    """How many dead letters were replayed or discarded."""

    number: int
