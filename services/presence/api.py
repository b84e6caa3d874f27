"""What presence answers at once: sessions, agents, buttons. Paths and shapes stand in services/internal.py."""

from __future__ import annotations

import asyncio
import math

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from prometheus_client import Counter
from pymongo.errors import PyMongoError

from services import internal, problems
from services.broker import Unconfirmed
from services.chassis import caller
from services.contracts import AgentState
from services.internal import (
    Agents,
    AgentsQuery,
    AgentView,
    Buttons,
    Credentials,
    Held,
    HoldQuery,
    OpenSession,
    SessionToken,
)
from services.presence import button, sessions, store
from services.presence.accounts import Passwords
from services.presence.availability import Agent
from services.presence.claims import Claims, hold
from services.presence.sessions import Session
from services.presence.settings import PresenceSettings
from services.presence.telling import Desk, close_session_soon, tell_agent

log = structlog.get_logger()
HOLD_LIMIT = 2.0  # seconds after which the gateway does not wait for the answer any more
LOGINS = Counter("eloket_logins_total", "Attempts to log in", ["outcome"])


def add_routes(app: FastAPI, settings: PresenceSettings, desk: Desk, passwords: Passwords, known: list[str]) -> None:
    """The routes of `services/internal.py` that presence answers; `known`: the ids of the departments."""

    @app.exception_handler(PyMongoError)
    async def unavailable(_: Request, error: PyMongoError) -> Response:
        log.warning("database_away", error=type(error).__name__)
        return problems.document(503, "unavailable", "The database cannot be reached. Please try again.")

    _add_session_routes(app, settings, desk, passwords)

    @app.post(internal.AGENTS)
    async def agents(request: Request, query: AgentsQuery) -> Agents:
        caller(request)
        found = await store.colleagues(desk.db, query.department, query.ids)
        return Agents(agents=[_view(agent) for agent in found])

    @app.post(internal.BUTTONS)
    async def buttons(request: Request) -> Buttons:
        caller(request)
        return Buttons(buttons=[button.button_fact(doc) for doc in await button.read_buttons(desk.db, known)])


def add_places(app: FastAPI, claims: Claims) -> None:
    """The route by which a press holds a place."""

    @app.post(internal.HOLD)
    async def places_hold(request: Request, query: HoldQuery) -> Held:
        caller(request)
        try:
            async with asyncio.timeout(HOLD_LIMIT):
                return await hold(claims, query)
        except TimeoutError:
            log.warning("hold_took_too_long", chat_id=query.chat_id)
            raise problems.Problem(503, "unavailable", "This takes too long. Please try again.") from None


def _add_session_routes(app: FastAPI, settings: PresenceSettings, desk: Desk, passwords: Passwords) -> None:
    @app.post(internal.SESSION_OPEN)
    async def session_open(request: Request, credentials: Credentials) -> OpenSession:
        caller(request)
        return await log_in(desk, passwords, credentials, settings.session_hours, settings.rate_limits == "on")

    @app.post(internal.SESSION_LOOKUP)
    async def session_lookup(request: Request, sought: SessionToken) -> OpenSession:
        caller(request)
        session = await sessions.find(desk.db, sought.token, desk.clock())
        agent = await store.agent(desk.db, session.agent_id) if session else None
        if session is None or agent is None:
            raise problems.Problem(401, "unauthenticated", "There is no such session (any more): log in again.")
        return _open_session(session, agent)

    @app.post(internal.SESSION_END, status_code=204)
    async def session_end(request: Request, sought: SessionToken) -> None:
        caller(request)
        session = await sessions.end(desk.db, sought.token, desk.clock())
        if session:
            log.info("agent_logged_out", agent_id=session.agent_id)
            await close_session_soon(desk, session)


async def log_in(
    desk: Desk, passwords: Passwords, credentials: Credentials, hours: float, limited: bool
) -> OpenSession:
    """A session of the agent with these credentials, who is available from here on.

    Raises the problems `rate_limited` (with Retry-After, whole seconds) and `bad_credentials`, for a user who does not
    exist exactly as for a wrong password.
    """
    username = credentials.username.strip().lower()
    wait = await sessions.admit(desk.db, username, credentials.address, desk.clock()) if limited else 0.0
    if wait:
        LOGINS.labels("rate_limited").inc()
        raise problems.Problem(
            429, "rate_limited", "Too many attempts; wait a while.", {"Retry-After": str(math.ceil(wait))}
        )
    agent_id, stored = await store.password_of(desk.db, username) or (None, None)
    if not await passwords.verify(stored, credentials.password) or agent_id is None:
        LOGINS.labels("bad_credentials").inc()
        raise problems.Problem(401, "bad_credentials", "The username or the password is not right.")
    if limited:
        await sessions.absolve(desk.db, username, credentials.address)
    session, token = await sessions.begin(desk.db, agent_id, desk.clock(), hours)
    if await store.set_state(desk.db, agent_id, AgentState.AVAILABLE, "login", session.id, desk.clock()):
        desk.wake()
        await _mention(desk, agent_id)
    LOGINS.labels("ok").inc()
    log.info("agent_logged_in", agent_id=agent_id)
    agent = await store.agent(desk.db, agent_id)
    assert agent is not None
    return _open_session(session, agent, token)


async def _mention(desk: Desk, agent_id: str) -> None:
    try:
        await tell_agent(desk, agent_id)
    except Unconfirmed:
        log.info("agent_change_untold", agent_id=agent_id)  # it is marked: a sweep tells it


def _open_session(session: Session, agent: Agent, token: str | None = None) -> OpenSession:
    return OpenSession(session_id=session.id, token=token, expires_at=session.expires_at, agent=_view(agent))


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
    )
