"""`services/gateway/jobs/periodic_jobs.py`: the agents' list, `sync` frames, tails, and resync after a lost queue."""

import asyncio

import pytest

from services.common.events.messages import CitizenPresence
from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentState, ChatStatus
from services.common.internal_api import presence as presence_api
from services.common.internal_api import transcripts as transcripts_api
from services.common.messaging import topology
from services.gateway.chats.citizen_presence import FORGET_AFTER
from services.gateway.chats.event_router import LiveChat
from services.gateway.chats.log_cursor import Position
from services.gateway.jobs import periodic_jobs as module
from services.gateway.websocket.frames.client import Hello
from tests.gateway.making import (
    AN,
    BERT,
    CHAT,
    OTHER,
    agent_view,
    citizen,
    entry,
    fresh_agent,
    fresh_citizen,
    id_of,
    kinds,
    seal,
    sent,
    view,
)
from tests.gateway.standing import Parts, World, kept, parts_of, until
from tests.gateway.test_button_state import told
from tests.real import PATIENCE, Account

THIRD, CARL = id_of(3), "agent-carl"


async def test_the_list_names_agents_with_their_best_connection_and_citizens(world: World, parts: Parts) -> None:
    now = asyncio.get_running_loop().time()
    for agent_id, heard in ((AN, now - 9), (AN, now - 1), (BERT, now - 3)):
        connection = fresh_agent(agent_id)
        connection.socket.last_received = heard
        parts.hub.register.join(connection)
    parts.hub.register.join(citizen())
    parts.hub.register.join(citizen())
    first, second = parts.heartbeat.list_now(), parts.heartbeat.list_now()
    silent = {a.agent_id: a.silent_for for a in first.agents}
    assert silent == {AN: pytest.approx(silent[BERT] - 2), BERT: silent[BERT]}, "at the same moment"
    assert silent[AN] >= 1
    assert (first.chats, second.chats) == ([CHAT], None)
    assert (first.counter, second.counter) == (1, 2)
    assert {parts.heartbeat.list_now().chats is None, parts.heartbeat.list_now().chats is None} == {True, False}


