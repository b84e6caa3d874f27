"""What the gateway asks transcripts: paths, requests and answers. No I/O."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from services.common.events.types import Entry, Note, Record, Whole
from services.common.internal_api.queries import MAX_CHATS, ChatsQuery

# transcripts
HISTORY = "/internal/history"  # HistoryQuery → History
TAILS = "/internal/tails"  # TailsQuery → Tails
QUESTION_LEAVE = "/internal/questions/leave"  # LeftQuestion → 204; the first one of a chat stands
QUESTIONS = "/internal/questions"  # QuestionsQuery → Questions
QUESTION_DONE = "/internal/questions/done"  # QuestionDone → 204 | 404 no_such_question | 409 claimed
QUESTION_CLAIM = "/internal/questions/claim"  # QuestionClaim → LeftQuestion | 404 no_such_question | 409 claimed
QUESTION_UNCLAIM = "/internal/questions/unclaim"  # QuestionClaim → 204 | 403 not_yours | 404 no_such_question
PAGE = 500  # entries of one chat in one answer


class HistoryWanted(Record):
    """`at_least`: the highest seq that the asker has heard of; the answer waits up to 1 s for it."""

    chat_id: str
    after: int = Field(default=0, ge=0, le=2**63 - 1)
    at_least: int = Field(default=0, ge=0, le=2**63 - 1)


class HistoryQuery(Record):
    chats: list[HistoryWanted] = Field(max_length=MAX_CHATS)
    notes: bool = False


class ChatHistory(Record):
    """Entries after `after` in the order of seq, at most `PAGE`; `last_seq` is the chat's tail (majority, primary)."""

    chat_id: str
    last_seq: int
    entries: list[Entry]
    notes: list[Note] = Field(default_factory=list)
    sealed: bool = False
    closed_at: datetime | None = None


class History(Record):
    """Chats that are not known yet are left out."""

    chats: list[ChatHistory]


class Notes(Record):
    """The internal notes of a chat, the oldest first."""

    notes: list[Note]


class TailsQuery(ChatsQuery):
    """`after`: the last seq that the asker has of each chat. Without it the last seqs themselves are answered."""

    after: dict[str, Whole] | None = Field(default=None, max_length=MAX_CHATS)


class Tails(Record):
    """To a question with `after`: only chats whose log goes on after it, with a seq beyond it that is there."""

    tails: dict[str, int]


class Claimed(Record):
    """The agent who is dealing with a left question, since `at`."""

    agent_id: str
    name: str
    at: datetime


class LeftQuestion(Record):
    """A question that a citizen left because no agent came, with how to reach them (a phone number or an address)."""

    chat_id: str
    department: str
    locale: str = "nl"
    name: str | None = None
    contact: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=4_000)
    at: datetime
    claimed: Claimed | None = None


class QuestionsQuery(Record):
    departments: list[str]


class Questions(Record):
    """Those that nobody has dealt with, the oldest first (at most 200)."""

    questions: list[LeftQuestion]


class QuestionDone(Record):
    """`departments`: those of the agent; a question of another one is none of his."""

    chat_id: str
    agent_id: str
    departments: list[str]


class QuestionClaim(QuestionDone):
    """An agent deals with a question, or does not any more. `any_agent`: a colleague's claim may be ended."""

    agent_name: str
    any_agent: bool = False
