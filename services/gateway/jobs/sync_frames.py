"""`sync` frames: the last sequence number of each log, sent to each client at intervals.

A lost last frame leaves no gap that a client could see. A client that receives nothing knows that its connection is
dead.
"""

from __future__ import annotations

import asyncio

from services.common.events.types import Party
from services.gateway.participants.sessions import Registry, Session
from services.gateway.websocket.frames import server

SYNC_INTERVAL = 5.0  # a browser that receives nothing for twice as long assumes that its connection is dead
SYNC_PARTS = 10  # of one round, so that many connections cause no burst
AGENT_PARTS = 2  # an agent's page gets one each second: it must reconnect before the agent counts as offline


async def send_sync_frames(registry: Registry) -> None:
    """Send every client the ends of its logs: citizens every 5 s, agents each second. Runs until cancelled."""
    while True:
        for part in range(SYNC_PARTS):
            await asyncio.sleep(SYNC_INTERVAL / SYNC_PARTS)
            for session in tuple(registry):
                parts = AGENT_PARTS if session.party is Party.AGENT else SYNC_PARTS
                if hash(session) % parts == part % parts:
                    send_sync(session)


def send_sync(session: Session) -> None:
    """Send a client the last sequence number of each of its logs."""
    if not session.connection.answered:  # the welcome has the last sequence numbers
        return
    if session.party is Party.CITIZEN:
        for shown in session.shown.values():
            session.connection.send(server.Sync(last_seq=shown).encode())
        return
    for chat_id, shown in session.shown.items():
        session.connection.send(server.Sync(chat_id=chat_id, last_seq=shown).encode())
    if not session.shown:
        session.connection.send(server.Sync(chat_id=None, last_seq=0).encode())
