"""services/routing/queues/store.py against the real database."""

import asyncio

import pytest

from services.common.events.places import PlacesChanged
from services.routing.queues.wait_estimate import REMEMBERED
from tests.routing.scene import Scene


async def test_revisions_of_a_queue_are_given_once_and_grow_over_a_lost_database(scene: Scene) -> None:
    given = await asyncio.gather(*(scene.queue_store.next_revision("algemeen", at_least=1_000) for _ in range(20)))
    assert sorted(given) == list(range(1_000, 1_020))
    await scene.database["queues"].drop()
    assert await scene.queue_store.next_revision("algemeen", at_least=2_000) == 2_000


async def test_the_average_duration_is_known_after_three_chats_and_forgets_old_ones(scene: Scene) -> None:
    queue_store = scene.queue_store
    await queue_store.note_slots(places(2, 1))
    for _ in range(2):
        await queue_store.add_handled("algemeen", 60)
    assert await queue_store.seconds_each("algemeen") is None
    await queue_store.add_handled("algemeen", 120)
    assert await queue_store.seconds_each("algemeen") == 40
    assert await queue_store.seconds_each("premies") is None
    for _ in range(REMEMBERED):
        await queue_store.add_handled("algemeen", 20)
    assert await queue_store.seconds_each("algemeen") == 10
    assert await queue_store.next_revision("algemeen", at_least=5) == 5, "a document without a revision gets one"


@pytest.mark.parametrize("begun", [True, False])
async def test_the_newest_count_of_slots_is_kept(scene: Scene, begun: bool) -> None:
    queue_store = scene.queue_store
    if begun:
        await queue_store.next_revision("algemeen", 1)
    for event in (places(3, 10), places(9, 8), places(None, 99), places(4, 11), places(9, 11)):
        await queue_store.note_slots(event)
    found = await scene.database["queues"].find_one({"_id": "algemeen"})
    assert found is not None
    assert found["places"] == 4


def places(n: int | None, revision: int) -> PlacesChanged:
    return PlacesChanged(department="algemeen", free=0, revision=revision, places=n)
