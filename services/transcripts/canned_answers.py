"""Store of canned answers: texts that supervisors write once and agents insert in their messages.

canned_answers: {_id, departments, code, title, texts: {language: text}, size, revision, changed_at, changed_by: {id,
name}}. The unique index of departments and code has an entry for each department, so that a department has a code once.
`size`: bytes of the texts. A change names the revision that it was made of: of simultaneous changes one succeeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from services.common.internal_api.transcripts import (
    CannedAnswer,
    CannedAnswerChange,
    CannedAnswerContent,
    CannedAnswerRemoval,
    Editor,
    NewCannedAnswer,
)
from services.common.mongo.client import Database

MOST = 500  # of one department
MOST_BYTES = 1_000_000  # of the texts of one department, UTF-8


class Obstacle(StrEnum):
    """Why a canned answer was not added, changed or removed."""

    UNKNOWN = "no_such_answer"
    NOT_YOURS = "forbidden"
    CHANGED = "changed"
    CODE_TAKEN = "code_taken"
    TOO_MANY = "too_many_answers"


@dataclass(frozen=True)
class Refused:
    """A refusal. `current`: the answer that is stored, or that has the code."""

    why: Obstacle
    current: CannedAnswer | None = None


class CannedAnswers:
    """Access to canned answers in the database. Every method may be repeated.

    All methods raise `PyMongoError` when the database does not answer.
    """

    def __init__(self, database: Database, departments: Collection[str]) -> None:
        """Use the collection `canned_answers` of this database.

        Args:
            database: The database.
            departments: All departments, as the departments file has them now. Nobody has the rights of a department
                that does not exist any more; it keeps no supervisor from changing an answer.
        """
        self._answers, self._departments = database["canned_answers"], departments

    async def listed(self, departments: list[str]) -> list[CannedAnswer]:
        """Return the answers of these departments, by their codes."""
        order = [("code", ASCENDING), ("_id", ASCENDING)]
        found = self._answers.find({"departments": {"$in": departments}}).sort(order)
        return [_answer(d) async for d in found]

    async def tag(self, departments: list[str]) -> str:
        """Return a text that is another one after every change of the answers of these departments."""
        found = self._answers.find({"departments": {"$in": departments}}, {"revision": True})
        revisions = sorted([f"{d['_id']} {d['revision']}" async for d in found])
        return hashlib.sha256("\n".join(revisions).encode()).hexdigest()[:20]

    async def add(self, new: NewCannedAnswer, now: datetime) -> CannedAnswer | Refused:
        """Store a new answer and return it."""
        if await self._is_full(new):
            return Refused(Obstacle.TOO_MANY)
        try:
            await self._answers.insert_one({"_id": new.id, "revision": 1, **_members(new, now)})
        except DuplicateKeyError:
            repeated = await self._get(new.id)
            return repeated if repeated and _is_of(repeated, new) else await self._taken(new)
        return _kept(new, 1, now)

    async def change(self, change: CannedAnswerChange, now: datetime) -> CannedAnswer | Refused:
        """Replace the content of an answer, if it has the revision that the change names, and return it."""
        current = await self._get(change.id)
        if current is None or not set(current.departments) & set(change.own):
            return Refused(Obstacle.UNKNOWN)
        if current.revision == change.revision + 1 and _is_of(current, change):
            return current
        if not self._may_change(current, change.own):
            return Refused(Obstacle.NOT_YOURS, current)
        if current.revision != change.revision:
            return Refused(Obstacle.CHANGED, current)
        if await self._is_full(change):
            return Refused(Obstacle.TOO_MANY)
        revision, seen = change.revision + 1, {"_id": change.id, "revision": change.revision}
        try:
            changed = await self._answers.update_one(seen, {"$set": {**_members(change, now), "revision": revision}})
        except DuplicateKeyError:
            return await self._taken(change)
        if not changed.matched_count:
            return await self.change(change, now)  # another supervisor was first: it has another revision, or is gone
        return _kept(change, revision, now)

    async def remove(self, removal: CannedAnswerRemoval) -> CannedAnswer | Refused | None:
        """Remove an answer, if it has the revision that the removal names.

        Returns:
            What was removed; None when these departments have no such answer any more.
        """
        current = await self._get(removal.id)
        if current is None or not set(current.departments) & set(removal.own):
            return None
        if not self._may_change(current, removal.own):
            return Refused(Obstacle.NOT_YOURS, current)
        if current.revision != removal.revision:
            return Refused(Obstacle.CHANGED, current)
        removed = await self._answers.delete_one({"_id": removal.id, "revision": removal.revision})
        return current if removed.deleted_count else await self.remove(removal)

    async def _get(self, answer_id: str) -> CannedAnswer | None:
        found = await self._answers.find_one({"_id": answer_id})
        return _answer(found) if found else None

    def _may_change(self, current: CannedAnswer, own: list[str]) -> bool:
        """Whether all departments that have the answer, and exist, are the supervisor's."""
        return not {d for d in current.departments if d in self._departments}.difference(own)

    async def _is_full(self, new: NewCannedAnswer) -> bool:
        """Whether a department would have too many answers, or too much text. Simultaneous changes are not counted."""
        size = _size(new)
        for department in new.departments:
            others = self._answers.find({"departments": department}, {"size": True})
            sizes = [d["size"] async for d in others if d["_id"] != new.id]
            if len(sizes) >= MOST or sum(sizes) + size > MOST_BYTES:
                return True
        return False

    async def _taken(self, new: NewCannedAnswer) -> Refused:
        holder = await self._answers.find_one({"departments": {"$in": new.departments}, "code": new.code})
        return Refused(Obstacle.CODE_TAKEN, _answer(holder) if holder else None)


def _size(content: CannedAnswerContent) -> int:
    return sum(len(text.encode()) for text in content.texts.values())


def _content(content: CannedAnswerContent) -> dict[str, Any]:
    return content.model_dump(include=set(CannedAnswerContent.model_fields))


def _members(new: NewCannedAnswer, now: datetime) -> dict[str, Any]:
    editor = {"id": new.by.agent_id, "name": new.name}
    return {**_content(new), "size": _size(new), "changed_at": now, "changed_by": editor}


def _kept(new: NewCannedAnswer, revision: int, now: datetime) -> CannedAnswer:
    editor = Editor(id=new.by.agent_id, name=new.name)
    return CannedAnswer(**_content(new), id=new.id, revision=revision, changed_at=now, changed_by=editor)


def _is_of(answer: CannedAnswer, new: NewCannedAnswer) -> bool:
    """Whether this request made the answer what it is: it arrived twice."""
    return answer.changed_by.id == new.by.agent_id and _content(answer) == _content(new)


def _answer(found: Mapping[str, Any]) -> CannedAnswer:
    return CannedAnswer.model_validate({**found, "id": found["_id"]})
