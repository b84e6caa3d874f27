"""What presence tells of agents, seats and sessions. Twice is harmless; after `Unconfirmed` a sweep tells it again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from services.broker import Publisher, Unconfirmed
from services.clock import utcnow
from services.contracts import AgentChanged, Choice, PlaceClaimed, PlaceReleased, ReleaseReason, SessionEnded
from services.database import Database
from services.presence import sessions, store
from services.presence.availability import Agent, Seat
from services.presence.sessions import Session

log = structlog.get_logger()


@dataclass(frozen=True)
class Desk:
    """What every part of the service works with.

    `wake`: something that the buttons depend on has changed. `left`: this agent was set offline just now. `connected`:
    whether one of these sessions of the agent has had an open websocket since so many seconds ago; None: that cannot be
    told yet. `undecided`: sessions that are over while that could not be told.
    `at_work`: whether this agent used their console within the last seconds.
    """

    db: Database
    publisher: Publisher
    wake: Callable[[], None]
    clock: Callable[[], datetime] = utcnow
    left: Callable[[str], None] = lambda agent_id: None
    connected: Callable[[str, Collection[str], float], bool | None] = lambda agent_id, session_ids, since: None
    at_work: Callable[[str], bool] = lambda agent_id: False
    undecided: dict[str, Session] = field(default_factory=dict)


async def tell_claimed(
    desk: Desk, agent_id: str, agent_name: str, chat_id: str, turn: int, choice: Choice | None
) -> None:
    """This agent, chosen for this reason, holds this turn of the chat."""
    await desk.publisher.tell(
        PlaceClaimed(chat_id=chat_id, turn=turn, agent_id=agent_id, agent_name=agent_name, choice=choice)
    )


async def tell_released(desk: Desk, agent_id: str, chat_id: str, turn: int, reason: ReleaseReason) -> None:
    """This agent does not, or no longer, hold this turn of the chat."""
    await desk.publisher.tell(PlaceReleased(chat_id=chat_id, turn=turn, agent_id=agent_id, reason=reason))


async def tell_seat(desk: Desk, agent: Agent, seat: Seat) -> None:
    """What there is to say of a seat: claimed or, once it is leaving, released."""
    if seat.leaving is None:
        await tell_claimed(desk, agent.id, agent.name, seat.chat_id, seat.turn, seat.choice)
    else:
        await tell_released(desk, agent.id, seat.chat_id, seat.turn, seat.leaving)


async def tell_agent(desk: Desk, agent_id: str) -> None:
    """The agent's state as it is now; the mark that it was to be told goes."""
    agent = await store.agent(desk.db, agent_id)
    if agent is None:
        return
    await desk.publisher.tell(
        AgentChanged(agent_id=agent.id, v=agent.v, online=agent.online, state=agent.state, cause=agent.cause)
    )
    await store.told(desk.db, agent.id, agent.v)


async def arrive(desk: Desk, agent: Agent) -> bool:
    """The agent is online, if nothing has changed since he was read; colleagues and buttons hear of it."""
    if not await store.set_online(desk.db, agent.id, agent.v, desk.clock()):
        return False
    desk.wake()
    log.info("agent_online", agent_id=agent.id)
    await tell_agent(desk, agent.id)
    return True


async def depart(desk: Desk, agent: Agent, reason: ReleaseReason) -> bool:
    """The agent is offline and his seats are leaving, if nothing has changed since he was read; all of it is told."""
    if not await store.set_offline(desk.db, agent.id, agent.v, reason, desk.clock()):
        return False
    desk.wake()
    desk.left(agent.id)
    log.info("agent_offline", agent_id=agent.id, reason=reason.value, seats=len(agent.seats))
    left = await store.agent(desk.db, agent.id) or agent
    for seat in left.seats:
        await tell_seat(desk, left, seat)
    await tell_agent(desk, agent.id)
    return True


async def close_session(desk: Desk, session: Session) -> None:
    """Do everything that follows from the end of a session: close its websockets and set its agent offline.

    The agent stays online while another live session of theirs has an open websocket; a session without one does not
    count. While that cannot be told (a gateway's list may be older than the end of the session), the session is kept
    and this is called again, by `close_undecided` and by the sweep. It may be called any number of times, by anyone.
    """
    decided = await _log_out(desk, session)
    if not session.told:
        await desk.publisher.tell(SessionEnded(agent_id=session.agent_id, session_id=session.id))
    if decided:
        desk.undecided.pop(session.id, None)
        await sessions.forget(desk.db, session.id)
    elif not session.told:
        await sessions.told(desk.db, session.id)
        desk.undecided[session.id] = replace(session, told=True)


async def _log_out(desk: Desk, session: Session) -> bool:
    """Set the agent offline unless another session has an open websocket; False when that cannot be told yet."""
    while agent := await store.agent(desk.db, session.agent_id):  # read before the sessions: see Judge
        now = desk.clock()
        others = (await sessions.live(desk.db, [agent.id], now)).get(agent.id)
        stays = desk.connected(agent.id, others, session.over_for(now)) if others else False
        if stays is None:
            return False
        if stays or await depart(desk, agent, ReleaseReason.LOGGED_OUT):
            break
    return True


async def close_undecided(desk: Desk) -> None:
    """Try again to finish each session whose end could not be decided before. Call at each new list of a gateway."""
    for session in list(desk.undecided.values()):
        await close_session(desk, session)


async def close_session_soon(desk: Desk, session: Session) -> None:
    """As `close_session`; while the broker is away the rest is left to the sweep, since the session is over already."""
    try:
        await close_session(desk, session)
    except Unconfirmed:
        log.warning("session_end_untold", agent_id=session.agent_id)
