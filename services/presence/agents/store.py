"""Store of agents and their slots. Each change is one compare-and-set on one document, and idempotent.

agents: {_id, username, name, password_hash, departments, capacity, supervisor, locales, enabled, online, state, free,
idle_since, seats [{chat_id, turn, since, leaving, confirmed, held, choice}], v, cause, untold_since, heard, missed}.
`v` grows with every change but those of slots; `untold_since` marks a change that is still to be published; `heard` are
the last events acted on; `missed`: when the agent, at work, last did not accept a chat in time; `idle_since`: when they
last gave up a slot, came, or ended a pause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import UpdateOne

from services.common.events.types import AgentState, Choice, ReleaseReason
from services.common.mongo.client import Database
from services.presence.agents.accounts import Account
from services.presence.seats.agent_selection import Candidate
from services.presence.seats.rules import Agent, Seat

MISSED = 2  # chats that an agent at work may miss within `MISSED_WITHIN` without being paused
MISSED_WITHIN = timedelta(minutes=10)
HEARD = 20  # events of one agent that are remembered, so that one delivered again late changes nothing
_THERE = {"online": True, "enabled": True, "state": AgentState.AVAILABLE.value, "free": {"$gt": 0}}


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def put_accounts(db: Database, accounts: Sequence[Account], now: datetime) -> list[str]:
    """The accounts are these; what an agent is doing is kept. Gives the ids of those who may not log in any more."""
    agents = db["agents"]
    if accounts:
        await agents.bulk_write([_upsert(account, now) for account in accounts], ordered=False)
    wanted = {account.id: account.capacity for account in accounts}
    async for doc in agents.find({}, {"capacity": 1}):
        new, old = wanted.get(doc["_id"]), doc["capacity"]
        if new is not None and new != old:
            change = {"$set": {"capacity": new}, "$inc": {"free": new - old}}
            await agents.update_one({"_id": doc["_id"], "capacity": old}, change)
    await agents.update_many({"_id": {"$nin": list(wanted)}, "enabled": True}, {"$set": {"enabled": False}})
    return [doc["_id"] async for doc in agents.find({"enabled": False}, {"_id": 1})]


def _upsert(account: Account, now: datetime) -> UpdateOne:
    known = account.model_dump(mode="json", exclude={"capacity"}) | {"enabled": True}
    first = {
        "capacity": account.capacity,
        "free": account.capacity,
        "online": False,
        "state": AgentState.AVAILABLE.value,
        "idle_since": now,
        "seats": [],
        "v": 1,
        "cause": "",
        "untold_since": None,
        "heard": [],
        "missed": [],
    }
    return UpdateOne({"_id": account.id}, {"$set": known, "$setOnInsert": first}, upsert=True)


async def password_of(db: Database, username: str) -> tuple[str, str] | None:
    """The id and the password hash of an agent who may log in."""
    doc = await db["agents"].find_one({"username": username, "enabled": True}, {"password_hash": 1})
    return (doc["_id"], doc["password_hash"]) if doc else None


# ── reading agents ───────────────────────────────────────────────────────────────────────────────────────────────────


async def agent(db: Database, agent_id: str) -> Agent | None:
    """This agent, if he may log in or did once."""
    found = await _agents(db, {"_id": agent_id})
    return found[0] if found else None


async def colleagues(db: Database, department: str | None, ids: Sequence[str] | None) -> list[Agent]:
    """The agents who may log in, by name: of a department, or with these ids, or all."""
    wanted: dict[str, Any] = {"enabled": True}
    if department is not None:
        wanted["departments"] = department
    if ids is not None:
        wanted["_id"] = {"$in": list(ids)}
    return sorted(await _agents(db, wanted), key=lambda a: (a.name, a.id))


async def absent(db: Database, ids: Iterable[str]) -> list[Agent]:
    """Those of these agents who may log in and count as offline."""
    return await _agents(db, {"_id": {"$in": list(ids)}, "enabled": True, "online": False})


async def online_ids(db: Database) -> set[str]:
    """The agents who count as online."""
    return {doc["_id"] async for doc in db["agents"].find({"online": True}, {"_id": 1})}


async def crew(db: Database) -> list[tuple[AgentState, list[str], int, int]]:
    """State, departments, free places and capacity of each agent who is online."""
    fields = {"_id": 0, "state": 1, "departments": 1, "free": 1, "capacity": 1}
    found = await db["agents"].find({"online": True, "enabled": True}, fields).to_list(None)
    return [(AgentState(doc["state"]), doc["departments"], doc["free"], doc["capacity"]) for doc in found]


async def holders(db: Database, *chat_ids: str) -> list[Agent]:
    """The agents with a seat of any of these chats."""
    return await _agents(db, {"seats.chat_id": chat_ids[0] if len(chat_ids) == 1 else {"$in": list(chat_ids)}})


async def seated(db: Database) -> list[Agent]:
    """The agents with any seat."""
    return await _agents(db, {"seats.0": {"$exists": True}})


async def leaving(db: Database) -> list[Agent]:
    """The agents with a seat that is leaving."""
    return await _agents(db, {"seats.leaving": {"$in": [reason.value for reason in ReleaseReason]}})


async def unconfirmed(db: Database) -> list[Agent]:
    """The agents with a seat that routing has not confirmed."""
    return await _agents(db, {"seats.confirmed": False})


async def untold(db: Database, before: datetime) -> list[Agent]:
    """The agents with a change from before this time that is still to be told."""
    return await _agents(db, {"untold_since": {"$lt": before}})


async def _agents(db: Database, wanted: Mapping[str, Any]) -> list[Agent]:
    return [_read(doc) for doc in await db["agents"].find(wanted, {"password_hash": 0, "heard": 0}).to_list(None)]


def _read(doc: Mapping[str, Any]) -> Agent:
    return Agent(
        id=doc["_id"],
        username=doc["username"],
        name=doc["name"],
        departments=tuple(doc["departments"]),
        capacity=doc["capacity"],
        supervisor=doc["supervisor"],
        locales=tuple(doc["locales"]),
        online=doc["online"],
        state=AgentState(doc["state"]),
        free=doc["free"],
        seats=tuple(_seat(s) for s in doc["seats"]),
        v=doc["v"],
        cause=doc["cause"],
    )


def _seat(doc: Mapping[str, Any]) -> Seat:
    leaving = ReleaseReason(doc["leaving"]) if doc["leaving"] else None
    choice = Choice.model_validate(doc["choice"]) if doc.get("choice") else None
    held, kept = doc.get("held", False), doc.get("kept", False)
    return Seat(doc["chat_id"], doc["turn"], doc["since"], leaving, doc["confirmed"], held, kept, choice)


# ── seats ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def candidates(db: Database) -> list[Candidate]:
    """Everyone who is there and available, those who are full too."""
    wanted = {name: value for name, value in _THERE.items() if name != "free"}
    fields = dict.fromkeys(("name", "departments", "locales", "capacity", "free", "idle_since", "seats.chat_id"), 1)
    return [
        Candidate(
            id=doc["_id"],
            name=doc["name"],
            departments=frozenset(doc["departments"]),
            locales=frozenset(doc["locales"]),
            capacity=doc["capacity"],
            free=doc["free"],
            idle_since=doc["idle_since"],
            seated=frozenset(seat["chat_id"] for seat in doc["seats"]),
        )
        for doc in await db["agents"].find(wanted, fields).to_list(None)
    ]


async def claim(
    db: Database,
    agent_id: str,
    chat_id: str,
    turn: int,
    now: datetime,
    choice: Choice | None = None,
    held: bool = False,
) -> bool:
    """A seat for this turn, if the agent is there, available, below capacity and holds no seat of this chat."""
    seat = {
        "chat_id": chat_id,
        "turn": turn,
        "since": now,
        "leaving": None,
        "confirmed": False,
        "held": held,
        "kept": False,
        "choice": choice.model_dump(mode="json") if choice else None,
    }
    result = await db["agents"].update_one(
        {"_id": agent_id, **_THERE, "seats.chat_id": {"$ne": chat_id}},
        {"$push": {"seats": seat}, "$inc": {"free": -1}},
    )
    return result.modified_count == 1


async def drop(db: Database, agent_id: str, chat_id: str, turn: int, now: datetime) -> bool:
    """The seat goes and the place is free; False when there was no such seat (any more)."""
    return await _remove(db, agent_id, {"chat_id": chat_id, "turn": turn}, now)


async def drop_all(db: Database, chat_id: str, now: datetime) -> int:
    """Every seat of the chat goes; how many there were. An agent never has two of one chat (see `claim`)."""
    result = await db["agents"].update_many(
        {"seats.chat_id": chat_id},
        {"$pull": {"seats": {"chat_id": chat_id}}, "$inc": {"free": 1}, "$set": {"idle_since": now}},
    )
    return result.modified_count


async def give_back(db: Database, agent_id: str, chat_id: str, turn: int, now: datetime) -> bool:
    """As `drop`, for the press that has just taken the seat; False also when it is kept: somebody was told of it."""
    return await _remove(db, agent_id, {"chat_id": chat_id, "turn": turn, "kept": False}, now)


async def _remove(db: Database, agent_id: str, seat: Mapping[str, Any], now: datetime) -> bool:
    result = await db["agents"].update_one(
        {"_id": agent_id, "seats": {"$elemMatch": seat}},
        {"$pull": {"seats": seat}, "$inc": {"free": 1}, "$set": {"idle_since": now}},
    )
    return result.modified_count == 1


async def keep(db: Database, agent_id: str, chat_id: str, turn: int) -> bool:
    """Somebody is told of this held seat: nobody gives it back from here on. False when it is gone, or kept already."""
    seat = {"chat_id": chat_id, "turn": turn, "leaving": None, "kept": False}
    result = await db["agents"].update_one(
        {"_id": agent_id, "seats": {"$elemMatch": seat}}, {"$set": {"seats.$.kept": True}}
    )
    return result.modified_count == 1


async def confirm(db: Database, agent_id: str, chat_id: str, turn: int) -> None:
    """Routing has said that the chat is assigned so."""
    seat = {"chat_id": chat_id, "turn": turn, "confirmed": False}
    await db["agents"].update_one(
        {"_id": agent_id, "seats": {"$elemMatch": seat}}, {"$set": {"seats.$.confirmed": True}}
    )


# ── changes of state: each makes v one higher and leaves the mark that it is to be told ──────────────────────────────


async def set_online(db: Database, agent_id: str, v: int, now: datetime) -> bool:
    """Online, if nothing has changed since `v`. Seats that were leaving go on leaving."""
    fields = {"online": True, "idle_since": now}
    return await _change(db, {"_id": agent_id, "v": v, "online": False}, fields, "back", now)


async def set_offline(db: Database, agent_id: str, v: int, reason: ReleaseReason, now: datetime) -> bool:
    """Offline with every seat leaving, if nothing has changed since `v`.

    Whoever was about to set the agent online on what he read before finds another `v`, even if he was offline already.
    """
    fields = {"online": False, "seats.$[held].leaving": reason.value, "seats.$[held].since": now}
    return await _change(db, {"_id": agent_id, "v": v}, fields, "gone", now, [{"held.leaving": None}])


async def set_state(db: Database, agent_id: str, state: AgentState, cause: str, event: str, now: datetime) -> bool:
    """Available or paused; False when he was already, or when this `event` was acted on before."""
    fresh = {"_id": agent_id, "heard": {"$ne": event}}
    fields = {"state": state.value, **({"idle_since": now, "missed": []} if state is AgentState.AVAILABLE else {})}
    if await _change(db, {**fresh, "state": {"$ne": state.value}}, fields, cause, now, heard=event):
        return True
    await db["agents"].update_one(fresh, {"$push": {"heard": {"$each": [event], "$slice": -HEARD}}})
    return False


async def spare(db: Database, agent_id: str, event: str, now: datetime) -> bool:
    """Whether a chat that this agent did not accept in time, though at work, is let pass. Idempotent for each `event`.

    False from the third one within `MISSED_WITHIN` on: then the agent is to be paused.
    """
    expected = {
        "_id": agent_id,
        "heard": {"$ne": event},
        "$or": [{f"missed.{MISSED - 1}": {"$exists": False}}, {"missed.0": {"$lt": now - MISSED_WITHIN}}],
    }
    update = {
        "$push": {"heard": {"$each": [event], "$slice": -HEARD}, "missed": {"$each": [now], "$slice": -MISSED}},
    }
    return (await db["agents"].update_one(expected, update)).modified_count == 1


async def told(db: Database, agent_id: str, v: int) -> None:
    """What became of the agent up to `v` was told."""
    await db["agents"].update_one({"_id": agent_id, "v": v}, {"$set": {"untold_since": None}})


async def _change(
    db: Database,
    expected: Mapping[str, Any],
    fields: Mapping[str, Any],
    cause: str,
    now: datetime,
    filters: list[Mapping[str, Any]] | None = None,
    heard: str | None = None,
) -> bool:
    update: dict[str, Any] = {"$set": {**fields, "cause": cause, "untold_since": now}, "$inc": {"v": 1}}
    if heard:
        update["$push"] = {"heard": {"$each": [heard], "$slice": -HEARD}}
    result = await db["agents"].update_one(expected, update, array_filters=filters)
    return result.modified_count == 1
