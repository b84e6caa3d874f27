"""Check of whether the citizens of agents' chats are still online at any gateway."""

from __future__ import annotations

import asyncio

from services.common.events.types import Party
from services.common.messaging.publisher import Publisher
from services.gateway.chats.chat_state import FORGET_AFTER
from services.gateway.chats.live_chats import LiveChats

PRESENCE_INTERVAL = 15.0


class PresenceCheck:
    """Asks the other gateways, and forgets what is not repeated any more."""

    def __init__(self, chats: LiveChats, publisher: Publisher) -> None:
        self._chats, self._publisher = chats, publisher

    async def run(self) -> None:
        """Ask every 15 s for each agent's chat whether its citizen is online; forget gateways that do not answer.

        The requests are spread over that time, so that many chats cause no burst. Runs until cancelled.
        """
        while True:
            chats = [c.chat_id for c in self._chats.by_id.values() if any(m.party is Party.AGENT for m in c.members)]
            for chat_id in chats:
                if chat_id in self._chats.by_id:
                    await self._publisher.publish_best_effort(self._chats.presence_asked(chat_id))
                await asyncio.sleep(PRESENCE_INTERVAL / (len(chats) + 1))
            await asyncio.sleep(PRESENCE_INTERVAL / (len(chats) + 1))
            self.forget_silent()

    def forget_silent(self) -> None:
        """Forget what is not repeated any more: gateways that had a citizen, and warnings of inactivity.

        Nothing is forgotten until the queue has been up long enough to have received the repetitions.
        """
        live = self._chats
        if not live.bindings.up or live.clock() - live.listening_since < FORGET_AFTER:
            return
        for chat in tuple(live.by_id.values()):
            if chat.citizen_at.forget_silent(live.incarnation, live.clock()):
                live.send_online(chat)
            live.inactivity_warnings.end_old(chat)
