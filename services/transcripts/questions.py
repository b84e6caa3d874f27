"""Questions that citizens left because no agent came, with how to reach them, until somebody has dealt with them.

One document a chat, forgotten 30 days after it was dealt with and after 90 days at most. What stands in it is in no
log of this service.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from services.database import Database
from services.internal import LeftQuestion, QuestionDone

MOST = 200  # in one answer
KEPT, KEPT_DONE = timedelta(days=90), timedelta(days=30)


class Questions:
    """All methods raise `PyMongoError` when the database is away; each may be called again."""

    def __init__(self, database: Database) -> None:
        self._questions = database["questions"]

    async def leave(self, question: LeftQuestion, now: datetime) -> bool:
        """The first question of a chat stands; False when there was one already."""
        kept = {"_id": question.chat_id, **question.model_dump(), "done_at": None, "expires_at": now + KEPT}
        try:
            await self._questions.insert_one(kept)
        except DuplicateKeyError:
            return False
        return True

    async def to_do(self, departments: list[str]) -> list[LeftQuestion]:
        """Those of these departments that nobody has dealt with, the oldest first."""
        wanted: dict[str, Any] = {"done_at": None, "department": {"$in": departments}}
        found = self._questions.find(wanted).sort("at", ASCENDING).limit(MOST)
        return [LeftQuestion.model_validate(d) async for d in found]

    async def done(self, done: QuestionDone, now: datetime) -> bool | None:
        """True when it is dealt with now, False when it was before, None when these departments have no such one."""
        mine: dict[str, Any] = {"_id": done.chat_id, "department": {"$in": done.departments}}
        change = {
            "$set": {"done_at": now, "done_by": done.agent_id},
            "$min": {"expires_at": now + KEPT_DONE},
        }
        result = await self._questions.update_one({**mine, "done_at": None}, change)
        if result.modified_count:
            return True
        return False if await self._questions.find_one(mine, {"_id": True}) else None
