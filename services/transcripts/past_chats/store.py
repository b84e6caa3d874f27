"""Store of past chats. Every method may be repeated, also by several replicas at once.

Collections:

- past_chats: {_id: the chat, or `<chat>:<agent>` for an agent who left it, chat_id, order, department, locale,
  opened_at, ended_at, name, who, form, forms, words, complete, policy, agents} and, in the row of the whole chat,
  {departments, took_part, ended_by} and {rating: {at, helped, score}, label: {at, reason, tags}} where there is one.
  `rows.py` makes a row. `order` sorts by the end.
- chats: the member `listed`, false until the rows are stored, `failed` when they could not be made. A release before
  this one does not set it.

The rating and the label are set to the greater of the stored and the given one, as in `statistics/store.py`.

**A search is bounded.** It reads the rows of one key in the order of time, the newest first: those of a word of the
query, of the departments or of the agent, whichever are the fewest of late. What it reads are parts of at most
`PART` rows, in spans of time that grow while they are empty, so that a server that sorts reads little too. After `MOST`
rows or `SECONDS` it stops, and says how far it came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from pymongo import DESCENDING

from services.common.clock import utcnow
from services.common.config.departments import Departments, Search
from services.common.mongo.client import Database
from services.transcripts.past_chats.rows import lowest_order, policy_of, rows_of, time_of
from services.transcripts.past_chats.words import Query

log = structlog.get_logger()

Document = dict[str, Any]
PART = 200  # rows that are read at a time
MOST = 2_000  # rows that one search reads
SECONDS = 2.5  # for one search; a gateway waits 5 s for its answer
LONGEST = 2_000  # milliseconds for one part
FIRST_SPAN, GROWTH, LAST_SPAN = timedelta(days=1), 4, timedelta(days=4_000)
OVERLOOKED = timedelta(days=2)  # how long ago an earlier release may have ended a chat during a rolling update
HIGHEST = "~"  # greater than every order
_CHAT = {
    "department": True,
    "departments": True,
    "locale": True,
    "name": True,
    "form": True,
    "opened_at": True,
    "closed_at": True,
    "participants": True,
    "holder": True,
    "left": True,
    "listed": True,
    "erasing": True,
}
_ENTRY = dict.fromkeys(("seq", "id", "party", "sender_id", "name", "text", "event", "reason", "about", "at"), True)
_SHOWN = {"words": False, "forms": False, "policy": False, "agents": False, "took_part": False}
_UNLISTED = {"listed": False}


@dataclass(frozen=True)
class Wanted:
    """What is searched for, and what the reader may see. `None` and empty members do not narrow the search.

    Attributes:
        agent_id: The agent whose own chats they are; None: those of `departments`.
        departments: The departments.
        since: The earliest end.
        until: The end is before this time.
        before: The place in the order before which the page begins.
        limit: The most rows of the page.
        query: The words.
        more: Values that members of the row have.
    """

    agent_id: str | None = None
    departments: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    limit: int = 25
    query: Query = field(default_factory=Query)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Found:
    """A page of rows.

    Attributes:
        rows: The rows, the newest first.
        next: The place in the order before which the next page begins; None: there is none.
        until: The time up to which was searched, when the search stopped before the page was full.
        read: The number of rows that were read.
    """

    rows: list[Document] = field(default_factory=list)
    next: str | None = None
    until: datetime | None = None
    read: int = 0


class PastChats:
    """Access to past chats. All methods raise `PyMongoError` when the database does not answer."""

    def __init__(self, database: Database, departments: Departments) -> None:
        """Use the collections of this database. `departments`: say what of their chats is searched."""
        self._rows, self._chats, self._entries = database["past_chats"], database["chats"], database["entries"]
        self._ratings, self._departments = database["ratings"], departments

    def _search_of(self, department: str) -> Search:
        """Return what a department lets be searched; nothing for one that is not in the file any more."""
        found = self._departments.get(department)
        return found.search if found else "off"

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def unlisted(self, limit: int) -> list[str]:
        """Return ended chats that have no rows yet, at most so many."""
        return [d["_id"] async for d in self._chats.find(_UNLISTED, {"_id": True}).limit(limit)]

    async def add(self, chat_id: str) -> None:
        """Store the rows of a chat that has ended, in the place of those that it has; unless it is being erased."""
        chat = await self._chats.find_one({"_id": chat_id}, _CHAT)
        if chat is None or chat.get("closed_at") is None or chat.get("erasing"):
            return
        entries = await self._entries.find({"chat_id": chat_id}, _ENTRY).to_list(None)
        entries.sort(key=lambda entry: entry["seq"])
        search = self._search_of(chat["department"])
        rows = await asyncio.to_thread(rows_of, chat, entries, search)
        for row in rows:
            await self._rows.replace_one({"_id": row["_id"]}, row, upsert=True)
        if rating := await self._ratings.find_one({"_id": chat_id}):
            await self.rated(chat_id, rating)
        labelled = await self._chats.find_one({"_id": chat_id}, {"label": True})  # after the row is there
        if labelled and labelled.get("label"):
            await self.labelled(chat_id, labelled["label"])
        # An erasure marks the chat before it deletes: either it has seen the rows, or the mark is seen here.
        still = await self._chats.find_one({"_id": chat_id}, {"erasing": True})
        if still is None or still.get("erasing"):
            await self._rows.delete_many({"chat_id": chat_id})
        else:
            await self._chats.update_one({"_id": chat_id}, {"$set": {"listed": True}})

    async def add_again(self, chat_id: str) -> None:
        """Store the rows of a listed chat again: a message of it was erased.

        The job stores them once more: it may have read the message before, and write after this.
        """
        await self.add(chat_id)
        await self._chats.update_one({"_id": chat_id, "listed": True}, {"$set": {"listed": False}})

    async def failed(self, chat_id: str) -> None:
        """Note that the rows of a chat cannot be made, so that it keeps no other chat from its rows."""
        await self._chats.update_one({"_id": chat_id, **_UNLISTED}, {"$set": {"listed": "failed"}})

    async def rated(self, chat_id: str, rating: Mapping[str, Any]) -> None:
        """Note the rating of a chat in its row. A chat without a row gets it with its row."""
        given = {"at": rating.get("at"), "helped": rating.get("helped"), "score": rating.get("score")}
        await self._rows.update_one({"_id": chat_id}, {"$max": {"rating": given}})

    async def labelled(self, chat_id: str, label: Mapping[str, Any]) -> None:
        """Note the label of a chat in its row. A chat without a row gets it with its row."""
        given = {"at": label.get("at"), "reason": label.get("reason"), "tags": label.get("tags")}
        await self._rows.update_one({"_id": chat_id}, {"$max": {"label": given}})

    async def note_overlooked(self, now: datetime) -> None:
        """Find the chats whose rows are missing or are to be made again.

        They are those that an earlier release has ended during a rolling update, those whose rows could not be made,
        and those of departments that let something else be searched by now.
        """
        await self._chats.update_many({"listed": "failed"}, {"$set": _UNLISTED})
        for department in await self._chats.distinct("department", {"department": {"$gte": ""}}):
            such = {"department": department, "closed_at": {"$gte": now - OVERLOOKED}}
            await self._chats.update_many({**such, "listed": None, "erasing": None}, {"$set": _UNLISTED})
        for department in await self._rows.distinct("department", {"department": {"$gte": ""}}):
            other = {"department": department, "policy": {"$ne": policy_of(self._search_of(department))}}
            while ids := [d["chat_id"] async for d in self._rows.find(other, {"chat_id": True}).limit(PART)]:
                await self._chats.update_many({"_id": {"$in": ids}, "erasing": None}, {"$set": _UNLISTED})
                none = {"policy": policy_of(self._search_of(department)), "words": []}  # until they are made again
                await self._rows.update_many({"chat_id": {"$in": ids}}, {"$set": none})

    # ── search ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def search(self, wanted: Wanted) -> Found:
        """Return a page of rows, the newest first."""
        began, found = time.monotonic(), Found()
        keys = wanted.query.equalities()
        low = lowest_order(wanted.since) if wanted.since else ""
        high = min(wanted.before or HIGHEST, lowest_order(wanted.until) if wanted.until else HIGHEST)
        drivers = await self._fewest(wanted, keys, low, high)
        span, most = FIRST_SPAN, wanted.limit + 1
        while low < high:
            bottom, part = self._bottom(low, high, span), min(most, PART, MOST - found.read)
            places = await self._places(drivers, bottom, high, part)
            found.read += len(places)
            full = len(places) == part
            bottom = places[-1] if full else bottom
            if places:
                found.rows += await self._rows_of(wanted, keys, drivers, places[-1], high)
            if len(found.rows) > wanted.limit:
                del found.rows[wanted.limit :]
                found.next = found.rows[-1]["order"]
                return found
            high, span, most = bottom, FIRST_SPAN if full else span * GROWTH, PART
            if low < high and (found.read >= MOST or time.monotonic() - began > SECONDS):
                found.next, found.until = high, time_of(high)
                return found
        return found

    def _bottom(self, low: str, high: str, span: timedelta) -> str:
        """Return the lower end of the next part: so much earlier, or the end of the search."""
        if span > LAST_SPAN:
            return low
        newest = time_of(high) if high != HIGHEST else utcnow()
        return max(low, lowest_order(newest - span))

    async def _places(self, drivers: list[Document], bottom: str, high: str, most: int) -> list[str]:
        """Return the places of the newest rows of these keys in this span, the newest first, at most so many."""
        places = set[str]()
        for driver in drivers:
            between = {**driver, "order": {"$gte": bottom, "$lt": high}}
            some = self._rows.find(between, {"order": True}, max_time_ms=LONGEST).sort("order", DESCENDING).limit(most)
            places |= {row["order"] for row in await some.to_list(None)}
        return sorted(places, reverse=True)[:most]

    async def _rows_of(
        self, wanted: Wanted, keys: tuple[str, ...], drivers: list[Document], bottom: str, high: str
    ) -> list[Document]:
        """Return the rows that are wanted from these places, the newest first."""
        such: Document = {"departments": {"$in": list(wanted.departments)}} if wanted.agent_id is None else {}
        if keys:
            pattern = wanted.query.pattern()
            such["words"] = {"$all": list(keys), **({"$regex": pattern} if pattern else {})}
        rows: dict[str, Document] = {}
        for driver in drivers:
            between = {**driver, "order": {"$gte": bottom, "$lt": high}}
            # The key and the span stand alone, so that each server uses their index.
            steps = [{"$match": between}, {"$match": {**such, **wanted.more}}, {"$project": _SHOWN}]
            rows |= {row["_id"]: row async for row in self._rows.aggregate(steps, maxTimeMS=LONGEST)}
        return sorted(rows.values(), key=_order, reverse=True)

    async def _fewest(self, wanted: Wanted, keys: tuple[str, ...], low: str, high: str) -> list[Document]:
        """Return the conditions by which the rows are read: those with the fewest rows of late.

        The rows are counted in a span that grows until one condition has `PART` of them.
        """
        if wanted.agent_id is not None:
            return [{"agents": wanted.agent_id}]
        departments: list[Document] = [{"departments": department} for department in wanted.departments]
        if not keys:
            return departments
        conditions = [*([{"words": key}] for key in sorted(keys, key=len, reverse=True)), departments]
        span = FIRST_SPAN
        while True:
            between = {"order": {"$gte": self._bottom(low, high, span), "$lt": high}}
            counts = [sum([await self._count(one, between) for one in each]) for each in conditions]
            if max(counts) >= PART or span > LAST_SPAN:
                return conditions[counts.index(min(counts))]
            span *= GROWTH

    async def _count(self, such: Document, between: Document) -> int:
        counted = await self._rows.count_documents({**such, **between}, limit=PART, maxTimeMS=LONGEST)
        return int(counted)


def _order(row: Document) -> str:
    return str(row["order"])
