"""Sessions that nobody uses end after `SESSION_IDLE`.

A session is used by each request with its cookie. While its console is open it is also used as long as its agent is
available, because chats come to them then and an agent who accepts none is paused, or works in the console. So a pause
that nobody ends, a closed page and an officer's forgotten page lead to a logout.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta

import structlog

from services.presence.agents.transitions import close_session_soon
from services.presence.context import Context

log = structlog.get_logger()
LOOK = 30.0  # seconds between two looks at the sessions; less where their limit is short
IDLE = "idle"


async def note_use(context: Context, connected: Collection[str]) -> None:
    """Record that the sessions with an open console are used, of agents who are available or work in it.

    `connected`: the sessions with an open websocket.
    """
    owners = await context.stores.sessions.owners(connected)
    available = await context.stores.agents.available(set(owners.values()))
    used = [id_ for id_, agent_id in owners.items() if agent_id in available or context.at_work(agent_id)]
    await context.stores.sessions.use(used, context.clock())


async def end_idle(context: Context, idle: timedelta) -> None:
    """End the sessions that were not used for so long."""
    now = context.clock()
    for session in await context.stores.sessions.end_idle(now - idle, now):
        log.info("session_idle", agent_id=session.agent_id)
        await close_session_soon(context, session)


async def look(context: Context, idle: timedelta, connected: Callable[[], Collection[str]]) -> None:
    """Record which sessions are used, then end those that were not used for so long."""
    await note_use(context, connected())
    await end_idle(context, idle)
