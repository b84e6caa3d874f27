"""Store of the outbox: one document for each notice and target, until some days after it was delivered.

Collections:

- outbox: {_id: "<target>:<notice>", target, notice, type, chat_id, department, at, data, state, due_at, attempts,
  made_at, expires_at}, and where there is one: claim, cause, tried_at, done_at. `state` is `due`, `done` or `dead`.
  `chat_id` is the number under which it is erased with the chat. The server deletes what has expired.
- announced_buttons: {_id: department, revision}: the buttons that were announced last.
- questions, ratings: the member `announced`, false until the notice is in the outbox, and `label_announced` of chats;
  absent where no target is notified of them.

A delivery is claimed for a limited time by moving `due_at`. A replica that dies while it delivers loses nothing: the
delivery is due again after that time. Every method may be repeated.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, UpdateOne

from services.common.mongo.client import Database
from services.transcripts.access.participation import department_of
from services.transcripts.outbox.rules import Notice

DONE_KEPT = timedelta(days=7)
"""How long a delivery is remembered, so that an event that is handled again does not repeat it."""
DEAD_KEPT = timedelta(days=30)
_UNANNOUNCED = {"announced": False}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed delivery. `attempts` counts this attempt."""

    id: str
    claim: str
    notice: str
    type: str
    at: datetime
    data: dict[str, Any]
    attempts: int
    made_at: datetime
    chat_id: str | None = None
    department: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a target has not got: deliveries that are due, when the oldest was made, and dead letters."""

    due: int
    oldest: datetime | None
    dead: int


class Outbox:
    """Access to the outbox. All methods raise `PyMongoError` when the database does not answer."""

    def __init__(self, database: Database, patience: timedelta) -> None:
        """Use the collections of this database. `patience`: for how long a delivery is tried."""
        self._outbox, self._buttons = database["outbox"], database["announced_buttons"]
        self._questions, self._ratings, self._chats = database["questions"], database["ratings"], database["chats"]
        self._patience = patience

    # ── notices ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add(
        self, notices: Iterable[tuple[str, Notice]], now: datetime, waits: Mapping[str, timedelta] | None = None
    ) -> int:
        """Store deliveries: targets with their notices. What is there already stays. Return how many are new.

        Args:
            notices: The targets with their notices.
            now: The present.
            waits: How long deliveries to a target wait before they are due.
        """
        writes = []
        for target, notice in notices:
            due = now + (waits or {}).get(target, timedelta(0))
            document = self._document(target, notice, now, due)
            writes.append(UpdateOne({"_id": f"{target}:{notice.id}"}, {"$setOnInsert": document}, True))
        if not writes:
            return 0
        return int((await self._outbox.bulk_write(writes, ordered=True)).upserted_count)

    def _document(self, target: str, notice: Notice, now: datetime, due: datetime) -> dict[str, Any]:
        return {
            "target": target,
            "notice": notice.id,
            "type": notice.type,
            "chat_id": notice.chat_id,
            "department": notice.department,
            "at": notice.at,
            "data": dict(notice.data),
            "state": "due",
            "due_at": due,
            "attempts": 0,
            "made_at": now,
            "expires_at": now + self._patience + DEAD_KEPT,
        }

    async def unannounced(self, limit: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return left questions and ratings whose notices are not in the outbox yet, at most so many of each."""
        questions = await self._questions.find(_UNANNOUNCED).limit(limit).to_list(None)
        return questions, await self._ratings.find(_UNANNOUNCED).limit(limit).to_list(None)

    async def unannounced_labels(self, limit: int) -> list[dict[str, Any]]:
        """Return {_id, department, label} of chats whose labels have no notice in the outbox yet, at most so many.

        `department` is the one in which the chat is.
        """
        wanted = {"department": True, "in_department": True, "label": True}
        found = self._chats.find({"label_announced": False}, wanted).limit(limit)
        return [{"_id": d["_id"], "department": department_of(d), "label": d["label"]} async for d in found]

    async def label_announced(self, chat_id: str, at: datetime) -> None:
        """Note that the notice of this label is in the outbox; not that of one that has replaced it."""
        await self._chats.update_one({"_id": chat_id, "label.at": at}, {"$unset": {"label_announced": ""}})

    async def label(self, chat_id: str) -> dict[str, Any]:
        """Return the label of a chat; empty: it has none."""
        found = await self._chats.find_one({"_id": chat_id}, {"label": True})
        return (found or {}).get("label") or {}

    async def question_announced(self, question_id: str) -> None:
        """Note that the notice of a left question is in the outbox."""
        await self._questions.update_one({"_id": question_id}, {"$unset": {"announced": ""}})

    async def rating_announced(self, chat_id: str, at: datetime) -> None:
        """Note that the notice of this rating is in the outbox; not that of one that has replaced it."""
        await self._ratings.update_one({"_id": chat_id, "at": at}, {"$unset": {"announced": ""}})

    async def last_button(self, department: str) -> int | None:
        """Return the revision of a department's button that was announced last."""
        found = await self._buttons.find_one({"_id": department})
        return int(found["revision"]) if found else None

    async def button_announced(self, department: str, revision: int) -> None:
        """Note that the notice of this button is in the outbox. An older one changes nothing."""
        await self._buttons.update_one({"_id": department}, {"$max": {"revision": revision}}, upsert=True)

    # ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def due(self, target: str, now: datetime, limit: int) -> list[str]:
        """Return ids of deliveries to this target that are due, the longest due first, at most so many."""
        such = {"target": target, "state": "due", "due_at": {"$lte": now}}
        found = self._outbox.find(such, {"_id": True}).sort("due_at", ASCENDING).limit(limit)
        return [d["_id"] async for d in found]

    async def claim(self, id_: str, now: datetime, lease: timedelta) -> Delivery | None:
        """Claim a delivery for so long. Of several replicas one gets it; None: it is not due any more."""
        return await self._claim({"_id": id_, "state": "due", "due_at": {"$lte": now}}, now, lease)

    async def claim_waiting(self, target: str, now: datetime, lease: timedelta, most: int) -> list[Delivery]:
        """Claim what waits for this target, due or not, the longest due first, at most so many."""
        free = {"target": target, "state": "due", "$or": [{"claim": None}, {"due_at": {"$lte": now}}]}
        ids = self._outbox.find(free, {"_id": True}).sort("due_at", ASCENDING).limit(most)
        claimed = [await self._claim({**free, "_id": d["_id"]}, now, lease) async for d in ids]
        return [delivery for delivery in claimed if delivery]

    async def _claim(self, such: dict[str, Any], now: datetime, lease: timedelta) -> Delivery | None:
        claim = str(uuid.uuid4())
        change = {"$set": {"due_at": now + lease, "claim": claim}, "$inc": {"attempts": 1}}
        if not (await self._outbox.update_one(such, change)).modified_count:
            return None
        found = await self._outbox.find_one({"_id": such["_id"], "claim": claim})
        if found is None:  # the lease has ended already
            return None
        names = ("notice", "type", "at", "data", "attempts", "made_at", "chat_id", "department")
        return Delivery(found["_id"], claim, **{name: found[name] for name in names})

    async def delivered(self, delivery: Delivery, now: datetime) -> None:
        """Note that the target has got it, also when another replica has claimed it since."""
        new = {"state": "done", "done_at": now, "expires_at": now + DONE_KEPT}
        await self._outbox.update_one({"_id": delivery.id}, {"$set": new, "$unset": {"claim": "", "cause": ""}})

    async def failed(self, delivery: Delivery, cause: str, again_at: datetime, now: datetime) -> None:
        """Note a failure, and when it is tried again. Changes nothing when the claim has ended."""
        new = {"due_at": again_at, "cause": cause, "tried_at": now}
        await self._outbox.update_one(_own(delivery), {"$set": new, "$unset": {"claim": ""}})

    async def give_up(self, delivery: Delivery, cause: str, now: datetime) -> None:
        """Make it a dead letter. Changes nothing when the claim has ended."""
        new = {"state": "dead", "cause": cause, "tried_at": now, "expires_at": now + DEAD_KEPT}
        await self._outbox.update_one(_own(delivery), {"$set": new, "$unset": {"claim": ""}})

    async def give_up_old(self, target: str, now: datetime) -> int:
        """Make dead letters of what a target did not get in time, unless a replica delivers it now. Return how many."""
        such = {"target": target, "state": "due", "due_at": {"$lte": now}, "made_at": {"$lt": now - self._patience}}
        new = {"state": "dead", "expires_at": now + DEAD_KEPT}
        done = await self._outbox.update_many({**such, "attempts": {"$gt": 0}}, {"$set": new})
        return int(done.modified_count)

    def is_late(self, delivery: Delivery, now: datetime) -> bool:
        """Return whether it was tried for long enough."""
        return now - delivery.made_at >= self._patience

    async def backlog(self, target: str) -> Backlog:
        """Return what a target has not got."""
        due = {"target": target, "state": "due"}
        oldest = await self._outbox.find_one(due, {"made_at": True}, sort=[("made_at", ASCENDING)])
        return Backlog(
            await self._outbox.count_documents(due),
            oldest["made_at"] if oldest else None,
            await self._outbox.count_documents({"target": target, "state": "dead"}),
        )

    # ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def dead(self, target: str | None, after: str | None, limit: int) -> Sequence[dict[str, Any]]:
        """Return dead letters after this id, of one target or of all, in the order of their ids."""
        such: dict[str, Any] = {"state": "dead", **({"target": target} if target else {})}
        if after:
            such["_id"] = {"$gt": after}
        return await self._outbox.find(such).sort("_id", ASCENDING).limit(limit).to_list(None)

    async def replay(self, target: str, id_: str | None, now: datetime) -> int:
        """Make dead letters of a target due again, for the whole time of a new one. Return how many.

        Args:
            target: The target.
            id_: The notice; None: all.
            now: The present.
        """
        such = {"target": target, "state": "dead", **({"notice": id_} if id_ else {})}
        new = {
            "state": "due",
            "due_at": now,
            "made_at": now,
            "attempts": 0,
            "expires_at": now + self._patience + DEAD_KEPT,
        }
        return int((await self._outbox.update_many(such, {"$set": new})).modified_count)

    async def discard(self, target: str, id_: str | None) -> int:
        """Delete dead letters of a target. Return how many."""
        such = {"target": target, "state": "dead", **({"notice": id_} if id_ else {})}
        return int((await self._outbox.delete_many(such)).deleted_count)


def _own(delivery: Delivery) -> dict[str, Any]:
    return {"_id": delivery.id, "claim": delivery.claim}