async def test_the_list_says_who_used_their_console_lately(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(topology, "ACTIVE_LASTS", 10 * PATIENCE)
    late = now - topology.ACTIVE_LASTS - 1
    for agent_id, active_at in ((AN, now - 9), (AN, now - 2), (CARL, now - 5), (BERT, late)):
        connection = fresh_agent(agent_id)
        connection.active_at = active_at
        parts.hub.register.join(connection)
    active = parts.heartbeat.list_now().active or {}
    assert active == {AN: pytest.approx(active[CARL] - 3), CARL: active[CARL]}, "at the same moment"
    assert active[AN] >= 2


async def test_the_list_is_told_at_each_change_and_a_last_time(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "HEARTBEAT_INTERVAL", 10 * PATIENCE)
    async with kept(parts.heartbeat.run()):
        parts.heartbeat.changed()
        await world.hear(GatewayConnections)
        monkeypatch.setattr(topology, "HEARTBEAT_INTERVAL", 0.02)
        parts.heartbeat.changed()
        await world.hear(GatewayConnections, 4)
    await parts.heartbeat.leave()
    await until(lambda: any(c.leaving for c in world.heard(GatewayConnections)), "the last list")
    assert [c.leaving for c in world.heard(GatewayConnections)][-2:] == [False, True]


async def test_a_gateway_that_died_does_not_leave_its_citizen_online(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two gateways have the citizen, and one answers when it is asked; then it goes silent too."""
    monkeypatch.setattr(module, "PRESENCE_INTERVAL", 0.02)
    now = [parts.hub.clock()]
    monkeypatch.setattr(parts.hub, "clock", lambda: now[0])
    world.others.open(CHAT, ChatStatus.ASSIGNED, AN)
    world.others.log_in(AN)
    an = fresh_agent(AN)
    await parts.agents.greet(an, Hello(chats={}))
    channel = parts.hub.channels[CHAT]

    def told(gateway: str) -> None:
        parts.hub.handle(CitizenPresence(chat_id=CHAT, incarnation=gateway, online=True))

    told("dead")
    told("alive")
    sent(an)
    now[0] += FORGET_AFTER - 1
    told("alive")
    now[0] += 1
    asked = len(world.heard(CitizenPresence))
    async with kept(parts.periodic_jobs.ask_presence()):
        await until(lambda: channel.citizen_at.gateways == {"alive"}, "the dead one to be forgotten")
        assert sent(an) == [], "the other one has the citizen"
        await until(lambda: [p.asked for p in world.heard(CitizenPresence)[asked:]].count(True) > 1, "questions")
        now[0] += FORGET_AFTER
        await until(lambda: an.waiting, "the news")
    assert sent(an) == [{"type": "citizen", "chat_id": CHAT, "online": False}]


async def test_who_could_not_be_heard_is_not_forgotten(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(parts.hub, "clock", lambda: now[0])
    channel = parts.hub.channels[CHAT] = LiveChat(CHAT)
    channel.citizen_at.note("there", True, now[0])
    now[0] += 10 * FORGET_AFTER
    parts.periodic_jobs.resync()  # the queue is new: until now nothing was heard
    parts.periodic_jobs.forget_silent()
    assert channel.citizen_at.online
    now[0] += FORGET_AFTER
    parts.periodic_jobs.forget_silent()
    assert not channel.citizen_at.online
    del parts.hub.channels[CHAT]


async def test_every_client_hears_how_far_the_log_goes(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYNC_INTERVAL", 0.05)
    world.others.open(CHAT, ChatStatus.ASSIGNED, AN)
    world.others.log_in(AN)
    world.others.log_in(BERT)
    one, an, bert = fresh_citizen(), fresh_agent(AN), fresh_agent(BERT)
    await parts.citizens.greet(one, Hello())
    await parts.agents.greet(an, Hello(chats={}))
    await parts.agents.greet(bert, Hello(chats={}))
    for connection in (one, an, bert):
        sent(connection)
    async with kept(parts.periodic_jobs.sync_frames()):
        await until(lambda: one.waiting and an.waiting and bert.waiting, "sync frames")
    assert sent(one)[0] == {"type": "sync", "last_seq": 1}
    assert next(f for f in sent(an) if f["type"] == "sync") == {"type": "sync", "chat_id": CHAT, "last_seq": 1}
    assert kinds(sent(bert))[0] == "sync"


async def test_a_hole_at_the_tail_is_found(world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAILS_QUIET", 0.05)
    monkeypatch.setattr(module, "TAILS_ROUND", 0.05)
    world.others.open(CHAT)
    connection = fresh_citizen()
    await parts.citizens.greet(connection, Hello())
    await world.append(entry(2), entry(3), tell=False)
    world.others.away.add(transcripts_api.TAILS)
    async with kept(parts.periodic_jobs.compare_tails()):
        await until(lambda: len(tails_asked(world)) > 1, "questions that are not answered")
        assert connection.shown[CHAT] == 1
        world.others.away.clear()
        await until(lambda: connection.shown[CHAT] == 3, "the tail")


def tails_asked(world: World) -> list[transcripts_api.TailsQuery]:
    asked = [body for path, body in world.others.asked if path == transcripts_api.TAILS]
    return [transcripts_api.TailsQuery.model_validate_json(body) for body in asked]


async def test_only_chats_in_which_nothing_was_heard_are_asked_about(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(parts.hub, "clock", lambda: now[0])
    channels = {chat_id: LiveChat(chat_id, Position(last=1)) for chat_id in (CHAT, OTHER)}
    channels[THIRD] = LiveChat(THIRD)  # its log was not read yet
    monkeypatch.setattr(parts.hub, "channels", channels)
    asked = list[list[str]]()
    for spoken in (None, CHAT, None, None, None):
        if spoken:
            channels[spoken].position.take(entry(2, spoken))
        before = len(tails_asked(world))
        await parts.periodic_jobs.compare_quiet()
        asked.append([chat_id for question in tails_asked(world)[before:] for chat_id in question.chat_ids])
        now[0] += module.TAILS_QUIET / 2
    assert asked == [[], [], [OTHER], [CHAT], [OTHER]]


def buttons_asked(world: World) -> int:
    return [path for path, _ in world.others.asked].count(presence_api.BUTTONS)


async def test_after_a_lost_queue_everything_missed_is_made_good(world: World, account: Account) -> None:
    async with parts_of(world, account.url) as parts:
        await until(lambda: buttons_asked(world), "what is asked after the start")
        world.others.open(CHAT)
        world.others.open(OTHER, ChatStatus.ASSIGNED, AN)
        for agent_id in (AN, BERT):
            world.others.log_in(agent_id)
        one, an, bert = fresh_citizen(), fresh_agent(AN), fresh_agent(BERT)
        await parts.citizens.greet(one, Hello())
        await parts.agents.greet(an, Hello(chats={}))
        await parts.agents.greet(bert, Hello(chats={}))
        waiting = fresh_citizen(THIRD)
        world.others.open(THIRD)
        await parts.citizens.greet(waiting, Hello())
        for connection in (one, an, bert, waiting):
            sent(connection)
        # none of this is told: a gateway whose queue is lost has to ask
        world.others.chats[CHAT] = view(7, ChatStatus.ASSIGNED, AN)
        world.others.chats[OTHER] = view(8, ChatStatus.CLOSED, AN, chat_id=OTHER)
        world.others.logs[CHAT].append(entry(2))
        world.others.logs[OTHER].append(seal(2, chat_id=OTHER))
        world.others.chats[THIRD] = view(1, ChatStatus.WAITING, chat_id=THIRD, position=4)  # it waits still, one back
        world.others.agents[AN] = agent_view(AN, v=9, state=AgentState.PAUSED)
        del world.others.sessions[f"token-{BERT}"]
        world.others.buttons = [told(5)]
        world.others.away.add(presence_api.BUTTONS)  # and the first attempt is not answered whole
        asked = buttons_asked(world)
        await asyncio.to_thread(account.close_connections)
        await until(lambda: buttons_asked(world) > asked, "an attempt that fails")
        assert parts.resyncs >= 2
        world.others.away.clear()
        await until(lambda: CHAT in an.shown and one.shown[CHAT] == 2 and bert.closing, "the resync")
        await until(lambda: OTHER in an.ended, "the seal")
        assert [(f["type"], f.get("dot") or f["seq"]) for f in sent(one)] == [("status", "green"), ("message", 2)]
        told_an = kinds(sent(an))
        assert set(told_an) == {"state", "message", "closed", "assigned", "citizen"}
        assert bert.closing == (4401, "logged out")
        assert [(f["type"], f["position"]) for f in sent(waiting)] == [("status", 4)]
        await until(lambda: parts.buttons.of["algemeen"].shown.green, "the button")
