"""`services/gateway/jobs/sync_frames.py`: every client gets the ends of its logs."""

import pytest

from services.common.events.types import ChatStatus
from services.gateway.jobs import sync_frames as module
from services.gateway.websocket.frames.client import Hello
from tests.gateway.making import AN, BERT, CHAT, fresh_agent, fresh_citizen, kinds, sent
from tests.gateway.standing import Parts, World, kept
from tests.support.conditions import until


async def test_every_client_gets_how_far_the_log_goes(
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
    for session in (one, an, bert):
        sent(session)
    async with kept(module.send_sync_frames(parts.registry)):
        await until(lambda: one.connection.waiting and an.connection.waiting and bert.connection.waiting, "sync frames")
    assert sent(one)[0] == {"type": "sync", "last_seq": 1}
    assert next(f for f in sent(an) if f["type"] == "sync") == {"type": "sync", "chat_id": CHAT, "last_seq": 1}
    assert kinds(sent(bert))[0] == "sync"
