"""`services/transcripts/log/delivery.py`: what a message of the broker holds, and when it may be acknowledged."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessagesPosted
from services.transcripts.log.delivery import Delivery, finish, highest_acknowledgeable, in_isolation
from services.transcripts.log.sequencing import FAILED, POISON
from tests.transcripts.conftest import new_id, posted


def delivery(*events: MessagePosted, redelivered: bool = False) -> Delivery:
    together: Event = events[0] if len(events) == 1 else MessagesPosted(posted=list(events), traces=["t1"])
    return Delivery(encode(together), 1, None, redelivered, {"traceparent": "t0"})


def test_one_event_comes_with_the_trace_of_its_message() -> None:
    event = posted(new_id())
    (delivered,) = delivery(event).decode()
    assert (delivered.event, delivered.traceparent) == (event, "t0")


def test_several_come_in_their_order_each_with_its_own_trace() -> None:
    events, several = [posted(new_id()) for _ in range(3)], delivery
    whole = several(*events)
    decoded = whole.decode()
    assert [d.event for d in decoded] == events
    assert [d.traceparent for d in decoded] == ["t1", None, None]
    assert whole.size == 3


def test_none_at_all_is_no_reason_to_lose_the_message() -> None:
    empty = Delivery(encode(MessagesPosted(posted=[], traces=[])))
    (delivered,) = empty.decode()
    assert isinstance(delivered.event, MessagesPosted), "it goes to the dead letters as what it is"


def test_what_cannot_be_read_says_so() -> None:
    with pytest.raises(ValidationError):
        Delivery(b'{"type":"unheard.of"}').decode()


def test_a_batch_is_complete_when_the_last_of_its_events_is_finished() -> None:
    whole = delivery(posted(new_id()), posted(new_id()), posted(new_id()))
    first, second, third = whole.decode()
    second.result = POISON
    assert finish([first]) == []
    assert finish([third, second]) == [whole]
    assert whole.poison == [second.event]
    assert whole.result is None, "the others must not be dead-lettered with it"


def test_poison_alone_is_dead_lettered() -> None:
    whole = delivery(posted(new_id()))
    (delivered,) = whole.decode()
    delivered.result = POISON
    assert finish([delivered]) == [whole]
    assert (whole.result, whole.poison) == (POISON, [])


def test_a_delivery_that_is_requeued_is_not_completed_by_its_events() -> None:
    whole = delivery(posted(new_id()), posted(new_id()))
    decoded = whole.decode()
    whole.result = FAILED
    assert finish(decoded) == []


@pytest.mark.parametrize(("headers", "attempts"), [({}, 0), ({"x-delivery-count": 3}, 3)])
def test_the_broker_counts_attempts(headers: dict[str, object], attempts: int) -> None:
    assert Delivery(b"", headers=headers).attempts == attempts


@given(st.sets(st.integers(1, 30)), st.data())
def test_one_acknowledgement_never_covers_what_is_open(tags: set[int], data: st.DataObject) -> None:
    open_tags = data.draw(st.sets(st.sampled_from(sorted(tags)))) if tags else set()
    done = tags - open_tags
    up_to = highest_acknowledgeable(done, open_tags)
    assert up_to is None or all(tag > up_to for tag in open_tags)
    left = [tag for tag in done if tag > (up_to or 0)]
    assert all(any(o < tag for o in open_tags) for tag in left), "what can go together does"


def test_what_was_delivered_before_comes_one_by_one_a_chats_in_their_order_the_chats_by_chance() -> None:
    one, other = new_id(), new_id()
    events = [posted(one), posted(other), posted(one), posted(other)]
    decoded = delivery(*events, redelivered=True).decode() + delivery(posted(one)).decode()
    places = count(9, -1)
    again = in_isolation(decoded, lambda: next(places))
    assert [d.event for d in again] == [events[1], events[3], events[0], events[2]]
