"""Store of questions that citizens left because no agent came, with their contact data, until an agent has answered.

There is one document for each chat, and for each question that was left without a chat. The job of retention removes it
when its period has ended (`retention/job.py`), by default 30 days after the answer and after 90 days at most;
`expires_at` is what earlier releases went by. The question is in no log of this service. `claim`: {agent_id, name, at,
until}, the agent who deals with it; no agent does when it is None or in the past. Of a question without a chat
`request` is the digest of its request, and `files` and `bytes` are its files, which `attachments/store.py` adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from services.common.http.tokens import QUESTION_LIFE
from services.common.internal_api.transcripts import (
    AskedQuestion,
    Claimed,
    LeftQuestion,
    QuestionClaim,
    QuestionDone,
    QuestionReceipt,
)
from services.common.mongo.client import Database
from services.transcripts.questions.number import number_of

MOST = 200  # in one answer
_STATE = {"claim": True, "done_at": True, "done_by": True}
KEPT, KEPT_DONE = timedelta(days=90), timedelta(days=30)
TAKES_FILES = timedelta(seconds=QUESTION_LIFE)  # after a question was left
NUMBERS = 20  # attempts to find one that no other question has


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

    async def done(self, done: QuestionDone, now: datetime) -> bool | Claimed | None:
        """Mark a question as done.

        Returns:
            True when it is done now, False when it was done before, None when these departments have no such
            question, and the claim when another agent has claimed it.
        """
        mine: dict[str, Any] = {"_id": done.chat_id, "department": {"$in": done.departments}}
        change = {
            "$set": {"done_at": now, "done_by": done.agent_id},
            "$min": {"expires_at": now + KEPT_DONE},
        }
        while found := await self._questions.find_one(mine, _STATE):
            if found.get("done_at") is not None:
                return False
            claim = _claim_of(found, now)
            if claim and claim.agent_id != done.agent_id:
                return claim
            seen = {**mine, "done_at": None, "claim": found.get("claim")}
            if (await self._questions.update_one(seen, change)).modified_count:
                return True
        return None

    async def claim(self, claim: QuestionClaim, now: datetime) -> LeftQuestion | Claimed | None:
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
            new = own if held is None else {**own, "at": held.at}
            seen = {**mine, "claim": found.get("claim")}
            if (await self._questions.update_one(seen, {"$set": {"claim": new}})).matched_count:
                kept = await self._questions.find_one(mine)
                return _question(kept, now) if kept else None
        return None

    async def unclaim(self, claim: QuestionClaim, now: datetime) -> bool | None:
        """Release a claim. `any_agent`: a claim of another agent too.

        Returns:
            True when the question has no claim now, False when another agent has it, None when these departments
            have no such question.
        """
        mine: dict[str, Any] = {"_id": claim.chat_id, "department": {"$in": claim.departments}}
        while found := await self._questions.find_one(mine, _STATE):
            held = _claim_of(found, now)
            if found.get("claim") is None or held is None:
                return True
            if held.agent_id != claim.agent_id and not claim.any_agent:
                return False
            seen = {**mine, "claim": found["claim"]}
            if (await self._questions.update_one(seen, {"$set": {"claim": None}})).modified_count:
                return True
        return None

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


def _claim_of(found: Mapping[str, Any], now: datetime) -> Claimed | None:
    """Return the claim of this question, unless it has expired."""
    claim = found.get("claim")
    if not claim or claim["until"] <= now:
        return None
    return Claimed(agent_id=claim["agent_id"], name=claim["name"], at=claim["at"])


def _question(found: Mapping[str, Any], now: datetime) -> LeftQuestion:
    return LeftQuestion.model_validate({**found, "claimed": _claim_of(found, now)})
