"""`services/gateway/participants/citizen.py`: what a hello is answered with, and what a citizen's frames become."""

from datetime import UTC, datetime, timedelta

import pytest

from services.common.events.chats import ChatState, CitizenArrived, CloseRequested
from services.common.events.messages import (
    CitizenPresence,
    CitizenSilent,
    CitizenStayed,
    MessagePosted,
    ReadShown,
    TypingShown,
)
from services.common.events.types import ChatStatus, CloseReason, Party, Revocation
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.gateway.chats import subscriptions
from services.gateway.participants.citizen import EXTEND_EACH
from services.gateway.participants.sessions import CitizenSession
from services.gateway.websocket.connection import MOST_TASKS, Connection
from services.gateway.websocket.frames.client import Details, End, Extend, Hello, Post, Read, Typing
from tests.gateway.making import (
    AN,
    CHAT,
    NOW,
    OTHER,
    Paper,
    entry,
    fresh_citizen,
    id_of,
    kinds,
    seal,
    sent,
    state,
    view,
)
from tests.gateway.standing import KEYS, Parts, World
from tests.support.conditions import until


async def greeted(parts: Parts, after: int = 0) -> CitizenSession:
    session = fresh_citizen()
    await parts.citizens.greet(session, Hello(after=after))
    return session


async def test_a_token_is_for_one_chat(world: World, parts: Parts) -> None:
    session = CitizenSession(Connection(Party.CITIZEN, Paper()))
    assert not parts.citizens.identify(session, Hello("nonsense"))
    assert not parts.citizens.identify(session, Hello(KEYS.service_token("gateway")))
    assert parts.citizens.identify(session, Hello(KEYS.chat_token(CHAT)))
    assert parts.citizens.identify(session, Hello(KEYS.chat_token(CHAT)))
    assert not parts.citizens.identify(session, Hello(KEYS.chat_token(OTHER)))
    assert session.chat_id == CHAT


