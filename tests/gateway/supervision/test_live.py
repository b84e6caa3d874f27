"""`supervision/live.py` with a real broker: a snapshot, then what changes, for each supervisor of a department."""

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.common.events.agents import AgentChanged
from services.common.events.chats import QueueChanged
from services.common.events.types import AgentState, ChatStatus, Party
from services.common.internal_api import presence as presence_api
from services.common.internal_api import supervision as api
from services.gateway.participants.sessions import AgentSession
from services.gateway.supervision import live
from services.gateway.websocket.connection import Connection
from services.gateway.websocket.frames.client import Watch
from tests.gateway.making import AN, BERT, CHAT, NOW, OTHER, Paper, agent_view, entry, state, stored
from tests.gateway.standing import Parts, World, kept
from tests.support.conditions import until


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read without a cause, and changes are not gathered for long."""
    monkeypatch.setattr(live, "SPACING", 0.01)
    monkeypatch.setattr(live, "AGAIN", 0.01)
    monkeypatch.setattr(live, "ANYWAY", 600.0)


def supervisor(*departments: str) -> AgentSession:
    """The session of a supervisor of these departments."""
    connection = Connection(Party.AGENT, Paper(full=False))
    connection.end_answer()
    view = agent_view(BERT, supervisor=True, departments=list(departments))
    session = AgentSession(connection, view, "session")
    session.join()
    return session


def everything(session: AgentSession) -> list[dict[str, Any]]:
    """All frames that the session was sent so far."""
    paper = session.connection.socket
    assert isinstance(paper, Paper)
    session.connection.flush()
    return [json.loads(frame) for frame in paper.written]


def frames(session: AgentSession, department: str = "algemeen") -> list[dict[str, Any]]:
    return [f for f in everything(session) if f["type"] == "live" and f["department"] == department]


def running(*chat_ids: str) -> api.OpenChats:
    chats = [api.RunningChat(chat_id=c, since=NOW, agent_id=AN, agent_name="An", accepted=True) for c in chat_ids]
    one = api.DepartmentChats(department="algemeen", running=len(chats), first_running=chats)
    return api.OpenChats(departments=[one], of_agents={AN: len(chats)})


@contextlib.asynccontextmanager
async def watching(world: World, parts: Parts) -> AsyncIterator[None]:
    """The other services answer, and the live state is read and sent."""
    world.others.agents[AN] = agent_view(AN, capacity=2, since=NOW)
    world.others.fixed |= {
        api.INTAKES: api.Intakes(intakes=[], hours={"algemeen": ["09:00-17:00"]}),
        api.OPEN_CHATS: running(CHAT),
        api.UNANSWERED: api.Unanswered(since={}),
    }
    async with kept(parts.live.run()):
        yield


async def test_the_whole_is_sent_first_and_then_what_changes(world: World, parts: Parts) -> None:
    async with watching(world, parts):
        chef = supervisor("algemeen", "premies")
        parts.agents.take(chef, Watch())
        await until(lambda: frames(chef) and frames(chef, "premies"), "both departments")
        (whole,) = frames(chef)
        assert (whole["whole"], whole["current"], whole["hours"], whole["running"]) == (True, True, ["09:00-17:00"], 1)
        assert [(a["id"], a["chats"], a["capacity"]) for a in whole["agents"]] == [(AN, 1, 2)]
        assert [(c["chat_id"], c["agent"], c["unanswered_since"]) for c in whole["chats"]] == [(CHAT, "An", None)]
        assert {"algemeen", "premies", CHAT} <= parts.bindings.bound

        world.others.fixed[api.OPEN_CHATS] = running(CHAT, OTHER)
        await world.publisher.publish(state(2, ChatStatus.ASSIGNED, AN, chat_id=OTHER))
        await until(lambda: len(frames(chef)) == 2, "the change")
        change = frames(chef)[-1]
        assert (change["whole"], change["running"], [c["chat_id"] for c in change["chats"]]) == (False, 2, [OTHER])
        assert "button" not in change

        world.others.fixed[api.OPEN_CHATS] = running(CHAT)
        await world.publisher.publish(state(3, ChatStatus.CLOSED, chat_id=OTHER))
        await until(lambda: len(frames(chef)) == 3, "the end")
        assert frames(chef)[-1]["chats_gone"] == [OTHER]
        parts.live.leave(chef)
        assert not {"algemeen", "premies", CHAT} - parts.bindings.late


async def test_events_of_agents_queues_and_transfers_are_seen(world: World, parts: Parts) -> None:
    async with watching(world, parts):
        chef = supervisor("algemeen")
        parts.agents.take(chef, Watch())
        await until(lambda: frames(chef), "the whole")
        world.others.agents[AN] = agent_view(AN, capacity=2, state=AgentState.PAUSED)
        paused = AgentChanged(
            agent_id=AN, v=2, online=True, state=AgentState.PAUSED, cause="supervisor", departments=["algemeen"]
        )
        await world.publisher.publish(paused)
        await until(lambda: len(frames(chef)) == 2, "the pause")
        assert frames(chef)[-1]["agents"][0]["state"] == "paused"
        world.others.fixed[api.OPEN_CHATS] = api.OpenChats(
            departments=[api.DepartmentChats(department="algemeen", waiting=3, waiting_since=NOW)]
        )
        await world.publisher.publish(QueueChanged(department="algemeen", revision=5, order=["a", "b", "c"]))
        await until(lambda: len(frames(chef)) == 3, "the queue")
        assert (frames(chef)[-1]["waiting"]["count"], frames(chef)[-1]["chats_gone"]) == (3, [CHAT])
        world.others.fixed[api.OPEN_CHATS] = running(CHAT)
        moved = state(4, ChatStatus.WAITING, department="premies", former_departments=["algemeen"])
        await world.publisher.publish(moved)
        await until(lambda: len(frames(chef)) == 4, "a chat that left the department")


async def test_a_citizen_who_waits_for_an_answer_is_shown_by_the_messages(world: World, parts: Parts) -> None:
    async with watching(world, parts):
        chef = supervisor("algemeen")
        parts.agents.take(chef, Watch())
        await until(lambda: frames(chef), "the whole")
        world.others.fixed[api.UNANSWERED] = api.Unanswered(since={CHAT: NOW})
        await world.publisher.publish(stored(entry(2)))
        await until(lambda: len(frames(chef)) == 2, "the question")
        assert frames(chef)[-1]["chats"][0]["unanswered_since"] == "2026-11-23T08:00:00.123Z"
        asked = len([path for path, _ in world.others.asked if path == api.UNANSWERED])
        await world.publisher.publish(stored(entry(3)))  # they were waiting already: nothing to ask
        world.others.fixed[api.UNANSWERED] = api.Unanswered(since={})
        answer = entry(4, party=Party.AGENT, sender_id=AN)
        await world.publisher.publish(stored(answer))
        await until(lambda: len(frames(chef)) == 3, "the answer")
        assert frames(chef)[-1]["chats"][0]["unanswered_since"] is None
        assert len([path for path, _ in world.others.asked if path == api.UNANSWERED]) == asked + 1


async def test_a_second_supervisor_gets_the_whole_and_the_first_one_nothing(world: World, parts: Parts) -> None:
    async with watching(world, parts):
        first, second = supervisor("algemeen"), supervisor("algemeen")
        parts.agents.take(first, Watch())
        await until(lambda: frames(first), "the whole")
        parts.agents.take(second, Watch())
        await until(lambda: frames(second), "the whole for the second one")
        assert [len(frames(one)) for one in (first, second)] == [1, 1]
        assert frames(second)[0]["whole"]
        parts.live.leave(first)
        assert {"algemeen", CHAT} <= parts.bindings.bound - parts.bindings.late


async def test_a_service_that_does_not_answer_is_said_and_asked_again(world: World, parts: Parts) -> None:
    async with watching(world, parts):
        chef = supervisor("algemeen")
        parts.agents.take(chef, Watch())
        await until(lambda: frames(chef), "the whole")
        world.others.away.add(api.OPEN_CHATS)
        await world.publisher.publish(QueueChanged(department="algemeen", revision=5, order=[]))
        await until(lambda: len(frames(chef)) == 2, "that it may be old")
        assert (frames(chef)[-1]["current"], frames(chef)[-1]["whole"]) == (False, False)
        world.others.away.clear()
        await until(lambda: len(frames(chef)) == 3, "that it is current again")
        assert frames(chef)[-1]["current"]


async def test_an_agent_who_is_no_supervisor_is_refused(world: World, parts: Parts) -> None:
    async with watching(world, parts):
        session = supervisor("algemeen")
        session.agent = agent_view(AN)
        parts.agents.take(session, Watch())
        assert [(f["type"], f["code"]) for f in everything(session)] == [("error", "forbidden")]
        assert not parts.bindings.bound
        assert presence_api.AGENTS not in [path for path, _ in world.others.asked]


async def test_a_closed_intake_is_shown_with_who_closed_it(world: World, parts: Parts) -> None:
    async with watching(world, parts):
        closed = api.ClosedIntake(
            department="algemeen", reason="staff", until=NOW + timedelta(hours=1), agent_id="c", name="Chef", at=NOW
        )
        world.others.fixed[api.INTAKES] = api.Intakes(intakes=[closed])
        chef = supervisor("algemeen")
        parts.agents.take(chef, Watch())
        await until(lambda: frames(chef), "the whole")
        assert (frames(chef)[0]["intake"]["name"], frames(chef)[0]["hours"]) == ("Chef", None)
