"""`participants/own_departments.py` with a real broker: what the bar of an agent's console shows."""

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.common.events.agents import ButtonChanged, DepartmentButton
from services.common.events.chats import EmptyQueue, QueueChanged
from services.common.events.types import ButtonColour, ButtonReason, Intake, Party
from services.common.internal_api import supervision as api
from services.gateway.button_state import Button
from services.gateway.participants import own_departments
from services.gateway.participants.own_departments import OwnDepartments
from services.gateway.participants.sessions import AgentSession
from services.gateway.websocket.connection import Connection
from services.gateway.websocket.frames.client import ShowDepartments
from tests.gateway.making import AN, NOW, Paper, agent_view
from tests.gateway.standing import Parts, World, kept
from tests.support.conditions import until

UNTIL = NOW + timedelta(hours=1)
CLOSED = api.ClosedIntake(department="algemeen", reason="staff", until=UNTIL, agent_id="c", name="Chef", at=NOW)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are not gathered for long, and nothing is read without a cause."""
    monkeypatch.setattr(own_departments, "EVERY", 0.02)
    monkeypatch.setattr(own_departments, "READING", 30.0)
    monkeypatch.setattr(own_departments, "AGAIN", 0.05)
    monkeypatch.setattr(own_departments, "ANYWAY", 600.0)
    monkeypatch.setattr(own_departments, "SILENCE", 600.0)


def agent_of(*departments: str) -> AgentSession:
    """The session of an agent of these departments."""
    connection = Connection(Party.AGENT, Paper(full=False))
    connection.end_answer()
    session = AgentSession(connection, agent_view(AN, departments=list(departments)), "session")
    session.join()
    return session


def frames(session: AgentSession) -> list[dict[str, Any]]:
    """The frames about departments that the session was sent so far."""
    paper = session.connection.socket
    assert isinstance(paper, Paper)
    session.connection.flush()
    return [frame for frame in map(json.loads, paper.written) if frame["type"] == "departments"]


def said(session: AgentSession, department: str = "algemeen") -> list[dict[str, Any]]:
    """What the session was sent of this department, one after the other."""
    return [one for frame in frames(session) for one in frame["departments"] if one["department"] == department]


def green(revision: int = 10, department: str = "algemeen", **more: Any) -> ButtonChanged:
    given = {"colour": ButtonColour.GREEN, "reason": ButtonReason.AVAILABLE, "revision": revision}
    return ButtonChanged(**{"department": department, **given, **more})


def blue(revision: int, reason: ButtonReason = ButtonReason.BUSY, **more: Any) -> ButtonChanged:
    return green(revision, colour=ButtonColour.BLUE, reason=reason, **more)


@contextlib.asynccontextmanager
async def shown(world: World, parts: Parts, *sessions: AgentSession) -> AsyncIterator[None]:
    """The buttons are green, the queues are known, presence answers, and these sessions have asked for the state."""
    world.others.fixed[api.INTAKES] = api.Intakes(intakes=[], hours={"algemeen": ["09:00-17:00"]})
    await world.publisher.publish(
        green(others=[DepartmentButton(department="premies", colour="green", reason="available", revision=10)])
    )
    queues = QueueChanged(
        department="algemeen", revision=5, order=[], empty=[EmptyQueue(department="premies", revision=5)]
    )
    await world.publisher.publish(queues)
    await until(lambda: parts.buttons.of["premies"].shown.green, "the buttons")
    async with kept(parts.own.run()):
        for session in sessions:
            parts.agents.take(session, ShowDepartments())
        await until(lambda: all(frames(one) for one in sessions), "the whole")
        yield


async def test_the_whole_is_sent_first_and_then_what_changes(world: World, parts: Parts) -> None:
    an = agent_of("algemeen", "premies")
    async with shown(world, parts, an):
        await until(lambda: said(an)[-1].get("waiting") == {"count": 0, "since": None}, "the queue")
        whole, other = said(an)[0], said(an, "premies")[0]
        assert whole["button"] == {"colour": "green", "reason": "available", "opens_at": None}
        assert (whole["intake"], whole["hours"], other["hours"]) == (None, ["09:00-17:00"], None)

        await world.publisher.publish(blue(11))
        await until(lambda: "button" in said(an)[-1] and len(said(an)) > 1, "the colour")
        assert said(an)[-1] == {
            "department": "algemeen",
            "button": {"colour": "blue", "reason": "busy", "opens_at": None},
        }
        await world.publisher.publish(QueueChanged(department="algemeen", revision=6, order=["a", "b"], since=NOW))
        await until(lambda: said(an)[-1].get("waiting"), "the queue")
        assert said(an)[-1] == {
            "department": "algemeen",
            "waiting": {"count": 2, "since": "2026-11-23T08:00:00.123Z"},
        }
        digest = QueueChanged(
            department="premies", revision=6, order=[], empty=[EmptyQueue(department="algemeen", revision=7)]
        )
        await world.publisher.publish(digest)
        await until(lambda: said(an)[-1]["waiting"]["count"] == 0, "an empty queue in a digest")
        assert len(said(an, "premies")) == len([one for one in said(an, "premies") if len(one) > 1])


async def test_many_changes_of_one_second_are_one_frame(world: World, parts: Parts) -> None:
    an = agent_of("algemeen")
    async with shown(world, parts, an):
        pass
    before = len(frames(an))
    for n in range(1, 21):
        event = QueueChanged(department="algemeen", revision=100 + n, order=["c"] * n, since=NOW)
        parts.router.handle(event)
        parts.router.handle(blue(100 + n, ButtonReason.BUSY if n % 2 else ButtonReason.NO_AGENTS))
    await parts.own.update()
    (change,) = frames(an)[before:]
    assert (change["departments"][0]["waiting"]["count"], change["departments"][0]["button"]["reason"]) == (
        20,
        "no_agents",
    )
    await parts.own.update()
    assert len(frames(an)) == before + 1, "nothing has changed"
    parts.router.handle(QueueChanged(department="algemeen", revision=3, order=[]))
    await parts.own.update()
    assert len(frames(an)) == before + 1, "an older queue"


async def test_a_closed_intake_comes_with_who_closed_it_and_until_when(world: World, parts: Parts) -> None:
    an = agent_of("algemeen")
    async with shown(world, parts, an):
        world.others.fixed[api.INTAKES] = api.Intakes(intakes=[CLOSED], hours={"algemeen": []})
        intake = Intake(reason="staff", until=UNTIL)
        await world.publisher.publish(blue(11, ButtonReason.CLOSED, opens_at=UNTIL, intake=intake))
        await until(lambda: said(an)[-1].get("intake"), "the intake")
        stamp = "2026-11-23T09:00:00.123Z"
        assert said(an)[-1]["intake"] == {"until": stamp, "name": "Chef"}
        assert (said(an)[-1]["hours"], said(an)[-1]["button"]["opens_at"]) == ([], stamp)
        world.others.fixed[api.INTAKES] = api.Intakes(intakes=[], hours={"algemeen": ["09:00-17:00"]})
        await world.publisher.publish(green(12))
        await until(lambda: said(an)[-1].get("intake", "") is None, "the intake is open")
        assert said(an)[-1]["button"]["colour"] == "green"


async def test_an_intake_that_presence_describes_otherwise_has_no_name(world: World, parts: Parts) -> None:
    an = agent_of("algemeen")
    async with shown(world, parts, an):
        world.others.fixed[api.INTAKES] = api.Intakes(intakes=[CLOSED])
        later = Intake(reason="staff", until=UNTIL + timedelta(hours=1))
        await world.publisher.publish(blue(11, ButtonReason.CLOSED, opens_at=later.until, intake=later))
        await until(lambda: said(an)[-1].get("intake"), "the intake")
        assert said(an)[-1]["intake"] == {"until": "2026-11-23T10:00:00.123Z", "name": None}


async def test_each_agent_gets_their_own_departments(world: World, parts: Parts) -> None:
    an, bert, cis = agent_of("algemeen"), agent_of("premies"), agent_of("algemeen", "premies")
    async with shown(world, parts, an, bert):
        await world.publisher.publish(blue(11, department="premies"))
        await until(lambda: said(bert, "premies")[-1]["button"]["colour"] == "blue", "the colour")
        assert said(an, "premies") == []
        parts.agents.take(cis, ShowDepartments())
        await until(lambda: frames(cis), "the whole for the third one")
        assert (said(cis)[0]["button"]["colour"], said(cis, "premies")[0]["button"]["colour"]) == ("green", "blue")
        parts.own.leave(bert)
        sent = len(frames(bert))
        await world.publisher.publish(green(12, department="premies"))
        await until(lambda: said(cis, "premies")[-1]["button"]["colour"] == "green", "the colour again")
        assert len(frames(bert)) == sent
        parts.agents.take(cis, ShowDepartments())  # as after a second hello
        await until(lambda: len([one for one in said(cis) if "hours" in one]) == 2, "the whole again")


async def test_the_departments_of_an_agent_with_many_come_in_small_frames(world: World, parts: Parts) -> None:
    many = [f"dienst-{n}" for n in range(120)]
    parts.buttons.of.update({id_: Button(id_, lambda: 1.0) for id_ in many})
    world.others.fixed[api.INTAKES] = api.Intakes(intakes=[], hours={id_: ["09:00-17:00"] for id_ in many})
    an = agent_of(*many)
    async with kept(parts.own.run()):
        parts.agents.take(an, ShowDepartments())
        await until(lambda: len(frames(an)) == 3, "all departments")
    assert [len(frame["departments"]) for frame in frames(an)] == [50, 50, 20]
    assert max(len(json.dumps(frame)) for frame in frames(an)) < 16_384
    assert len([path for path, _ in world.others.asked if path == api.INTAKES]) == 1, "one question for all of them"
    parts.buttons.handle(blue(11, department="dienst-7"))
    await parts.own.update()
    assert [len(frame["departments"]) for frame in frames(an)[3:]] == [1]


async def test_colours_go_on_while_presence_does_not_answer(world: World, parts: Parts) -> None:
    world.others.away.add(api.INTAKES)
    an = agent_of("algemeen")
    async with shown(world, parts, an):
        assert "hours" not in said(an)[0]
        await world.publisher.publish(blue(11))
        await until(lambda: said(an)[-1].get("button", {}).get("colour") == "blue", "the colour")
        world.others.away.clear()
        await until(lambda: said(an)[-1].get("hours") == ["09:00-17:00"], "the opening hours")


async def test_a_queue_of_which_nothing_is_heard_is_not_known(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_departments, "SILENCE", 35.0)
    now = 1_000.0
    own = OwnDepartments(parts.buttons, parts.presence, parts.tasks, clock=lambda: now)
    world.others.fixed[api.INTAKES] = api.Intakes(intakes=[])
    an = agent_of("algemeen")
    own.note_queue(QueueChanged(department="algemeen", revision=1, order=["a"]))
    own.show(an)
    await own.update()
    await until(lambda: frames(an), "the whole")
    assert said(an)[0]["waiting"] == {"count": 1, "since": None}  # routing of an earlier release says no more
    now += 34
    await own.update()
    assert len(frames(an)) == 1
    now += 2
    await own.update()
    assert said(an)[-1] == {"department": "algemeen", "waiting": None}


async def test_the_opening_hours_are_read_again_after_a_while(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_departments, "ANYWAY", 60.0)
    now = 1_000.0
    own = OwnDepartments(parts.buttons, parts.presence, parts.tasks, clock=lambda: now)
    world.others.fixed[api.INTAKES] = api.Intakes(intakes=[], hours={"algemeen": ["09:00-17:00"]})
    an = agent_of("algemeen", "weg")  # the file does not have the second one (any more)
    own.show(an)
    await own.update()
    await until(lambda: frames(an), "the whole")
    world.others.fixed[api.INTAKES] = api.Intakes(intakes=[], hours={"algemeen": ["09:00-12:00"]})
    now += 59
    await own.update()
    assert len(frames(an)) == 1
    now += 1
    await own.update()
    assert said(an)[-1] == {"department": "algemeen", "hours": ["09:00-12:00"]}
    assert said(an, "weg") == []
