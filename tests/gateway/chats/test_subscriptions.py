"""`subscriptions.py`: bind, history, then live, without a hole or a double; and all of it released at the end."""

import asyncio
from random import Random

import pytest

from services.common.events.types import ChatStatus
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.gateway.chats import subscriptions as module
from services.gateway.chats.subscriptions import NoSuchChat
from services.gateway.clients.http_client import Unavailable
from tests.gateway.making import CHAT, citizen, entry, sent, state, stored
from tests.gateway.standing import Parts, World
from tests.support.conditions import until
from tests.support.servers import PATIENCE


async def test_the_live_chat_is_there_as_long_as_a_session_uses_it(world: World, parts: Parts) -> None:
    one, two = await parts.chats.open(CHAT), await parts.chats.open(CHAT)
    assert one is two
    parts.chats.close(one)
    assert CHAT in parts.chats.by_id
    parts.chats.close(one)
    assert parts.idle
    assert await parts.chats.open(CHAT) is not one


async def test_without_a_binding_there_is_no_live_chat(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: str) -> None:
        raise Unavailable("broker")

    monkeypatch.setattr(parts.bindings, "follow", fail)
    with pytest.raises(Unavailable):
        await parts.chats.open(CHAT)
    assert parts.idle


async def asked_of_both(world: World) -> None:
    """Routing and transcripts have answered a question about a chat."""
    both = {routing_api.CHATS, transcripts_api.HISTORY}
    await until(lambda: {path for path, _ in world.others.asked} >= both, "the first questions")


async def test_a_chat_that_was_just_opened_is_waited_for(world: World, parts: Parts) -> None:
    chat = await parts.chats.open(CHAT)
    asking = asyncio.gather(parts.following.view(CHAT), parts.following.first_page(chat, 0))
    await asked_of_both(world)
    world.others.open(CHAT)
    view, page = await asyncio.wait_for(asking, PATIENCE)
    assert view.state is ChatStatus.WAITING
    assert [e.seq for e in page.entries] == [1]


