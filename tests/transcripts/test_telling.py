"""`services/transcripts/telling.py`: what is told of a batch, and which facts go in one broker message."""

from hypothesis import given
from hypothesis import strategies as st

from services.contracts import Fact, MessageRefused, MessagesStored, MessageStored, RefusalCode, decode, encode
from services.transcripts.telling import in_messages, refused, stored_fact
from tests.transcripts.conftest import entry, new_id


def test_a_stored_fact_tells_the_entry_as_it_is() -> None:
    one = entry(new_id(), 7)
    fact = stored_fact(one)
    assert decode(encode(fact)) == fact
    assert (fact.entry, fact.chat_id) == (one, one.chat_id)


def test_a_refusal_names_whom_it_is_for() -> None:
    fact = refused("chat", "id", "citizen", RefusalCode.CHAT_CLOSED)
    assert (fact.chat_id, fact.id, fact.sender_id, fact.code) == ("chat", "id", "citizen", RefusalCode.CHAT_CLOSED)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 16))
def test_everything_is_told_once_in_its_order_and_at_most_so_many_together(kinds: list[bool], most: int) -> None:
    chats = [new_id() for _ in range(3)]
    facts: list[Fact] = []
    for n, is_stored in enumerate(kinds):
        chat = chats[n % 3]
        facts.append(
            stored_fact(entry(chat, n + 1)) if is_stored else refused(chat, str(n), "citizen", RefusalCode.INVALID)
        )
    told = list(in_messages([(fact, f"t{n}") for n, fact in enumerate(facts)], most))
    flat: list[object] = []
    for fact, _ in told:
        if isinstance(fact, MessagesStored):
            assert 1 < len(fact.entries) <= most
            assert fact.chat_id == fact.entries[0].chat_id
            flat += fact.entries
        else:
            flat.append(fact.entry if isinstance(fact, MessageStored) else fact)
    assert flat == [f.entry if isinstance(f, MessageStored) else f for f in facts]
    if most == 1:
        assert [trace for _, trace in told] == [f"t{n}" for n in range(len(facts))]
    if len(facts) > most and all(kinds):
        assert len(told) == -(-len(facts) // most)
    assert all(isinstance(f, MessageRefused | MessageStored | MessagesStored) for f, _ in told)


def test_several_are_read_back_as_they_were() -> None:
    facts = [stored_fact(entry(new_id(), n)) for n in range(1, 4)]
    ((together, trace),) = in_messages([(f, "t") for f in facts], 16)
    assert decode(encode(together)) == together
    assert trace == "t"
