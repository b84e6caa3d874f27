"""`log_cursor.py`: entries pass 1, 2, 3, … exactly once, however they come."""

from hypothesis import given
from hypothesis import strategies as st

from services.common.events.types import Entry
from services.gateway.chats.log_cursor import MOST_HELD, Position
from tests.gateway.making import entry


def seqs(entries: list[Entry]) -> list[int]:
    return [one.seq for one in entries]


def test_what_is_ahead_waits_for_what_is_missing() -> None:
    position = Position(last=0)
    assert position.take(entry(2)) == []
    assert position.behind
    assert seqs(position.take(entry(1))) == [1, 2]
    assert not position.behind
    assert position.take(entry(2)) == []


def test_nothing_passes_before_the_log_was_read() -> None:
    position = Position()
    assert position.take(entry(5)) == position.take(entry(7)) == []
    assert not position.behind
    assert seqs(position.begin(4)) == [5]
    assert position.behind
    assert position.heard == 7
    assert position.begin(9) == [], "only the first reading begins"
    assert position.last == 5


def test_a_full_hold_still_lets_the_missing_one_pass() -> None:
    position = Position(last=0)
    for seq in range(2, MOST_HELD + 12):
        assert position.take(entry(seq)) == []
    assert seqs(position.take(entry(1))) == list(range(1, MOST_HELD + 2))
    assert position.behind
    assert seqs(list(position.read([entry(n) for n in range(1, MOST_HELD + 12)]))) == list(
        range(MOST_HELD + 2, MOST_HELD + 12)
    )


def test_a_reading_that_leaves_a_hole_passes_nothing_beyond_it() -> None:
    position = Position(last=3)
    assert seqs(list(position.read([entry(4), entry(6)]))) == [4]
    assert position.behind


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
    position, passed, first = Position(), list[int](), None
    for kind, number in steps:
        if kind == "live":
            passed += seqs(position.take(entry(number)))
        elif kind == "begin":
            first = number if first is None else first
            passed += seqs(position.begin(number))
        elif position.last is not None:  # a page that transcripts had at that time
            passed += seqs(list(position.read([entry(n) for n in range(position.last + 1, number + 1)])))
        assert position.last is None or position.heard >= position.last
    assert first is not None or not passed
    assert passed == list(range((first or 0) + 1, (first or 0) + 1 + len(passed)))
    if first is not None:
        rest = position.read([entry(n) for n in range((position.last or 0) + 1, LENGTH + 1)])
        assert passed + seqs(list(rest)) == list(range(first + 1, LENGTH + 1))
        assert not position.behind
