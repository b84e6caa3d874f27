"""Internal API of presence for supervisors: closed intakes, and agents whom a supervisor pauses or logs out."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

import structlog
from fastapi import APIRouter, Request

from services.common.events.types import AgentState
from services.common.http.problems import Problem
from services.common.internal_api import supervision as api
from services.common.runtime.service import caller
from services.presence.agents.transitions import close_session_soon
from services.presence.context import Context
from services.presence.opening_hours import Schedule, hours_of_day
from services.presence.publisher import publish_agent
from services.presence.slots.rules import Agent

log = structlog.get_logger()
CAUSE = "supervisor"


def create_supervision_routes(context: Context, schedules: Mapping[str, Schedule]) -> APIRouter:
    """Return these routes. They require a service token; those that change something also the supervisor's agent token.

    Args:
        context: Dependencies of the service.
        schedules: The opening hours of all departments.
    """
    routes = APIRouter()

    @routes.post(api.INTAKES)
    async def intakes(request: Request, query: api.IntakesQuery) -> api.Intakes:
        caller(request)
        now = context.clock()
        found = await context.stores.buttons.closed_intakes(query.departments, now)
        known = {d: schedules[d] for d in query.departments if d in schedules}
        hours = {d: hours_of_day(schedule, now) for d, schedule in known.items() if schedule.week is not None}
        return api.Intakes(intakes=[api.ClosedIntake(**one) for one in found], hours=hours)

    @routes.post(api.INTAKE_CLOSE)
    async def close_intake(request: Request, wish: api.IntakeClose) -> api.ClosedIntake:
        caller(request).require_agent(wish.agent_id, [wish.department], supervisor=True)
        now = context.clock()
        if wish.until.tzinfo is None or not now < wish.until <= now + api.LONGEST_CLOSED:
            days = api.LONGEST_CLOSED.days
            raise Problem(422, "invalid_until", f"Choose an end that is still to come, and at most {days} days away.")
        closed = {**wish.model_dump(exclude={"department"}), "at": now}
        if not await context.stores.buttons.close_intake(wish.department, closed):
            raise Problem(404, "unknown_department", "There is no such department.")
        log.info(
            "intake_closed",
            department=wish.department,
            agent_id=wish.agent_id,
            reason=wish.reason,
            until=wish.until.isoformat(),
        )
        context.wake([wish.department])
        return api.ClosedIntake(department=wish.department, **closed)

    @routes.post(api.INTAKE_OPEN, status_code=204)
    async def open_intake(request: Request, wish: api.IntakeOpen) -> None:
        caller(request).require_agent(wish.agent_id, [wish.department], supervisor=True)
        if await context.stores.buttons.open_intake(wish.department):
            log.info("intake_opened", department=wish.department, agent_id=wish.agent_id)
            context.wake([wish.department])

    @routes.post(api.AGENT_PAUSE, status_code=204)
    async def pause(request: Request, act: api.AgentAct) -> None:
        caller(request).require_agent(act.by, act.departments, supervisor=True)
        agent = await _agent_of(context, act)
        if await context.stores.agents.set_state(agent.id, AgentState.PAUSED, CAUSE, str(uuid4()), context.clock()):
            context.wake(agent.departments)
            log.info("agent_paused_by_supervisor", agent_id=agent.id, by=act.by)
        await publish_agent(context, agent.id)

    @routes.post(api.AGENT_LOGOUT, status_code=204)
    async def log_out(request: Request, act: api.AgentAct) -> None:
        caller(request).require_agent(act.by, act.departments, supervisor=True)
        agent = await _agent_of(context, act)
        log.info("agent_logged_out_by_supervisor", agent_id=agent.id, by=act.by)
        for session in await context.stores.sessions.end_all(agent.id, context.clock()):
            await close_session_soon(context, session, CAUSE)

    return routes


async def _agent_of(context: Context, act: api.AgentAct) -> Agent:
    """Return the agent on whom a supervisor acts.

    Raises:
        Problem: 404 `no_such_agent`, 403 `forbidden` for an agent of other departments, 409 `not_online`.
    """
    agent = await context.stores.agents.agent(act.agent_id)
    if agent is None:
        raise Problem(404, "no_such_agent", "There is no such agent.")
    if not set(agent.departments) & set(act.departments):
        raise Problem(403, "forbidden", "Only a supervisor of a department of this agent may do this.")
    if not agent.online:
        raise Problem(409, "not_online", "This agent is not logged in any more.")
    return agent
