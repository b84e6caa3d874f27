"""`services/transcripts/publisher.py`: what is published of a batch, and which events go in one broker message."""

from hypothesis import given
from hypothesis import strategies as st

from services.common.events.codec import decode, encode
from services.common.events.event import Event
from services.common.events.messages import MessageRefused, MessagesStored, MessageStored
from services.common.events.types import RefusalCode
from services.transcripts.publisher import in_messages, refused, stored_event
from tests.transcripts.conftest import entry, new_id


def test_a_stored_event_has_the_entry_as_it_is() -> None:
    one = entry(new_id(), 7)
    event = stored_event(one)
    assert decode(encode(event)) == event
    assert (event.entry, event.chat_id) == (one, one.chat_id)


def test_a_refusal_names_whom_it_is_for() -> None:
    event = refused("chat", "id", "citizen", RefusalCode.CHAT_CLOSED)
    assert (event.chat_id, event.id, event.sender_id, event.code) == ("chat", "id", "citizen", RefusalCode.CHAT_CLOSED)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 16))
def test_everything_is_published_once_in_its_order_and_at_most_so_many_together(kinds: list[bool], most: int) -> None:
    chats = [new_id() for _ in range(3)]
    events: list[Event] = []
    for n, is_stored in enumerate(kinds):
        chat = chats[n % 3]
        events.append(
            stored_event(entry(chat, n + 1)) if is_stored else refused(chat, str(n), "citizen", RefusalCode.INVALID)
        )
    published = list(in_messages([(event, f"t{n}") for n, event in enumerate(events)], most))
    flat: list[object] = []
    for event, _ in published:
        if isinstance(event, MessagesStored):
            assert 1 < len(event.entries) <= most
            assert event.chat_id == event.entries[0].chat_id
            flat += event.entries
        else:
            flat.append(event.entry if isinstance(event, MessageStored) else event)
    assert flat == [f.entry if isinstance(f, MessageStored) else f for f in events]
    if most == 1:
        assert [trace for _, trace in published] == [f"t{n}" for n in range(len(events))]
    if len(events) > most and all(kinds):
        assert len(published) == -(-len(events) // most)
    assert all(isinstance(f, MessageRefused | MessageStored | MessagesStored) for f, _ in published)


def test_several_are_read_back_as_they_were() -> None:
    events = [stored_event(entry(new_id(), n)) for n in range(1, 4)]
    ((together, trace),) = in_messages([(f, "t") for f in events], 16)
    assert decode(encode(together)) == together
    assert trace == "t"
