"""services/routing/queues/announcer.py against the real broker and database: the positions that are published."""

import asyncio
from datetime import datetime

import pytest

from services.common.events.chats import QueueChanged
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.routing.queues.announcer import Announcer
from tests.routing.scene import Scene, caught_up
from tests.support.publishers import connected
from tests.support.servers import PATIENCE


async def test_changes_while_a_queue_is_published_become_one_event(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat_publisher, go_on, read = asyncio.Event(), asyncio.Event(), scene.store.waiting_queue

    async def order(department: str) -> tuple[list[str], datetime | None]:
        found = await read(department)
        chat_publisher.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(scene.store, "waiting_queue", order)
    task = asyncio.create_task(scene.announcer.run())
    try:
        chats = [await scene.press()]
        await chat_publisher.wait()
        chats += [await scene.press() for _ in range(9)]
        go_on.set()
        await scene.observer.wait_for(QueueChanged, lambda q: q.order == chats)
        await scene.announcer.flush()
        await scene.catch_up()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    first, second = scene.observer.of(QueueChanged)
    assert (first.order, second.order) == (chats[:1], chats)
    assert first.revision < second.revision


async def test_each_department_has_its_own_queue(scene: Scene) -> None:
    one, other = await scene.press("algemeen"), await scene.press("premies")
    await scene.announcer.flush()
    await scene.catch_up()
    assert {q.department: q.order for q in scene.observer.of(QueueChanged)} == {"algemeen": [one], "premies": [other]}


async def test_a_queue_says_since_when_the_longest_waits(scene: Scene) -> None:
    first = await scene.press()
    second = await scene.press()
    await scene.announcer.flush()
    both = await scene.observer.wait_for(QueueChanged, lambda q: q.order == [first, second])
    since = [(await scene.chat(chat)).waiting_since for chat in (first, second)]
    assert both.since == min(at for at in since if at)
    for chat in (first, second):
        await scene.assign(chat)
    await scene.announcer.flush()
    empty = await scene.observer.wait_for(QueueChanged, lambda q: not q.order)
    assert empty.since is None


async def test_queues_of_many_departments_are_published_together(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other they fall behind where chats start in hundreds of departments."""
    both, read = asyncio.Barrier(2), scene.store.waiting_queue
    await scene.press("algemeen")
    await scene.press("premies")

    async def order(department: str) -> tuple[list[str], datetime | None]:
        async with asyncio.timeout(PATIENCE):
            await both.wait()
        return await read(department)

    monkeypatch.setattr(scene.store, "waiting_queue", order)
    await scene.announcer.flush()
    await scene.catch_up()
    assert {q.department for q in scene.observer.of(QueueChanged)} == {"algemeen", "premies"}


async def test_a_queue_whose_publication_is_cancelled_stays_requested(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain cancels the task and then publishes what is left."""
    reading, read = asyncio.Event(), scene.store.waiting_queue

    async def order(department: str) -> tuple[list[str], datetime | None]:
        reading.set()
        await asyncio.Event().wait()
        return [], None

    chat_id = await scene.press()
    monkeypatch.setattr(scene.store, "waiting_queue", order)
    flushing = asyncio.create_task(scene.announcer.flush())
    await reading.wait()
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    monkeypatch.setattr(scene.store, "waiting_queue", read)
    await scene.announcer.flush()
    assert (await scene.observer.wait_for(QueueChanged)).order == [chat_id]


async def test_the_highest_revision_of_two_replicas_has_the_last_word(pair: tuple[Scene, Scene]) -> None:
    """Each publishes its queues after each change, while the other goes on."""
    chats: list[str] = []
    chat_publisher: list[asyncio.Task[None]] = []
    for n in range(10):
        scene = pair[n % 2]
        if n < 6:
            chats.append(await scene.press())
        else:
            await scene.assign(chats[n - 6])
        chat_publisher.append(asyncio.create_task(scene.announcer.flush()))
    await asyncio.gather(*chat_publisher)
    await caught_up(*pair)
    observer = pair[0].observer
    revisions = [q.revision for q in observer.of(QueueChanged)]
    assert revisions
    assert len(set(revisions)) == len(revisions)
    assert max(observer.of(QueueChanged), key=lambda q: q.revision).order == chats[4:]


async def test_a_queue_that_could_not_be_published_stays_requested(scene: Scene, vhost_url: str) -> None:
    chat_id = await scene.press()
    publisher = Publisher(vhost_url, "not connected yet")
    announcer = Announcer(scene.store, scene.queue_store, publisher)
    announcer.changed("algemeen")
    with pytest.raises(Unconfirmed):
        await announcer.flush()
    async with connected(publisher):
        await announcer.flush()
        assert (await scene.observer.wait_for(QueueChanged)).order == [chat_id]


async def test_positions_that_are_asked_for_at_once_share_a_reading(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat_id = await scene.press()
    first = await scene.announcer.positions("algemeen")
    assert first.of == {chat_id: 1}
    assert await scene.announcer.positions("algemeen") is first
    monkeypatch.setattr("services.routing.queues.announcer.COALESCE", -1)
    assert await scene.announcer.positions("algemeen") is not first
