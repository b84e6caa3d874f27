"""Store of questions that citizens left because no agent came, with their contact data, until an agent has answered.

There is one document for each chat, and for each question that was left without a chat. The job of retention removes it
when its period has ended (`retention/job.py`), by default 30 days after the answer and after 90 days at most;
`expires_at` is what earlier releases went by. The question is in no log of this service. `claim`: {agent_id, name, at,
until}, the agent who deals with it; no agent does when it is None or in the past. Of a question without a chat
`request` is the digest of its request, and `files` and `bytes` are its files, which `attachments/store.py` adds.

A question that is done has `done_at`, `done_by` and `done_name` (of the agent; releases before 2.0 stored no name) and
is in the archive. The claim stays as it was, so that undoing restores it. `undone_at`: when that was done last.

**An act is stored with its entry of the access log** (`unlogged`, a list), by one update that sees the state that was
judged. The entry is removed when the log has it. Those that stay behind, after a crash, `job.py` logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from services.common.http.tokens import QUESTION_LIFE
from services.common.internal_api.transcripts import (
    AskedQuestion,
    Claimed,
    DoneQuestion,
    Finished,
    LeftQuestion,
    QuestionClaim,
    QuestionDone,
    QuestionReceipt,
    QuestionUndo,
)
from services.common.mongo.client import Database
from services.transcripts.access_log.store import Access
from services.transcripts.questions.number import number_of

MOST = 200  # in one answer
MOST_UNLOGGED = 20  # acts on one question that the access log does not have yet
LONGEST = 2_000  # milliseconds for one page of the archive
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_STATE = dict.fromkeys(("at", "claim", "done_at", "done_by", "done_name", "unlogged"), True)
KEPT, KEPT_DONE = timedelta(days=90), timedelta(days=30)
TAKES_FILES = timedelta(seconds=QUESTION_LIFE)  # after a question was left
NUMBERS = 20  # attempts to find one that no other question has


@dataclass(frozen=True)
class Unlogged:
    """An entry of the access log that is stored with an act, until the log has it.

    Attributes:
        access: The entry.
        id: Distinguishes it from other entries of the same question.
    """

    access: Access
    id: str = field(default_factory=lambda: str(uuid4()))


class LogBehind(Exception):
    """The access log lacks too many acts on a question; there may be no further one."""


@dataclass(frozen=True)
class ArchiveWanted:
    """Which questions that are done are looked for. A member that is None does not narrow the search.

    Attributes:
        departments: The departments.
        number: The number of one question.
        since: Done from then on.
        until: Done before then.
        before: The `next` of the page before.
        limit: The most questions of the page.
    """

    departments: list[str]
    number: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    limit: int = 25


class Questions:
    """Access to left questions in the database. Every method may be repeated.

    All methods raise `PyMongoError` when the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        claim_life: timedelta = timedelta(hours=24),
        former: timedelta = timedelta(days=30),
        announced: bool = False,
    ) -> None:
        """Use the collection `questions` of this database.

        Args:
            database: The database.
            claim_life: How long a claim holds.
            former: How long an agent may read the chat of a question after they dealt with it.
            announced: Whether a target of webhooks is notified of left questions.
        """
        self._questions = database["questions"]
        self._claim_life, self._former, self._announced = claim_life, former, announced

    async def leave(self, question: LeftQuestion, now: datetime) -> bool:
        """Store a question under a number of its own. Return False when there was one already, which stays.

        Raises:
            RuntimeError: Other questions have all the numbers that were tried.
        """
        kept = {"_id": question.chat_id, **question.model_dump(), "done_at": None, "expires_at": now + KEPT}
        kept["answer_by"] = question.answer_by and question.answer_by.isoformat()  # BSON has no date without a time
        kept["counted"] = False  # until `statistics/` has its row
        if self._announced:
            kept["announced"] = False  # until the outbox has its notice
        if isinstance(question, AskedQuestion):
            kept["bytes"] = 0
        for attempt in range(NUMBERS):
            try:
                await self._questions.insert_one({**kept, "number": number_of(question.chat_id, attempt)})
            except DuplicateKeyError:
                if await self._questions.find_one({"_id": question.chat_id}, {"_id": True}):
                    return False
            else:
                return True
        raise RuntimeError("no number is free for a question")

    async def receipt(self, question: LeftQuestion) -> QuestionReceipt | None:
        """Return the receipt of the stored question with this id.

        None when there is none, or when it was left with another request.
        """
        wanted = {"number": True, "request": True, "at": True, "answer_by": True}
        found = await self._questions.find_one({"_id": question.chat_id}, wanted)
        if found is None or (isinstance(question, AskedQuestion) and found.get("request") != question.request):
            return None
        return QuestionReceipt(number=found.get("number"), at=found["at"], answer_by=found.get("answer_by"))

    async def get(self, question_id: str, now: datetime) -> LeftQuestion | None:
        """Return the question with this id, done or not."""
        found = await self._questions.find_one({"_id": question_id})
        return _question(found, now) if found else None

    async def takes_files(self, question_id: str, now: datetime) -> bool | None:
        """Return whether files can be added to this question now. None when there is no question without a chat."""
        found = await self._questions.find_one({"_id": question_id, "source": "button"}, {"at": True, "done_at": True})
        return None if found is None else found["done_at"] is None and now <= found["at"] + TAKES_FILES

    async def to_do(self, departments: list[str], now: datetime) -> list[LeftQuestion]:
        """Return the open questions of these departments, the oldest first."""
        wanted: dict[str, Any] = {"done_at": None, "department": {"$in": departments}}
        found = self._questions.find(wanted).sort("at", ASCENDING).limit(MOST)
        return [_question(d, now) async for d in found]

    async def archive(self, wanted: ArchiveWanted) -> tuple[list[DoneQuestion], str | None]:
        """Return a page of questions that are done, the newest first, and where the next one begins; None: nowhere.

        Those that are being erased are left out.
        """
        span: dict[str, Any] = {"$gte": wanted.since or _EPOCH}
        such: dict[str, Any] = {"department": {"$in": wanted.departments}, "done_at": span, "erasing": None}
        if wanted.until is not None:
            span["$lt"] = wanted.until
        if wanted.number is not None:
            such["number"] = wanted.number
        if wanted.before is not None:
            milliseconds, _, last = wanted.before.partition("-")
            at = _EPOCH + int(milliseconds) * _MILLISECOND
            span["$lte"] = at
            such["$or"] = [{"done_at": {"$lt": at}}, {"_id": {"$lt": last}}]
        order = [("done_at", DESCENDING), ("_id", DESCENDING)]
        cursor = self._questions.find(such).sort(order).limit(wanted.limit + 1).max_time_ms(LONGEST)
        found = await cursor.to_list(None)
        page, more = found[: wanted.limit], found[wanted.limit :]
        following = f"{(page[-1]['done_at'] - _EPOCH) // _MILLISECOND}-{page[-1]['_id']}" if more else None
        shown = [DoneQuestion.model_validate({**d, "claimed": None, "done": _finished(d)}) for d in page]
        return shown, following

    async def done(
        self, done: QuestionDone, now: datetime, unlogged: Unlogged | None = None
    ) -> bool | Claimed | Finished | None:
        """Mark a question as done.

        Returns:
            True when it is done now, False when it was done before, None when these departments have no such
            question, and the claim when another agent has claimed it. With `once`: who has done it before, when that
            is another agent.
        """
        mine: dict[str, Any] = {"_id": done.chat_id, "department": {"$in": done.departments}}
        change = {
            "$set": {"done_at": now, "done_by": done.agent_id, "done_name": done.agent_name},
            "$min": {"expires_at": now + KEPT_DONE},
        }
        while found := await self._questions.find_one(mine, _STATE):
            if (finished := _finished(found)) is not None:
                return finished if done.once and finished.agent_id != done.agent_id else False
            claim = _claim_of(found, now)
            if claim and claim.agent_id != done.agent_id:
                return claim
            seen = {**mine, "done_at": None, "claim": found.get("claim")}
            if (await self._questions.update_one(seen, _with_entry(change, found, unlogged, now))).modified_count:
                return True
        return None

    async def undo(
        self, undo: QuestionUndo, now: datetime, unlogged: Unlogged | None = None
    ) -> tuple[LeftQuestion, bool] | Finished | None:
        """Open a question again that is done, as it was before. `any_agent`: one that another agent has done too.

        Of what its agent has opened again they have the claim that they had, unless it has lapsed meanwhile. Nobody
        has it when another agent opens it.

        Returns:
            The question, and whether it was opened now: it may have been open already. Who has done it, when the
            agent may not open it or when `of` names another agent. None when these departments have no such question.
        """
        mine: dict[str, Any] = {"_id": undo.chat_id, "department": {"$in": undo.departments}, "erasing": None}
        while found := await self._questions.find_one(mine):
            if (finished := _finished(found)) is None:
                return _question(found, now), False
            own = finished.agent_id == undo.agent_id
            if (undo.of or finished.agent_id) != finished.agent_id or not (own or undo.any_agent):
                return finished
            new = {"done_at": None, "undone_at": now, "expires_at": found["at"] + KEPT}
            new |= {} if own else {"claim": None}
            change = {"$set": new, "$unset": {"done_by": "", "done_name": ""}}
            seen = {**mine, "done_at": found["done_at"], "done_by": found.get("done_by"), "claim": found.get("claim")}
            item = None if own else finished.agent_id
            if (await self._questions.update_one(seen, _with_entry(change, found, unlogged, now, item))).modified_count:
                return _question({**found, **new}, now), True
        return None

    async def claim(
        self, claim: QuestionClaim, now: datetime, unlogged: Unlogged | None = None
    ) -> LeftQuestion | Claimed | None:
        """Claim a question for this agent. Of simultaneous claims one succeeds.

        Returns:
            The question, the claim of another agent, or None when these departments have no such open question.
        """
        mine: dict[str, Any] = {"_id": claim.chat_id, "department": {"$in": claim.departments}, "done_at": None}
        own = {"agent_id": claim.agent_id, "name": claim.agent_name, "at": now, "until": now + self._claim_life}
        while found := await self._questions.find_one(mine, _STATE):
            held = _claim_of(found, now)
            if held and held.agent_id != claim.agent_id:
                return held
            change = {"$set": {"claim": own if held is None else {**own, "at": held.at}}}
            seen = {**mine, "claim": found.get("claim")}
            if (await self._questions.update_one(seen, _with_entry(change, found, unlogged, now))).matched_count:
                kept = await self._questions.find_one(mine)
                return _question(kept, now) if kept else None
        return None

    async def unclaim(
        self, claim: QuestionClaim, now: datetime, unlogged: Unlogged | None = None
    ) -> bool | Claimed | Finished | None:
        """Release a claim. `any_agent`: a claim of another agent too.

        Returns:
            True when the question has no claim now, False when another agent has it, None when these departments
            have no such question. With `of`: the claim when another agent than that one has it, and who has done the
            question when it is done.
        """
        mine: dict[str, Any] = {"_id": claim.chat_id, "department": {"$in": claim.departments}}
        while found := await self._questions.find_one(mine, _STATE):
            if (finished := _finished(found)) is not None:  # nothing is released: the claim is kept for an undoing
                return finished if claim.of else True
            held = _claim_of(found, now)
            if held is None:
                return True
            if claim.of and held.agent_id != claim.of:
                return held
            if held.agent_id != claim.agent_id and not claim.any_agent:
                return False
            item = None if held.agent_id == claim.agent_id else held.agent_id
            change = _with_entry({"$set": {"claim": None}}, found, unlogged, now, item)
            seen = {**mine, "claim": found["claim"], "done_at": None}
            if (await self._questions.update_one(seen, change)).modified_count:
                return True
        return None

    # ── the access log ───────────────────────────────────────────────────────────────────────────────────────────────

    async def unlogged(self, question_id: str, entry_id: str) -> Unlogged | None:
        """Return this entry of the access log that was stored with an act; None when the log has it."""
        found = await self._questions.find_one({"_id": question_id}, {"unlogged": True})
        entries = _entries(found) if found else []
        return next((entry for entry in entries if entry.id == entry_id), None)

    async def overdue(self, before: datetime, limit: int) -> list[tuple[str, Unlogged]]:
        """Return the entries of at most so many questions that the log does not have although they are older."""
        such = {"unlogged.at": {"$lt": before}}
        found = await self._questions.find(such, {"unlogged": True}).limit(limit).to_list(None)
        return [(d["_id"], entry) for d in found for entry in _entries(d, before)]

    async def logged(self, question_id: str, entry_id: str) -> None:
        """Note that the access log has this entry."""
        await self._questions.update_one({"_id": question_id}, {"$pull": {"unlogged": {"id": entry_id}}})
        await self._questions.update_one({"_id": question_id, "unlogged": []}, {"$unset": {"unlogged": ""}})

    async def may_read(self, chat_id: str, agent_id: str, departments: list[str], now: datetime) -> bool:
        """Return whether this agent may read the chat of this question.

        They may while they have claimed it, and for some time after they dealt with it.
        """
        mine = {"_id": chat_id, "department": {"$in": departments}}
        found = await self._questions.find_one(mine, _STATE)
        if found is None:
            return False
        if found.get("done_at") is not None:
            return bool(found.get("done_by") == agent_id and now <= found["done_at"] + self._former)
        claim = _claim_of(found, now)
        return claim is not None and claim.agent_id == agent_id


