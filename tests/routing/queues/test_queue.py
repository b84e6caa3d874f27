"""services/routing/queues/queue.py against the real broker and database: who is told where he stands, and who asks."""

import asyncio

import pytest

from services.common.events.chats import QueueChanged
from services.common.events.places import PlaceReleased, PlaceWanted
from services.common.events.types import ReleaseReason
from services.common.messaging.connection import Publisher, Unconfirmed
from services.routing.chats import rules, transfer_rules
from services.routing.chats.chat import Chat
from services.routing.queues.queue import LONG, Queue, is_due
from tests.routing.scene import Scene, connected, free, hushed


async def test_changes_while_a_queue_is_told_become_one_event(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    chat_publisher, go_on, read = asyncio.Event(), asyncio.Event(), scene.store.order

    async def order(department: str) -> list[str]:
        found = await read(department)
        chat_publisher.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(scene.store, "order", order)
    task = asyncio.create_task(scene.queue.run())
    try:
        chats = [await scene.press()]
        await chat_publisher.wait()
        chats += [await scene.press() for _ in range(9)]
        go_on.set()
        await scene.ears.hear(QueueChanged, lambda q: q.order == chats)
        await scene.queue.flush()
        await scene.hush()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    first, second = scene.ears.of(QueueChanged)
    assert (first.order, second.order) == (chats[:1], chats)
    assert first.revision < second.revision


async def test_each_department_has_its_own_line(scene: Scene) -> None:
    one, other = await scene.press("algemeen"), await scene.press("premies")
    await scene.queue.flush()
    await scene.hush()
    assert {q.department: q.order for q in scene.ears.of(QueueChanged)} == {"algemeen": [one], "premies": [other]}


async def test_the_highest_revision_of_two_replicas_has_the_last_word(pair: tuple[Scene, Scene]) -> None:
    """Each tells its queues after each change, while the other goes on."""
    chats: list[str] = []
    chat_publisher: list[asyncio.Task[None]] = []
    for n in range(10):
        scene = pair[n % 2]
        if n < 6:
            chats.append(await scene.press())
        else:
            await scene.assign(chats[n - 6])
        chat_publisher.append(asyncio.create_task(scene.queue.flush()))
    await asyncio.gather(*chat_publisher)
    await hushed(*pair)
    ears = pair[0].ears
    revisions = [q.revision for q in ears.of(QueueChanged)]
    assert revisions
    assert len(set(revisions)) == len(revisions)
    assert max(ears.of(QueueChanged), key=lambda q: q.revision).order == chats[4:]


async def test_a_queue_that_could_not_be_told_stays_rung_for(scene: Scene, vhost_url: str) -> None:
    chat_id = await scene.press()
    publisher = Publisher(vhost_url, "not connected yet")
    queue = Queue(scene.store, scene.queue_store, publisher)
    queue.ring("algemeen")
    with pytest.raises(Unconfirmed):
        await queue.flush()
    async with connected(publisher):
        await queue.flush()
        assert (await scene.ears.hear(QueueChanged)).order == [chat_id]


async def test_a_chat_for_a_colleague_names_him_and_stops_nobody(scene: Scene) -> None:
    named = await scene.press()
    await scene.assign(named, "an")
    other = await scene.press()
    await scene.hush()
    await scene.store.change(
        named,
        lambda c: rules.published(transfer_rules.transferred(c, "an", None, "bert", scene.now(), scene.limits)),
    )
    await scene.handle(free("algemeen", 1, 1))
    await scene.hush()
    asked = [(w.chat_id, w.turn, w.agent_id) for w in scene.ears.of(PlaceWanted)]
    assert set(asked[-2:]) == {(named, 2, "bert"), (other, 1, None)}


async def test_a_new_turn_asks_at_once(scene: Scene) -> None:
    chat_id = await scene.press()
    for turn in (1, 2, 3):
        await scene.handle(PlaceReleased(chat_id=chat_id, turn=turn, agent_id="an", reason=ReleaseReason.AGENT_GONE))
    await scene.hush()
    assert [w.turn for w in scene.ears.of(PlaceWanted)] == [1, 2, 3, 4]


async def test_presses_at_once_share_readings_of_the_line_and_all_ask(scene: Scene) -> None:
    await scene.handle(free("algemeen", 40, 1))
    chats = await asyncio.gather(*(scene.press() for _ in range(40)))
    await scene.hush()
    asked = [w.chat_id for w in scene.ears.of(PlaceWanted)]
    assert sorted(asked) == sorted(chats), "each once"


async def test_with_places_to_spare_a_press_asks_without_reading_the_line(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.handle(free("algemeen", 2, 1))
    readings: list[str] = []
    read = scene.store.line

    async def line(department: str, limit: int) -> list[Chat]:
        readings.append(department)
        return await read(department, limit)

    monkeypatch.setattr(scene.store, "line", line)
    chats = [await scene.press() for _ in range(2)]
    assert readings == []
    chats.append(await scene.press())
    assert readings == ["algemeen"], "no place is left for the third: who is first must be known"
    await scene.hush()
    assert [w.chat_id for w in scene.ears.of(PlaceWanted)] == chats[:2]
    await scene.assign(chats[0])
    await scene.hush()
    assert [w.chat_id for w in scene.ears.of(PlaceWanted)] == chats


async def test_at_the_end_of_a_long_line_nobody_reads_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.handle(free("algemeen", 0, 1))
    chats = [await scene.press(greeted=False) for _ in range(LONG + 1)]
    await scene.queue.ask("algemeen")

    async def line(department: str, limit: int) -> list[Chat]:
        raise AssertionError("each press would read all who wait")

    with monkeypatch.context() as patched:
        patched.setattr(scene.store, "line", line)
        chats.append(await scene.press(greeted=False))
    order = await scene.queue.order("algemeen")
    assert [order.places[c] for c in chats] == list(range(1, LONG + 3))
    await scene.hush()
    assert {w.chat_id for w in scene.ears.of(PlaceWanted)} == {chats[0]}


async def test_positions_that_are_asked_for_at_once_share_a_reading(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat_id = await scene.press()
    first = await scene.queue.order("algemeen")
    assert first.places == {chat_id: 1}
    assert await scene.queue.order("algemeen") is first
    monkeypatch.setattr("services.routing.queues.queue.COALESCE", -1)
    assert await scene.queue.order("algemeen") is not first


def test_who_asked_asks_again_ever_more_rarely_but_the_first_in_line_at_each_sweep() -> None:
    assert is_due(None, now=0, first=False)
    waits = [next(s for s in range(100) if is_due((0, times), s, first=False)) for times in (1, 2, 3, 4)]
    assert waits == [5, 10, 20, 20]
    assert [is_due((0, times), 1.9, first=True) for times in (1, 9)] == [True, True]
    assert not is_due((0, 1), 1.0, first=True)
