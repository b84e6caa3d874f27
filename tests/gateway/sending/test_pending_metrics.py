"""`services/gateway/sending/pending_metrics.py`: what has no receipt yet, in all lines of browsers that are here."""

from datetime import timedelta

from services.common.clock import utcnow
from services.common.events.chats import CloseRequested
from services.common.events.types import CloseReason
from services.gateway.sending.pending_metrics import FRAMES, OLDEST, Pending
from services.gateway.sending.send_queue import Item, SendQueue
from tests.gateway.making import CHAT, citizen, id_of, value_of


def shown() -> tuple[float, float]:
    return value_of(FRAMES), value_of(OLDEST)


def item(number: int, seconds_ago: float) -> Item:
    at = utcnow() - timedelta(seconds=seconds_ago)
    return Item(id_of(number), CloseRequested(chat_id=CHAT, by=CloseReason.CITIZEN, occurred_at=at))


def test_all_frames_of_all_lines_count_and_the_oldest_head_is_the_oldest() -> None:
    pending, one, other, here = Pending(), SendQueue(), SendQueue(), citizen()
    assert shown() == (0, 0)
    for queue, ages in ((one, (5.0, 2.0)), (other, (40.0, 1.0, 0.0))):
        for number, age in enumerate(ages, len(queue.items) + 1):
            queue.offer(item(number, age))
        pending.begin(queue, here)
    frames, oldest = shown()
    assert frames == 5
    assert 40 <= oldest < 80
    other.settle(id_of(1))
    frames, oldest = shown()
    assert frames == 4
    assert 5 <= oldest < 40
    pending.end(one)
    pending.end(other)
    pending.end(other)
    assert shown() == (0, 0)


def test_what_a_browser_left_behind_is_waited_for_by_nobody() -> None:
    pending, queue, left = Pending(), SendQueue(), citizen()
    queue.offer(item(1, 5.0))
    pending.begin(queue, left)
    assert shown()[0] == 1
    left.connection.end()
    assert shown() == (0, 0)
