"""`services/gateway/chats/chat_state.py`: positions and waits as routing published them last."""

import pytest

from services.common.events.chats import QueueChanged
from services.gateway.chats.chat_state import NOWHERE, DepartmentQueues, Place, is_news, wait_of
from tests.gateway.making import CHAT, OTHER


def queue_event(revision: int, *order: str, pace: float | None = None, department: str = "algemeen") -> QueueChanged:
    return QueueChanged(department=department, revision=revision, order=list(order), pace=pace)


def test_each_chat_has_a_position_and_a_wait_that_depends_on_it() -> None:
    queues = DepartmentQueues()
    assert list(queues.take(queue_event(5, OTHER, CHAT, pace=40.1))) == [(OTHER, (1, 41)), (CHAT, (2, 81))]
    assert queues.place("algemeen", CHAT) == (2, 81)
    assert queues.place("premies", CHAT) == queues.place("algemeen", "nobody") == NOWHERE


def test_an_older_queue_is_dropped_and_departments_do_not_touch_each_other() -> None:
    queues = DepartmentQueues()
    queues.take(queue_event(5, OTHER, CHAT))
    for revision in (4, 5):
        assert list(queues.take(queue_event(revision, CHAT))) == []
    queues.take(queue_event(1, CHAT, department="premies"))
    assert (queues.place("algemeen", CHAT), queues.place("premies", CHAT)) == ((2, None), (1, None))
    queues.take(queue_event(6))
    assert queues.place("algemeen", CHAT) == NOWHERE


@pytest.mark.parametrize(
    ("position", "pace", "wait"), [(1, None, None), (1, 0.0, 0), (3, 0.1, 1), (2, 60.0, 120), (7, 30.5, 214)]
)
def test_a_wait_is_rounded_up_to_seconds(position: int, pace: float | None, wait: int | None) -> None:
    assert wait_of(position, pace) == wait


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        ((2, 100), (2, 120), False),
        ((2, 100), (2, 61), False),
        ((2, 100), (2, 60), True),
        ((2, 100), (2, 121), True),
        ((2, 100), (1, 100), True),
        ((2, 100), (2, None), True),
        ((2, None), (2, None), False),
        (NOWHERE, (1, None), True),
    ],
)
def test_a_citizen_is_sent_another_position_or_another_minute(before: Place, after: Place, news: bool) -> None:
    assert is_news(before, after) is news
