"""`chats/chat_state.py`: entries pass 1, 2, 3, … exactly once, however they come."""

from hypothesis import given
from hypothesis import strategies as st

from services.common.events.types import Entry
from services.gateway.chats.chat_state import MOST_HELD, LogCursor
from tests.gateway.making import entry


def seqs(entries: list[Entry]) -> list[int]:
    return [one.seq for one in entries]


def test_what_is_ahead_waits_for_what_is_missing() -> None:
    cursor = LogCursor(last=0)
    assert cursor.take(entry(2)) == []
    assert cursor.behind
    assert seqs(cursor.take(entry(1))) == [1, 2]
    assert not cursor.behind
    assert cursor.take(entry(2)) == []


def test_nothing_passes_before_the_log_was_read() -> None:
    cursor = LogCursor()
    assert cursor.take(entry(5)) == cursor.take(entry(7)) == []
    assert not cursor.behind
    assert seqs(cursor.begin(4)) == [5]
    assert cursor.behind
    assert cursor.highest == 7
    assert cursor.begin(9) == [], "only the first reading begins"
    assert cursor.last == 5


def test_full_buffers_still_let_the_missing_entry_pass() -> None:
    cursor = LogCursor(last=0)
    for seq in range(2, MOST_HELD + 12):
        assert cursor.take(entry(seq)) == []
    assert seqs(cursor.take(entry(1))) == list(range(1, MOST_HELD + 2))
    assert cursor.behind
    assert seqs(list(cursor.read([entry(n) for n in range(1, MOST_HELD + 12)]))) == list(
        range(MOST_HELD + 2, MOST_HELD + 12)
    )


def test_a_reading_that_leaves_a_hole_passes_nothing_beyond_it() -> None:
    cursor = LogCursor(last=3)
    assert seqs(list(cursor.read([entry(4), entry(6)]))) == [4]
    assert cursor.behind


LENGTH = 30
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("live"), st.integers(1, LENGTH)),
        st.tuples(st.just("read"), st.integers(0, LENGTH)),
        st.tuples(st.just("begin"), st.integers(0, LENGTH)),
    ),
    max_size=120,
)


@given(STEPS)
def test_reordered_doubled_lost_and_gap_read_entries_pass_once_each_in_order(steps: list[tuple[str, int]]) -> None:
    cursor, passed, first = LogCursor(), list[int](), None
    for kind, number in steps:
        if kind == "live":
            passed += seqs(cursor.take(entry(number)))
        elif kind == "begin":
            first = number if first is None else first
            passed += seqs(cursor.begin(number))
        elif cursor.last is not None:  # a page that transcripts had at that time
            passed += seqs(list(cursor.read([entry(n) for n in range(cursor.last + 1, number + 1)])))
        assert cursor.last is None or cursor.highest >= cursor.last
    assert first is not None or not passed
    assert passed == list(range((first or 0) + 1, (first or 0) + 1 + len(passed)))
    if first is not None:
        rest = cursor.read([entry(n) for n in range((cursor.last or 0) + 1, LENGTH + 1)])
        assert passed + seqs(list(rest)) == list(range(first + 1, LENGTH + 1))
        assert not cursor.behind
