"""Store of chats: one document for each chat.

A change is a compare-and-set: one `update_one` on `_id` and the revision that was read (`rev`), or an insert. Of two
simultaneous changes one succeeds and the other reads again. Closed chats cost nothing: no query reaches them in an
index.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from services.common.batches import gather_limited
from services.common.events.types import Cause, ChatStatus, CloseReason, Detail, Form, Revocation
from services.common.internal_api.routing import Assignment
from services.common.internal_api.supervision import DepartmentChats, RunningChat, WaitingChat
from services.common.mongo.client import Database
from services.routing.chats.chat import Chat, Origin

Document = dict[str, Any]
Rule = Callable[[Chat], Chat]

OPEN = (ChatStatus.WAITING.value, ChatStatus.ASSIGNED.value)
RECENT = 5_000  # chats
AT_ONCE = 20  # agents whose chats are counted at a time
_QUEUE_ORDER = [("head", DESCENDING), ("opened_at", ASCENDING), ("_id", ASCENDING)]
_FIELDS = tuple(f.name for f in dataclasses.fields(Chat) if f.name != "id")
_DEFAULTS = {f.name: f.default for f in dataclasses.fields(Chat) if f.name != "id"}
_OF_REQUEST = ("turn", "department", "locale", "wanted_agent", "unwanted_agent", "untold_since")
_OF_OVERFLOW = ("head", "opened_at", "waiting_since", "overflowed", "origin")
_OF_OPEN = dict.fromkeys(("waiting_since", "assigned_at", "agent_id", "agent_name", "locale", "accepted"), 1)
_OF_QUEUE = dict.fromkeys((*_OF_REQUEST, *_OF_OVERFLOW), 1)
_ORIGIN = tuple(f.name for f in dataclasses.fields(Origin))
_KINDS: dict[str, Callable[[Any], Any]] = {
    "state": ChatStatus,
    "cause": Cause,
    "reason": CloseReason,
    "form": Form.model_validate,
    "detail": Detail,
    "returned": Detail,
    "revoked_by": Revocation,
    "origin": lambda d: Origin(**{k: d.get(k) for k in _ORIGIN}),
    "assignments": lambda ds: tuple(Assignment.model_validate(d) for d in ds),
}


_SPANS = (timedelta(minutes=15), timedelta(hours=3), timedelta(days=1), timedelta(days=8), timedelta(days=400))


class Contended(Exception):
    """A chat kept changing during every try. The delivery is requeued."""


class Store:
    """Access to all chats."""

    def __init__(self, database: Database, stamp: Rule) -> None:
        """Use the collection `chats` of this database.

        Args:
            database: The database.
            stamp: Sets the next revision and the times of a chat before it is written.
        """
        self._chats, self._stamp = database["chats"], stamp
        self._recent: dict[str, Chat] = {}  # as this replica wrote them last; a write or a read confirms them

    async def load(self, chat_id: str) -> Chat:
        """Return the chat; one with `rev` 0 when it is not known."""
        document = await self._chats.find_one({"_id": chat_id})
        return _chat(document) if document else Chat(chat_id)

    async def change(self, chat_id: str, rule: Rule, known: Chat | None = None) -> tuple[Chat, Chat]:
        """Apply `rule` and write the result durably. Return the chat before and after.

        Both are the same object when the rule changed nothing.

        Args:
            chat_id: The chat.
            rule: Returns the changed chat; it may be called several times.
            known: The chat as it probably still is, which saves reading it.

        Raises:
            Contended: The chat kept changing.
            PyMongoError: The database does not answer.
        """
        guess = known or self._recent.get(chat_id)
        for _ in range(20):
            before = guess or await self.load(chat_id)
            after = rule(before)
            if after != before:
                after = self._stamp(after)
                if await self._save(before, after):
                    self._remember(after)
                    return before, after
            elif guess is None:
                return before, before
            guess = None
        raise Contended(chat_id)

    def _remember(self, chat: Chat) -> None:
        self._recent.pop(chat.id, None)
        if not chat.closed:
            self._recent[chat.id] = chat
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    async def _save(self, before: Chat, after: Chat) -> bool:
        if before.rev == 0:
            try:
                await self._chats.insert_one(_document(after))
            except DuplicateKeyError:
                return False
            return True
        result = await self._chats.update_one({"_id": after.id, "rev": before.rev}, _difference(before, after))
        return result.modified_count == 1

    async def first_waiting(self, department: str, limit: int) -> list[Chat]:
        """Return the first waiting chats of a department in order.

        They have only the members that requests for slots need.
        """
        found = (
            self._chats.find({"state": "waiting", "department": department}, _OF_QUEUE).sort(_QUEUE_ORDER).limit(limit)
        )
        return [dataclasses.replace(_chat(d), state=ChatStatus.WAITING) async for d in found]

    async def waiting_ids(self, department: str) -> list[str]:
        """Return the ids of all waiting chats of a department in order."""
        found = self._chats.find({"state": "waiting", "department": department}, {"_id": 1}).sort(_QUEUE_ORDER)
        return [d["_id"] async for d in found]

    async def waiting_queue(self, department: str) -> tuple[list[str], datetime | None]:
        """Return the ids of all waiting chats of a department in order, and since when the longest waits."""
        found = self._chats.find({"state": "waiting", "department": department}, {"waiting_since": 1})
        docs = [d async for d in found.sort(_QUEUE_ORDER)]
        since = min((at for d in docs if (at := d.get("waiting_since"))), default=None)
        return [d["_id"] for d in docs], since

    async def waiting_departments(self) -> set[str]:
        """Return the departments with waiting chats."""
        return set(await self._chats.distinct("department", {"state": "waiting"}))

    async def due(self, now: datetime, limit: int) -> list[Chat]:
        """Return chats that are due for a timer, the longest overdue first."""
        found = self._chats.find({"due_at": {"$lte": now}}).sort("due_at", ASCENDING).limit(limit)
        return [_chat(d) async for d in found]

    async def greeted_open(self) -> list[str]:
        """Return the ids of all open chats whose citizen has said hello."""
        found = self._chats.find({"state": {"$in": OPEN}, "greeted": True}, {"_id": 1})
        return [d["_id"] async for d in found]

    async def accepted_silently(self, limit: int) -> list[Chat]:
        """Return chats that were accepted by a release that does not store when."""
        such = {"state": ChatStatus.ASSIGNED.value, "accepted": True, "accepted_at": {"$exists": False}}
        return [_chat(d) async for d in self._chats.find(such).limit(limit)]

    async def some(
        self, chat_ids: Sequence[str], prefixes: Sequence[str] = (), since: datetime | None = None
    ) -> list[Chat]:
        """Return those of these chats that are known, and those opened after `since` whose ids start with a prefix."""
        wanted: list[Document] = [{"_id": {"$in": list(chat_ids)}}]
        wanted += [{"_id": {"$gte": p, "$lt": p + "~"}, "opened_at": {"$gte": since}} for p in prefixes]
        return [_chat(d) async for d in self._chats.find({"$or": wanted} if prefixes else wanted[0])]

    async def of_agent(self, agent_id: str) -> list[Chat]:
        """Return the open chats that are assigned to this agent."""
        return [_chat(d) async for d in self._chats.find({"agent_id": agent_id, "state": "assigned"})]

    async def open_of(self, departments: Sequence[str], limit: int) -> list[DepartmentChats]:
        """Return the open chats of each of these departments: their numbers, and the first `limit` of each state."""
        return list(await asyncio.gather(*(self._open_of(d, limit) for d in departments)))

    async def _open_of(self, department: str, limit: int) -> DepartmentChats:
        waiting = await self._first(department, OPEN[0], "waiting_since", limit)
        running = await self._first(department, OPEN[1], "assigned_at", limit)
        return DepartmentChats(
            department=department,
            waiting=await self._number(department, OPEN[0], len(waiting), limit),
            waiting_since=waiting[0].waiting_since if waiting else None,
            running=await self._number(department, OPEN[1], len(running), limit),
            first_waiting=[
                WaitingChat(chat_id=c.id, since=c.waiting_since, locale=c.locale) for c in waiting if c.waiting_since
            ],
            first_running=[
                RunningChat(
                    chat_id=c.id,
                    since=c.assigned_at,
                    agent_id=c.agent_id,
                    agent_name=c.agent_name or "",
                    locale=c.locale,
                    accepted=c.accepted,
                )
                for c in running
                if c.assigned_at and c.agent_id
            ],
        )

    async def _number(self, department: str, state: str, found: int, limit: int) -> int:
        """Return the number of chats of a department in this state, of which `found` were read with this limit."""
        if found < limit:
            return found
        return int(await self._chats.count_documents({"state": state, "department": department}))

    async def _first(self, department: str, state: str, since: str, limit: int) -> list[Chat]:
        found = self._chats.find({"state": state, "department": department}, _OF_OPEN)
        return [_chat(d) async for d in found.sort([(since, ASCENDING), ("_id", ASCENDING)]).limit(limit)]

    async def numbers_of(self, agent_ids: Sequence[str]) -> dict[str, int]:
        """Return the number of chats of each of these agents. Each is counted by the index of agents."""
        calls = [partial(self._chats.count_documents, {"agent_id": a, "state": OPEN[1]}) for a in agent_ids]
        return dict(zip(agent_ids, await gather_limited(AT_ONCE, calls), strict=True))

    async def latest_assignments(self, departments: Sequence[str], limit: int, now: datetime) -> list[Assignment]:
        """Return the latest assignments in these departments, the latest first.

        The search goes back in growing steps.
        """
        found: list[Assignment] = []
        for span in _SPANS:
            since = now - span
            found = [a for d in set(departments) for a in await self._assigned(d, since)]
            if len(found) >= limit:
                break
        return sorted(found, key=lambda a: a.at, reverse=True)[:limit]

    async def _assigned(self, department: str, since: datetime) -> list[Assignment]:
        such = {"assignments.department": department, "assignments.at": {"$gte": since}}
        chats = [_chat(d) async for d in self._chats.find(such, {"assignments": 1})]
        return [a for c in chats for a in c.assignments if a.department == department and a.at >= since]

    async def open_counts(self) -> dict[tuple[str, str], tuple[int, datetime | None]]:
        """Return the number of chats by department and open state, and since when the first of them has waited."""
        group: list[Document] = [
            {"$match": {"state": {"$in": OPEN}}},
            {
                "$group": {
                    "_id": {"department": "$department", "state": "$state"},
                    "n": {"$sum": 1},
                    "since": {"$min": "$waiting_since"},
                }
            },
        ]
        found = self._chats.aggregate(group)
        return {(d["_id"]["department"], d["_id"]["state"]): (d["n"], d["since"]) async for d in found}


def _chat(document: Document) -> Chat:
    members = {k: _KINDS[k](v) if k in _KINDS else v for k, v in document.items() if k in _DEFAULTS and v is not None}
    return Chat(id=document["_id"], **members)


def _document(chat: Chat) -> Document:
    return {"_id": chat.id, **{k: _stored(getattr(chat, k)) for k in _FIELDS if getattr(chat, k) is not None}}


def _difference(before: Chat, after: Chat) -> Document:
    """Return the update from the stored `before` to `after`. Members of a newer release are left alone."""
    changed = {k: getattr(after, k) for k in _FIELDS if getattr(after, k) != getattr(before, k)}
    present = {k: _stored(v) for k, v in changed.items() if v is not None}
    absent = {k: "" for k, v in changed.items() if v is None}
    return {"$set": present, **({"$unset": absent} if absent else {})}


def _stored(value: Any) -> Any:
    match value:
        case Form():
            return value.model_dump()
        case Origin():
            return dataclasses.asdict(value)
        case tuple():
            return [_recorded(a) for a in value]
    return value.value if isinstance(value, ChatStatus | Cause | CloseReason | Detail | Revocation) else value


def _recorded(assignment: Assignment) -> Document:
    choice = assignment.choice.model_dump(mode="json") if assignment.choice else None
    return {**assignment.model_dump(exclude={"choice"}), "choice": choice}
