"""`services/gateway/participants/transfers.py`: what presence and routing say decides; the note is published first."""

import pytest

from services.common.events.chats import TransferRefused
from services.common.events.messages import NotePosted
from services.common.events.types import AgentState
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.gateway.chats.chat import LiveChat
from services.gateway.participants.sessions import AgentSession
from services.gateway.websocket.frames.client import Target, TransferChat
from tests.gateway.making import AN, BERT, CHAT, agent, agent_view, sent
from tests.gateway.standing import Parts, World


@pytest.fixture
async def an(world: World) -> AgentSession:
    world.others.log_in(AN)
    world.others.log_in(BERT)
    return agent()


def asked(world: World) -> list[routing_api.Transfer]:
    return [routing_api.Transfer.model_validate_json(b) for p, b in world.others.asked if p == routing_api.TRANSFER]


async def test_a_transfer_is_requested_of_routing_after_its_note_was_published(
    world: World, parts: Parts, an: AgentSession
) -> None:
    await parts.transfers.transfer(an, TransferChat(CHAT, Target(agent=BERT), "dringend"))
    await parts.transfers.transfer(an, TransferChat(CHAT, Target(department="premies")))
    assert [(t.agent_id, t.to_agent, t.to_department) for t in asked(world)] == [
        (AN, BERT, None),
        (AN, None, "premies"),
    ]
    assert [n.text for n in await world.receive(NotePosted)] == ["dringend"]
    assert sent(an) == []


@pytest.mark.parametrize(
    ("department", "agent_id", "bert"),
    [
        (None, BERT, {"free": 0}),
        (None, BERT, {"state": AgentState.PAUSED}),
        (None, BERT, {"online": False}),
        (None, AN, {}),
        (None, "agent-nobody", {}),
        ("elders", None, {}),
    ],
)
async def test_a_transfer_that_cannot_be_made_is_unavailable(
    world: World, parts: Parts, an: AgentSession, department: str | None, agent_id: str | None, bert: dict[str, object]
) -> None:
    world.others.agents[BERT] = agent_view(BERT, **bert)
    await parts.transfers.transfer(an, TransferChat(CHAT, Target(department, agent_id), "notitie"))
    assert [(f["code"], f["chat_id"]) for f in sent(an)] == [("unavailable", CHAT)]
    assert asked(world) == []
    assert world.received(NotePosted) == []


@pytest.mark.parametrize(("code", "shown"), [("not_yours", "not_yours"), ("no_such_chat", "unavailable")])
async def test_what_routing_refuses_is_said(
    world: World, parts: Parts, an: AgentSession, code: str, shown: str
) -> None:
    world.others.refused[routing_api.TRANSFER] = Problem(403, code, "no")
    await parts.transfers.transfer(an, TransferChat(CHAT, Target(agent=BERT)))
    assert [f["code"] for f in sent(an)] == [shown]


@pytest.mark.parametrize("path", [presence_api.AGENTS, routing_api.TRANSFER])
async def test_a_service_that_is_away_is_unavailable(world: World, parts: Parts, an: AgentSession, path: str) -> None:
    world.others.away.add(path)
    await parts.transfers.transfer(an, TransferChat(CHAT, Target(agent=BERT)))
    assert [f["code"] for f in sent(an)] == ["unavailable"]


async def test_a_transfer_that_is_tried_again_has_its_note_once(world: World, parts: Parts, an: AgentSession) -> None:
    world.others.refused[routing_api.TRANSFER] = Problem(409, "unavailable", "not now")
    for to in (BERT, BERT):
        await parts.transfers.transfer(an, TransferChat(CHAT, Target(agent=to), "dringend"))
    await parts.transfers.transfer(an, TransferChat(CHAT, Target(agent=BERT), "nu echt"))
    await parts.transfers.transfer(an, TransferChat(CHAT, Target(department="premies"), "dringend"))
    ids = [n.id for n in await world.receive(NotePosted, 4)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


async def test_a_chat_that_came_by_a_transfer_is_given_back(world: World, parts: Parts, an: AgentSession) -> None:
    chat = LiveChat(CHAT, refusable_by=AN)
    await parts.transfers.refuse(an, chat)
    await parts.transfers.refuse(an, chat)
    assert {(f.chat_id, f.agent_id) for f in await world.receive(TransferRefused, 2)} == {(CHAT, AN)}
    assert sent(an) == []


@pytest.mark.parametrize("whose", [None, BERT])
async def test_a_refusal_of_another_agents_transfer_is_unavailable(
    world: World, parts: Parts, an: AgentSession, whose: str | None
) -> None:
    await parts.transfers.refuse(an, LiveChat(CHAT, refusable_by=whose))
    assert [(f["code"], f["chat_id"]) for f in sent(an)] == [("unavailable", CHAT)]
    assert world.received(TransferRefused) == []


async def test_a_refusal_that_cannot_be_published_is_unavailable(world: World, parts: Parts, an: AgentSession) -> None:
    parts.publisher.broken = True
    await parts.transfers.refuse(an, LiveChat(CHAT, refusable_by=AN))
    assert [f["code"] for f in sent(an)] == ["unavailable"]
