"""`agent.py`: welcome, chats that come and go at any moment, and what an agent's frames become."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.common.clock import utcnow
from services.common.events.agents import AgentChanged, StateRequested, WrapUp, WrapUpDone
from services.common.events.chats import ChatAccepted, CloseRequested, TransferRefused
from services.common.events.identification import IdentificationAsked
from services.common.events.messages import CitizenPresence, MessagePosted, NotePosted, ReadShown, TypingShown
from services.common.events.types import AgentState, Block, Cause, ChatStatus, CloseReason, Detail, Note, Party
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.gateway.chats import subscriptions
from services.gateway.jobs.sync_frames import send_sync
from services.gateway.participants.sessions import AgentSession
from services.gateway.sending.sender import refuse
from services.gateway.websocket.frames.client import (
    Accept,
    BlockRequest,
    Done,
    End,
    Hello,
    Identify,
    Post,
    Read,
    Refuse,
    SetState,
    Typing,
    WriteNote,
)
from tests.gateway.making import (
    AN,
    BERT,
    CHAT,
    NOW,
    OTHER,
    agent_view,
    entry,
    fresh_agent,
    id_of,
    kinds,
    seal,
    sent,
    state,
    stored,
    view,
)
from tests.gateway.standing import Parts, World, parts_of
from tests.support.conditions import until
from tests.support.departments import identifying_departments
from tests.support.servers import PATIENCE

ASSIGNED, WAITING, CLOSED = ChatStatus.ASSIGNED, ChatStatus.WAITING, ChatStatus.CLOSED


async def greeted(world: World, parts: Parts, agent_id: str = AN, after: int = 0) -> AgentSession:
    world.others.log_in(agent_id)
    session = fresh_agent(agent_id)
    await parts.agents.greet(session, Hello(chats={CHAT: after}))
    return session


async def assign(world: World, v: int = 2, agent_id: str = AN, chat_id: str = CHAT, **more: object) -> None:
    """Routing gives the chat to this agent."""
    one = state(v, ASSIGNED, agent_id, chat_id=chat_id, **more)
    world.others.chats[chat_id] = view(v, ASSIGNED, agent_id, chat_id=chat_id)
    await world.publisher.publish(one)


async def take_back(world: World, v: int, former: str = AN) -> None:
    world.others.chats[CHAT] = view(v, WAITING)
    await world.publisher.publish(state(v, WAITING, cause=Cause.AGENT_LEFT, former_agent_id=former))


async def test_the_welcome_is_the_first_frame_whatever_happens_while_it_is_made(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    world.others.logs[CHAT].append(entry(2))
    world.others.log_in(AN)
    world.others.agents[AN] = agent_view(AN, v=4)
    session = fresh_agent()

    async def everything() -> None:
        """What timers, other connections, the broker and the browser itself can bring at that moment."""
        for event in (
            AgentChanged(agent_id=AN, v=3, online=True, state=AgentState.AVAILABLE, cause="back"),
            AgentChanged(agent_id=AN, v=5, online=True, state=AgentState.PAUSED, cause="request"),
            state(2, ASSIGNED, AN),
            stored(entry(2)),
            TypingShown(chat_id=CHAT, party=Party.CITIZEN, sender_id="citizen", active=True),
            CitizenPresence(chat_id=CHAT, incarnation="elsewhere", online=True),
        ):
            parts.router.handle(event)
        send_sync(session)
        refuse(session, "invalid")

    for greeting in ("the first hello", "another one on the same connection"):
        for path in (presence_api.AGENTS, routing_api.AGENT_CHATS, routing_api.CHATS, transcripts_api.HISTORY):
            world.others.meanwhile[path] = everything
        session.connection.begin_answer()
        send_sync(session)
        await parts.agents.greet(session, Hello(chats={}))
        shown = sent(session)
        first = kinds(shown)[:3]
        assert first == ["welcome", "state", "message"], greeting
        assert shown[1]["state"] == "paused", "it is newer than the welcome"
        assert kinds(shown)[-1] == "error", "what was refused meanwhile is said after the answer"
        assert [f["seq"] for f in shown if f["type"] == "message"] == [1, 2]
        assert "sync" not in kinds(shown)
    send_sync(session)
    assert kinds(sent(session)) == ["sync"]


async def test_an_agent_is_welcomed_with_their_chats_and_the_logs(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    world.others.open(OTHER, ASSIGNED, BERT)
    await world.append(entry(2), entry(3), publish=False)
    world.others.notes[CHAT] = [Note(chat_id=CHAT, id=id_of(9), agent_id=BERT, name="Bert", text="intern", at=NOW)]
    session = await greeted(world, parts, after=1)
    frames = sent(session)
    assert kinds(frames) == ["welcome", "message", "message", "note", "citizen"]
    assert frames[0]["agent"]["name"] == "An"
    assert [(c["chat_id"], c["last_seq"]) for c in frames[0]["chats"]] == [(CHAT, 3)]
    assert [f["seq"] for f in frames if f["type"] == "message"] == [2, 3]
    assert (await world.receive(CitizenPresence))[0].asked
    parts.agents.leave(session)
    assert parts.idle


async def test_a_chat_comes_and_goes(world: World, parts: Parts) -> None:
    session = await greeted(world, parts)
    assert kinds(sent(session)) == ["welcome"]
    world.others.open(CHAT)
    await assign(world)
    await until(lambda: CHAT in session.shown, "the chat")
    frames = sent(session)
    assert kinds(frames) == ["assigned", "message", "citizen"]
    assert frames[0]["chat"]["chat_id"] == CHAT
    await take_back(world, 3)
    await until(lambda: not session.followed, "the chat to go")
    assert sent(session) == [{"type": "unassigned", "chat_id": CHAT, "reason": "agent_left"}]
    parts.agents.take(session, Typing(True, CHAT))
    assert sent(session)[0]["code"] == "not_yours"
    assert not parts.chats.by_id
    await assign(world, 4)
    await until(lambda: CHAT in session.shown, "the chat once more")
    parts.agents.leave(session)
    assert parts.idle


async def test_all_tabs_of_the_agent_are_shown_it_and_a_later_one_is_welcomed_with_it(
    world: World, parts: Parts
) -> None:
    one, two = await greeted(world, parts), await greeted(world, parts)
    world.others.open(CHAT)
    await assign(world)
    await until(lambda: CHAT in one.shown and CHAT in two.shown, "both tabs")
    assert kinds(sent(one)) == kinds(sent(two)) == ["welcome", "assigned", "message", "citizen"]
    three = await greeted(world, parts)
    assert kinds(sent(three)) == ["welcome", "message", "citizen"]
    for session in (one, two, three):
        parts.agents.leave(session)
    assert parts.idle


async def test_a_tab_is_shown_what_the_hello_of_another_one_learnt_first(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    one = await greeted(world, parts)
    world.others.chats[CHAT] = view(2, ASSIGNED, AN)
    two = await greeted(world, parts)  # before the event is handled
    assert kinds(sent(two)) == ["welcome", "message", "citizen"]
    await assign(world)
    await until(lambda: CHAT in one.shown, "the other tab")
    assert kinds(sent(one)) == ["welcome", "assigned", "message", "citizen"]
    assert sent(two) == []


async def test_a_state_that_comes_while_a_long_log_is_shown_is_sent(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    world.others.log_in(AN)
    session = fresh_agent()

    async def room() -> None:
        parts.router.handle(
            AgentChanged(agent_id=AN, v=9, online=True, state=AgentState.PAUSED, cause="accept_overdue")
        )

    monkeypatch.setattr(session.connection, "room", room)
    await parts.agents.greet(session, Hello(chats={}))
    frames = sent(session)
    assert kinds(frames) == ["welcome", "message", "citizen", "state"]
    assert (frames[-1]["state"], frames[-1]["reason"]) == ("paused", "accept_overdue")


async def test_the_same_agents_next_attempt_is_accepted_anew(world: World, parts: Parts) -> None:
    """What was between the attempts may not have come here: the queue was lost, or a later event came first."""
    world.others.open(CHAT)
    session = await greeted(world, parts)
    await assign(world)
    await until(lambda: CHAT in session.shown, "the chat")
    parts.agents.take(session, Accept(CHAT))
    await world.receive(ChatAccepted)
    await assign(world, v=5, turn=2)
    await until(lambda: parts.chats.by_id[CHAT].state.turn == 2, "the next turn")  # type: ignore[union-attr]
    parts.agents.take(session, Typing(True, CHAT))
    await until(lambda: {a.turn for a in world.received(ChatAccepted)} == {1, 2}, "both acceptances")


async def test_nothing_comes_before_the_welcome(world: World, parts: Parts) -> None:
    """The chat is assigned after routing was asked for the agent's chats: it is shown, once, after the welcome."""
    world.others.open(CHAT)
    world.others.open(OTHER)

    async def give() -> None:
        await assign(world)
        await until(lambda: parts.agents.coming, "the event")
        chat = await parts.chats.open(OTHER)  # what showing it takes, but for the welcome, and later
        await parts.following.view(OTHER)
        await parts.following.first_page(chat, 0)
        parts.chats.close(chat)

    world.others.meanwhile[routing_api.AGENT_CHATS] = give
    session = await greeted(world, parts)
    await until(lambda: CHAT in session.shown, "the chat")
    assert kinds(sent(session)) == ["welcome", "assigned", "message", "citizen"]


