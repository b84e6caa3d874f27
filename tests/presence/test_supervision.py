"""The presence service as a process, asked for a supervisor: intakes, also after a kill, and agents."""

from datetime import timedelta

from services.common.clock import utcnow
from services.common.events.agents import AgentChanged, ButtonChanged, SessionEnded
from services.common.events.types import AgentState, ButtonColour, ButtonReason
from services.common.internal_api import supervision as api
from services.common.internal_api.presence import AGENTS
from tests.presence.conftest import eventually, listening
from tests.presence.test_service import NEVER, heartbeats, presence, shown
from tests.support.publishers import publishing

INTAKES = {"departments": ["algemeen", "premies"]}


async def test_a_closed_intake_outlives_a_killed_process(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> None:
    until = (utcnow() + timedelta(hours=1)).replace(microsecond=0)
    wish = {"department": "algemeen", "reason": "meeting", "until": until.isoformat(), "agent_id": "c", "name": "Chef"}
    more = {"MONGODB_PREFIX": mongodb_prefix, "AGENT_GRACE": NEVER}
    async with listening(vhost_url) as observer, publishing(vhost_url) as publisher:
        async with presence(vhost_url, mongodb_url, **more) as service:
            _, session = await service.log_in()
            async with heartbeats(publisher, session["agent"]["id"]):
                await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)
                status, closed = await service.ask(api.INTAKE_CLOSE, wish)
                assert (status, closed["reason"], closed["name"]) == (200, "meeting", "Chef")
                service.process.kill()  # before or after its button was evaluated
                await service.process.wait()
        async with (
            presence(vhost_url, mongodb_url, **more) as service,
            heartbeats(publisher, session["agent"]["id"]),
        ):
            await shown(observer, ButtonColour.BLUE, ButtonReason.CLOSED)
            last = [b for b in observer.seen(ButtonChanged) if b.department == "algemeen"][-1]
            assert last.intake is not None
            assert (last.intake.reason, last.intake.until, last.opens_at) == ("meeting", until, until)
            _, found = await service.ask(api.INTAKES, INTAKES)
            assert [(i["department"], i["reason"]) for i in found["intakes"]] == [("algemeen", "meeting")]
            assert found["hours"] == {}
            for _ in range(2):
                assert (await service.ask(api.INTAKE_OPEN, {"department": "algemeen", "agent_id": "c"}))[0] == 204
            await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)


async def test_what_is_wrong_with_a_wish_is_said(module_vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> None:
    wish = {"department": "algemeen", "reason": "staff", "agent_id": "c", "name": "Chef"}
    async with presence(module_vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix) as service:
        for until in (utcnow() - timedelta(seconds=1), utcnow() + timedelta(days=32)):
            status, problem = await service.ask(api.INTAKE_CLOSE, {**wish, "until": until.isoformat()})
            assert (status, problem["code"]) == (422, "invalid_until")
        until = utcnow() + timedelta(hours=1)
        status, problem = await service.ask(
            api.INTAKE_CLOSE, {**wish, "department": "elders", "until": until.isoformat()}
        )
        assert (status, problem["code"]) == (404, "unknown_department")
        for path in (api.AGENT_PAUSE, api.AGENT_LOGOUT):
            act = {"agent_id": "nobody", "by": "c", "departments": ["algemeen"]}
            status, problem = await service.ask(path, act)
            assert (status, problem["code"]) == (404, "no_such_agent")


async def test_a_supervisor_pauses_an_agent_and_logs_them_out(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    async with (
        listening(vhost_url) as observer,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix, AGENT_GRACE=NEVER) as service,
    ):
        _, session = await service.log_in()
        agent = session["agent"]["id"]
        act = {"agent_id": agent, "by": "chef", "departments": ["algemeen"]}
        status, problem = await service.ask(api.AGENT_PAUSE, act)
        assert (status, problem["code"]) == (409, "not_online")
        async with heartbeats(publisher, agent):
            await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            status, problem = await service.ask(api.AGENT_PAUSE, {**act, "departments": ["elders"]})
            assert (status, problem["code"]) == (403, "forbidden")
            before = utcnow() - timedelta(seconds=1)
            assert (await service.ask(api.AGENT_PAUSE, act))[0] == 204

            async def paused() -> bool:
                return any(e.cause == "supervisor" for e in observer.seen(AgentChanged))

            await eventually(paused, "the pause to be published")
            told = next(e for e in observer.seen(AgentChanged) if e.cause == "supervisor")
            assert (told.state, told.departments) == (AgentState.PAUSED, session["agent"]["departments"])
            _, found = await service.ask(AGENTS, {"departments": ["algemeen"]})
            (shown_agent,) = [a for a in found["agents"] if a["id"] == agent]
            assert shown_agent["state"] == "paused"
            assert shown_agent["since"] >= before.isoformat()[:19]
            assert (await service.ask(api.AGENT_LOGOUT, act))[0] == 204
            ended = (await observer.wait_for(SessionEnded))[-1]
            assert (ended.session_id, ended.cause) == (session["session_id"], "supervisor")
