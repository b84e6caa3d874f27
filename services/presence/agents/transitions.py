"""Transitions of agents between online and offline, and what follows from the end of a session.

Repetition is harmless; a repair job repeats what the broker has not confirmed.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from services.common.events.agents import SessionEnded
from services.common.events.types import ReleaseReason
from services.common.messaging.publisher import Unconfirmed
from services.presence.agents.session_store import Session
from services.presence.context import Context
from services.presence.publisher import publish_agent, publish_slot
from services.presence.slots.rules import Agent
from services.presence.slots.wrap_ups import end_wrap_up

log = structlog.get_logger()


async def go_online(context: Context, agent: Agent) -> bool:
    """Set the agent online and publish it, if nothing has changed since the agent was read.

    Return whether it was set.
    """
    if not await context.stores.agents.set_online(agent.id, agent.v, context.clock()):
        return False
    context.wake(agent.departments)
    log.info("agent_online", agent_id=agent.id)
    await publish_agent(context, agent.id)
    return True


async def go_offline(context: Context, agent: Agent, reason: ReleaseReason) -> bool:
    """Set the agent offline and give up the slots, if nothing has changed since the agent was read.

    Everything is published. Return whether it was set.
    """
    if not await context.stores.agents.set_offline(agent.id, agent.v, reason, context.clock()):
        return False
    context.wake(agent.departments)
    context.left(agent.id)
    log.info("agent_offline", agent_id=agent.id, reason=reason.value, slots=len(agent.slots))
    left = await context.stores.agents.agent(agent.id) or agent
    for slot in left.slots:
        if slot.wrapped_up(context.clock()):
            await end_wrap_up(context, left, slot, "logged_out")
        elif not (slot.form or slot.wrap_up):  # routing does not know these; a repair job frees them
            await publish_slot(context, left, slot)
    await publish_agent(context, agent.id)
    return True


async def close_session(context: Context, session: Session, cause: str | None = None) -> None:
    """Do everything that follows from the end of a session: close its websockets and set its agent offline.

    The agent stays online while another live session of theirs has an open websocket; a session without one does not
    count. While that is not known (a gateway's list may be older than the end of the session), the session is kept, and
    `close_undecided` and a repair job call this again. It may be called any number of times. `cause`: as in
    `SessionEnded`.
    """
    decided = await _log_out(context, session)
    if not session.published:
        await context.publisher.publish(SessionEnded(agent_id=session.agent_id, session_id=session.id, cause=cause))
    if decided:
        context.undecided.pop(session.id, None)
        await context.stores.sessions.forget(session.id)
    elif not session.published:
        await context.stores.sessions.mark_published(session.id)
        context.undecided[session.id] = replace(session, published=True)


async def _log_out(context: Context, session: Session) -> bool:
    """Set the agent offline unless another session has an open websocket. Return False when that is not known yet."""
    while agent := await context.stores.agents.agent(session.agent_id):  # read before the sessions: see PresenceMonitor
        now = context.clock()
        others = (await context.stores.sessions.live([agent.id], now)).get(agent.id)
        stays = context.connected(agent.id, others, session.over_for(now)) if others else False
        if stays is None:
            return False
        if stays or await go_offline(context, agent, ReleaseReason.LOGGED_OUT):
            break
    return True


async def close_undecided(context: Context) -> None:
    """Retry each session whose end could not be decided before. Call this at each new list of a gateway."""
    for session in list(context.undecided.values()):
        await close_session(context, session)


async def end_former_session(context: Context, token: str, agent_id: str) -> None:
    """End the session that a browser had before its login as this agent or officer (ASVS 7.2.4).

    Its websockets are closed. Where it was of the same agent, nothing else follows: they have just logged in, and they
    keep their chats unless they do not connect within the grace period.
    """
    former = await context.stores.sessions.end(token, context.clock()) if token else None
    if former is None:
        return
    log.info("session_replaced", agent_id=former.agent_id)
    if former.agent_id != agent_id:
        await close_session_soon(context, former)
        return
    try:
        await context.publisher.publish(SessionEnded(agent_id=agent_id, session_id=former.id))
        await context.stores.sessions.forget(former.id)
    except Unconfirmed:  # a repair job does the rest
        log.warning("session_end_not_published", agent_id=agent_id)


async def close_session_soon(context: Context, session: Session, cause: str | None = None) -> None:
    """Do as `close_session`.

    While the broker is away a repair job does the rest, because the session has ended already.
    """
    try:
        await close_session(context, session, cause)
    except Unconfirmed:
        log.warning("session_end_not_published", agent_id=session.agent_id)
