"""Presence of citizens: which chats the gateways list, judged by this process's own clock.

Absence counts only while this listener receives its own echo. After a restart every citizen has a full grace period.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from services.common.events.presence import GatewayConnections
from services.common.messaging import topology
from services.common.messaging.errors import BROKER_ERRORS, given_up_is_failure
from services.common.messaging.heartbeat_listener import HeartbeatListener
from services.common.messaging.publisher import Publisher

GATEWAY_LATE = 20.0  # seconds: three lists of a gateway's chats, published every 6 s, are missing
FORGOTTEN = 3600.0  # seconds


class CitizenPresence:
    """Knows which chats have their citizen connected to a gateway, as far as this replica has received."""

    def __init__(
        self, url: str, publisher: Publisher, grace: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create it with a listener that is not connected yet.

        Args:
            url: The address of the broker.
            publisher: The publisher, for echoes.
            grace: Seconds without being listed after which a citizen is gone.
            clock: A monotonic clock, in seconds.
        """
        self.listener = HeartbeatListener(url, "routing", publisher, clock, self._note_writing)
        self._detector = self.listener.detect(_chats, grace, GATEWAY_LATE)
        self._met: set[str] = set()
        self._meetings = 0
        self._writing: dict[str, float] = {}  # chat → when its agent typed last

    def _note_writing(self, event: GatewayConnections) -> None:
        now = self.listener.clock()
        for chat_id, still in (event.writing or {}).items():
            self._writing[chat_id] = max(now - still, self._writing.get(chat_id, float("-inf")))
        self._writing = {chat: at for chat, at in self._writing.items() if now - at <= topology.WRITING_LASTS}

    def is_writing(self, chat_id: str) -> bool:
        """Return whether the agent of this chat has typed in it within the last seconds, or this is not known.

        It is not known while this listener does not receive.
        """
        if not self.listener.receives:
            return True
        return self.listener.clock() - self._writing.get(chat_id, float("-inf")) <= topology.WRITING_LASTS

    def present(self) -> set[str]:
        """Return the chats that a gateway lists."""
        return self._detector.present(self.listener.clock())

    def absent(self, open_chats: Iterable[str]) -> list[str]:
        """Return those of these chats that no gateway has listed for the whole grace period.

        `open_chats` are all open chats with a hello. A chat that is new in it counts as listed at that moment, and has
        a full grace period from there.
        """
        now, known = self.listener.clock(), set(open_chats)
        for chats in (known - self._met, set[str]()):
            self._meetings += 1
            self._detector.record("met", self._meetings, dict.fromkeys(chats, 0.0), now)
        self._met = known
        absent = self._detector.absent(known, now)
        self._detector.forget_stale(now, max(FORGOTTEN, 2 * self._detector.grace))
        return absent

    async def backlog(self) -> int:
        """Return how many events about chats wait for any replica; -1 when the broker does not answer."""
        channel = self.listener.channel
        if channel is None:
            return -1
        try:
            with given_up_is_failure():
                async with asyncio.timeout(2):
                    queue = await channel.declare_queue(topology.ROUTING_CHATS.name, passive=True)
        except BROKER_ERRORS:
            return -1
        return queue.declaration_result.message_count or 0


def _chats(event: GatewayConnections) -> Mapping[str, float] | None:
    """Return the chats of a list; None when it names agents only."""
    return dict.fromkeys(event.chats or (), 0.0) if event.chats is not None or event.leaving else None
