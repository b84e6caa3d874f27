"""Store of the ratings that citizens give after a chat: one for each chat, without a word that they wrote."""

from __future__ import annotations

from datetime import datetime

from services.common.internal_api.transcripts import Rating
from services.common.mongo.client import Database
from services.transcripts.past_chats.store import PastChats
from services.transcripts.statistics.store import Statistics


class Ratings:
    """Access to the collection `ratings`: {_id: chat_id, department, helped, score, at}.

    `outbox/store.py` explains the further member `announced`.

    `rate` may be repeated. It raises `PyMongoError` when the database does not answer.
    """

    def __init__(
        self, database: Database, statistics: Statistics, past_chats: PastChats | None = None, announced: bool = False
    ) -> None:
        """Use the collection of this database.

        Args:
            database: The database.
            statistics: Gets each rating.
            past_chats: Gets each rating.
            announced: Whether a target of webhooks is notified of ratings.
        """
        self._ratings, self._statistics, self._past_chats = database["ratings"], statistics, past_chats
        self._announced = announced

    async def rate(self, rating: Rating, department: str, now: datetime) -> bool:
        """Store the rating of a chat. It replaces one that was given before.

        Args:
            rating: The rating.
            department: The department in which the chat is or ended.
            now: The present.

        Returns:
            True when the chat had no rating before.
        """
        given = {"department": department, "helped": rating.helped, "score": rating.score, "at": now}
        stored = {**given, "announced": False} if self._announced else given
        done = await self._ratings.replace_one({"_id": rating.chat_id}, stored, upsert=True)
        await self._statistics.rated(rating.chat_id, given)
        if self._past_chats:
            await self._past_chats.rated(rating.chat_id, given)
        return done.upserted_id is not None
