"""Store of agents and their slots. Each change is one compare-and-set on one document, and idempotent.

agents: {_id, username, name, password_hash, departments, capacity, supervisor, locales, enabled, online, state, free,
idle_since, state_since, seats [{chat_id, turn, since, leaving, confirmed, held, choice, until, wrap_up}], v, cause,
untold_since, heard, missed, wrapped_up [{chat_id, department, seconds}], pause_reason, pause {id, since, reason},
pauses_over [{id, since, reason, seconds}]}. `until` is only in a slot that an open form
reserves, or in which the agent wraps up a chat of the department `wrap_up`. Such a slot looks as if a form reserved it,
so that an earlier release frees it too. `wrapped_up` has ended wrap-ups that are still to be published. `v` grows with
every change except those of slots that are no wrap-up. `untold_since` marks a change that is still to be published.
`heard` has the last events that were handled. `missed`: when the agent, while active, last did not accept a chat in
time. `idle_since`: when they last gave up a slot, came online, or ended a pause. `state_since`: when they last came
online, went offline, paused or resumed. `pause` is there while the agent is paused and online: that time counts.
`pauses_over` has ended pauses that are still to be published. `oidc` {issuer, subject, organisation}: the account is of
the issuer's person; it has no password. `changed`, `must_change_password`: `people_store.py`. The secrets of
one-time passwords are not here. `second_factor` is the fingerprint of the secret in the newest accounts that a replica
has read: a replica with another secret refuses the login (`logins.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo import UpdateOne

from services.common.batches import batched
from services.common.events.types import AgentState, Choice, ReleaseReason
from services.common.mongo.client import Database
from services.common.mongo.queries import earlier_than, only
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from services.presence.agents.people_store import PeopleStore
from services.presence.oidc.roles import Membership
from services.presence.slots.agent_selection import Candidate
from services.presence.slots.rules import Agent, EndedPause, EndedWrapUp, Pause, Slot, ended_pause

MISSED = 2  # chats that an active agent may miss within `MISSED_WITHIN` without being paused
MISSED_WITHIN = timedelta(minutes=10)
REMEMBERED = 20  # events of one agent that are remembered, so that a late redelivery changes nothing
AT_ONCE = 20  # accounts written with one command: the embedded database takes up to 20 ms for each
_WITH_SLOTS = {"seats.0": {"$exists": True}}
_NEXT_V = {"$inc": {"v": 1}}
_THERE = {"online": True, "enabled": True, "state": AgentState.AVAILABLE.value, "free": {"$gt": 0}}


class AgentStore(PeopleStore):
    """Access to the documents of agents."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "agents")
        self._documents = self._people

    # ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_accounts(self, accounts: Sequence[Account], now: datetime, issuer: str | None = None) -> list[str]:
        """Store the accounts of agents, whose state is kept. Return the ids of agents who may not log in any more.

        Only accounts that differ from what is stored are written, in batches: there may be many thousands. A changed
        one is marked as unpublished. Agents whom this issuer has logged in are kept.
        """
        agents, accounts = self._documents, [account for account in accounts if account.role is None]
        own = set(Account.model_fields) - {"role", "disabled"}
        fields = dict.fromkeys((*own, "enabled", "oidc", "second_factor"), 1)
        stored = {doc["_id"]: doc for doc in await agents.find({}, fields).to_list(None)}
        new = [account for account in accounts if not _is_stored(account, stored.get(account.id, {}))]
        for batch in batched(new, AT_ONCE):
            writes = [_changed(a, now) if a.id in stored else _upsert(a, now) for a in batch]
            await agents.bulk_write(writes, ordered=False)
        wanted = {account.id: account.capacity for account in accounts}
        for doc in stored.values():
            new_capacity, old = wanted.get(doc["_id"]), doc["capacity"]
            if new_capacity is not None and new_capacity != old:
                change = {"$set": {"capacity": new_capacity}, "$inc": {"free": new_capacity - old}}
                await agents.update_one({"_id": doc["_id"], "capacity": old}, change)
        gone = [
            id_
            for id_, doc in stored.items()
            if id_ not in wanted and doc["enabled"] and (issuer is None or doc.get("oidc", {}).get("issuer") != issuer)
        ]
        if gone:
            await self.disable(gone)
        return [doc["_id"] async for doc in agents.find({"enabled": False}, {"_id": 1})]

    async def with_other_rights(self, accounts: Sequence[Account]) -> list[str]:
        """Return the agents who are to become, or to cease to be, supervisors by these accounts."""
        wanted = {account.id: account.supervisor for account in accounts if account.role is None}
        found = self._documents.find({"_id": {"$in": list(wanted)}}, {"supervisor": 1})
        return [doc["_id"] async for doc in found if doc["supervisor"] != wanted[doc["_id"]]]

    async def disable(self, agent_ids: Sequence[str]) -> None:
        """These agents may not log in any more."""
        await self._documents.update_many(
            {"_id": {"$in": list(agent_ids)}, "enabled": True}, {"$set": {"enabled": False}}
        )

    async def put_person(self, agent_id: str, person: Membership, issuer: str, now: datetime) -> None:
        """Store the account of a person whom the issuer has logged in; the state of the agent is kept."""
        known = {
            "username": f"oidc-{agent_id}",
            "name": person.name,
            "password_hash": "",
            "departments": list(person.departments),
            "supervisor": person.supervisor,
            "locales": list(person.locales),
            "oidc": {"issuer": issuer, "subject": person.subject, "organisation": person.organisation},
            "enabled": True,
        }
        await self._documents.bulk_write([_upserted(agent_id, known, person.capacity, now)])
        old = await self._documents.find_one({"_id": agent_id}, {"capacity": 1})
        if old and old["capacity"] != person.capacity:
            change = {"$set": {"capacity": person.capacity}, "$inc": {"free": person.capacity - old["capacity"]}}
            await self._documents.update_one({"_id": agent_id, "capacity": old["capacity"]}, change)

    async def available(self, agent_ids: Collection[str]) -> set[str]:
        """Return those of these agents who are online and available."""
        wanted = {**only("_id", agent_ids), "online": True, "state": AgentState.AVAILABLE.value}
        found = await self._documents.find(wanted, {"_id": 1}).to_list(None)
        return {doc["_id"] for doc in found}.intersection(agent_ids)

    # ── reading agents ───────────────────────────────────────────────────────────────────────────────────────────────

    async def agent(self, agent_id: str) -> Agent | None:
        """Return this agent, if they may log in or ever could."""
        found = await self._find({"_id": agent_id})
        return found[0] if found else None

    async def colleagues(
        self, department: str | None, ids: Sequence[str] | None, departments: Sequence[str] | None = None
    ) -> list[Agent]:
        """Return agents who may log in, by name: of a department or several, or with these ids, or all."""
        wanted: dict[str, Any] = {"enabled": True}
        if departments is not None:
            wanted["departments"] = {"$in": list(departments)}
        if department is not None:
            wanted["departments"] = department
        if ids is not None:
            wanted["_id"] = {"$in": list(ids)}
        return sorted(await self._find(wanted), key=lambda a: (a.name, a.id))

    async def offline(self, ids: Iterable[str]) -> list[Agent]:
        """Return those of these agents who may log in and are offline."""
        wanted = set(ids)
        found = await self._find({**only("_id", wanted), "enabled": True, "online": False})
        return [agent for agent in found if agent.id in wanted]

    async def online_ids(self, among: Collection[str] | None = None) -> set[str]:
        """Return the agents who are online: all, or those of `among`."""
        wanted = {"online": True, **({} if among is None else only("_id", among))}
        found = {doc["_id"] for doc in await self._documents.find(wanted, {"_id": 1}).to_list(None)}
        return found if among is None else found.intersection(among)

    async def departments_of(self, agent_id: str) -> list[str]:
        """Return the departments that this agent serves."""
        doc = await self._documents.find_one({"_id": agent_id}, {"departments": 1})
        return doc["departments"] if doc else []

    async def departments_holding(self, chat_id: str) -> set[str]:
        """Return the departments of the agents with a slot of this chat."""
        found = await self._documents.find({"seats.chat_id": chat_id}, {"departments": 1}).to_list(None)
        return {department for doc in found for department in doc["departments"]}

    async def crew(self, departments: Collection[str] | None = None) -> list[tuple[AgentState, list[str], int, int]]:
        """Return state, departments, free slots and capacity of each agent who is online and takes chats.

        A supervisor whose capacity is 0 takes none: no citizen can wait for them.

        Args:
            departments: Only agents who serve one of these; None: all agents.
        """
        served = None if departments is None else set(departments)
        there: dict[str, Any] = {"online": True, "enabled": True, "capacity": {"$gt": 0}}
        wanted = there if served is None else {**there, **only("departments", served)}
        fields = {"_id": 0, "state": 1, "departments": 1, "free": 1, "capacity": 1}
        found = await self._documents.find(wanted, fields).to_list(None)
        return [
            (AgentState(doc["state"]), doc["departments"], doc["free"], doc["capacity"])
            for doc in found
            if served is None or not served.isdisjoint(doc["departments"])
        ]

    async def holders(self, *chat_ids: str) -> list[Agent]:
        """Return the agents with a slot of any of these chats."""
        return await self._find({"seats.chat_id": chat_ids[0] if len(chat_ids) == 1 else {"$in": list(chat_ids)}})

    async def ids_with_slots(self) -> list[str]:
        """Return the ids of the agents with any slot in use."""
        return [doc["_id"] for doc in await self._documents.find(_WITH_SLOTS, {"_id": 1}).to_list(None)]

    async def with_slots(self, ids: Collection[str]) -> list[Agent]:
        """Return those of these agents with any slot in use."""
        return await self._find({"_id": {"$in": list(ids)}, **_WITH_SLOTS})

    async def leaving(self) -> list[Agent]:
        """Return the agents with a slot that is being given up."""
        return await self._find({"seats.leaving": {"$in": [reason.value for reason in ReleaseReason]}})

    async def unconfirmed(self) -> list[Agent]:
        """Return the agents with a slot that routing has not confirmed."""
        return await self._find({"seats.confirmed": False})

    async def unpublished(self, before: datetime) -> list[Agent]:
        """Return the agents with an unpublished change from before this time."""
        return await self._find({"untold_since": earlier_than(before)})

    async def _find(self, wanted: Mapping[str, Any]) -> list[Agent]:
        return [
            _read(doc) for doc in await self._documents.find(wanted, {"password_hash": 0, "heard": 0}).to_list(None)
        ]

    # ── slots ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def candidates(self, departments: Collection[str], ids: Collection[str] = ()) -> list[Candidate]:
        """Return agents who take chats, and are online and available, including those at capacity.

        Only agents of the departments are read, so the cost does not depend on how many others there are.

        Args:
            departments: Return the agents who serve one of these.
            ids: Return these agents too.
        """
        fields = dict.fromkeys(("name", "departments", "locales", "capacity", "free", "idle_since", "seats.chat_id"), 1)
        there = {**_THERE, "capacity": {"$gt": 0}}  # a supervisor may take no chats
        del there["free"]
        wanted = [("departments", departments), ("_id", ids)]
        reads = [
            self._documents.find({name: {"$in": list(of)}, **there}, fields).to_list(None) for name, of in wanted if of
        ]
        found = {doc["_id"]: doc for docs in await asyncio.gather(*reads) for doc in docs}
        return [
            Candidate(
                id=doc["_id"],
                name=doc["name"],
                departments=frozenset(doc["departments"]),
                locales=frozenset(doc["locales"]),
                capacity=doc["capacity"],
                free=doc["free"],
                idle_since=doc["idle_since"],
                seated=frozenset(slot["chat_id"] for slot in doc["seats"]),
            )
            for doc in found.values()
        ]

    async def reserve(
        self,
        agent_id: str,
        chat_id: str,
        turn: int,
        now: datetime,
        choice: Choice | None = None,
        by_press: bool = False,
        until: datetime | None = None,
    ) -> bool:
        """Take a slot for this attempt of the chat. Return whether it was taken.

        The agent must be online, available and below capacity, and have no slot of this chat. `until`: an open form
        reserves it until then.
        """
        slot = {
            "chat_id": chat_id,
            "turn": turn,
            "since": now,
            "leaving": None,
            "confirmed": False,
            "held": by_press,
            "kept": False,
            "choice": choice.model_dump(mode="json") if choice else None,
            **({"until": until} if until else {}),
        }
        result = await self._documents.update_one(
            {"_id": agent_id, **_THERE, "seats.chat_id": {"$ne": chat_id}},
            {"$push": {"seats": slot}, "$inc": {"free": -1}},
        )
        return result.modified_count == 1

    async def drop(self, agent_id: str, chat_id: str, turn: int, now: datetime) -> bool:
        """Free this slot. Return False when there is no such slot (any more)."""
        return await self._remove(agent_id, {"chat_id": chat_id, "turn": turn}, now)

    async def drop_all(self, chat_id: str, now: datetime) -> int:
        """Free every slot of the chat. Return their number.

        An agent never has two slots of one chat (see `reserve`). One in which the agent wraps the chat up stays.
        """
        slot = {"chat_id": chat_id, "wrap_up": None}
        result = await self._documents.update_many(
            {"seats.chat_id": chat_id, "seats": {"$elemMatch": slot}},  # the first is what the index has
            {"$pull": {"seats": slot}, "$inc": {"free": 1}, "$set": {"idle_since": now}},
        )
        return result.modified_count

    async def begin_wrap_up(
        self, agent_id: str, chat_id: str, turn: int, department: str, since: datetime, until: datetime, now: datetime
    ) -> bool:
        """Keep the slot of a chat that has ended, for its wrap-up. Return False when there is no such slot (any more).

        Args:
            agent_id: The agent who had the chat.
            chat_id: The chat.
            turn: Its attempt.
            department: Its department.
            since: When it ended.
            until: When the wrap-up ends by itself.
            now: The present.
        """
        slot = {"chat_id": chat_id, "turn": turn, "leaving": None, "wrap_up": None}
        as_form = {"confirmed": False, "held": True, "kept": False, "since": since, "until": until}
        fields = {**as_form, "wrap_up": department}
        result = await self._documents.update_one(
            {"_id": agent_id, "seats": {"$elemMatch": slot}},
            {"$set": {**{f"seats.$.{name}": value for name, value in fields.items()}, "untold_since": now}, **_NEXT_V},
        )
        return result.modified_count == 1

    async def end_wrap_up(self, agent_id: str, slot: Slot, now: datetime) -> EndedWrapUp | None:
        """Free a slot in which the agent wraps up a chat. Return what ended, or None when it had ended already."""
        if slot.wrap_up is None or slot.until is None:
            return None
        seconds = max(0, round((min(now, slot.until) - slot.since).total_seconds()))
        ended = EndedWrapUp(slot.chat_id, slot.wrap_up, seconds)
        mine = {"chat_id": slot.chat_id, "wrap_up": slot.wrap_up}
        result = await self._documents.update_one(
            {"_id": agent_id, "seats": {"$elemMatch": mine}},
            {
                "$pull": {"seats": mine},
                "$inc": {"free": 1, "v": 1},
                "$set": {"idle_since": now, "untold_since": now},
                "$push": {"wrapped_up": asdict(ended)},
            },
        )
        return ended if result.modified_count == 1 else None

    async def withdraw(self, agent_id: str, chat_id: str, turn: int, now: datetime) -> bool:
        """Free a slot that a press has just taken. Return False when it does not exist or was announced."""
        return await self._remove(agent_id, {"chat_id": chat_id, "turn": turn, "kept": False}, now)

    async def _remove(self, agent_id: str, slot: Mapping[str, Any], now: datetime) -> bool:
        result = await self._documents.update_one(
            {"_id": agent_id, "seats": {"$elemMatch": slot}},
            {"$pull": {"seats": slot}, "$inc": {"free": 1}, "$set": {"idle_since": now}},
        )
        return result.modified_count == 1

    async def renew(self, chat_id: str, now: datetime, seconds: float, most: float) -> float:
        """Extend the slot that an open form reserves. Return for how many seconds from now; 0: the form has none.

        Args:
            chat_id: The chat that the form would start.
            now: The present.
            seconds: How long from now on.
            most: How long in all, counted from the reservation.
        """
        for agent in await self.holders(chat_id):
            for slot in agent.slots:
                if slot.chat_id != chat_id or not slot.form or slot.lapsed(now):
                    continue
                until = min(now + timedelta(seconds=seconds), slot.since + timedelta(seconds=most))
                held = {"chat_id": chat_id, "since": slot.since, "kept": False, "leaving": None}
                result = await self._documents.update_one(
                    {"_id": agent.id, "seats": {"$elemMatch": held}}, {"$set": {"seats.$.until": until}}
                )
                if result.modified_count or until == slot.until:
                    return max(0.0, (until - now).total_seconds())
        return 0.0

    async def release_form(self, chat_id: str, now: datetime, lapsed_at: datetime | None = None) -> list[str]:
        """Free the slots that an open form reserves for this chat. Return the departments of their agents.

        A slot with which a chat was started stays.

        Args:
            chat_id: The chat.
            now: The present.
            lapsed_at: Free only a slot whose time was over then, or that is being given up.
        """
        freed: list[str] = []
        for agent in await self.holders(chat_id):
            for slot in agent.slots:
                if slot.chat_id != chat_id or not slot.form or (lapsed_at and not slot.lapsed(lapsed_at)):
                    continue
                held = {"chat_id": chat_id, "turn": slot.turn, "until": slot.until, "kept": False}
                if await self._remove(agent.id, held, now):
                    freed += agent.departments
        return freed

    async def mark_announced(self, agent_id: str, chat_id: str, turn: int, now: datetime) -> bool:
        """Mark a reservation as announced; it can no longer be given back. Its age counts from `now`.

        Returns:
            False when it does not exist, or was marked already.
        """
        slot = {"chat_id": chat_id, "turn": turn, "leaving": None, "kept": False}
        result = await self._documents.update_one(
            {"_id": agent_id, "seats": {"$elemMatch": slot}}, {"$set": {"seats.$.kept": True, "seats.$.since": now}}
        )
        return result.modified_count == 1

    async def confirm(self, agent_id: str, chat_id: str, turn: int) -> None:
        """Record that routing has confirmed the assignment."""
        slot = {"chat_id": chat_id, "turn": turn, "confirmed": False}
        await self._documents.update_one(
            {"_id": agent_id, "seats": {"$elemMatch": slot}}, {"$set": {"seats.$.confirmed": True}}
        )

    # ── changes of state: each increments v and marks the change as unpublished ──────────────────────────────────────

    async def set_online(self, agent_id: str, v: int, now: datetime) -> bool:
        """Set the agent online, if nothing has changed since `v`. Slots that are being given up stay so.

        A pause goes on: its time counts from now on.
        """
        agent = await self.agent(agent_id)
        if agent is None or agent.v != v or agent.online:
            return False
        paused = agent.state is AgentState.PAUSED
        fields = {"online": True, "idle_since": now, "pause": _new_pause(agent.pause_reason, now) if paused else None}
        return await self._change({"_id": agent_id, "v": v, "online": False}, fields, "back", now)

    async def set_offline(self, agent_id: str, v: int, reason: ReleaseReason, now: datetime) -> bool:
        """Set the agent offline and give up every slot, if nothing has changed since `v`.

        Wrap-ups go on until their time is over, unless the agent has logged out. `v` grows even when the agent was
        offline already, so that a concurrent `set_online` that read before fails. The time of a pause ends.
        """
        agent = await self.agent(agent_id)
        if agent is None or agent.v != v:
            return False
        fields = {
            "online": False,
            "pause": None,
            "seats.$[slot].leaving": reason.value,
            "seats.$[slot].since": now,
            "seats.$[wrapped].leaving": reason.value if reason is ReleaseReason.LOGGED_OUT else None,
        }
        filters: list[Mapping[str, Any]] = [
            {"slot.leaving": None, "slot.wrap_up": None},
            {"wrapped.leaving": None, "wrapped.wrap_up": {"$ne": None}},
        ]
        return await self._change({"_id": agent_id, "v": v}, fields, "gone", now, filters, over=agent.pause)

    async def set_state(
        self, agent_id: str, state: AgentState, cause: str, event: str, now: datetime, reason: str | None = None
    ) -> bool:
        """Set the agent available or paused.

        Return False when they were already, or when this `event` was handled before. `reason`: the reason of a pause. A
        paused agent who chooses another one is changed too; without a reason the one that they chose stays.
        """
        fresh = {"_id": agent_id, "heard": {"$ne": event}}
        available = state is AgentState.AVAILABLE
        while agent := await self.agent(agent_id):
            if agent.state is state and (available or reason in (None, agent.pause_reason)):
                break
            fields = {
                "state": state.value,
                "pause_reason": None if available else reason,
                "pause": _new_pause(reason, now) if agent.online and not available else None,
                **({"idle_since": now, "missed": []} if available else {}),
            }
            unchanged = {**fresh, "v": agent.v}
            if await self._change(unchanged, fields, cause, now, event=event, over=agent.pause):
                return True
            if await self._documents.find_one({"_id": agent_id, "heard": event}, {"_id": 1}):
                return False
        await self._documents.update_one(fresh, {"$push": {"heard": {"$each": [event], "$slice": -REMEMBERED}}})
        return False

    async def spare(self, agent_id: str, event: str, now: datetime) -> bool:
        """Record that an active agent did not accept a chat in time. Return whether that is tolerated.

        False from the third time within `MISSED_WITHIN` on: then the agent is to be paused. Idempotent for each
        `event`.
        """
        expected = {
            "_id": agent_id,
            "heard": {"$ne": event},
            "$or": [{f"missed.{MISSED - 1}": {"$exists": False}}, {"missed.0": {"$lt": now - MISSED_WITHIN}}],
        }
        update = {
            "$push": {
                "heard": {"$each": [event], "$slice": -REMEMBERED},
                "missed": {"$each": [now], "$slice": -MISSED},
            },
        }
        return (await self._documents.update_one(expected, update)).modified_count == 1

    async def mark_published(
        self, agent_id: str, v: int, wrapped_up: Sequence[EndedWrapUp] = (), pauses: Sequence[EndedPause] = ()
    ) -> None:
        """Record that the agent's state up to `v`, and these ended wrap-ups and pauses, were published."""
        if pauses:
            over = {"id": {"$in": [one.id for one in pauses]}}
            await self._documents.update_one({"_id": agent_id}, {"$pull": {"pauses_over": over}})
        if wrapped_up:
            published = {"chat_id": {"$in": [one.chat_id for one in wrapped_up]}}
            await self._documents.update_one({"_id": agent_id}, {"$pull": {"wrapped_up": published}})
        await self._documents.update_one({"_id": agent_id, "v": v}, {"$set": {"untold_since": None}})

    async def _change(
        self,
        expected: Mapping[str, Any],
        fields: Mapping[str, Any],
        cause: str,
        now: datetime,
        filters: list[Mapping[str, Any]] | None = None,
        event: str | None = None,
        over: Pause | None = None,
    ) -> bool:
        noted = {"cause": cause, "untold_since": now, "state_since": now}
        update: dict[str, Any] = {"$set": {**fields, **noted}, "$inc": {"v": 1}}
        pushed: dict[str, Any] = {}
        if event:
            pushed["heard"] = {"$each": [event], "$slice": -REMEMBERED}
        if over:
            pushed["pauses_over"] = asdict(ended_pause(over, now))
        if pushed:
            update["$push"] = pushed
        result = await self._documents.update_one(expected, update, array_filters=filters)
        return result.modified_count == 1


