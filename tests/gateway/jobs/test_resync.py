"""`services/gateway/jobs/resync.py`: after a lost queue everything that was missed is read."""

import asyncio

import pytest

from services.common.events.types import AgentState, ChatStatus
from services.common.internal_api import presence as presence_api
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.websocket.frames.client import Hello
from tests.gateway.making import (
    AN,
    BERT,
    CHAT,
    OTHER,
    agent_view,
    entry,
    fresh_agent,
    fresh_citizen,
    id_of,
    kinds,
    seal,
    sent,
    view,
)
from tests.gateway.standing import World, parts_of
from tests.gateway.test_button_state import button_event
from tests.support.conditions import until
from tests.support.servers import Account

THIRD = id_of(3)


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
        for session in (one, an, bert, waiting):
            sent(session)
        # none of this is published: a gateway whose queue is lost has to ask
        world.others.chats[CHAT] = view(7, ChatStatus.ASSIGNED, AN)
        world.others.chats[OTHER] = view(8, ChatStatus.CLOSED, AN, chat_id=OTHER)
        world.others.logs[CHAT].append(entry(2))
        world.others.logs[OTHER].append(seal(2, chat_id=OTHER))
        world.others.chats[THIRD] = view(1, ChatStatus.WAITING, chat_id=THIRD, position=4)  # it waits still, one back
        world.others.agents[AN] = agent_view(AN, v=9, state=AgentState.PAUSED)
        del world.others.sessions[f"token-{BERT}"]
        world.others.buttons = [button_event(5)]
        world.others.away.add(presence_api.BUTTONS)  # and the first attempt is not answered whole
        asked = buttons_asked(world)
        await asyncio.to_thread(account.close_connections)
        await until(lambda: buttons_asked(world) > asked, "an attempt that fails")
        assert parts.resyncs >= 2
        world.others.away.clear()
        await until(lambda: CHAT in an.shown and one.shown[CHAT] == 2 and bert.connection.closing, "the resync")
        await until(lambda: OTHER in an.ended, "the seal")
        assert [(f["type"], f.get("dot") or f["seq"]) for f in sent(one)] == [("status", "green"), ("message", 2)]
        sent_to_an = kinds(sent(an))
        assert set(sent_to_an) == {"state", "message", "closed", "assigned", "citizen"}
        assert bert.connection.closing == (4401, "logged out")
        assert [(f["type"], f["position"]) for f in sent(waiting)] == [("status", 4)]
        await until(lambda: parts.buttons.of["algemeen"].shown.green, "the button")


async def test_agents_are_asked_about_together(world: World, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other the last of hundreds of agents would miss a new chat for seconds."""
    sessions, chats = asyncio.Barrier(2), asyncio.Barrier(2)
    checked: list[str] = []

    async def session(client: PresenceClient, token: str) -> object:
        await sessions.wait()
        return world.others.sessions[token]

    async def chats_of_agent(client: RoutingClient, agent_id: str) -> list[object]:
        await chats.wait()
        checked.append(agent_id)
        return []

    async with parts_of(world, account.url) as parts:
        await until(lambda: buttons_asked(world), "what is asked after the start")
        for agent_id in (AN, BERT):
            world.others.log_in(agent_id)
            await parts.agents.greet(fresh_agent(agent_id), Hello(chats={}))
        monkeypatch.setattr(PresenceClient, "session", session)
        monkeypatch.setattr(RoutingClient, "chats_of_agent", chats_of_agent)
        await asyncio.to_thread(account.close_connections)
        await until(lambda: sorted(checked) == sorted((AN, BERT)), "both agents")
