"""`services/transcripts/log/deliveries.py`: what a message of the broker holds, and when it may be acknowledged."""

from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiormq.abc import DeliveredMessage
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessagesPosted
from services.transcripts.log.deliveries import Delivery, finish, highest_acknowledgeable, once_more, unpack
from services.transcripts.log.recorder import Verdict
from tests.transcripts.conftest import new_id, posted


def message(body: bytes, tag: int = 1, redelivered: bool = False, **headers: Any) -> DeliveredMessage:
    header = SimpleNamespace(properties=SimpleNamespace(headers=headers or None))
    made = SimpleNamespace(body=body, delivery_tag=tag, redelivered=redelivered, header=header)
    return cast(DeliveredMessage, made)


def delivery(*events: MessagePosted, tag: int = 1, redelivered: bool = False) -> Delivery:
    together: Event = events[0] if len(events) == 1 else MessagesPosted(posted=list(events), traces=["t1"])
    return Delivery(message(encode(together), tag, redelivered, traceparent="t0"))


def test_one_event_comes_with_the_trace_of_its_message() -> None:
    event = posted(new_id())
    (delivered_event,) = unpack(delivery(event))
    assert (delivered_event.recording.event, delivered_event.recording.traceparent) == (event, "t0")


def test_several_come_in_their_order_each_with_its_own_trace() -> None:
    events, several = [posted(new_id()) for _ in range(3)], delivery
    whole = several(*events)
    deliveries = unpack(whole)
    assert [d.recording.event for d in deliveries] == events
    assert [d.recording.traceparent for d in deliveries] == ["t1", None, None]
    assert whole.size == 3


def test_none_at_all_is_no_reason_to_lose_the_message() -> None:
    empty = Delivery(message(encode(MessagesPosted(posted=[], traces=[]))))
    (delivered_event,) = unpack(empty)
    assert isinstance(delivered_event.recording.event, MessagesPosted), "it goes to the dead letters as what it is"


def test_what_cannot_be_read_says_so() -> None:
    with pytest.raises(ValidationError):
        unpack(Delivery(message(b'{"type":"unheard.of"}')))


def test_a_parcel_is_complete_when_the_last_of_its_events_is_finished() -> None:
    whole = delivery(posted(new_id()), posted(new_id()), posted(new_id()))
    first, second, third = unpack(whole)
    second.recording.verdict = Verdict.POISON
    assert finish([first]) == []
    assert finish([third, second]) == [whole]
    assert whole.poison == [second.recording.event]


def test_a_parcel_that_was_given_back_is_settled_by_nobody_else() -> None:
    whole = delivery(posted(new_id()), posted(new_id()))
    deliveries = unpack(whole)
    whole.requeued = True
    assert finish(deliveries) == []


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
    deliveries = unpack(delivery(*events, redelivered=True)) + unpack(delivery(posted(one)))
    places = count(9, -1)
    again = once_more(deliveries, lambda: next(places))
    assert [d.recording.event for d in again] == [events[1], events[3], events[0], events[2]]
