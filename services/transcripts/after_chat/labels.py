"""Store of labels: the closing reason and the tags that an agent gives a chat, in words of the department's lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.common.internal_api.transcripts import Label
from services.common.mongo.client import Database
from services.transcripts.past_chats.store import PastChats
from services.transcripts.statistics.store import Statistics


class Labels:
    """Access to the member `label` {at, reason, tags} of the documents of chats.

    It goes with the chat's document, to the chat's row of statistics and to its row of past chats: the greater one of
    the stored and the given one stays (`$max` compares member by member, and `at` is the first), so the order of writes
    does not matter. `outbox/store.py` explains the further member `label_announced`.

    Every method may be repeated. It raises `PyMongoError` when the database does not answer.
    """

    def __init__(
        self, database: Database, statistics: Statistics, past_chats: PastChats, announced: bool = False
    ) -> None:
        """Use the collection `chats`.

        Args:
            database: The database.
            statistics: Gets the label in the row of a chat.
            past_chats: Gets it in the row by which the chat is found.
            announced: Whether a target of webhooks is notified of labels.
        """
        self._chats, self._statistics, self._past_chats = database["chats"], statistics, past_chats
        self._announced = announced

    async def put(self, label: Label, now: datetime) -> None:
        """Store the label of a chat. It replaces one that was given before."""
        given = {"at": now, "reason": label.reason, "tags": list(dict.fromkeys(label.tags))}
        change: dict[str, Any] = {"$max": {"label": given}}
        if self._announced:
            change["$set"] = {"label_announced": False}
        await self._chats.update_one({"_id": label.chat_id, "erasing": None}, change)
        await self._statistics.labelled(label.chat_id, given)
        await self._past_chats.labelled(label.chat_id, given)
