"""Retention periods of the departments file: `[retention]` for all, `[departments.retention]` for one department.

A period is a number of days. Until the operator has confirmed the periods (`confirmed`), the service warns and deletes
nothing by them: what is destroyed cannot be brought back, and the law may order to keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.common.config.faults import wrong

LEAST_DAYS = 3  # citizens download for 48 hours after the end of a chat (`CITIZEN_ACCESS`)
Days = Annotated[int, Field(ge=LEAST_DAYS, le=36_500, strict=True)]
PARTS = ("files", "notes")
"""Categories of a conversation that may be deleted before it."""


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods that apply to one department.

    Attributes:
        confirmed: Whether the operator has confirmed them.
        conversation: From the end of a chat until its conversation is deleted, and all that belongs to it.
        files: From the end of a chat until its files are deleted.
        notes: From the end of a chat until its internal notes are deleted.
        questions: From when a question was left until it is deleted.
        answered_questions: From when an agent has dealt with a left question until it is deleted.
        access_log: How long the access log is kept.
        statistics: How long counts without persons, receipts and the numbers of erased chats are kept.
    """

    confirmed: bool = False
    conversation: timedelta = timedelta(days=365)
    files: timedelta = timedelta(days=365)
    notes: timedelta = timedelta(days=365)
    questions: timedelta = timedelta(days=90)
    answered_questions: timedelta = timedelta(days=30)
    access_log: timedelta = timedelta(days=730)
    statistics: timedelta = timedelta(days=3_650)

    def of_part(self, category: str) -> timedelta:
        """Return the period of a part of a conversation, which is at most that of the conversation."""
        own: timedelta = getattr(self, category)
        return min(own, self.conversation)


class DepartmentRetention(BaseModel):
    """Periods of one department, in days. What is left out is as for all departments.

    `confirmed`: a date, or true; false: not confirmed for this department.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    confirmed: date | bool | None = None
    conversation: Days | None = None
    files: Days | None = None
    notes: Days | None = None
    questions: Days | None = None
    answered_questions: Days | None = None

    @model_validator(mode="after")
    def _parts_end_first(self) -> DepartmentRetention:
        for part in PARTS:
            own = getattr(self, part)
            if own is not None and self.conversation is not None and own > self.conversation:
                problem = "{value} ({days} days) are deleted with the conversation ({most} days)"
                raise wrong("part_longer", problem, value=part, days=own, most=self.conversation)
        return self


class Retention(DepartmentRetention):
    """Periods of all departments, in days."""

    access_log: Days | None = None
    statistics: Days | None = None


def periods(general: Retention, own: DepartmentRetention | None = None) -> Periods:
    """Return the periods of a department: its own, else those of all, else the defaults."""
    days: dict[str, timedelta] = {}
    confirmed: date | bool | None = None
    for table in (general, own):
        given = table.model_dump(exclude_none=True) if table else {}
        confirmed = given.pop("confirmed", confirmed)
        days |= {name: timedelta(days=number) for name, number in given.items()}
    if "conversation" in days:  # a period that only the default makes longer than the conversation
        days = dict.fromkeys(PARTS, days["conversation"]) | days
    return Periods(confirmed=bool(confirmed), **days)
