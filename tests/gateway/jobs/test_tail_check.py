"""`services/gateway/jobs/tail_check.py`: a missing last entry is found; only quiet chats are compared."""

import pytest

from services.common.internal_api import transcripts as transcripts_api
from services.gateway.chats.chat import LiveChat
from services.gateway.chats.chat_state import LogCursor
from services.gateway.jobs import tail_check as module
from services.gateway.websocket.frames.client import Hello
from tests.gateway.making import CHAT, OTHER, entry, fresh_citizen, id_of
from tests.gateway.standing import Parts, World, kept
from tests.support.conditions import until

THIRD = id_of(3)


async def test_a_hole_at_the_tail_is_found(world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAILS_QUIET", 0.05)
    monkeypatch.setattr(module, "TAILS_ROUND", 0.05)
    world.others.open(CHAT)
    session = fresh_citizen()
    await parts.citizens.greet(session, Hello())
    await world.append(entry(2), entry(3), publish=False)
    world.others.away.add(transcripts_api.TAILS)
    async with kept(parts.tail_check.run()):
        await until(lambda: len(tails_asked(world)) > 1, "questions that are not answered")
        assert session.shown[CHAT] == 1
        world.others.away.clear()
        await until(lambda: session.shown[CHAT] == 3, "the tail")


def tails_asked(world: World) -> list[transcripts_api.TailsQuery]:
    asked = [body for path, body in world.others.asked if path == transcripts_api.TAILS]
    return [transcripts_api.TailsQuery.model_validate_json(body) for body in asked]


async def test_only_chats_without_events_are_asked_about(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(parts.chats, "clock", lambda: now[0])
    live_chats = {chat_id: LiveChat(chat_id, LogCursor(last=1)) for chat_id in (CHAT, OTHER)}
    live_chats[THIRD] = LiveChat(THIRD)  # its log was not read yet
    monkeypatch.setattr(parts.chats, "by_id", live_chats)
    asked = list[list[str]]()
    for spoken in (None, CHAT, None, None, None):
        if spoken:
            live_chats[spoken].cursor.take(entry(2, spoken))
        before = len(tails_asked(world))
        await parts.tail_check.compare_quiet()
        asked.append([chat_id for question in tails_asked(world)[before:] for chat_id in question.chat_ids])
        now[0] += module.TAILS_QUIET / 2
    assert asked == [[], [], [OTHER], [CHAT], [OTHER]]