async def test_a_chat_is_requested_again_as_soon_as_an_event_of_it_arrives(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KNOWN_WAIT", (10 * PATIENCE,))
    chat = await parts.chats.open(CHAT)
    asked = asyncio.gather(parts.following.view(CHAT), parts.following.first_page(chat, 0))
    await asked_of_both(world)
    world.others.open(CHAT)
    await world.publisher.publish(stored(world.others.logs[CHAT][0]))
    await world.publisher.publish(state(1, ChatStatus.WAITING))
    view, page = await asyncio.wait_for(asked, PATIENCE)
    assert (view.state, page.last_seq) == (ChatStatus.WAITING, 1)


async def test_an_unknown_chat_is_none(world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN_WAIT", (0.01,))
    chat = await parts.chats.open(CHAT)
    with pytest.raises(NoSuchChat):
        await parts.following.view(CHAT)
    with pytest.raises(Unavailable):  # a log that is late is no chat that is not there
        await parts.following.first_page(chat, 0)


async def test_a_log_of_several_pages_that_grows_meanwhile_is_shown_once_in_order(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    await world.append(*(entry(n) for n in range(2, 1_201)), publish=False)
    session, chat = citizen(), await parts.chats.open(CHAT)

    async def grow() -> None:
        await world.append(entry(1_201), entry(1_202))

    page = await parts.following.first_page(chat, 0)
    world.others.meanwhile[transcripts_api.HISTORY] = grow
    seqs = [e.seq async for e in parts.following.catch_up(session, chat, page, 0)]
    await world.append(entry(1_203))
    await until(lambda: session.shown.get(CHAT) == 1_203, "what is new")
    seqs += [f["seq"] for f in sent(session)]
    assert seqs == list(range(1, 1_204))


async def test_what_others_were_shown_while_a_page_was_read_is_read_once_more(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    one, two, chat = citizen(), citizen(), await parts.chats.open(CHAT)
    page = await parts.following.first_page(chat, 0)
    assert [e.seq async for e in parts.following.catch_up(one, chat, page, 0)] == [1]

    async def pass_on() -> None:
        await world.append(entry(2))
        await until(lambda: chat.cursor.last == 2, "the first connection to have it")

    world.others.meanwhile[transcripts_api.HISTORY] = pass_on
    page = await parts.following.first_page(chat, 0)
    assert page.last_seq == 1
    assert [e.seq async for e in parts.following.catch_up(two, chat, page, 0)] == [1, 2]
    await world.append(entry(3))
    await until(lambda: one.shown[CHAT] == two.shown[CHAT] == 3, "both")


async def test_a_hole_in_the_live_events_is_read_from_transcripts(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    session, chat = citizen(), await parts.chats.open(CHAT)
    page = await parts.following.first_page(chat, 0)
    assert [e.seq async for e in parts.following.catch_up(session, chat, page, 0)] == [1]
    await world.append(*(entry(n) for n in range(2, 700)), publish=False)
    await world.publisher.publish(stored(entry(699)))
    await until(lambda: session.shown[CHAT] == 699, "the gap to be read")
    assert [f["seq"] for f in sent(session)] == list(range(2, 700))
    await until(lambda: not chat.gap_read_due, "the work to end")


async def test_a_gap_is_asked_for_again_while_transcripts_is_away(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    session, chat = citizen(), await parts.chats.open(CHAT)
    page = await parts.following.first_page(chat, 1)
    assert [e async for e in parts.following.catch_up(session, chat, page, 1)] == []
    await world.append(entry(2), publish=False)
    world.others.away.add(transcripts_api.HISTORY)
    asked = len(world.others.asked)
    await world.append(entry(3))
    await until(lambda: len(world.others.asked) > asked + 1, "two attempts")
    world.others.away.clear()
    await until(lambda: session.shown[CHAT] == 3, "the gap to be read")


async def test_a_mere_reordering_is_not_read(world: World, parts: Parts) -> None:
    world.others.open(CHAT)
    session, chat = citizen(), await parts.chats.open(CHAT)
    page = await parts.following.first_page(chat, 1)
    assert [e async for e in parts.following.catch_up(session, chat, page, 1)] == []
    asked = len(world.others.asked)
    for seq in (3, 2):  # one right behind the other, however slow the broker is
        parts.router.handle(stored(entry(seq)))
    assert session.shown[CHAT] == 3
    assert chat.gap_read_due
    await until(lambda: not chat.gap_read_due, "the work to end")
    assert len(world.others.asked) == asked


async def test_a_hole_that_came_while_the_log_was_read_for_the_first_time_is_read(world: World, parts: Parts) -> None:
    """Nothing else is said afterwards: nobody but the reading itself could find it soon."""
    world.others.open(CHAT)
    session, chat = citizen(), await parts.chats.open(CHAT)

    async def lose_one() -> None:
        await world.append(entry(2), publish=False)
        await world.append(entry(3))
        await until(lambda: chat.cursor.highest == 3, "what is ahead")

    world.others.meanwhile[transcripts_api.HISTORY] = lose_one
    page = await parts.following.first_page(chat, 0)
    assert page.last_seq == 1
    assert [e.seq async for e in parts.following.catch_up(session, chat, page, 0)] == [1]
    await until(lambda: session.shown[CHAT] == 3, "the gap to be read")
    assert [f["seq"] for f in sent(session)] == [2, 3]


async def test_a_request_names_the_latest_entry_that_is_known(world: World, parts: Parts) -> None:
    """A reading from a replica that is behind is not the whole: transcripts waits for the entries that are known."""
    world.others.open(CHAT)
    session, chat = citizen(), await parts.chats.open(CHAT)

    async def asked_for(after: int, at_least: int) -> None:
        wanted = transcripts_api.HistoryWanted(chat_id=CHAT, after=after, at_least=at_least)
        await until(lambda: wanted in wanted_of(world), f"{wanted}")

    await world.publisher.publish(stored(entry(4)))
    await until(lambda: chat.cursor.highest == 4, "the event")
    page = await parts.following.first_page(chat, 0)
    await asked_for(0, 4)
    assert [e.seq async for e in parts.following.catch_up(session, chat, page, 0)] == [1]
    await asked_for(1, 4)
    await world.append(entry(2), entry(3), entry(4), publish=False)
    await until(lambda: session.shown[CHAT] == 4, "the rest")


def wanted_of(world: World) -> list[transcripts_api.HistoryWanted]:
    """The histories that were asked for."""
    bodies = [body for path, body in world.others.asked if path == transcripts_api.HISTORY]
    return [w for body in bodies for w in transcripts_api.HistoryQuery.model_validate_json(body).chats]


@pytest.mark.parametrize("seed", [1, 2])
async def test_live_events_lost_doubled_and_turned_around_are_shown_once_each_in_order(
    world: World, parts: Parts, seed: int
) -> None:
    world.others.open(CHAT)
    rng, connections, chat = Random(seed), [citizen(), citizen()], await parts.chats.open(CHAT)
    for session in connections:
        page = await parts.following.first_page(chat, 1)
        assert [e async for e in parts.following.catch_up(session, chat, page, 1)] == []
    seq, last = 1, 240
    while seq < last:
        several = [entry(n) for n in range(seq + 1, min(seq + rng.randint(1, 9), last) + 1)]
        seq += len(several)
        await world.append(*several, publish=False)
        delivered = [e for e in several for _ in range(rng.choice((0, 1, 1, 1, 2)))]
        rng.shuffle(delivered)
        for one in delivered:
            await world.publisher.publish(stored(one))
    await world.publisher.publish(stored(entry(last)))
    await until(lambda: all(c.shown[CHAT] == last for c in connections), "everything")
    for session in connections:
        assert [f["seq"] for f in sent(session)] == list(range(2, last + 1))


async def test_who_has_more_than_the_log_is_shown_what_comes_next(world: World, parts: Parts) -> None:
    """After a backup was restored: the page gets the log's true end, and nothing new is taken for known."""
    world.others.open(CHAT)
    one, two, chat = citizen(), citizen(), await parts.chats.open(CHAT)
    for session in (one, two):
        page = await parts.following.first_page(chat, 9)
        assert page.last_seq == 1
        assert [e async for e in parts.following.catch_up(session, chat, page, 9)] == []
    await world.append(entry(2))
    await until(lambda: one.shown[CHAT] == two.shown[CHAT] == 2, "the new one")
    assert [f["seq"] for f in sent(one)] == [f["seq"] for f in sent(two)] == [2]
