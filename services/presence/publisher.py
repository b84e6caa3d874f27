"""Publisher of presence's events. Repetition is harmless; a repair job repeats what the broker has not confirmed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from services.common.clock import utcnow
from services.common.events.agents import AgentChanged, SessionEnded
from services.common.events.places import PlaceClaimed, PlaceReleased
from services.common.events.types import Choice, ReleaseReason
from services.common.messaging.connection import Publisher, Unconfirmed
from services.common.mongo.client import Database
from services.presence.agents import session_store, store
from services.presence.agents.session_store import Session
from services.presence.slots.rules import Agent, Slot

log = structlog.get_logger()


@dataclass(frozen=True)
class Context:
    """Dependencies of the parts of the service.

    Attributes:
        db: The database.
        publisher: The publisher of events.
        wake: Called when something that the buttons depend on has changed.
        clock: Returns the present.
        left: Called with an agent who was set offline just now.
        connected: Whether one of these sessions of the agent has had an open websocket since so many seconds ago;
            None: not known yet.
        at_work: Whether this agent used the console within the last seconds.
        undecided: Ended sessions for which that was not known yet.
    """

    db: Database
    publisher: Publisher
    wake: Callable[[], None]
    clock: Callable[[], datetime] = utcnow
    left: Callable[[str], None] = lambda agent_id: None
    connected: Callable[[str, Collection[str], float], bool | None] = lambda agent_id, session_ids, since: None
    at_work: Callable[[str], bool] = lambda agent_id: False
    undecided: dict[str, Session] = field(default_factory=dict)


async def publish_claimed(
    context: Context, agent_id: str, agent_name: str, chat_id: str, turn: int, choice: Choice | None
) -> None:
    """Publish that this agent has the chat's attempt, and why they were chosen."""
    await context.publisher.publish(
        PlaceClaimed(chat_id=chat_id, turn=turn, agent_id=agent_id, agent_name=agent_name, choice=choice)
    )


async def publish_released(context: Context, agent_id: str, chat_id: str, turn: int, reason: ReleaseReason) -> None:
    """Publish that this agent does not, or no longer, have the chat's attempt."""
    await context.publisher.publish(PlaceReleased(chat_id=chat_id, turn=turn, agent_id=agent_id, reason=reason))


async def publish_slot(context: Context, agent: Agent, slot: Slot) -> None:
    """Publish a slot as claimed or, when it is being given up, as released."""
    if slot.leaving is None:
        await publish_claimed(context, agent.id, agent.name, slot.chat_id, slot.turn, slot.choice)
    else:
        await publish_released(context, agent.id, slot.chat_id, slot.turn, slot.leaving)


async def publish_agent(context: Context, agent_id: str) -> None:
    """Publish the agent's present state, and remove the mark of an unpublished change."""
    agent = await store.agent(context.db, agent_id)
    if agent is None:
        return
    await context.publisher.publish(
        AgentChanged(agent_id=agent.id, v=agent.v, online=agent.online, state=agent.state, cause=agent.cause)
    )
    await store.told(context.db, agent.id, agent.v)


async def arrive(context: Context, agent: Agent) -> bool:
    """Set the agent online and publish it, if nothing has changed since the agent was read.

    Return whether it was set.
    """
    if not await store.set_online(context.db, agent.id, agent.v, context.clock()):
        return False
    context.wake()
    log.info("agent_online", agent_id=agent.id)
    await publish_agent(context, agent.id)
    return True


async def depart(context: Context, agent: Agent, reason: ReleaseReason) -> bool:
    """Set the agent offline and give up the slots, if nothing has changed since the agent was read.

    Everything is published. Return whether it was set.
    """
    if not await store.set_offline(context.db, agent.id, agent.v, reason, context.clock()):
        return False
    context.wake()
    context.left(agent.id)
    log.info("agent_offline", agent_id=agent.id, reason=reason.value, slots=len(agent.slots))
    left = await store.agent(context.db, agent.id) or agent
    for slot in left.slots:
        await publish_slot(context, left, slot)
    await publish_agent(context, agent.id)
    return True


async def close_session(context: Context, session: Session) -> None:
    """Do everything that follows from the end of a session: close its websockets and set its agent offline.

    The agent stays online while another live session of theirs has an open websocket; a session without one does not
    count. While that is not known (a gateway's list may be older than the end of the session), the session is kept, and
    `close_undecided` and a repair job call this again. It may be called any number of times.
    """
    decided = await _log_out(context, session)
    if not session.told:
        await context.publisher.publish(SessionEnded(agent_id=session.agent_id, session_id=session.id))
    if decided:
        context.undecided.pop(session.id, None)
        await session_store.forget(context.db, session.id)
    elif not session.told:
        await session_store.told(context.db, session.id)
        context.undecided[session.id] = replace(session, told=True)


async def _log_out(context: Context, session: Session) -> bool:
    """Set the agent offline unless another session has an open websocket. Return False when that is not known yet."""
    while agent := await store.agent(context.db, session.agent_id):  # read before the sessions: see PresenceMonitor
        now = context.clock()
        others = (await session_store.live(context.db, [agent.id], now)).get(agent.id)
        stays = context.connected(agent.id, others, session.over_for(now)) if others else False
        if stays is None:
            return False
        if stays or await depart(context, agent, ReleaseReason.LOGGED_OUT):
            break
    return True


async def close_undecided(context: Context) -> None:
    """Retry each session whose end could not be decided before. Call this at each new list of a gateway."""
    for session in list(context.undecided.values()):
        await close_session(context, session)


async def close_session_soon(context: Context, session: Session) -> None:
    """Do as `close_session`.

    While the broker is away a repair job does the rest, because the session has ended already.
    """
    try:
        await close_session(context, session)
    except Unconfirmed:
        log.warning("session_end_not_published", agent_id=session.agent_id)
