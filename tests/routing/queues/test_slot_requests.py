"""services/routing/queues/slot_requests.py against the real broker and database: which chats request a slot."""

import asyncio

import pytest

from services.common.events.places import PlaceReleased, PlaceWanted
from services.common.events.types import ReleaseReason
from services.routing.chats import rules, transfer_rules
from services.routing.chats.chat import Chat
from services.routing.queues.slot_requests import LONG, is_due
from tests.routing.scene import Scene, free


async def test_a_chat_for_a_colleague_names_them_and_stops_no_other(scene: Scene) -> None:
    named = await scene.press()
    await scene.assign(named, "an")
    other = await scene.press()
    await scene.catch_up()
    await scene.store.change(
        named,
        lambda c: rules.published(transfer_rules.transferred(c, "an", None, "bert", scene.now(), scene.limits)),
    )
    await scene.handle(free("algemeen", 1, 1))
    await scene.catch_up()
    asked = [(w.chat_id, w.turn, w.agent_id) for w in scene.observer.of(PlaceWanted)]
    assert set(asked[-2:]) == {(named, 2, "bert"), (other, 1, None)}


async def test_a_new_attempt_requests_at_once(scene: Scene) -> None:
    chat_id = await scene.press()
    for turn in (1, 2, 3):
        await scene.handle(PlaceReleased(chat_id=chat_id, turn=turn, agent_id="an", reason=ReleaseReason.AGENT_GONE))
    await scene.catch_up()
    assert [w.turn for w in scene.observer.of(PlaceWanted)] == [1, 2, 3, 4]


async def test_presses_at_once_share_readings_of_the_queue_and_all_request(scene: Scene) -> None:
    await scene.handle(free("algemeen", 40, 1))
    chats = await asyncio.gather(*(scene.press() for _ in range(40)))
    await scene.catch_up()
    asked = [w.chat_id for w in scene.observer.of(PlaceWanted)]
    assert sorted(asked) == sorted(chats), "each once"


async def test_with_slots_to_spare_a_press_requests_without_reading_the_queue(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.handle(free("algemeen", 2, 1))
    readings: list[str] = []
    read = scene.store.first_waiting

    async def queue(department: str, limit: int) -> list[Chat]:
        readings.append(department)
        return await read(department, limit)

    monkeypatch.setattr(scene.store, "first_waiting", queue)
    chats = [await scene.press() for _ in range(2)]
    assert readings == []
    chats.append(await scene.press())
    assert readings == ["algemeen"], "no place is left for the third: who is first must be known"
    await scene.catch_up()
    assert [w.chat_id for w in scene.observer.of(PlaceWanted)] == chats[:2]
    await scene.assign(chats[0])
    await scene.catch_up()
    assert [w.chat_id for w in scene.observer.of(PlaceWanted)] == chats


async def test_at_the_end_of_a_long_queue_it_is_not_read(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.handle(free("algemeen", 0, 1))
    chats = [await scene.press(greeted=False) for _ in range(LONG + 1)]
    await scene.slot_requests.request("algemeen")

    async def queue(department: str, limit: int) -> list[Chat]:
        raise AssertionError("each press would read all who wait")

    with monkeypatch.context() as patched:
        patched.setattr(scene.store, "first_waiting", queue)
        chats.append(await scene.press(greeted=False))
    order = await scene.announcer.positions("algemeen")
    assert [order.of[c] for c in chats] == list(range(1, LONG + 3))
    await scene.catch_up()
    assert {w.chat_id for w in scene.observer.of(PlaceWanted)} == {chats[0]}


def test_requests_are_repeated_ever_more_rarely_but_of_the_first_in_the_queue_at_each_repair() -> None:
    assert is_due(None, now=0, first=False)
    waits = [next(s for s in range(100) if is_due((0, times), s, first=False)) for times in (1, 2, 3, 4)]
    assert waits == [5, 10, 20, 20]
    assert [is_due((0, times), 1.9, first=True) for times in (1, 9)] == [True, True]
    assert not is_due((0, 1), 1.0, first=True)
