"""`supervision.py` behind a real server: who may do what, and what becomes of it."""

from datetime import timedelta
from typing import Any

import pytest

from services.common.events.messages import NotePosted
from services.common.events.types import AgentState, ChatStatus
from services.common.http.problems import Problem
from services.common.internal_api import routing as routing_api
from services.common.internal_api import supervision as api
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.transcripts import AccessNoted
from tests.gateway.asking import Client
from tests.gateway.making import AN, BERT, CHAT, NOW, OTHER, agent_view, id_of, view
from tests.gateway.standing import World

TOKEN = f"/api/agent/chats/{CHAT}/token"
INTAKE, REASSIGN, NOTES = (
    "/api/agent/intakes/algemeen",
    f"/api/agent/chats/{CHAT}/reassign",
    f"/api/agent/chats/{CHAT}/notes",
)
CLOSE = {"reason": "staff", "until": "2026-11-23T10:00:00+01:00"}
NOTE = {"id": id_of(7), "text": "Vraag naar het dossiernummer."}
ACTS: tuple[tuple[str, str, Any], ...] = (
    ("PUT", INTAKE, CLOSE),
    ("DELETE", INTAKE, None),
    ("POST", "/api/agent/agents/agent-bert/pause", None),
    ("POST", "/api/agent/agents/agent-bert/log-out", None),
    ("POST", REASSIGN, {"agent": None}),
    ("POST", NOTES, NOTE),
    ("DELETE", TOKEN, None),
)


def asked(world: World, path: str) -> list[str]:
    return [body for asked_path, body in world.others.asked if asked_path == path]


def running(world: World, agent_id: str = BERT, **more: Any) -> None:
    world.others.chats[CHAT] = view(2, ChatStatus.ASSIGNED, agent_id, chat_id=CHAT, **more)


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
async def test_only_supervisors_may(world: World, client: Client, method: str, path: str, body: Any) -> None:
    running(world)
    bert = f"eloket-agent={world.others.log_in(BERT)}"
    assert (await client.ask(method, path, body))[0] == 401
    status, problem, _ = await client.ask(method, path, body, Cookie=bert)
    assert (status, problem["code"]) == (403, "forbidden")
    assert not asked(world, transcripts_api.ACCESS_NOTE)


async def test_the_intake_is_closed_and_opened(world: World, client: Client, supervisor: str) -> None:
    world.others.fixed[api.INTAKE_CLOSE] = api.ClosedIntake(
        department="algemeen", reason="staff", until=NOW + timedelta(hours=1), agent_id=AN, name="An", at=NOW
    )
    status, shown, _ = await client.ask("PUT", INTAKE, CLOSE, Cookie=supervisor)
    assert (status, shown["reason"], shown["until"]) == (200, "staff", "2026-11-23T09:00:00.123Z")
    wish = api.IntakeClose.model_validate_json(asked(world, api.INTAKE_CLOSE)[0])
    assert (wish.department, wish.reason, wish.agent_id, wish.name) == ("algemeen", "staff", AN, "An")
    assert (await client.ask("DELETE", INTAKE, Cookie=supervisor))[0] == 204
    assert api.IntakeOpen.model_validate_json(asked(world, api.INTAKE_OPEN)[0]).agent_id == AN
    for change in ({"reason": "because"}, {"until": "2026-11-23T10:00:00"}, {"until": None}):
        status, problem, _ = await client.ask("PUT", INTAKE, {**CLOSE, **change}, Cookie=supervisor)
        assert (status, problem["code"]) == (422, "invalid")
    status, problem, _ = await client.ask("PUT", "/api/agent/intakes/nowhere", CLOSE, Cookie=supervisor)
    assert (status, problem["code"]) == (404, "unknown_department")
    world.others.refused[api.INTAKE_CLOSE] = Problem(422, "invalid_until", "past")
    status, problem, _ = await client.ask("PUT", INTAKE, CLOSE, Cookie=supervisor)
    assert (status, problem["code"]) == (422, "invalid_until")


