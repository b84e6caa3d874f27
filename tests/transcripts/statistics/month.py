"""October 2026 in Brussels, played: the month in which the clocks go back on Sunday the 25th. Its figures by hand.

Times are local. Each line has: what, when, department, wait, first answer, duration (seconds; None: none), agent,
rating, and what else happened. Chats X1 and X2 are of the days beside the month, X3 is still open.

Waits in `algemeen`, sorted: 5 7 10 15 20 30 40 60 100. Of nine values the 5th is p50 (20), the 9th is p90 (100).
First answers: 8 16 20 30 40 45 80 150; of eight the 4th (30) and the 8th (150).
Durations: 30 50 90 120 200 300 400 600 1000; the 5th (200) and the 9th (1000).
Scores: 5 3 4 5, of which the mean is 4.25.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.common.events.types import About, Cause, CloseReason, Party
from services.common.internal_api.transcripts import LeftQuestion, Rating
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.log.store import Store
from services.transcripts.questions.store import Questions
from tests.transcripts.conftest import entry, new_id, opened_event, seal_entry

BRUSSELS = ZoneInfo("Europe/Brussels")


def local(day: int, time: str, month: int = 10, fold: int = 0) -> datetime:
    """A time in Brussels, as UTC. `fold` 1: the second time that the clocks show it."""
    hours, minutes, seconds = map(int, time.split(":"))
    return datetime(2026, month, day, hours, minutes, seconds, tzinfo=BRUSSELS, fold=fold).astimezone(UTC)


@dataclass(frozen=True)
class Played:
    """One chat. `wait`, `answer`, `lasted` in seconds; `wait` None: no agent accepted it."""

    name: str
    at: datetime
    wait: int | None = None
    answer: int | None = None
    lasted: int = 20
    agent: str = "an"
    helped: str | None = None
    score: int | None = None
    department: str = "algemeen"
    moved: str | None = None  # why it was transferred: `agent`, `overflow`, `refused`
    reason: CloseReason = CloseReason.CITIZEN
    is_open: bool = False


CHATS = (
    Played("X1", local(30, "23:59:59", month=9), 1, 2, 3),
    Played("1", local(1, "00:00:00"), 5, 20, 300, helped="yes", score=5),
    Played("2", local(5, "09:00:00"), 10, 30, 600, helped="partly", score=3, moved="agent"),
    Played("3", local(5, "10:00:00"), 20, 40, 120, "bert"),
    Played("4", local(5, "11:00:00"), reason=CloseReason.NO_AGENT),
    Played("5", local(5, "12:00:00"), 3, 9, 60, helped="no", score=1, department="premies"),
    Played("X3", local(5, "13:00:00"), 1, 2, 3, is_open=True),
    Played("6", local(24, "23:59:59"), 100, 150, 1000, "bert", helped="yes"),
    Played("7", local(25, "00:00:00")),
    Played("8", local(25, "02:30:00"), 40, None, 50, "bert", moved="refused"),
    Played("9", local(25, "02:30:00", fold=1), 60, 80, 200, score=4),
    Played("10", local(25, "23:59:59"), 7, 8, 30, helped="yes", score=5, moved="overflow"),
    Played("11", local(26, "00:00:00"), 15, 16, 90, "bert"),
    Played("12", local(31, "23:59:59"), 30, 45, 400),
    Played("X2", local(1, "00:00:00", month=11), 1, 2, 3),
)
NONE: dict[str, Any] = {
    "offered": 0, "served": 0, "abandoned": 0, "wait_p50": None, "wait_p90": None, "first_answer_p50": None,
    "first_answer_p90": None, "duration_p50": None, "duration_p90": None, "transferred": 0, "left_questions": 0,
    "helped_yes": 0, "helped_partly": 0, "helped_no": 0, "scores": 0, "score_mean": None,
    "wrap_up_p50": None, "wrap_up_p90": None, "wrap_up_total": 0,
    "closing_reasons": [], "tags": [], "paused_total": 0, "pauses": [],
}  # fmt: skip
ALGEMEEN = NONE | {
    "offered": 11, "served": 9, "abandoned": 2, "wait_p50": 20, "wait_p90": 100, "first_answer_p50": 30,
    "first_answer_p90": 150, "duration_p50": 200, "duration_p90": 1000, "transferred": 1, "left_questions": 2,
    "helped_yes": 3, "helped_partly": 1, "helped_no": 0, "scores": 4, "score_mean": 4.25,
}  # fmt: skip
PREMIES = NONE | {
    "offered": 1, "served": 1, "wait_p50": 3, "wait_p90": 3, "first_answer_p50": 9, "first_answer_p90": 9,
    "duration_p50": 60, "duration_p90": 60, "helped_no": 1, "scores": 1, "score_mean": 1.0,
}  # fmt: skip
TOTAL = NONE | {
    "offered": 12, "served": 10, "abandoned": 2, "wait_p50": 15, "wait_p90": 60, "first_answer_p50": 30,
    "first_answer_p90": 150, "duration_p50": 120, "duration_p90": 600, "transferred": 1, "left_questions": 2,
    "helped_yes": 3, "helped_partly": 1, "helped_no": 1, "scores": 5, "score_mean": 3.6,
}  # fmt: skip
OF_DAYS = {  # of both departments, those of which something is told; the others are `NONE`
    "2026-10-01": (1, 1, 5, 0),  # offered, served, p50 of the waits, left questions
    "2026-10-05": (4, 3, 10, 1),
    "2026-10-24": (1, 1, 100, 0),
    "2026-10-25": (4, 3, 40, 1),  # a day of 25 hours
    "2026-10-26": (1, 1, 15, 0),
    "2026-10-31": (1, 1, 30, 0),
}
OF_WEEKS = {
    "2026-W40": ("2026-10-01", "2026-10-04", 1, 1, 5, 5),  # first and last day, offered, served, p50, p90
    "2026-W41": ("2026-10-05", "2026-10-11", 4, 3, 10, 20),
    "2026-W42": ("2026-10-12", "2026-10-18", 0, 0, None, None),
    "2026-W43": ("2026-10-19", "2026-10-25", 5, 4, 40, 100),
    "2026-W44": ("2026-10-26", "2026-10-31", 2, 2, 15, 30),
}
AGENTS = {
    "an": NONE | {
        "offered": 6, "served": 6, "wait_p50": 7, "wait_p90": 60, "first_answer_p50": 20, "first_answer_p90": 80,
        "duration_p50": 200, "duration_p90": 600, "transferred": 1, "helped_yes": 2, "helped_partly": 1,
        "helped_no": 1, "scores": 5, "score_mean": 3.6,
    },
    "bert": NONE | {
        "offered": 4, "served": 4, "wait_p50": 20, "wait_p90": 100, "first_answer_p50": 40, "first_answer_p90": 150,
        "duration_p50": 90, "duration_p90": 1000, "helped_yes": 1,
    },
}  # fmt: skip


async def play(store: Store, questions: Questions, ratings: Ratings) -> dict[str, str]:
    """Store the month as the service stores it. Return the numbers of the chats by their names."""
    ids = {played.name: new_id() for played in CHATS}
    for played in CHATS:
        await _chat(store, ids[played.name], played)
        if played.helped or played.score:
            given = Rating(chat_id=ids[played.name], helped=played.helped, score=played.score)
            await ratings.rate(given, played.department, played.at + timedelta(hours=1))
    left = {"department": "algemeen", "contact": "an@example.be", "text": "Wanneer?"}
    at = local(5, "11:05:00")
    await questions.leave(LeftQuestion(chat_id=ids["4"], at=at, **left), at)
    at = local(25, "02:59:59", fold=1)
    await questions.leave(LeftQuestion(chat_id=new_id(), at=at, source="button", **left), at)
    return ids


async def _chat(store: Store, chat_id: str, played: Played) -> None:
    opened = opened_event(chat_id).model_copy(update={"department": played.department, "opened_at": played.at})
    await store.open_chats([opened])
    log = [entry(chat_id, 1, Party.SYSTEM, "Welkom", event=Cause.OPENED, at=played.at)]
    ended = played.at + _span(played.lasted)
    if played.wait is not None:
        accepted = played.at + _span(played.wait)
        ended = accepted + _span(played.lasted)
        about = About(turn=1, agent_id=played.agent, agent=played.agent.title())
        log.append(entry(chat_id, 2, Party.SYSTEM, "U", event=Cause.ASSIGNED, at=accepted, about=about))
    if played.answer is not None:
        for number in range(2):  # the second one counts for nothing
            log.append(entry(chat_id, 3 + number, Party.AGENT, "Dag", at=played.at + _span(played.answer + number)))
    if played.moved:
        detail = None if played.moved == "agent" else played.moved
        about = About(turn=2, detail=detail)
        log.append(entry(chat_id, 5, Party.SYSTEM, "D", event=Cause.TRANSFERRED, at=ended, about=about))
        again = About(turn=2, agent_id="an", agent="An")  # who accepted it first counts, also here
        log.append(entry(chat_id, 6, Party.SYSTEM, "U", event=Cause.ASSIGNED, at=ended, about=again))
    for one in log:
        await store.insert([one])
    if not played.is_open:
        seal = seal_entry(chat_id, 7).model_copy(update={"at": ended, "reason": played.reason})
        await store.insert([seal])
        await store.close_chats([seal])


def _span(seconds: int) -> timedelta:
    return timedelta(seconds=seconds)
