"""`services/gateway/jobs/heartbeats.py`: the list of connections, and when it is published."""

import asyncio

import pytest

from services.common.events.presence import GatewayConnections
from services.common.messaging import topology
from tests.gateway.making import AN, BERT, CHAT, citizen, fresh_agent
from tests.gateway.standing import Parts, World, kept
from tests.support.conditions import until
from tests.support.servers import PATIENCE

CARL = "agent-carl"


async def test_the_list_names_agents_with_their_best_connection_and_citizens(world: World, parts: Parts) -> None:
    now = asyncio.get_running_loop().time()
    for agent_id, received in ((AN, now - 9), (AN, now - 1), (BERT, now - 3)):
        session = fresh_agent(agent_id)
        session.connection.socket.last_received = received
        parts.registry.agents.join(session)
    parts.registry.citizens.join(citizen())
    parts.registry.citizens.join(citizen())
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
        session = fresh_agent(agent_id)
        session.note_activity(active_at)
        parts.registry.agents.join(session)
    active = parts.heartbeat.list_now().active or {}
    assert active == {AN: pytest.approx(active[CARL] - 3), CARL: active[CARL]}, "at the same moment"
    assert active[AN] >= 2


async def test_the_list_says_in_which_chats_an_agent_has_typed_lately(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(topology, "WRITING_LASTS", 10 * PATIENCE)
    assert parts.heartbeat.list_now().writing is None
    for chat, at in (("one", now - 9), ("one", now - 2), ("two", now - 5), ("three", now - topology.WRITING_LASTS - 1)):
        session = fresh_agent(AN)
        session.note_writing(chat, at)
        parts.registry.agents.join(session)
    writing = parts.heartbeat.list_now().writing or {}
    assert writing == {"one": pytest.approx(writing["two"] - 3), "two": writing["two"]}, "at the same moment"


async def test_the_list_is_published_at_each_change_and_a_last_time(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "HEARTBEAT_INTERVAL", 10 * PATIENCE)
    async with kept(parts.heartbeat.run()):
        parts.registry.agents_changed.set()
        await world.receive(GatewayConnections)
        monkeypatch.setattr(topology, "HEARTBEAT_INTERVAL", 0.02)
        parts.registry.agents_changed.set()
        await world.receive(GatewayConnections, 4)
    await parts.heartbeat.leave()
    await until(lambda: any(c.leaving for c in world.received(GatewayConnections)), "the last list")
    assert [c.leaving for c in world.received(GatewayConnections)][-2:] == [False, True]