def _known(account: Account) -> dict[str, Any]:
    """Return the members of a document that are the account's, without the capacity and what stays in the file."""
    elsewhere = {"capacity", "role", "totp_secret", "break_glass", "disabled"}
    known = account.model_dump(mode="json", exclude=elsewhere)
    return known | {"enabled": True} | totp.known_of(account.totp_secret)


def _is_stored(account: Account, doc: Mapping[str, Any]) -> bool:
    found = {"second_factor": "", "must_change_password": False, **doc}  # absent: of an earlier release
    return all(name in found and found[name] == value for name, value in _known(account).items())


def _upsert(account: Account, now: datetime) -> UpdateOne:
    return _upserted(account.id, _known(account), account.capacity, now)


def _changed(account: Account, now: datetime) -> UpdateOne:
    return UpdateOne({"_id": account.id}, {"$set": {**_known(account), "untold_since": now}, **_NEXT_V})


def _upserted(agent_id: str, known: Mapping[str, Any], capacity: int, now: datetime) -> UpdateOne:
    first = {
        "capacity": capacity,
        "free": capacity,
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
    return UpdateOne({"_id": agent_id}, {"$set": known, "$setOnInsert": first}, upsert=True)


def _read(doc: Mapping[str, Any]) -> Agent:
    paused = doc["state"] == AgentState.PAUSED
    counts = paused and doc["online"]  # a release before 2.0 leaves the pause there when it ends it
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
        slots=tuple(_slot(s) for s in doc["seats"]),
        v=doc["v"],
        cause=doc["cause"],
        unpublished=tuple(EndedWrapUp(**one) for one in doc.get("wrapped_up", ())),
        since=doc.get("state_since"),
        pause_reason=doc.get("pause_reason") if paused else None,
        pause=Pause(**doc["pause"]) if counts and doc.get("pause") else None,
        unpublished_pauses=tuple(EndedPause(**one) for one in doc.get("pauses_over", ())),
    )


def _new_pause(reason: str | None, now: datetime) -> dict[str, Any]:
    return asdict(Pause(str(uuid4()), now, reason))


def _slot(doc: Mapping[str, Any]) -> Slot:
    leaving = ReleaseReason(doc["leaving"]) if doc["leaving"] else None
    choice = Choice.model_validate(doc["choice"]) if doc.get("choice") else None
    by_press, announced = doc.get("held", False), doc.get("kept", False)
    return Slot(
        doc["chat_id"],
        doc["turn"],
        doc["since"],
        leaving,
        doc["confirmed"],
        by_press,
        announced,
        choice,
        doc.get("until"),
        doc.get("wrap_up"),
    )
