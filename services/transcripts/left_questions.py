"""Store of questions that citizens left because no agent came, with how to reach them, until an agent has answered.

One document a chat, removed 30 days after it was answered and after 90 days at most. It is in no log of this service.
`claim`: {agent_id, name, at, until}, the agent who is dealing with it; None or in the past: nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from services.common.internal_api.transcripts import Claimed, LeftQuestion, QuestionClaim, QuestionDone
from services.common.mongo.client import Database

MOST = 200  # in one answer
_STATE = {"claim": True, "done_at": True, "done_by": True}
KEPT, KEPT_DONE = timedelta(days=90), timedelta(days=30)


class Questions:
    """All methods raise `PyMongoError` when the database is away; each may be called again."""

    def __init__(
        self,
        database: Database,
        claim_life: timedelta = timedelta(hours=24),
        former: timedelta = timedelta(days=30),
    ) -> None:
        """`claim_life`: for how long a claim holds. `former`: who dealt with one reads its chat for so long after."""
        self._questions = database["questions"]
        self._claim_life, self._former = claim_life, former

    async def leave(self, question: LeftQuestion, now: datetime) -> bool:
        """The first question of a chat stands; False when there was one already."""
        kept = {"_id": question.chat_id, **question.model_dump(), "done_at": None, "expires_at": now + KEPT}
        try:
            await self._questions.insert_one(kept)
        except DuplicateKeyError:
            return False
        return True

    async def to_do(self, departments: list[str], now: datetime) -> list[LeftQuestion]:
        """Those of these departments that nobody has dealt with, the oldest first."""
        wanted: dict[str, Any] = {"done_at": None, "department": {"$in": departments}}
        found = self._questions.find(wanted).sort("at", ASCENDING).limit(MOST)
        return [_question(d, now) async for d in found]

    async def done(self, done: QuestionDone, now: datetime) -> bool | Claimed | None:
        """True when it is dealt with now, False when it was before, None when these departments have no such one.

        While somebody else has claimed it: the claim.
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
        """The question, which is this agent's from now on for the life of a claim; or who has it, or None.

        Of any number at once one gets it.
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
        """True when nobody has it now, False when a colleague has it, None when these departments have no such one.

        `any_agent`: the claim of a colleague ends too.
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
        """Whether this agent has claimed the question that was left in this chat, or has dealt with it lately."""
        mine = {"_id": chat_id, "department": {"$in": departments}}
        found = await self._questions.find_one(mine, _STATE)
        if found is None:
            return False
        if found.get("done_at") is not None:
            return bool(found.get("done_by") == agent_id and now <= found["done_at"] + self._former)
        claim = _claim_of(found, now)
        return claim is not None and claim.agent_id == agent_id


def _claim_of(found: Mapping[str, Any], now: datetime) -> Claimed | None:
    """Who has claimed this question, if the claim has not lapsed."""
    claim = found.get("claim")
    if not claim or claim["until"] <= now:
        return None
    return Claimed(agent_id=claim["agent_id"], name=claim["name"], at=claim["at"])


def _question(found: Mapping[str, Any], now: datetime) -> LeftQuestion:
    return LeftQuestion.model_validate({**found, "claimed": _claim_of(found, now)})