async def test_a_hello_is_answered_in_order_and_everything_is_given_back(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    await world.append(entry(2), entry(3), publish=False)
    session = await greeted(parts)
    frames = sent(session)
    assert kinds(frames) == ["welcome", "status", "message", "message", "message"]
    more = {"name": None, "frames": ["details"]}
    assert frames[0] == {"type": "welcome", "chat_id": CHAT, "dot": "grey", "last_seq": 3, **more}
    assert [f["seq"] for f in frames[2:]] == [1, 2, 3]
    await world.receive(CitizenArrived)
    assert (await world.receive(CitizenPresence))[0].online
    await world.append(entry(4))
    await until(lambda: session.shown[CHAT] == 4, "what is new")
    parts.citizens.leave(session)
    assert [p.online for p in await world.receive(CitizenPresence, 2)] == [True, False]
    assert parts.idle


async def test_after_a_seq_only_what_is_beyond_and_again_on_the_same_connection(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    await world.append(entry(2), entry(3), publish=False)
    session = await greeted(parts, after=2)
    assert [f["seq"] for f in sent(session)[2:]] == [3]
    await parts.citizens.greet(session, Hello(after=1))
    frames = sent(session)
    assert kinds(frames[:2]) == ["welcome", "status"]
    assert [f["seq"] for f in frames[2:]] == [2, 3]
    await parts.citizens.greet(session, Hello(after=99))
    assert [(f["type"], f.get("last_seq")) for f in sent(session)] == [("welcome", 3), ("status", None)]
    parts.citizens.leave(session)
    assert parts.idle


async def test_a_chat_that_has_ended_is_shown_and_closed(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    world.others.chats[CHAT] = view(5, ChatStatus.CLOSED, AN, closed_at=datetime.now(UTC))
    await world.append(seal(2), publish=False)
    session = await greeted(parts)
    frames = sent(session)
    assert frames[0]["dot"] == "red"
    assert kinds(frames)[-2:] == ["message", "closed"]
    assert frames[-1]["reason"] == "citizen"
    assert session.connection.closing == (1000, "citizen")
    parts.citizens.leave(session)
    assert parts.idle


async def test_who_sends_hello_has_arrived_though_no_agent_can_answer_yet(world: World, parts: Parts) -> None:
    """Else a loaded system would close the chats of those who are there as of those who never came."""
    world.others.open(CHAT)
    world.others.away.add(routing_api.CHATS)
    session = await greeted(parts)
    assert session.connection.closing == (1012, "try again")
    assert [a.chat_id for a in await world.receive(CitizenArrived)] == [CHAT]


async def test_a_token_ends_48_hours_after_its_chat(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    world.others.chats[CHAT] = view(5, ChatStatus.CLOSED, closed_at=datetime.now(UTC) - timedelta(hours=49))
    session = await greeted(parts)
    assert sent(session) == []
    assert session.connection.closing is not None
    assert session.connection.closing[0] == 4401
    parts.citizens.leave(session)
    assert parts.idle


async def test_an_unknown_chat_is_4404(world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "KNOWN_WAIT", (0.01,))
    session = await greeted(parts)
    assert session.connection.closing == (4404, "no such chat")
    parts.citizens.leave(session)
    assert parts.idle


async def test_a_chat_whose_log_is_late_is_to_be_tried_again(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "KNOWN_WAIT", (0.01,))
    world.others.open(CHAT)
    world.others.logs[CHAT].clear()
    session = await greeted(parts)
    assert session.connection.closing == (1012, "try again")
    parts.citizens.leave(session)
    assert parts.idle


@pytest.mark.parametrize("path", [routing_api.CHATS, transcripts_api.HISTORY])
async def test_a_service_that_is_away_is_never_an_empty_welcome(world: World, parts: Parts, path: str) -> None:
    world.others.open(CHAT)
    world.others.away.add(path)
    session = await greeted(parts)
    assert [(f["type"], f["code"]) for f in sent(session)] == [("error", "unavailable")]
    assert session.connection.closing == (1012, "try again")
    parts.citizens.leave(session)
    assert parts.idle


async def test_two_tabs_are_one_citizen(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    one, two = await greeted(parts), await greeted(parts)
    sent(one), sent(two)
    await world.append(entry(2))
    await until(lambda: one.shown[CHAT] == two.shown[CHAT] == 2, "both")
    await world.receive(CitizenPresence)
    parts.citizens.leave(one)
    await world.append(entry(3))
    await until(lambda: two.shown[CHAT] == 3, "the one that is left")
    await world.received_all_of(parts.publisher)
    assert [p.online for p in world.received(CitizenPresence)] == [True]
    parts.citizens.leave(two)
    await world.receive(CitizenPresence, 2)
    assert parts.idle


async def test_a_change_of_state_during_the_hello_is_sent(world: World, parts: Parts) -> None:
    world.others.open(CHAT)

    async def assign() -> None:
        await world.publisher.publish(state(2, ChatStatus.ASSIGNED, AN))
        await until(lambda: parts.chats.by_id[CHAT].state is not None, "the event")

    world.others.meanwhile[transcripts_api.HISTORY] = assign
    frames = sent(await greeted(parts))
    assert frames[0]["dot"] == "green"
    assert [f["agent"] for f in frames if f["type"] == "status"] == [{"name": "An"}]


async def test_a_citizens_frames_become_events(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    session = await greeted(parts)
    sent(session)
    for frame in (Typing(True), Read(1), Read(1), Post(id_of(7), text="dag"), End()):
        parts.citizens.take(session, frame)
    posted = (await world.receive(MessagePosted))[0]
    assert (posted.text, posted.sender.party, posted.sender.id) == ("dag", Party.CITIZEN, "citizen")
    assert (await world.receive(TypingShown))[0].active
    assert (await world.receive(ReadShown))[0].seq == 1
    await until(lambda: session.shown[CHAT] == 2, "the receipt")
    assert [(f["seq"], f["id"]) for f in sent(session) if f["type"] == "message"] == [(2, id_of(7))]
    assert (await world.receive(CloseRequested))[0].by == "citizen"
    await world.append(seal(3))
    await until(lambda: session.connection.closing, "the end")
    parts.citizens.leave(session)
    await until(lambda: parts.idle, "the line to end")


async def test_a_citizen_who_stays_is_published_once_and_again_after_a_failure(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(parts.chats, "clock", lambda: now[0])
    world.others.open(CHAT)
    session = await greeted(parts)
    sent(session)
    parts.publisher.broken = True
    parts.citizens.take(session, Extend())
    await until(lambda: session.connection.waiting, "the refusal")
    assert [(f["type"], f["code"]) for f in sent(session)] == [("error", "unavailable")]
    parts.publisher.broken = False
    for _ in range(5):
        parts.citizens.take(session, Extend())
    assert [s.chat_id for s in await world.receive(CitizenStayed)] == [CHAT]
    await world.received_all_of(parts.publisher)
    assert len(world.received(CitizenStayed)) == 1
    now[0] += EXTEND_EACH
    parts.citizens.take(session, Extend())
    await world.receive(CitizenStayed, 2)
    assert sent(session) == []


async def test_an_inactive_citizen_is_warned_and_it_is_over_when_they_stay(world: World, parts: Parts) -> None:
    world.others.open(CHAT, ChatStatus.ASSIGNED, AN)
    session = await greeted(parts)
    sent(session)
    given = {"warning": 1, "since": NOW, "closes_at": NOW + timedelta(seconds=900)}
    await world.publisher.publish(CitizenSilent(chat_id=CHAT, **given))
    await until(lambda: session.connection.waiting, "the warning")
    parts.citizens.take(session, Extend())
    await until(lambda: session.connection.waiting == 2, "its end")
    assert [(f["type"], f["warning"]) for f in sent(session)] == [("inactive", 1), ("inactive", 0)]


async def test_what_was_not_shown_yet_cannot_be_read(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    session = await greeted(parts)
    sent(session)
    parts.citizens.take(session, Read(2))
    assert [(f["type"], f["code"]) for f in sent(session)] == [("error", "invalid")]


async def test_leaving_before_the_hello_was_answered_is_nothing(world: World, parts: Parts) -> None:
    parts.citizens.leave(fresh_citizen())
    parts.citizens.leave(CitizenSession(Connection(Party.CITIZEN, Paper())))
    assert parts.idle


async def test_a_name_is_stored_then_shown_to_agents_and_said_with_each_message(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    tabs = [await greeted(parts), await greeted(parts)]
    await world.receive(CitizenArrived)
    parts.citizens.take(tabs[0], Details("Lien Claes"))
    await until(
        lambda: [e.name for e in world.received(CitizenArrived)][-1:] == ["Lien Claes"], "the name, for routing"
    )
    await until(lambda: world.received(CitizenPresence)[-1].name == "Lien Claes", "the name, for gateways")
    assert [tab.sender.name for tab in tabs] == ["Lien Claes"] * 2
    before = len(world.received(CitizenArrived))
    parts.citizens.take(tabs[1], Details("Lien Claes"))
    assert sent(await greeted(parts))[0]["name"] == "Lien Claes"
    assert len([e for e in world.received(CitizenArrived)[before:] if e.name]) == 0, "a repetition is not published"


async def test_names_that_come_faster_than_they_are_published_are_refused(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    session = await greeted(parts)
    sent(session)
    for number in range(MOST_TASKS + 1):
        parts.citizens.take(session, Details(f"Lien {number}"))
    assert [(f["type"], f["code"]) for f in sent(session)] == [("error", "unavailable")]
    await until(
        lambda: sum(e.name is not None for e in world.received(CitizenArrived)) == MOST_TASKS, "the other names"
    )


async def test_a_name_that_another_gateway_has_taken_is_shown_here(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    session = await greeted(parts)
    parts.router.handle(CitizenPresence(chat_id=CHAT, incarnation="elsewhere", online=True, name="Lien"))
    assert session.sender.name == "Lien"
    parts.router.handle(CitizenPresence(chat_id=CHAT, incarnation="elsewhere", online=True))
    assert session.sender.name == "Lien", "a gateway before version 2.0 says no name"


# ── a revoked token ──────────────────────────────────────────────────────────────────────────────────────────────────


def revoked(by: Revocation = Revocation.OFFICER) -> ChatState:
    return state(6, ChatStatus.CLOSED, AN, reason=CloseReason.AGENT, revoked_by=by)


async def test_a_hello_with_a_revoked_token_is_4401_and_shows_nothing(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    world.others.chats[CHAT] = view(6, ChatStatus.CLOSED, AN, closed_at=datetime.now(UTC), revoked_by="citizen")
    await world.append(entry(2), seal(3), publish=False)
    session = await greeted(parts)
    assert sent(session) == []
    assert session.connection.closing == (4401, "the token is not valid any more")
    parts.citizens.leave(session)
    assert parts.idle


@pytest.mark.parametrize(
    ("by", "code"), [(Revocation.OFFICER, 4401), (Revocation.CITIZEN, 4401), (Revocation.AGENT, 1000)]
)
async def test_a_revocation_closes_all_open_connections(world: World, parts: Parts, by: Revocation, code: int) -> None:
    world.others.open(CHAT)
    tabs = [await greeted(parts), await greeted(parts)]
    for tab in tabs:
        sent(tab)
    await world.publisher.publish(revoked(by))
    await until(lambda: all(tab.connection.closing for tab in tabs), "the closing of both")
    for tab in tabs:
        assert tab.connection.closing == (code, "agent")
        assert sent(tab)[-1] == {"type": "closed", "reason": "agent"}
        parts.citizens.leave(tab)
    assert parts.idle


async def test_a_token_that_is_revoked_while_a_hello_is_answered_opens_nothing(world: World, parts: Parts) -> None:
    world.others.open(CHAT)

    async def revoke() -> None:
        await world.publisher.publish(revoked())
        await until(lambda: (chat := parts.chats.by_id[CHAT].state) is not None and chat.revoked_by, "the revocation")

    world.others.meanwhile[transcripts_api.HISTORY] = revoke
    session = await greeted(parts)
    assert session.connection.closing is not None
    assert session.connection.closing[0] == 4401
    parts.citizens.leave(session)
    assert parts.idle


async def test_a_gateway_that_missed_the_revocation_learns_it_from_routing(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    session = await greeted(parts)
    chat = parts.chats.by_id[CHAT]
    parts.following.note_view(chat, view(6, ChatStatus.CLOSED, AN, revoked_by="officer"))
    assert session.connection.closing is not None
    assert session.connection.closing[0] == 4401
    parts.citizens.leave(session)
