"""Comparison of quiet chats with the ends of their logs.

A missing last entry is invisible to a consumer of live events; the comparison finds it within 15 s. A chat that
received entries in order meanwhile is not compared: they have shown that nothing is missing.
"""

from __future__ import annotations

import asyncio

import structlog

from services.gateway.chats.subscriptions import Subscriptions
from services.gateway.clients.http_client import Unavailable
from services.gateway.clients.transcripts import TranscriptsClient

log = structlog.get_logger()
TAILS_QUIET = 12.0  # seconds without an event or comparison, after which a chat is compared; with the rounds at most 15
TAILS_ROUND = 1.5
TAILS_AT_A_TIME, TAILS_PAUSE = 50, 0.05  # chats in one request, seconds between two: many chats cause no burst


class TailCheck:
    """The comparison, and when each chat was last known to be complete."""

    def __init__(self, following: Subscriptions, transcripts: TranscriptsClient) -> None:
        self._chats, self._following, self._transcripts = following.chats, following, transcripts
        self._tails: dict[str, tuple[int, float]] = {}  # chat → last entry passed on, and since when or when compared

    async def run(self) -> None:
        """Compare quiet chats with the ends of their logs. Runs until cancelled."""
        while True:
            await asyncio.sleep(TAILS_ROUND)
            try:
                await self.compare_quiet()
            except Unavailable as error:
                log.warning("tails_not_compared", missing=str(error))

    async def compare_quiet(self) -> None:
        """Do one round: compare each chat without an event for `TAILS_QUIET` seconds.

        Raises:
            Unavailable: Transcripts does not answer.
        """
        quiet = self._quiet_chats()
        for start in range(0, len(quiet), TAILS_AT_A_TIME):
            await self._compare(dict(quiet[start : start + TAILS_AT_A_TIME]))
            await asyncio.sleep(TAILS_PAUSE)

    def _quiet_chats(self) -> list[tuple[str, int]]:
        before, self._tails, now = self._tails, {}, self._chats.clock()
        for chat_id, chat in self._chats.by_id.items():
            last = chat.cursor.last
            if last is not None:
                known, since = before.get(chat_id, (last, now))
                self._tails[chat_id] = last, since if known == last else now
        return [(chat_id, last) for chat_id, (last, since) in self._tails.items() if now - since >= TAILS_QUIET]

    async def _compare(self, chats: dict[str, int]) -> None:
        asked = self._chats.clock()
        grown = await self._transcripts.grown(chats)
        self._tails.update((chat_id, (last, asked)) for chat_id, last in chats.items())
        for chat_id, last in grown.items():
            chat = self._chats.by_id.get(chat_id)
            if chat and chat.cursor.last is not None and last > chat.cursor.last:
                chat.cursor.highest = max(chat.cursor.highest, last)
                self._following.gap(chat)