async def test_agents_are_paused_and_logged_out(world: World, client: Client, supervisor: str) -> None:
    for what, path in (("pause", api.AGENT_PAUSE), ("log-out", api.AGENT_LOGOUT)):
        assert (await client.ask("POST", f"/api/agent/agents/{BERT}/{what}", Cookie=supervisor))[0] == 204
        act = api.AgentAct.model_validate_json(asked(world, path)[0])
        assert (act.agent_id, act.by, act.departments) == (BERT, AN, ["algemeen", "premies"])
        world.others.refused[path] = Problem(409, "not_online", "gone")
        status, problem, _ = await client.ask("POST", f"/api/agent/agents/{BERT}/{what}", Cookie=supervisor)
        assert (status, problem["code"]) == (409, "not_online")
        world.others.away.add(path)
        assert (await client.ask("POST", f"/api/agent/agents/{BERT}/{what}", Cookie=supervisor))[0] == 503


@pytest.mark.parametrize("agent", ["agent-c", None])
async def test_a_chat_is_reassigned_after_the_access_log_has_it(
    world: World, client: Client, supervisor: str, agent: str | None
) -> None:
    running(world)
    world.others.agents["agent-c"] = agent_view("agent-c")
    world.others.fixed[routing_api.TRANSFER] = routing_api.Admitted()
    assert (await client.ask("POST", REASSIGN, {"agent": agent}, Cookie=supervisor))[0] == 204
    transfer = routing_api.Transfer.model_validate_json(asked(world, routing_api.TRANSFER)[0])
    to = (None, "agent-c") if agent else ("algemeen", None)
    assert (transfer.chat_id, transfer.agent_id, transfer.to_department, transfer.to_agent) == (CHAT, BERT, *to)
    noted = AccessNoted.model_validate_json(asked(world, transcripts_api.ACCESS_NOTE)[0])
    assert (noted.act, noted.chat_id, noted.item, noted.reader.agent_id) == ("chat_reassigned", CHAT, agent, AN)


async def test_a_chat_that_cannot_be_reassigned(world: World, client: Client, supervisor: str) -> None:
    async def refused(path: str = REASSIGN, agent: str | None = None) -> tuple[int, str]:
        status, problem, _ = await client.ask("POST", path, {"agent": agent}, Cookie=supervisor)
        return status, problem["code"]

    assert await refused() == (404, "no_such_chat")
    assert await refused("/api/agent/chats/none/reassign") == (404, "no_such_chat")
    running(world, department="studietoelagen")
    assert await refused() == (403, "forbidden")
    world.others.chats[CHAT] = view(3, ChatStatus.CLOSED, chat_id=CHAT)
    assert await refused() == (409, "not_running")
    running(world)
    world.others.agents["agent-c"] = agent_view("agent-c", state=AgentState.PAUSED)
    assert await refused(agent="agent-c") == (409, "agent_unavailable")
    assert await refused(agent="nobody") == (409, "agent_unavailable")
    assert not asked(world, transcripts_api.ACCESS_NOTE)
    world.others.refused[routing_api.TRANSFER] = Problem(403, "not_yours", "another agent has it by now")
    assert await refused() == (409, "not_running")
    world.others.away.add(transcripts_api.ACCESS_NOTE)
    before = len(asked(world, routing_api.TRANSFER))
    assert await refused() == (503, "unavailable")
    assert len(asked(world, routing_api.TRANSFER)) == before


async def test_a_supervisor_writes_a_note_in_a_running_chat(world: World, client: Client, supervisor: str) -> None:
    running(world)
    assert (await client.ask("POST", NOTES, NOTE, Cookie=supervisor))[0] == 204
    (posted,) = await world.receive(NotePosted)
    assert (posted.chat_id, posted.id, posted.agent_id, posted.agent_name) == (CHAT, NOTE["id"], AN, "An")
    assert posted.text == NOTE["text"]
    assert AccessNoted.model_validate_json(asked(world, transcripts_api.ACCESS_NOTE)[0]).act == "supervisor_note_added"
    for wrong in ({"text": " "}, {"text": "x" * 4_001}, {"id": "7"}, {"id": OTHER.upper()}):
        status, problem, _ = await client.ask("POST", NOTES, {**NOTE, **wrong}, Cookie=supervisor)
        assert (status, problem["code"]) == (422, "invalid")