async def test_a_chat_that_goes_while_the_welcome_is_made_is_not_in_it(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)

    async def take() -> None:
        await take_back(world, 5)

    world.others.meanwhile[routing_api.AGENT_CHATS] = take
    session = await greeted(world, parts)
    assert [f["chats"] for f in sent(session) if f["type"] == "welcome"] == [[]]
    assert parts.chats.of_agents == {AN: set()}
    parts.agents.leave(session)
    assert parts.idle


def _version(parts: Parts) -> int:
    state_ = parts.chats.by_id[CHAT].state
    return state_.v if state_ else 0


@pytest.mark.parametrize("path", [routing_api.CHATS, transcripts_api.HISTORY])
async def test_a_chat_that_goes_while_it_is_coming_is_not_shown(world: World, parts: Parts, path: str) -> None:
    session = await greeted(world, parts)
    sent(session)
    world.others.open(CHAT)

    async def take() -> None:
        await take_back(world, 3)
        await until(lambda: CHAT not in parts.chats.by_id or _version(parts) == 3, "the event")

    world.others.meanwhile[path] = take
    await assign(world)
    await until(lambda: not parts.chats.by_id and not world.others.meanwhile, "all to be over")
    await until(lambda: not parts.agents.coming, "all to be over")
    assert "assigned" not in kinds(sent(session))
    assert session.connection.closing is None
    assert parts.chats.of_agents == {AN: set()}
    assert not session.shown
    parts.agents.leave(session)
    assert parts.idle


