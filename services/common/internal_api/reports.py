"""Internal API of the reports for supervisors, which transcripts answers. No I/O.

`docs/operating.md` defines each figure. Times are in whole seconds; None: there is no value to count.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from services.common.events.types import Record
from services.common.internal_api.transcripts import Reader

# transcripts
REPORT = "/internal/reports"  # FiguresQuery → FiguresReport | 429 rate_limited | 422 report_too_large

MOST_DAYS = 400  # in one report
By = Literal["day", "week"]


class FiguresQuery(Record):
    """Request for the figures of these departments, from the day `since` to the day `until`, both included.

    The days, and the ISO weeks of `by`, are those of the configured time zone.
    """

    since: date
    until: date
    by: By
    departments: list[str]
    reader: Reader


class PauseFigures(Record):
    """The pauses for one reason: how many, and how long they took together. `reason` None: none was chosen."""

    reason: str | None
    pauses: int
    seconds: int


class ChatCount(Record):
    """How many chats have this closing reason or tag."""

    id: str
    chats: int


class Figures(Record):
    """The figures of some chats and left questions.

    Attributes:
        offered: Chats that were opened and have ended.
        served: Those that an agent accepted.
        abandoned: Those that no agent accepted.
        wait_p50: Half of the served chats were accepted within so many seconds after their opening.
        wait_p90: Nine of ten were.
        first_answer_p50: As `wait_p50`, to the first message of an agent.
        first_answer_p90: As `wait_p90`, to the first message of an agent.
        duration_p50: As `wait_p50`, from the first acceptance to the end.
        duration_p90: As `wait_p90`, from the first acceptance to the end.
        transferred: Chats that an agent transferred.
        left_questions: Questions that citizens left.
        helped_yes: Citizens who said that they were helped.
        helped_partly: Citizens who said that they were partly helped.
        helped_no: Citizens who said that they were not helped.
        scores: Citizens who gave a score.
        score_mean: The mean of the scores, from 1 to 5, with two decimals.
        wrap_up_p50: As `wait_p50`, for the time that the agent took to wrap up a chat after its end.
        wrap_up_p90: As `wait_p90`, for the time that the agent took to wrap up a chat after its end.
        wrap_up_total: The time in wrap-up of all these chats together.
        closing_reasons: How many chats have each closing reason, the most frequent first.
        tags: How many chats have each tag, the most frequent first. A chat may have several.
        paused_total: The time for which agents were paused while they were logged in.
        pauses: That time by reason, the longest first. A pause counts on the day on which it began.
    """

    offered: int = 0
    served: int = 0
    abandoned: int = 0
    wait_p50: int | None = None
    wait_p90: int | None = None
    first_answer_p50: int | None = None
    first_answer_p90: int | None = None
    duration_p50: int | None = None
    duration_p90: int | None = None
    transferred: int = 0
    left_questions: int = 0
    helped_yes: int = 0
    helped_partly: int = 0
    helped_no: int = 0
    scores: int = 0
    score_mean: float | None = None
    wrap_up_p50: int | None = None
    wrap_up_p90: int | None = None
    wrap_up_total: int = 0
    closing_reasons: list[ChatCount] = Field(default_factory=list)
    tags: list[ChatCount] = Field(default_factory=list)
    paused_total: int = 0
    pauses: list[PauseFigures] = Field(default_factory=list)


class PeriodFigures(Record):
    """The figures of a day (`2026-11-02`) or an ISO week (`2026-W45`), with its first and last day in the report."""

    period: str
    since: date
    until: date
    figures: Figures


class NamedFigures(Record):
    """The figures of a department or an agent, by its id."""

    id: str
    figures: Figures


class FiguresReport(Record):
    """The report. `agents`: None when figures of agents are off (`AGENT_FIGURES`)."""

    timezone: str
    total: Figures
    periods: list[PeriodFigures]
    departments: list[NamedFigures]
    agents: list[NamedFigures] | None = None
