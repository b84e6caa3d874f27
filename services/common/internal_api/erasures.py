"""Internal API of erasures and legal holds, as the operator's command uses it (`make erase`). No I/O.

`by` names the operator who does it, `reason` says why. Neither may name a citizen: both are kept in the receipt.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from services.common.events.types import Record, is_id

# transcripts
ERASE = "/internal/erasures"  # EraseWanted → Receipt | 404 no_such_chat | 409 chat_open, too_recent, on_hold
ERASE_MESSAGE = "/internal/erasures/message"  # MessageErase → Receipt | 404 no_such_chat, no_such_message | 409
HOLD = "/internal/holds"  # HoldWanted → Receipt | 404 no_such_chat | 409 erased
LIFT = "/internal/holds/lift"  # LiftWanted → Receipt | 404 no_such_hold
RECEIPTS = "/internal/receipts"  # ReceiptsQuery → Receipts
REPORT = "/internal/retention/report"  # ReportQuery → Report
# routing
ERASE_CHAT = "/internal/chats/erase"  # ChatErase → ChatErased | 409 chat_open

PAGE = 500  # receipts in one answer


def _canonical(value: str) -> str:
    if not is_id(value):
        raise ValueError("is not the number of a chat: 32 hexadecimal digits in five groups, in lower case")
    return value


ChatId = Annotated[str, AfterValidator(_canonical)]
Words = Annotated[str, Field(min_length=1, max_length=500)]


class LiftWanted(Record):
    """Request to lift the legal hold of a chat."""

    chat_id: ChatId
    by: Words
    reason: Words


class HoldWanted(LiftWanted):
    """Request to keep a chat until this time, whatever the retention periods say. A repetition replaces the hold."""

    until: datetime


class EraseWanted(LiftWanted):
    """Request to erase a chat.

    Attributes:
        only_check: Erase nothing, and answer whether it could be erased now.
        elsewhere: What was erased at other places, for the receipt: place → category → number.
    """

    only_check: bool = False
    elsewhere: dict[str, dict[str, int]] = Field(default_factory=dict)


class MessageErase(LiftWanted):
    """Request to erase what one message of an ended chat says. `seq`: its sequence number."""

    seq: int = Field(ge=1, le=2**53)


class Receipt(Record):
    """What an operator did with a chat.

    Attributes:
        id: The number of the receipt.
        act: What was done.
        chat_id: The chat.
        by: Who did it.
        reason: Why.
        at: When.
        until: The end of a hold.
        department: Where the chat was opened, when that is known.
        erased: What was erased: place → category → number.
        entry: The sequence number of the message that was erased.
        digest: The digest of what it said, which keeps its chain of hashes whole (docs/transcript-format.md).
    """

    id: str
    act: Literal["erase", "hold", "lift", "erase_message"]
    chat_id: str
    by: str
    reason: str
    at: datetime
    until: datetime | None = None
    department: str | None = None
    erased: dict[str, dict[str, int]] = Field(default_factory=dict)
    entry: int | None = None
    digest: str | None = None


class ReceiptsQuery(Record):
    """Request for receipts, the oldest first. `after`: the last receipt that the caller has."""

    after: str | None = None


class Receipts(Record):
    """Receipts, at most `PAGE`, the oldest first."""

    receipts: list[Receipt]


class ReportQuery(Record):
    """Request for what was deleted from `since` until before `until`."""

    since: datetime
    until: datetime


class ReportRow(Record):
    """What was deleted of one category in one department and month.

    Attributes:
        month: The month in UTC, such as `2026-11`.
        department: The department in which the chats were opened.
        category: The category.
        by: `period` when the period had ended, `operator` when a chat was erased by its number.
        chats: The number of chats.
        items: The number of entries, files, notes, questions, ….
        last_at: When the last of them went.
    """

    month: str
    department: str
    category: str
    by: Literal["period", "operator"]
    chats: int
    items: int
    last_at: datetime


class DepartmentPeriods(Record):
    """The periods of a department in days, and whether the operator has confirmed them."""

    department: str
    confirmed: bool
    days: dict[str, int]


class Report(Record):
    """What was deleted, the periods that apply, the chats on hold, and when the job ran last."""

    rows: list[ReportRow]
    periods: list[DepartmentPeriods]
    on_hold: int
    last_run: datetime | None = None


class ChatErase(Record):
    """Request to erase what routing has of a chat."""

    chat_id: ChatId


class ChatErased(Record):
    """What routing has erased: category → number."""

    erased: dict[str, int]
