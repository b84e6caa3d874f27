"""`written_numbers.py`: a number is masked or refused before a frame leaves the gateway, in whatever frame it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.common.events.chats import CitizenArrived, CloseRequested
from services.common.events.messages import MessagePosted, NotePosted
from services.common.events.types import ChatStatus
from services.common.internal_api import presence as presence_api
from services.gateway.participants.sessions import AgentSession, CitizenSession
from services.gateway.websocket.frames.client import (
    BlockRequest,
    Details,
    End,
    Hello,
    Post,
    Target,
    TransferChat,
    WriteNote,
)
from tests.gateway.making import AN, BERT, CHAT, fresh_agent, fresh_citizen, id_of, sent
from tests.gateway.standing import Parts, World, parts_of
from tests.support.conditions import until
from tests.support.servers import ROOT

NUMBER, MASKED = "85.07.30-033.28", "•••••••••28"
ACCOUNT = "BE71 0961 2345 6769"
RULES = '\nnumbers = {national = "refuse", iban = "mask", card = "allow"}\n'


@pytest.fixture
async def refusing(world: World, tmp_path: Path) -> AsyncIterator[Parts]:
    """The parts of a gateway whose default department refuses national numbers, and allows cards."""
    text = (ROOT / "deploy/departments.toml").read_text("utf-8").replace("origins = []", f"origins = []{RULES}", 1)
    file = tmp_path / "departments.toml"
    file.write_text(text, "utf-8")
    world.settings = world.settings.model_copy(update={"departments_file": file})
    async with parts_of(world) as parts:
        yield parts


async def citizen_of(world: World, parts: Parts) -> CitizenSession:
    world.others.open(CHAT)
    session = fresh_citizen()
    await parts.citizens.greet(session, Hello())
    sent(session)
    return session


async def agent_of(world: World, parts: Parts) -> AgentSession:
    world.others.open(CHAT, ChatStatus.ASSIGNED, AN)
    world.others.log_in(AN)
    session = fresh_agent()
    await parts.agents.greet(session, Hello(chats={CHAT: 0}))
    sent(session)
    return session


def errors(session: CitizenSession | AgentSession) -> list[tuple[str, str | None]]:
    return [(f["code"], f.get("id")) for f in sent(session) if f["type"] == "error"]


async def test_a_citizen_gets_the_masked_text_as_the_receipt_however_often_it_is_sent(
    world: World, parts: Parts
) -> None:
    session = await citizen_of(world, parts)
    frame = Post(id_of(10), text=f"Ik ben {NUMBER}")
    world.storing = False
    parts.citizens.take(session, frame)
    parts.citizens.take(session, frame)
    await world.receive(MessagePosted)
    world.storing = True
    await world.store(world.received(MessagePosted)[0])
    await until(lambda: session.shown[CHAT] == 2, "the receipt")
    await until(lambda: not session.send_queues, "the end of the queue")
    parts.citizens.take(session, frame)
    posted = await world.receive(MessagePosted, 2)
    assert [(one.id, one.text) for one in posted] == [(id_of(10), f"Ik ben {MASKED}")] * 2
    assert next(f["text"] for f in sent(session) if f["type"] == "message") == f"Ik ben {MASKED}"


async def test_messages_and_notes_of_agents_are_masked(world: World, parts: Parts) -> None:
    session = await agent_of(world, parts)
    parts.agents.take(session, Post(id_of(10), text=f"Klopt {NUMBER}?", chat_id=CHAT))
    parts.agents.take(session, WriteNote(id_of(11), f"{NUMBER} en {ACCOUNT}", CHAT))
    [posted], [note] = await world.receive(MessagePosted), await world.receive(NotePosted)
    assert posted.text == f"Klopt {MASKED}?"
    assert note.text == f"{MASKED} en BE••••••••••6769"


async def test_the_note_of_a_transfer_and_the_reason_of_a_block_are_masked(world: World, parts: Parts) -> None:
    session = await agent_of(world, parts)
    world.others.log_in(BERT)
    parts.agents.take(session, TransferChat(CHAT, Target(agent=BERT), f"{NUMBER} van de burger"))
    [note] = await world.receive(NotePosted)
    assert note.text == f"{MASKED} van de burger"
    parts.agents.take(session, End(CHAT, BlockRequest(60, f"schold, {NUMBER}")))
    [closed] = await world.receive(CloseRequested)
    assert closed.block is not None
    assert closed.block.reason == f"schold, {MASKED}"
    session.ended.append(CHAT)
    parts.agents.take(session, End(CHAT, BlockRequest(60, f"nogmaals {NUMBER}")))
    blocks = [one.block for one in await world.receive(CloseRequested, 2)]
    assert blocks[1] is not None
    assert blocks[1].reason == f"nogmaals {MASKED}"


async def test_a_name_is_masked(world: World, parts: Parts) -> None:
    session = await citizen_of(world, parts)
    parts.citizens.take(session, Details(f"An Peeters {NUMBER}"))
    await until(lambda: any(one.name for one in world.received(CitizenArrived)), "the name")
    assert [one.name for one in world.received(CitizenArrived) if one.name] == [f"An Peeters {MASKED}"]
    await until(lambda: parts.chats.by_id[CHAT].citizen_name == f"An Peeters {MASKED}", "the name on messages")


async def test_a_department_refuses_and_what_follows_is_sent(world: World, refusing: Parts) -> None:
    session = await citizen_of(world, refusing)
    refusing.citizens.take(session, Post(id_of(10), text=f"Ik ben {NUMBER}"))
    refusing.citizens.take(session, Post(id_of(11), text=f"{ACCOUNT} en 4111 1111 1111 1111"))
    refusing.citizens.take(session, Details(f"An {NUMBER}"))
    [posted] = await world.receive(MessagePosted)
    assert (posted.id, posted.text) == (id_of(11), "BE••••••••••6769 en 4111 1111 1111 1111")
    assert errors(session) == [("identifying_number", id_of(10))]
    await until(lambda: any(one.name == f"An {MASKED}" for one in world.received(CitizenArrived)), "the name")


async def test_a_department_refuses_notes_and_transfers_of_agents(world: World, refusing: Parts) -> None:
    session = await agent_of(world, refusing)
    world.others.log_in(BERT)
    refusing.agents.take(session, WriteNote(id_of(10), NUMBER, CHAT))
    refusing.agents.take(session, TransferChat(CHAT, Target(agent=BERT), NUMBER))
    refusing.agents.take(session, End(CHAT, BlockRequest(60, NUMBER)))
    [closed] = await world.receive(CloseRequested)
    assert closed.block is not None
    assert closed.block.reason == MASKED
    assert errors(session) == [("identifying_number", id_of(10)), ("identifying_number", None)]
    assert world.received(NotePosted) == []
    asked = [path for path, _ in world.others.asked if path == presence_api.AGENTS]
    assert len(asked) == 1, "the one of the hello: nobody is asked for a transfer"
