"""Admission of chats: limits the open chats of an address, and blocks citizens for agents. Stores keyed digests only.

- starts: {_id: chat_id, address, browser, expire_at}: where a chat came from, for a day.
- addresses: {_id: address, chats: [{id, at, until}], expire_at}: its chats that count, at most as many as are allowed.
  `until`: an open form reserves a slot for the chat until then.
- blocks: {_id: "address:…" or "browser:…", until, expire_at, chat_id, agent_id}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from pymongo.errors import DuplicateKeyError

from services.common.events.types import Block
from services.common.internal_api.routing import AdmitQuery, Admitted
from services.common.mongo.client import Database
from services.routing.chats.store import Store

log = structlog.get_logger()
KEPT = timedelta(days=1)
UNHEARD = timedelta(seconds=120)  # a chat without a hello counts for so long, although it ends after 10 s
UNKNOWN = timedelta(seconds=15)  # a press whose chat was never opened counts for so long
FULL_FOR = 30  # seconds after which the citizen may try again


class Admission:
    """Admits presses on the button, in any replica. One atomic update counts a chat of an address."""

    def __init__(self, database: Database, store: Store, clock: Callable[[], datetime], most: int) -> None:
        """Use the collections of this database.

        Args:
            database: The database.
            store: The store of chats.
            clock: Returns the present.
            most: Open chats that one address may have; 0: any number.
        """
        self._starts, self._addresses, self._blocks = database["starts"], database["addresses"], database["blocks"]
        self._store, self._clock, self._most = store, clock, most

    async def admit(self, wish: AdmitQuery) -> Admitted:
        """Return whether this chat may be opened. A repetition for the same chat is not counted again."""
        now = self._clock()
        keys = [f"{kind}:{key}" for kind, key in (("address", wish.address), ("browser", wish.browser)) if key]
        found = self._blocks.find({"_id": {"$in": keys}, "until": {"$gt": now}})
        if ends := [block["until"] async for block in found]:
            return Admitted(blocked_for=math.ceil((max(ends) - now).total_seconds()))
        until = now + timedelta(seconds=wish.reserves) if wish.reserves else None
        if self._most and wish.address and not await self._take(wish.address, wish.chat_id, now, until):
            return Admitted(full_for=FULL_FOR)
        source = {"address": wish.address, "browser": wish.browser, "expire_at": now + KEPT}
        await self._starts.update_one({"_id": wish.chat_id}, {"$setOnInsert": source}, upsert=True)
        return Admitted()

    async def _take(self, address: str, chat_id: str, now: datetime, until: datetime | None) -> bool:
        for _ in range(3):
            room = {"_id": address, "chats.id": {"$ne": chat_id}, f"chats.{self._most - 1}": {"$exists": False}}
            one = {"id": chat_id, "at": now} | ({"until": until} if until else {})
            one_more = {"$push": {"chats": one}, "$set": {"expire_at": now + KEPT}}
            try:
                await self._addresses.update_one(room, one_more, upsert=True)
            except DuplicateKeyError:  # the document exists, and is full or has this chat
                document = await self._addresses.find_one({"_id": address}) or {"chats": []}
            else:
                return True
            if any(chat["id"] == chat_id for chat in document["chats"]):
                if until:  # the reservation is renewed
                    known = {"_id": address, "chats.id": chat_id}
                    await self._addresses.update_one(known, {"$set": {"chats.$.until": until}})
                return True
            over = await self._over(document["chats"], now)
            if not over:
                return False
            await self._addresses.update_one({"_id": address}, {"$pull": {"chats": {"id": {"$in": over}}}})
        return False

    async def _over(self, entries: Sequence[dict[str, Any]], now: datetime) -> list[str]:
        """Return those of these chats that no longer count."""
        known = {chat.id: chat for chat in await self._store.some([entry["id"] for entry in entries])}
        over = []
        for entry in entries:
            chat, age = known.get(entry["id"]), now - entry["at"]
            if chat is None or chat.state is None:
                ended = age > UNKNOWN and entry.get("until", now) <= now
            else:
                ended = chat.closed and (chat.greeted or age > UNHEARD)
            if ended:
                over.append(entry["id"])
        return over

    async def erase(self, chat_id: str) -> int:
        """Delete where a chat came from. Return the number of documents that were changed. A block stays for its day.

        A block that was made in this chat does not name it any more.
        """
        starts = await self._starts.delete_one({"_id": chat_id})
        counted = await self._addresses.update_many({"chats.id": chat_id}, {"$pull": {"chats": {"id": chat_id}}})
        blocks = await self._blocks.update_many({"chat_id": chat_id}, {"$unset": {"chat_id": ""}})
        return int(starts.deleted_count + counted.modified_count + blocks.modified_count)

    async def block(self, chat_id: str, agent_id: str | None, block: Block, since: datetime) -> None:
        """Block the citizen of this chat, if the agent has or had the chat. A repetition changes nothing."""
        chat = await self._store.load(chat_id)
        source = await self._starts.find_one({"_id": chat_id})
        if source is None or agent_id not in chat.agents:
            log.warning("citizen_not_blocked", agent_id=agent_id, known=source is not None)
            return
        until = since + timedelta(minutes=block.minutes)
        kinds = ("browser", "address") if block.address else ("browser",)
        keys = [f"{kind}:{source[kind]}" for kind in kinds if source.get(kind)]
        for key in keys:
            change = {"$max": {"until": until, "expire_at": until}, "$set": {"chat_id": chat_id, "agent_id": agent_id}}
            await self._blocks.update_one({"_id": key}, change, upsert=True)
        log.info(
            "citizen_blocked",
            agent_id=agent_id,
            minutes=block.minutes,
            reason=block.reason,
            what=[key.partition(":")[0] for key in keys],
        )
