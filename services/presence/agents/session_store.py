"""Store of agents' sessions.

sessions: {_id: session_id, agent_id, token_hash, password, expires_at, ended_at, told}: only the SHA-256 of the random
token is kept. `password`: a fingerprint of the hash of the password that began it. `told`: the gateways were told that
it is over. A session that is over stays until all that follows from it is done; the TTL index removes sessions that
nobody asked for again.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.common.mongo.client import Database


@dataclass(frozen=True)
class Session:
    """One login of an agent. `ended_at`: when it was ended before it expired. `told`: gateways know that it is over."""

    id: str
    agent_id: str
    expires_at: datetime
    ended_at: datetime | None = None
    told: bool = False

    def over_for(self, now: datetime) -> float:
        """Seconds since it was ended or expired."""
        return (now - (self.ended_at or self.expires_at)).total_seconds()


async def begin(
    db: Database, agent_id: str, now: datetime, hours: float, password: str | None = None
) -> tuple[Session, str]:
    """A new session and its token, which is known to nobody else from here on."""
    token = secrets.token_urlsafe(32)
    session = Session(str(uuid.uuid4()), agent_id, now + timedelta(hours=hours))
    await db["sessions"].insert_one(
        {
            "_id": session.id,
            "agent_id": agent_id,
            "token_hash": _digest(token),
            "password": password,
            "expires_at": session.expires_at,
            "ended_at": None,
        }
    )
    return session, token


async def find(db: Database, token: str, now: datetime) -> Session | None:
    """The live session of this token."""
    doc = await db["sessions"].find_one({"token_hash": _digest(token), "ended_at": None, "expires_at": {"$gt": now}})
    return _read(doc) if doc else None


async def end(db: Database, token: str, now: datetime) -> Session | None:
    """The session of this token is over; None when there is none. What follows from it may be done again."""
    doc = await db["sessions"].find_one({"token_hash": _digest(token)})
    if doc is None:
        return None
    await db["sessions"].update_one({"_id": doc["_id"], "ended_at": None}, {"$set": {"ended_at": now}})
    return _read({**doc, "ended_at": doc["ended_at"] or now})


async def end_all_of(db: Database, agent_ids: Iterable[str], now: datetime) -> None:
    """All sessions of these agents are over."""
    await db["sessions"].update_many(
        {"agent_id": {"$in": list(agent_ids)}, "ended_at": None}, {"$set": {"ended_at": now}}
    )


async def end_all(db: Database, agent_id: str, now: datetime) -> list[Session]:
    """All sessions of this agent are over; gives those that are not forgotten yet."""
    await end_all_of(db, [agent_id], now)
    return [_read(doc) for doc in await db["sessions"].find({"agent_id": agent_id}).to_list(None)]


async def end_oldest(db: Database, agent_id: str, most: int, now: datetime) -> list[Session]:
    """Of this agent's live sessions the latest `most` stay; gives those that gave way."""
    wanted = {"agent_id": agent_id, "ended_at": None, "expires_at": {"$gt": now}}
    live_ones = await db["sessions"].find(wanted).to_list(None)
    old = sorted(live_ones, key=lambda doc: (doc["expires_at"], doc["_id"]))[:-most]
    ids = [doc["_id"] for doc in old]
    if ids:
        await db["sessions"].update_many({"_id": {"$in": ids}, "ended_at": None}, {"$set": {"ended_at": now}})
    return [_read({**doc, "ended_at": now}) for doc in old]


async def end_changed(db: Database, passwords: Mapping[str, str], now: datetime) -> int:
    """End the live sessions whose password is not the agent's any more; how many. `passwords`: fingerprints by agent.

    A session without a fingerprint was begun by a version before 1.2 and ends with its hours.
    """
    changed = [
        doc["_id"]
        async for doc in db["sessions"].find({"ended_at": None, "agent_id": {"$in": list(passwords)}})
        if doc.get("password") not in (None, passwords[doc["agent_id"]])
    ]
    if changed:
        await db["sessions"].update_many({"_id": {"$in": changed}, "ended_at": None}, {"$set": {"ended_at": now}})
    return len(changed)


async def over(db: Database, now: datetime, age: float) -> list[Session]:
    """The sessions that were ended, or expired, at least `age` seconds ago and are not forgotten yet."""
    before = now - timedelta(seconds=age)
    docs = [
        *await db["sessions"].find({"ended_at": {"$lt": before}}).to_list(None),
        *await db["sessions"].find({"ended_at": None, "expires_at": {"$lt": before}}).to_list(None),
    ]
    return [_read(doc) for doc in docs]


async def told(db: Database, session_id: str) -> None:
    """The gateways know that this session is over; what becomes of its agent is not decided yet."""
    await db["sessions"].update_one({"_id": session_id}, {"$set": {"told": True}})


async def forget(db: Database, session_id: str) -> None:
    """All that follows from the end of this session is done."""
    await db["sessions"].delete_one({"_id": session_id})


async def live(db: Database, agent_ids: Iterable[str], now: datetime) -> dict[str, set[str]]:
    """The live sessions of each of these agents who has any."""
    wanted = {"agent_id": {"$in": list(agent_ids)}, "ended_at": None, "expires_at": {"$gt": now}}
    found: dict[str, set[str]] = {}
    async for doc in db["sessions"].find(wanted, {"agent_id": 1}):
        found.setdefault(doc["agent_id"], set()).add(doc["_id"])
    return found


def _read(doc: Mapping[str, Any]) -> Session:
    return Session(doc["_id"], doc["agent_id"], doc["expires_at"], doc["ended_at"], doc.get("told", False))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
