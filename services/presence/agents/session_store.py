"""Store of agents' sessions.

sessions: {_id: session_id, agent_id, token_hash, password, expires_at, ended_at, told, used_at, oidc, begun_at,
origin}. Only the SHA-256 of the random token is stored. `password`: a fingerprint of the password hash with which the
session was opened, or of the mapping of roles. `told`: the gateways were informed of the end. `used_at`: when it was
last used, to a minute; a session of a release before it has none, and has no limit of inactivity. `oidc`: {sub, sid,
refresh, refresh_at} of a session that the issuer began: its subject and session, and the sealed refresh token with the
time of its next use. `origin`: {network, browser, system} by which its person recognises it; a session of a release
before it has none. A session that has ended stays until all consequences are done; the TTL index removes sessions that
expired unnoticed.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from services.common.batches import batched
from services.common.http.addresses import network_of
from services.common.internal_api.sessions import Client
from services.common.mongo.client import Database
from services.common.mongo.queries import FEW, earlier_than, only

NOTED_EACH = timedelta(minutes=1)  # the use of a session is stored at most so often, and four times in its limit


@dataclass(frozen=True)
class Session:
    """One login of an agent.

    Attributes:
        id: The session.
        agent_id: The agent.
        expires_at: When it expires.
        ended_at: When it was ended before it expired.
        published: Whether the gateways know that it has ended.
    """

    id: str
    agent_id: str
    expires_at: datetime
    ended_at: datetime | None = None
    published: bool = False

    def over_for(self, now: datetime) -> float:
        """Return the seconds since it was ended or expired."""
        return (now - (self.ended_at or self.expires_at)).total_seconds()


@dataclass(frozen=True)
class IssuerSession:
    """What belongs to a session that the issuer began.

    Attributes:
        sub: The subject at the issuer.
        sid: The issuer's session, where it has an id.
        refresh: The sealed refresh token, where there is one.
        refresh_at: When it is used next.
    """

    sub: str
    sid: str | None = None
    refresh: str | None = None
    refresh_at: datetime | None = None


@dataclass(frozen=True)
class Origin:
    """From where a session was begun, as coarse as its person needs to recognise it.

    Attributes:
        network: The beginning of the address (`addresses.network_of`); empty: not known.
        browser: The family of the browser; empty: not known.
        system: The family of its operating system; empty: not known.
    """

    network: str = ""
    browser: str = ""
    system: str = ""

    @classmethod
    def of(cls, address: str, client: Client) -> Self:
        """Return what is kept of the key of an address, and of a browser."""
        return cls(network_of(address), client.browser, client.system)


@dataclass(frozen=True)
class LiveSession:
    """A live session, as its person sees it.

    Attributes:
        id: The session.
        agent_id: The agent or officer.
        expires_at: When it expires.
        begun_at: When it began; None: it is of an earlier release.
        used_at: When it was last used, to a minute; None: it is of an earlier release.
        origin: From where it was begun.
    """

    id: str
    agent_id: str
    expires_at: datetime
    begun_at: datetime | None
    used_at: datetime | None
    origin: Origin


class SessionStore:
    """Access to the documents of sessions."""

    def __init__(self, database: Database) -> None:
        self._sessions = database["sessions"]

    async def begin(
        self,
        agent_id: str,
        now: datetime,
        hours: float,
        password: str | None = None,
        oidc: IssuerSession | None = None,
        origin: Origin | None = None,
    ) -> tuple[Session, str]:
        """Create a session. Return it with its token, which is stored nowhere."""
        token = secrets.token_urlsafe(32)
        session = Session(str(uuid.uuid4()), agent_id, now + timedelta(hours=hours))
        await self._sessions.insert_one(
            {
                "_id": session.id,
                "agent_id": agent_id,
                "token_hash": _digest(token),
                "password": password,
                "expires_at": session.expires_at,
                "ended_at": None,
                "used_at": now,
                "begun_at": now,
                "origin": asdict(origin or Origin()),
                **({"oidc": asdict(oidc)} if oidc else {}),
            }
        )
        return session, token

    async def find(self, token: str, now: datetime, idle: timedelta | None = None) -> Session | None:
        """Return the live session of this token, which is used by that; or None.

        `idle`: a session that was not used for so long is not live.
        """
        doc = await self._sessions.find_one(
            {"token_hash": _digest(token), "ended_at": None, "expires_at": {"$gt": now}}
        )
        if doc is None:
            return None
        used = doc.get("used_at")
        if used and idle and now - used >= idle:
            return None
        if used and now - used >= (min(NOTED_EACH, idle / 4) if idle else NOTED_EACH):
            await self.use([doc["_id"]], now)
        return _read(doc)

    async def owners(self, session_ids: Collection[str]) -> dict[str, str]:
        """Return the agents of these sessions, of those that are live, by session."""
        wanted = set(session_ids)
        found = await self._sessions.find({**only("_id", wanted), "ended_at": None}, {"agent_id": 1}).to_list(None)
        return {doc["_id"]: doc["agent_id"] for doc in found if doc["_id"] in wanted}

    async def use(self, session_ids: Collection[str], now: datetime) -> None:
        """Record that these sessions are used. One that knows no use has no limit, and gets none."""
        for batch in batched(list(session_ids), FEW):
            wanted = {"_id": {"$in": list(batch)}, "ended_at": None, "used_at": {"$lt": now}}
            await self._sessions.update_many(wanted, {"$set": {"used_at": now}})

    async def end_idle(self, before: datetime, now: datetime) -> list[Session]:
        """End the live sessions that were not used since then. Return them."""
        wanted = {"used_at": {"$lte": before}, "ended_at": None}
        ids = [doc["_id"] async for doc in self._sessions.find(wanted, {"_id": 1})]
        if not ids:
            return []
        await self._sessions.update_many({"_id": {"$in": ids}, **wanted}, {"$set": {"ended_at": now}})
        return [_read(doc) for doc in await self._sessions.find({"_id": {"$in": ids}, "ended_at": now}).to_list(None)]

    async def end_others(self, session: Session, password: str, now: datetime) -> list[Session]:
        """End all live sessions of the agent of this one but it, which has this fingerprint now. Return them."""
        await self._sessions.update_one({"_id": session.id}, {"$set": {"password": password}})
        others = {"agent_id": session.agent_id, "ended_at": None, "_id": {"$ne": session.id}}
        return await self._end(await self._sessions.find(others).to_list(None), now)

    async def end(self, token: str, now: datetime) -> Session | None:
        """End the session of this token. Return it, or None when there is none. May be repeated."""
        doc = await self._sessions.find_one({"token_hash": _digest(token)})
        if doc is None:
            return None
        await self._sessions.update_one({"_id": doc["_id"], "ended_at": None}, {"$set": {"ended_at": now}})
        return _read({**doc, "ended_at": doc["ended_at"] or now})

    async def end_all_of(self, agent_ids: Iterable[str], now: datetime) -> None:
        """End all sessions of these agents."""
        await self._sessions.update_many(
            {"agent_id": {"$in": list(agent_ids)}, "ended_at": None}, {"$set": {"ended_at": now}}
        )

    async def end_all(self, agent_id: str, now: datetime) -> list[Session]:
        """End all sessions of this agent. Return those that are still stored."""
        await self.end_all_of([agent_id], now)
        return [_read(doc) for doc in await self._sessions.find({"agent_id": agent_id}).to_list(None)]

    async def end_oldest(self, agent_id: str, most: int, now: datetime) -> list[Session]:
        """End this agent's live sessions except the latest `most`. Return those that were ended."""
        wanted = {"agent_id": agent_id, "ended_at": None, "expires_at": {"$gt": now}}
        live_ones = await self._sessions.find(wanted).to_list(None)
        old = sorted(live_ones, key=lambda doc: (doc["expires_at"], doc["_id"]))[:-most]
        ids = [doc["_id"] for doc in old]
        if ids:
            await self._sessions.update_many({"_id": {"$in": ids}, "ended_at": None}, {"$set": {"ended_at": now}})
        return [_read({**doc, "ended_at": now}) for doc in old]

    async def end_live_of(self, agent_ids: Collection[str], now: datetime) -> list[Session]:
        """End the sessions of these agents that have not been ended yet. Return them."""
        wanted = {"agent_id": {"$in": list(agent_ids)}, "ended_at": None}
        return await self._end(await self._sessions.find(wanted).to_list(None), now) if agent_ids else []

    async def end_changed(self, passwords: Mapping[str, str], now: datetime) -> list[Session]:
        """End the live sessions whose password is no longer the agent's. Return them.

        A session without a fingerprint was opened before version 2.0; it ends when it expires.

        `passwords`: the fingerprints by agent.
        """
        live = await self._sessions.find({"ended_at": None, "agent_id": {"$in": list(passwords)}}).to_list(None)
        return await self._end([d for d in live if d.get("password") not in (None, passwords[d["agent_id"]])], now)

    # ── lists of sessions, for their people and for administrators ───────────────────────────────────────────────────

    async def listed(
        self,
        now: datetime,
        idle: timedelta | None = None,
        agent_ids: Collection[str] | None = None,
        session_id: str | None = None,
        most: int = 100,
    ) -> list[LiveSession]:
        """Return live sessions, those that were used last first.

        Args:
            now: The present time.
            idle: A session that was not used for so long is not live; None: there is no such limit.
            agent_ids: Only those of these people; None: of all.
            session_id: Only this one; None: all.
            most: How many are returned at most.
        """
        wanted: dict[str, Any] = {"ended_at": None, "expires_at": {"$gt": now}}
        if agent_ids is not None:
            wanted["agent_id"] = {"$in": list(agent_ids)}
        if session_id is not None:
            wanted["_id"] = session_id
        if idle is not None:
            wanted["$or"] = [{"used_at": {"$gt": now - idle}}, {"used_at": None}]
        found = await self._sessions.find(wanted).sort([("used_at", -1), ("_id", 1)]).limit(most).to_list(None)
        return [_listed(doc) for doc in found]

    async def end_of(self, agent_id: str, session_id: str, now: datetime) -> list[Session]:
        """End this session of this agent, if it is live. Return it in a list."""
        wanted = {"_id": session_id, "agent_id": agent_id, "ended_at": None, "expires_at": {"$gt": now}}
        return await self._end(await self._sessions.find(wanted).to_list(None), now)

    # ── sessions that the issuer began ───────────────────────────────────────────────────────────────────────────────

    async def end_at_issuer(self, sub: str | None, sid: str | None, now: datetime) -> list[Session]:
        """End the live sessions of this session of the issuer, or of all those of this subject. Return them."""
        wanted: dict[str, Any] = {"ended_at": None}
        if sid is not None:
            wanted["oidc.sid"] = sid
        if sub is not None:
            wanted["oidc.sub"] = sub
        docs = await self._sessions.find(wanted).to_list(None) if len(wanted) > 1 else []
        return await self._end(docs, now)

    async def end_by_id(self, session_id: str, now: datetime) -> list[Session]:
        """End this session, if it is live. Return it in a list."""
        return await self._end(await self._sessions.find({"_id": session_id, "ended_at": None}).to_list(None), now)

    async def take_refresh(self, now: datetime, again_at: datetime) -> tuple[Session, IssuerSession] | None:
        """Return a live session whose refresh token is to be used now, and put its next use off until `again_at`.

        Each is returned once, whatever the number of replicas that ask.
        """
        wanted = {"oidc.refresh_at": {"$lte": now}, "ended_at": None, "expires_at": {"$gt": now}}
        async for doc in self._sessions.find(wanted):
            mine = {"_id": doc["_id"], "oidc.refresh_at": doc["oidc"]["refresh_at"], "ended_at": None}
            if (await self._sessions.update_one(mine, {"$set": {"oidc.refresh_at": again_at}})).modified_count:
                return _read(doc), IssuerSession(**doc["oidc"])
        return None

    async def put_refresh(self, session_id: str, refresh: str) -> None:
        """Store the next sealed refresh token."""
        await self._sessions.update_one({"_id": session_id}, {"$set": {"oidc.refresh": refresh}})

    async def _end(self, docs: list[dict[str, Any]], now: datetime) -> list[Session]:
        ids = [doc["_id"] for doc in docs]
        if ids:
            await self._sessions.update_many({"_id": {"$in": ids}, "ended_at": None}, {"$set": {"ended_at": now}})
        return [_read({**doc, "ended_at": now}) for doc in docs]

    # ── what follows from an end ─────────────────────────────────────────────────────────────────────────────────────

    async def over(self, now: datetime, age: float) -> list[Session]:
        """Return the stored sessions that were ended, or expired, at least `age` seconds ago."""
        before = earlier_than(now - timedelta(seconds=age))
        ended = await self._sessions.find({"ended_at": before}).to_list(None)
        expired = await self._sessions.find({"expires_at": before}).to_list(None)  # few: the server deletes them
        return [_read(doc) for doc in [*ended, *(doc for doc in expired if doc["ended_at"] is None)]]

    async def mark_published(self, session_id: str) -> None:
        """Record that the gateways know of the end of this session; what it means for the agent is not decided yet."""
        await self._sessions.update_one({"_id": session_id}, {"$set": {"told": True}})

    async def forget(self, session_id: str) -> None:
        """Delete a session whose consequences are all done."""
        await self._sessions.delete_one({"_id": session_id})

    async def live(self, agent_ids: Iterable[str], now: datetime) -> dict[str, set[str]]:
        """Return the live sessions of each of these agents who has any."""
        wanted = set(agent_ids)
        live = {**only("agent_id", wanted), "ended_at": None, "expires_at": {"$gt": now}}
        found: dict[str, set[str]] = {}
        for doc in await self._sessions.find(live, {"agent_id": 1}).to_list(None):
            if doc["agent_id"] in wanted:
                found.setdefault(doc["agent_id"], set()).add(doc["_id"])
        return found


def _read(doc: Mapping[str, Any]) -> Session:
    return Session(doc["_id"], doc["agent_id"], doc["expires_at"], doc["ended_at"], doc.get("told", False))


def _listed(doc: Mapping[str, Any]) -> LiveSession:
    origin = doc.get("origin") or {}
    known = Origin(*(str(origin.get(part) or "")[:40] for part in ("network", "browser", "system")))
    return LiveSession(doc["_id"], doc["agent_id"], doc["expires_at"], doc.get("begun_at"), doc.get("used_at"), known)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
