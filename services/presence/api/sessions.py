"""Internal API of presence for lists of sessions: people see and end their own, administrators those of others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog
from fastapi import APIRouter, Request

from services.common.http.problems import Problem
from services.common.internal_api import sessions as api
from services.common.runtime.service import caller
from services.presence.agents.session_store import LiveSession, Session
from services.presence.agents.transitions import close_session_soon
from services.presence.context import Context

log = structlog.get_logger()


def create_sessions_routes(context: Context, idle: timedelta | None = None) -> APIRouter:
    """Return these routes. They require a service token; those of administrators also their agent token.

    Args:
        context: Dependencies of the service.
        idle: A session that was not used for so long is over; None: there is no such limit.
    """
    routes = APIRouter()
    sessions = context.stores.sessions

    async def own(token: str) -> Session:
        found = await sessions.find(token, context.clock(), idle)
        if found is None:
            raise Problem(401, "unauthenticated", "There is no such session (any more): log in again.")
        return found

    async def end(found: Sequence[Session]) -> None:
        if not found:
            raise Problem(404, "no_such_session", "There is no such session (any more).")
        for session in found:
            await close_session_soon(context, session)

    @routes.post(api.SESSIONS_OWN)
    async def own_sessions(request: Request, query: api.OwnSessions) -> api.Sessions:
        caller(request)
        asking = await own(query.token)
        found = await sessions.listed(context.clock(), idle, [asking.agent_id], most=api.PAGE)
        return api.Sessions(sessions=[_view(one, current=one.id == asking.id) for one in found])

    @routes.post(api.SESSIONS_OWN_END, status_code=204)
    async def end_own(request: Request, wish: api.OwnSessionEnd) -> None:
        caller(request)
        asking = await own(wish.token)
        if wish.session_id == asking.id:
            raise Problem(409, "current_session", "This is the session with which you ask: log out in its place.")
        ended = await sessions.end_of(asking.agent_id, wish.session_id, context.clock())
        if ended:
            log.info("session_ended_by_its_person", agent_id=asking.agent_id)
        await end(ended)

    @routes.post(api.SESSIONS_SEARCH)
    async def search(request: Request, query: api.SessionsQuery) -> api.Sessions:
        caller(request).require_agent(None, role="administrator")
        stores, people = context.stores, None
        if query.search is not None:
            people = list(await stores.agents.names([], query.search) | await stores.officers.names([], query.search))
        found = await sessions.listed(context.clock(), idle, people, query.session_id, api.PAGE + 1)
        ids = list({one.agent_id for one in found})
        names = await stores.agents.names(ids, None) | await stores.officers.names(ids, None)
        shown = [_view(one, names.get(one.agent_id, "")) for one in found[: api.PAGE]]
        return api.Sessions(sessions=shown, more=len(found) > api.PAGE)

    @routes.post(api.SESSIONS_END, status_code=204)
    async def end_other(request: Request, wish: api.OtherSessionEnd) -> None:
        caller(request).require_agent(wish.by, role="administrator")
        ended = await sessions.end_by_id(wish.session_id, context.clock())
        for session in ended:
            log.info("session_ended_by_administrator", agent_id=session.agent_id, by=wish.by)
        await end(ended)

    return routes


def _view(one: LiveSession, name: str = "", current: bool = False) -> api.SessionView:
    return api.SessionView(
        id=one.id,
        agent_id=one.agent_id,
        name=name,
        current=current,
        begun_at=one.begun_at,
        used_at=one.used_at,
        expires_at=one.expires_at,
        network=one.origin.network,
        client=api.Client(browser=one.origin.browser[:20], system=one.origin.system[:20]),
    )
