"""`services/gateway/jobs/presence_check.py`: a citizen whose gateway is silent is offline, but not too soon."""

import pytest

from services.common.events.messages import CitizenPresence
from services.common.events.types import ChatStatus
from services.gateway.chats.chat import LiveChat
from services.gateway.chats.chat_state import FORGET_AFTER
from services.gateway.jobs import presence_check as module
from services.gateway.websocket.frames.client import Hello
from tests.gateway.making import AN, CHAT, fresh_agent, sent
from tests.gateway.standing import Parts, World, kept
from tests.support.conditions import until


async def test_a_gateway_that_died_does_not_leave_its_citizen_online(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two gateways have the citizen, and one answers when it is asked; then it goes silent too."""
    monkeypatch.setattr(module, "PRESENCE_INTERVAL", 0.02)
    now = [parts.chats.clock()]
    monkeypatch.setattr(parts.chats, "clock", lambda: now[0])
    world.others.open(CHAT, ChatStatus.ASSIGNED, AN)
    world.others.log_in(AN)
    an = fresh_agent(AN)
    await parts.agents.greet(an, Hello(chats={}))
    chat = parts.chats.by_id[CHAT]

    def publish_presence(gateway: str) -> None:
        parts.router.handle(CitizenPresence(chat_id=CHAT, incarnation=gateway, online=True))

    publish_presence("dead")
    publish_presence("alive")
    sent(an)
    now[0] += FORGET_AFTER - 1
    publish_presence("alive")
    now[0] += 1
    asked = len(world.received(CitizenPresence))
    async with kept(parts.presence_check.run()):
        await until(lambda: chat.citizen_at.gateways == {"alive"}, "the dead one to be forgotten")
        assert sent(an) == [], "the other one has the citizen"
        await until(lambda: [p.asked for p in world.received(CitizenPresence)[asked:]].count(True) > 1, "questions")
        now[0] += FORGET_AFTER
        await until(lambda: an.connection.waiting, "the news")
    assert sent(an) == [{"type": "citizen", "chat_id": CHAT, "online": False}]


async def test_a_citizen_who_could_not_be_published_is_not_forgotten(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(parts.chats, "clock", lambda: now[0])
    chat = parts.chats.by_id[CHAT] = LiveChat(CHAT)
    chat.citizen_at.note("there", True, now[0])
    now[0] += 10 * FORGET_AFTER
    parts.chats.begin_listening()  # the queue is new: until now nothing was received
    parts.presence_check.forget_silent()
    assert chat.citizen_at.online
    now[0] += FORGET_AFTER
    parts.presence_check.forget_silent()
    assert not chat.citizen_at.online
    del parts.chats.by_id[CHAT]
