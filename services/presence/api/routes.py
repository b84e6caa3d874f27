"""Internal API of presence: sessions, agents, buttons, reservations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog
from fastapi import APIRouter, Request

from services.common.events.types import AgentState, ButtonReason
from services.common.http import problems
from services.common.http.tokens import Agent as Identity
from services.common.internal_api import presence as presence_api
from services.common.internal_api.presence import (
    Agents,
    AgentsQuery,
    AgentView,
    AnswerDay,
    AnswerDayQuery,
    Buttons,
    Credentials,
    Held,
    HoldQuery,
    Names,
    NamesQuery,
    OpenSession,
    PasswordChange,
    ReleaseQuery,
    Reserved,
    ReserveQuery,
    SessionEnd,
    SessionSought,
)
from services.common.runtime.service import caller
from services.presence.agents.logins import Logins
from services.presence.agents.roles import Officer
from services.presence.agents.session_store import Session
from services.presence.agents.transitions import close_session_soon
from services.presence.button import updater
from services.presence.context import Context
from services.presence.opening_hours import Schedule, working_day
from services.presence.slots.allocator import Allocator, reserve, reserve_for_form
from services.presence.slots.rules import Agent

log = structlog.get_logger()
HOLD_LIMIT = 2.0  # seconds after which the gateway does not wait for the answer any more
MOST_RESERVED = 600.0  # seconds for which an open form may reserve one slot, however often it is renewed


def create_routes(
    context: Context,
    logins: Logins,
    allocator: Allocator,
    schedules: Mapping[str, Schedule],
    idle: timedelta | None = None,
) -> APIRouter:
    """Return the routes of `common/internal_api` that presence answers. They require a service token.

    Args:
        context: Dependencies of the service.
        logins: Logs agents in.
        allocator: Reserves slots.
        schedules: The opening hours of all departments, as they are now.
        idle: A session that was not used for so long is over; None: there is no such limit.
    """
    routes = APIRouter()
    _add_session_routes(routes, context, logins, idle)

    @routes.post(presence_api.AGENTS)
    async def agents(request: Request, query: AgentsQuery) -> Agents:
        caller(request)
        found = await context.stores.agents.colleagues(query.department, query.ids, query.departments)
        return Agents(agents=[_view(agent) for agent in found])

    @routes.post(presence_api.NAMES)
    async def names(request: Request, query: NamesQuery) -> Names:
        caller(request)
        stores = context.stores
        agents = await stores.agents.names(query.ids, query.like)
        return Names(names=agents | await stores.officers.names(query.ids, query.like))

    @routes.post(presence_api.BUTTONS)
    async def buttons(request: Request) -> Buttons:
        caller(request)
        return Buttons(buttons=[updater.button_event(doc) for doc in await context.stores.buttons.evaluated(schedules)])

    @routes.post(presence_api.ANSWER_DAY)
    async def answer_day(request: Request, query: AnswerDayQuery) -> AnswerDay:
        caller(request)
        schedule = schedules.get(query.department)
        return AnswerDay(day=working_day(schedule, context.clock(), query.days) if schedule else None)

    @routes.post(presence_api.HOLD)
    async def places_hold(request: Request, query: HoldQuery) -> Held:
        caller(request)
        try:
            async with asyncio.timeout(HOLD_LIMIT):
                return await reserve(allocator, query)
        except TimeoutError:
            log.warning("reservation_took_too_long", chat_id=query.chat_id)
            raise problems.Problem(503, "unavailable", "This takes too long. Please try again.") from None

    @routes.post(presence_api.RESERVE)
    async def places_reserve(request: Request, query: ReserveQuery) -> Reserved:
        caller(request)
        agents = context.stores.agents
        try:
            async with asyncio.timeout(HOLD_LIMIT):
                if query.renew:
                    left = await agents.renew(query.chat_id, context.clock(), query.seconds, MOST_RESERVED)
                    return Reserved(seconds=left, reason=ButtonReason.AVAILABLE if left else ButtonReason.BUSY)
                return await reserve_for_form(allocator, query)
        except TimeoutError:
            log.warning("reservation_took_too_long", chat_id=query.chat_id)
            raise problems.Problem(503, "unavailable", "This takes too long. Please try again.") from None

    @routes.post(presence_api.RELEASE, status_code=204)
    async def places_release(request: Request, query: ReleaseQuery) -> None:
        caller(request)
        context.wake(await context.stores.agents.release_form(query.chat_id, context.clock()))

    return routes


def _add_session_routes(routes: APIRouter, context: Context, logins: Logins, idle: timedelta | None) -> None:
    @routes.post(presence_api.SESSION_OPEN)
    async def session_open(request: Request, credentials: Credentials) -> OpenSession:
        caller(request)
        made = await logins.log_in(credentials)
        return open_session(made.session, made.agent, made.token, made.device)

    @routes.post(presence_api.SESSION_LOOKUP)
    async def session_lookup(request: Request, sought: SessionSought) -> OpenSession:
        caller(request)
        session = await context.stores.sessions.find(sought.token, context.clock(), idle)
        agent = await _who(context, session, sought.roles) if session else None
        if session is None or agent is None:
            raise _no_session()
        identity = request.app.state.service.keys.agent_token(_identity(agent))
        stores = context.stores
        people = stores.officers if isinstance(agent, Officer) else stores.agents
        local = await people.account(agent.id) is not None
        return open_session(session, agent).model_copy(update={"identity": identity, "local": local})

    @routes.post(presence_api.PASSWORD_CHANGE, status_code=204)
    async def password_change(request: Request, wish: PasswordChange) -> None:
        caller(request)
        session = await context.stores.sessions.find(wish.token, context.clock(), idle)
        if session is None:
            raise _no_session()
        await logins.change_password(session, wish)

    @routes.post(presence_api.SESSION_END, status_code=204)
    async def session_end(request: Request, sought: SessionEnd) -> None:
        caller(request)
        session = await context.stores.sessions.end(sought.token, context.clock())
        if session:
            log.info("agent_logged_out", agent_id=session.agent_id, everywhere=sought.everywhere)
            await close_session_soon(context, session)
            if sought.everywhere:
                for other in await context.stores.sessions.end_all(session.agent_id, context.clock()):
                    await close_session_soon(context, other)


def _no_session() -> problems.Problem:
    return problems.Problem(401, "unauthenticated", "There is no such session (any more): log in again.")


def _identity(who: Agent | Officer) -> Identity:
    if isinstance(who, Officer):
        return Identity(id=who.id, role=who.role)
    return Identity(id=who.id, supervisor=who.supervisor, departments=list(who.departments))


async def _who(context: Context, session: Session, roles: list[str]) -> Agent | Officer | None:
    """Return the agent of this session, or its officer if the caller knows their role."""
    if agent := await context.stores.agents.agent(session.agent_id):
        return agent
    officer = await context.stores.officers.officer(session.agent_id)
    return officer if officer and officer.role in roles else None


def open_session(
    session: Session, who: Agent | Officer, token: str | None = None, device: str | None = None
) -> OpenSession:
    """Return a session as the gateway gets it."""
    return OpenSession(
        session_id=session.id,
        token=token,
        device=device,
        expires_at=session.expires_at,
        agent=_officer_view(who) if isinstance(who, Officer) else _view(who),
        role=who.role if isinstance(who, Officer) else None,
    )


def _officer_view(officer: Officer) -> AgentView:
    """Return an officer in the form of an agent who serves no department and takes no chats."""
    nothing = {"departments": [], "capacity": 0, "free": 0, "state": AgentState.PAUSED, "online": False}
    return AgentView.model_validate({"id": officer.id, "name": officer.name, **nothing})


def _view(agent: Agent) -> AgentView:
    return AgentView(
        id=agent.id,
        name=agent.name,
        departments=list(agent.departments),
        capacity=agent.capacity,
        state=agent.state,
        online=agent.online,
        free=max(agent.free, 0),
        supervisor=agent.supervisor,
        locales=list(agent.locales),
        v=agent.v,
        wrap_ups=agent.wrap_ups,
        since=agent.since,
        pause_reason=agent.pause_reason,
    )