def _with_entry(
    change: dict[str, Any],
    found: Mapping[str, Any],
    unlogged: Unlogged | None,
    now: datetime,
    item: str | None = None,
) -> dict[str, Any]:
    """Return the change with the entry of the access log, if there is one; `item` is the agent whose act it is about.

    Raises:
        LogBehind: There are too many entries that the log does not have yet.
    """
    if unlogged is None:
        return change
    if len(found.get("unlogged") or ()) >= MOST_UNLOGGED:
        raise LogBehind
    access = unlogged.access if item is None else replace(unlogged.access, item=item)
    known = {name: value for name, value in vars(access).items() if value is not None}
    return {**change, "$push": {"unlogged": {"id": unlogged.id, "at": now, "access": known}}}


def _entries(found: Mapping[str, Any], before: datetime | None = None) -> list[Unlogged]:
    kept = found.get("unlogged") or ()
    return [Unlogged(Access(**one["access"]), one["id"]) for one in kept if before is None or one["at"] < before]


def _finished(found: Mapping[str, Any]) -> Finished | None:
    """Return who has done this question; None when it is open.

    An earlier release stored the name in the claim alone.
    """
    if found.get("done_at") is None:
        return None
    by, claim = found.get("done_by") or "", found.get("claim") or {}
    name = found.get("done_name") or (claim.get("name") if claim.get("agent_id") == by else None)
    return Finished(agent_id=by, name=name, at=found["done_at"])


def _claim_of(found: Mapping[str, Any], now: datetime) -> Claimed | None:
    """Return the claim of this question, unless it has expired."""
    claim = found.get("claim")
    if not claim or claim["until"] <= now:
        return None
    return Claimed(agent_id=claim["agent_id"], name=claim["name"], at=claim["at"])


def _question(found: Mapping[str, Any], now: datetime) -> LeftQuestion:
    return LeftQuestion.model_validate({**found, "claimed": _claim_of(found, now)})