async def test_a_supervisor_of_another_department_is_refused(world: World, client: Client, supervisor: str) -> None:
    running(world)
    token = supervisor.partition("=")[2]
    other = agent_view(AN, supervisor=True, departments=["premies"])
    world.others.sessions[token] = world.others.sessions[token].model_copy(update={"agent": other})
    for method, path, body in (ACTS[0], ACTS[1], ACTS[4], ACTS[5]):
        status, problem, _ = await client.ask(method, path, body, Cookie=supervisor)
        assert (status, problem["code"]) == (403, "forbidden")
    assert not asked(world, api.INTAKE_CLOSE)
    assert not asked(world, transcripts_api.ACCESS_NOTE)


async def test_identifying_numbers_in_a_note_are_masked(world: World, client: Client, supervisor: str) -> None:
    """The supervisor's note goes the way of other notes: `algemeen` masks."""
    running(world)
    text = "Zijn nummer is 85.07.30-033.28."
    status, _, _ = await client.ask("POST", NOTES, {"id": id_of(8), "text": text}, Cookie=supervisor)
    assert status == 204
    (posted,) = await world.receive(NotePosted)
    assert "033" not in posted.text
    assert posted.text.endswith("28.")


async def test_a_token_that_others_may_know_is_revoked_by_a_supervisor(
    world: World, client: Client, supervisor: str
) -> None:
    for chat in (view(2, ChatStatus.ASSIGNED, BERT), view(3, ChatStatus.CLOSED, BERT)):
        world.others.chats[CHAT] = chat
        assert (await client.ask("DELETE", TOKEN, Cookie=supervisor))[0] == 204
        noted = AccessNoted.model_validate_json(asked(world, transcripts_api.ACCESS_NOTE)[-1])
        assert (noted.act, noted.chat_id, noted.departments) == ("chat_token_revoked", CHAT, ["algemeen"])
        assert (noted.reader.agent_id, noted.reader.supervisor, noted.reader.role) == (AN, True, None)
        wish = routing_api.TokenRevocation.model_validate_json(asked(world, routing_api.TOKEN_REVOKE)[-1])
        assert (wish.chat_id, wish.by, wish.role) == (CHAT, AN, None)
    world.others.chats[CHAT] = view(3, ChatStatus.CLOSED, department="studietoelagen")
    status, problem, _ = await client.ask("DELETE", TOKEN, Cookie=supervisor)
    assert (status, problem["code"]) == (403, "forbidden")
    for path in (TOKEN.replace(CHAT, OTHER), "/api/agent/chats/none/token"):
        status, problem, _ = await client.ask("DELETE", path, Cookie=supervisor)
        assert (status, problem["code"]) == (404, "no_such_chat")


async def test_an_administrator_revokes_in_every_department_and_an_auditor_nowhere(
    world: World, client: Client, supervisor: str
) -> None:
    world.others.chats[CHAT] = view(3, ChatStatus.CLOSED, department="studietoelagen")
    token = supervisor.partition("=")[2]
    plain = agent_view(AN, departments=[])
    for role, expected in (("auditor", 403), ("administrator", 204)):
        session = world.others.sessions[token].model_copy(update={"agent": plain, "role": role})
        world.others.sessions[token] = session
        assert (await client.ask("DELETE", TOKEN, Cookie=supervisor))[0] == expected
    (noted,) = [AccessNoted.model_validate_json(body) for body in asked(world, transcripts_api.ACCESS_NOTE)]
    assert noted.reader.role == "administrator"
    wish = routing_api.TokenRevocation.model_validate_json(asked(world, routing_api.TOKEN_REVOKE)[-1])
    assert wish.role == "administrator"


async def test_what_cannot_be_logged_is_not_revoked(world: World, client: Client, supervisor: str) -> None:
    running(world)
    world.others.away.add(transcripts_api.ACCESS_NOTE)
    status, problem, _ = await client.ask("DELETE", TOKEN, Cookie=supervisor)
    assert (status, problem["code"]) == (503, "unavailable")
    assert not asked(world, routing_api.TOKEN_REVOKE)