async def test_an_agent_who_leaves_while_a_chat_is_coming_leaves_nothing_behind(world: World, parts: Parts) -> None:
    session = await greeted(world, parts)
    world.others.open(CHAT)

    async def leave() -> None:
        parts.agents.leave(session)

    world.others.meanwhile[routing_api.CHATS] = leave
    await assign(world)
    await until(lambda: not parts.agents.coming and not world.others.meanwhile, "all to be over")
    await until(lambda: parts.idle, "everything to be given back")


async def test_a_chat_that_ended_is_over_for_the_agent(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    session = await greeted(world, parts)
    sent(session)
    await world.append(seal(2))
    await until(lambda: not session.followed, "the end")
    assert kinds(sent(session)) == ["message", "closed"]
    parts.agents.take(session, Post(id_of(7), text="nog iets", chat_id=CHAT))
    assert [(f["code"], f["id"]) for f in sent(session)] == [("chat_closed", id_of(7))]
    assert not parts.chats.by_id
    parts.agents.leave(session)
    assert parts.idle


ASKED = BlockRequest(minutes=60, reason="scheldt")
BLOCK = Block(minutes=60, reason="scheldt")


async def test_an_agent_blocks_when_ending_a_chat_and_after_its_end(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    session = await greeted(world, parts)
    parts.agents.take(session, End(CHAT, ASKED))
    event = (await world.receive(CloseRequested))[0]
    assert (event.by, event.agent_id, event.block) == (CloseReason.AGENT, AN, BLOCK)
    await world.append(seal(2))
    await until(lambda: not session.followed, "the end")
    sent(session)
    parts.agents.take(session, End(CHAT, ASKED))
    event = (await world.receive(CloseRequested, 2))[1]
    assert (event.agent_id, event.block) == (AN, BLOCK)
    parts.agents.take(session, End(OTHER, ASKED))
    parts.agents.take(session, End(CHAT))
    assert [f["code"] for f in sent(session)] == ["not_yours", "chat_closed"]
    assert len(world.received(CloseRequested)) == 2
    parts.agents.leave(session)


async def test_a_chat_that_ends_while_its_log_is_shown_is_over_too(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)

    async def end() -> None:
        await world.append(seal(2))
        await until(lambda: parts.chats.by_id[CHAT].cursor.highest == 2, "the event")

    world.others.meanwhile[transcripts_api.HISTORY] = end
    session = await greeted(world, parts)
    frames = sent(session)
    assert kinds(frames)[-1] == "closed"
    assert [f["seq"] for f in frames if f["type"] == "message"] == [1, 2]
    assert kinds(frames).count("closed") == 1
    assert parts.chats.of_agents == {AN: set()}
    assert not session.followed
    parts.agents.leave(session)
    assert parts.idle


async def test_an_agents_frames_become_events_and_the_first_accepts(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    session = await greeted(world, parts)
    frames = (
        Typing(True, CHAT),
        Read(1, CHAT),
        Accept(CHAT),
        Post(id_of(7), text="dag", chat_id=CHAT),
        WriteNote(id_of(8), "intern", CHAT),
        SetState(AgentState.PAUSED),
    )
    world.storing = False
    for frame in frames:
        parts.agents.take(session, frame)
    accepted = await world.receive(ChatAccepted)  # published once more by what is said before the first was confirmed
    assert {(a.chat_id, a.agent_id, a.turn) for a in accepted} == {(CHAT, AN, 1)}
    assert (await world.receive(TypingShown))[0].party == "agent"
    assert (await world.receive(ReadShown))[0].seq == 1
    assert (await world.receive(StateRequested))[0].state is AgentState.PAUSED
    posted = (await world.receive(MessagePosted))[0]
    assert (posted.sender.id, posted.sender.name) == (AN, "An")
    await world.received_all_of(parts.publisher)
    assert world.received(NotePosted) == [], "in its line behind the message"
    await world.store(posted)
    assert (await world.receive(NotePosted))[0].text == "intern"
    assert len(world.received(ChatAccepted)) <= 2
    sent(session)
    parts.agents.take(session, Read(99, CHAT))
    assert [f["code"] for f in sent(session)] == ["invalid"]


async def test_another_agents_chat_is_not_theirs(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, BERT)
    bert, an = await greeted(world, parts, BERT), await greeted(world, parts)
    sent(an), sent(bert)
    for frame in (Post(id_of(7), text="x", chat_id=CHAT), End(CHAT), Accept(CHAT), Read(1, CHAT), Typing(True, OTHER)):
        parts.agents.take(an, frame)
        assert [(f["code"], f["chat_id"]) for f in sent(an)] == [("not_yours", frame.chat_id)]
    await world.received_all_of(parts.publisher)
    assert not world.received(CloseRequested)
    assert not world.received(MessagePosted)
    assert sent(bert) == []


async def test_a_transferred_chat_is_refused_without_being_accepted(world: World, parts: Parts) -> None:
    session = await greeted(world, parts)
    world.others.open(CHAT)
    world.others.chats[CHAT] = view(2, ASSIGNED, AN, transferred=True)
    await world.publisher.publish(state(2, ASSIGNED, AN, cause=Cause.TRANSFERRED))
    await until(lambda: CHAT in session.shown, "the chat")
    assert [f["chat"]["transferred"] for f in sent(session) if f["type"] == "assigned"] == [True]
    parts.agents.take(session, Refuse(CHAT))
    assert [(f.chat_id, f.agent_id) for f in await world.receive(TransferRefused)] == [(CHAT, AN)]
    assert world.received(ChatAccepted) == []
    assert not session.accepted
    detail = {"cause": Cause.TRANSFERRED, "detail": Detail.REFUSED, "former_agent_id": AN}
    world.others.chats[CHAT] = view(3, WAITING)
    await world.publisher.publish(state(3, WAITING, **detail))
    await until(lambda: not session.followed, "the chat to go")
    assert sent(session) == [{"type": "unassigned", "chat_id": CHAT, "reason": "refused"}]
    parts.agents.take(session, Refuse(CHAT))
    assert [f["code"] for f in sent(session)] == ["not_yours"]


@pytest.mark.parametrize(("transferred", "accepted"), [(False, False), (True, True), (True, False)])
async def test_what_was_not_transferred_or_is_accepted_cannot_be_refused(
    world: World, parts: Parts, transferred: bool, accepted: bool
) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    world.others.chats[CHAT] = view(2, ASSIGNED, AN, transferred=transferred, accepted=accepted)
    session = await greeted(world, parts)
    sent(session)
    if transferred and not accepted:  # what he does in another tab accepts it too
        other = await greeted(world, parts)
        parts.agents.take(other, Typing(True, CHAT))
    parts.agents.take(session, Refuse(CHAT))
    await until(lambda: session.connection.waiting, "the answer")
    await world.received_all_of(parts.publisher)
    assert [(f["code"], f["chat_id"]) for f in sent(session)] == [("unavailable", CHAT)]
    assert world.received(TransferRefused) == []


async def test_an_agent_who_was_too_late_gets_an_error(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    session = await greeted(world, parts)
    sent(session)
    changed = {"agent_id": AN, "v": 7, "online": True, "state": AgentState.PAUSED, "cause": "accept_overdue"}
    await world.publisher.publish(AgentChanged(**changed))
    lost = {"cause": Cause.AGENT_LEFT, "detail": Detail.NOT_ACCEPTED, "former_agent_id": AN}
    await world.publisher.publish(state(3, WAITING, **lost))
    await until(lambda: session.connection.waiting == 2, "both")
    assert sent(session) == [
        {"type": "state", "state": "paused", "reason": "accept_overdue"},
        {"type": "unassigned", "chat_id": CHAT, "reason": "not_accepted"},
    ]


@pytest.mark.parametrize(
    ("departments", "v", "closes"),
    [
        (["premies"], 7, True),
        (["algemeen"], 7, False),
        (None, 7, False),
        (["premies"], 1, False),
    ],
)
async def test_an_agent_who_serves_other_departments_is_connected_anew(
    world: World, parts: Parts, departments: list[str] | None, v: int, closes: bool
) -> None:
    world.others.agents[AN] = agent_view(AN, v=2, departments=["algemeen"])
    session = await greeted(world, parts)
    session.agent = session.agent.model_copy(update={"v": 2, "departments": ["algemeen"]})
    sent(session)
    changed = {"agent_id": AN, "v": v, "online": True, "state": AgentState.AVAILABLE, "cause": "back"}
    parts.agents.note_state(AgentChanged(**changed, departments=departments))
    assert session.connection.closing == ((1012, "other departments") if closes else None)


@pytest.mark.parametrize(
    "path", [presence_api.AGENTS, routing_api.AGENT_CHATS, routing_api.CHATS, transcripts_api.HISTORY]
)
async def test_a_service_that_is_away_is_never_an_empty_console(world: World, parts: Parts, path: str) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    world.others.away.add(path)
    session = await greeted(world, parts)
    assert [(f["type"], f["code"]) for f in sent(session)] == [("error", "unavailable")]
    assert session.connection.closing == (1012, "try again")
    parts.agents.leave(session)
    assert parts.idle


async def test_a_chat_that_cannot_be_shown_is_brought_by_the_next_hello(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "KNOWN_WAIT", (0.01,))
    session = await greeted(world, parts)
    world.others.chats[CHAT] = view(2, ASSIGNED, AN)
    await world.publisher.publish(state(2, ASSIGNED, AN))
    await until(lambda: session.connection.closing, "the close")
    assert session.connection.closing == (1012, "try again")
    parts.agents.leave(session)
    await until(lambda: parts.idle, "everything to be given back")


async def test_a_second_hello_is_answered_the_same(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    session = await greeted(world, parts)
    first = sent(session)
    await parts.agents.greet(session, Hello(chats={}))
    assert sent(session) == first
    assert agent_view().name == first[0]["agent"]["name"]
    parts.agents.leave(session)
    assert parts.idle


async def test_wrap_ups_are_shown_and_ended_by_their_agent(world: World, parts: Parts) -> None:
    left = WrapUp(chat_id=CHAT, department="algemeen", until=utcnow() + timedelta(seconds=100))
    world.others.log_in(AN)
    world.others.agents[AN] = agent_view(AN, v=4, wrap_ups=[left])
    session = fresh_agent()
    await parts.agents.greet(session, Hello())
    (shown,) = sent(session)[0]["agent"]["wrap_ups"]
    assert (shown["chat_id"], shown["department"]) == (CHAT, "algemeen")
    assert 100 - PATIENCE < shown["seconds"] <= 100
    parts.agents.take(session, Done(CHAT))
    (done,) = await world.receive(WrapUpDone)
    assert (done.agent_id, done.chat_id) == (AN, CHAT)
    for v, told in ((5, []), (6, None)):  # a release of presence that does not know them says nothing of them
        await world.publisher.publish(
            AgentChanged(agent_id=AN, v=v, online=True, state=AgentState.AVAILABLE, cause="back", wrap_ups=told)
        )
    frames = [{name: one.get(name) for name in ("wrap_ups",)} for one in await states(session, 2)]
    assert frames == [{"wrap_ups": []}, {"wrap_ups": None}]


async def states(session: AgentSession, number: int) -> list[dict[str, Any]]:
    """So many `state` frames of this session."""
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        found.extend(frame for frame in sent(session) if frame["type"] == "state")
        return len(found) >= number

    await until(enough, "the states")
    return found


@pytest.fixture
async def identifying(world: World, tmp_path: Path) -> AsyncIterator[Parts]:
    """A gateway in whose department agents may ask citizens to identify."""
    file = identifying_departments(tmp_path / "departments.toml")
    world.settings = world.settings.model_copy(update={"departments_file": file})
    async with parts_of(world) as parts:
        yield parts


async def test_an_agent_asks_the_citizen_to_identify_and_has_accepted_the_chat(
    world: World, identifying: Parts
) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    session = await greeted(world, identifying)
    assert sent(session)[0]["chats"][0]["identify"] is True
    identifying.agents.take(session, Identify(id_of(7).upper(), CHAT))
    (asked,) = await world.receive(IdentificationAsked)
    assert (asked.chat_id, asked.id, asked.agent_id, asked.agent_name) == (CHAT, id_of(7), AN, "An")
    assert asked.department == "algemeen"
    before = [event.type for event in world.events if event.type in ("chat.accepted", "identification.asked")]
    assert before == ["chat.accepted", "identification.asked"]
    assert [f for f in sent(session) if f["type"] == "error"] == []


async def test_an_agent_reads_which_request_to_identify_was_not_published(world: World, identifying: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    session = await greeted(world, identifying)
    sent(session)
    identifying.publisher.broken = True
    identifying.agents.take(session, Identify(id_of(7), CHAT))
    errors: list[dict[str, Any]] = []

    def came() -> bool:
        errors.extend(frame for frame in sent(session) if frame["type"] == "error")
        return bool(errors)

    await until(came, "the error")
    assert [(f["code"], f["id"], f["chat_id"]) for f in errors] == [("unavailable", id_of(7), CHAT)]
    identifying.publisher.broken = False
    identifying.agents.take(session, Identify(id_of(7), CHAT))
    await world.receive(IdentificationAsked)
    assert [event.type for event in world.events if event.type == "chat.accepted"] == ["chat.accepted"]


async def test_nobody_asks_where_the_department_does_not_want_it(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, AN)
    session = await greeted(world, parts)
    assert "identify" not in sent(session)[0]["chats"][0]
    parts.agents.take(session, Identify(id_of(7), CHAT))
    assert [(f["code"], f["id"]) for f in sent(session) if f["type"] == "error"] == [("invalid", id_of(7))]
    await world.received_all_of(parts.publisher)
    assert world.received(IdentificationAsked) == []


async def test_nobody_asks_the_citizen_of_another_agent(world: World, identifying: Parts) -> None:
    world.others.open(CHAT, ASSIGNED, BERT)
    session = await greeted(world, identifying)
    sent(session)
    identifying.agents.take(session, Identify(id_of(7), CHAT))
    assert [(f["code"], f["id"]) for f in sent(session)] == [("not_yours", id_of(7))]
    await world.received_all_of(identifying.publisher)
    assert world.received(IdentificationAsked) == []
