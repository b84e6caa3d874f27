"""`services/common/failure_detector.py`: who is absent, by the listener's clock and only while it gets its echo."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.failure_detector import ECHO_LATE, FailureDetector

GRACE = 10.0
Lists = list[tuple[str, int, dict[str, float], bool]]
PARTICIPANTS = ("an", "bert", "citizen-1")


def echoing(live: FailureDetector, start: float, end: float) -> None:
    """The listener gets its own echo each 2 s from `start` until `end`, at `end` too."""
    at = start
    while at < end:
        live.echo(at)
        at += 2.0
    live.echo(end)


def names(*who: str) -> dict[str, float]:
    return dict.fromkeys(who, 0.0)


@pytest.fixture
def live() -> FailureDetector:
    """A listener that began at 100."""
    live = FailureDetector(GRACE)
    live.echo(100)
    return live


def test_no_participant_is_judged_before_the_first_echo() -> None:
    live = FailureDetector(GRACE)
    live.record("g", 1, {"an": 300.0}, 0)
    assert live.absent(PARTICIPANTS, 1_000) == []
    assert not live.receives(1_000)


def test_a_participant_without_a_heartbeat_is_absent_after_the_grace_period(live: FailureDetector) -> None:
    echoing(live, 100, 109.9)
    assert live.absent(["an"], 109.9) == []
    live.echo(110)
    assert live.absent(["an"], 110) == ["an"]


def test_a_participant_in_a_fresh_list_is_present_and_never_absent(live: FailureDetector) -> None:
    for counter in range(1, 60):
        now = 100.0 + 2 * counter
        live.echo(now)
        live.record("g", counter, {"an": 3.0}, now)
        assert live.present(now) == {"an"}
        assert live.absent(["an"], now) == []


def test_the_grace_counts_from_the_last_sign_of_life(live: FailureDetector) -> None:
    echoing(live, 100, 120)
    live.record("g", 1, {"an": 4.0}, 120)
    live.record("g", 2, {}, 121)
    echoing(live, 120, 125.9)
    assert live.absent(["an"], 125.9) == []
    live.echo(126)
    assert live.absent(["an"], 126) == ["an"], "he was last heard at 116"


def test_a_gateway_without_a_heartbeat_has_no_connections(live: FailureDetector) -> None:
    live.record("g", 1, names("an"), 100)
    echoing(live, 100, 107)
    assert live.present(107) == {"an"}
    live.echo(108)
    assert live.present(108) == set()
    assert live.absent(["an"], 108) == []
    echoing(live, 108, 110)
    assert live.absent(["an"], 110) == ["an"]


def test_a_gateway_that_leaves_takes_its_list_along(live: FailureDetector) -> None:
    live.record("g", 1, names("an"), 100)
    live.record("g", 2, names("an"), 101, leaving=True)
    assert live.present(101) == set()
    echoing(live, 101, 110.9)
    assert live.absent(["an"], 110.9) == []
    live.echo(111)
    assert live.absent(["an"], 111) == ["an"]


def test_everyone_in_any_gateways_list_is_present(live: FailureDetector) -> None:
    live.record("g", 1, names("an", "bert"), 100)
    live.record("h", 1, names("bert"), 101)
    live.record("g", 2, names("an"), 102)
    assert live.present(102) == {"an", "bert"}
    live.record("h", 2, {}, 103)
    assert live.present(103) == {"an"}


def test_of_two_lists_with_one_counter_the_first_one_counts(live: FailureDetector) -> None:
    live.record("g", 1, names("an"), 100)
    live.record("g", 1, names("bert"), 100)
    assert live.present(100) == {"an"}


def test_deaf_time_does_not_count(live: FailureDetector) -> None:
    live.record("g", 1, names("an"), 100)
    echoing(live, 100, 102)
    assert live.absent(["an"], 500) == [], "deaf: no judgement"
    live.echo(500)
    assert live.absent(["an"], 500) == [], "of 400 s it heard itself for 2"
    echoing(live, 500, 507.9)
    assert live.absent(["an"], 507.9) == []
    echoing(live, 507.9, 508.1)
    assert live.absent(["an"], 508.1) == ["an"]


def test_nothing_from_before_a_restart_counts() -> None:
    live = FailureDetector(GRACE)
    live.record("g", 1, {"an": 500.0}, 1_000)
    live.echo(1_000)
    live.record("g", 2, {}, 1_001)
    echoing(live, 1_000, 1_009)
    assert live.absent(["an"], 1_009) == []
    live.echo(1_010)
    assert live.absent(["an"], 1_010) == ["an"]


def test_memory_is_forgotten_and_forgetting_changes_no_present_participant(live: FailureDetector) -> None:
    live.record("old", 1, names(*(f"p{i}" for i in range(1_000))), 100)
    echoing(live, 100, 4_000)
    live.record("new", 1, names("an"), 4_000)
    live.forget_stale(4_000)
    assert set(live._gateways) == {"new"}
    assert set(live._last_seen) == {"an"}
    assert live.present(4_000) == {"an"}
    assert live.absent(["an"], 4_000) == []


absences = st.dictionaries(st.sampled_from(PARTICIPANTS), st.floats(0, 600), max_size=3)
lists = st.lists(st.tuples(st.sampled_from("gh"), st.integers(1, 9), absences, st.booleans()), max_size=12)
gaps = st.lists(st.integers(1, 240).map(lambda n: n / 8), min_size=1, max_size=25)  # sums without rounding


@given(start=st.floats(0, 1e6), before=lists, after=lists, within=st.floats(0, GRACE - 0.01))
def test_a_restart_gives_everyone_a_full_grace(start: float, before: Lists, after: Lists, within: float) -> None:
    live = FailureDetector(GRACE)
    for gateway, counter, silent, leaving in before:
        live.record(gateway, counter, silent, start, leaving)
    live.echo(start)
    for gateway, counter, silent, leaving in after:
        live.record(gateway, counter, silent, start, leaving)
    echoing(live, start, start + within)
    assert live.absent(PARTICIPANTS, start + within) == []


@given(gaps=gaps)
def test_only_time_with_an_echo_counts(gaps: list[float]) -> None:
    live, now = FailureDetector(GRACE), 0.0
    live.echo(now)
    live.record("g", 1, names("an"), now)
    heard = 0.0
    for gap in gaps:
        now += gap
        live.echo(now)
        heard += gap if gap <= ECHO_LATE else 0.0
        assert live.absent(["an"], now) == (["an"] if heard >= GRACE else [])


@given(order=st.permutations(range(1, 8)), where=st.lists(st.booleans(), min_size=7, max_size=7))
def test_the_highest_counter_wins_in_whatever_order_lists_arrive(order: list[int], where: list[bool]) -> None:
    live = FailureDetector(GRACE)
    live.echo(0)
    for counter in order:
        live.record("g", counter, names("an") if where[counter - 1] else {}, 0)
    assert live.present(0) == ({"an"} if where[-1] else set())


@given(lists=st.dictionaries(st.text(max_size=3), st.sets(st.sampled_from(PARTICIPANTS)), max_size=6))
def test_present_is_the_union_over_the_gateways(lists: dict[str, set[str]]) -> None:
    live = FailureDetector(GRACE)
    live.echo(0)
    for gateway, participants in lists.items():
        live.record(gateway, 1, names(*participants), 0)
    assert live.present(1) == set().union(*lists.values())
    assert live.absent(PARTICIPANTS, 1) == []


@given(lists=lists, gaps=gaps)
def test_no_participant_is_present_and_absent_at_once(lists: Lists, gaps: list[float]) -> None:
    live, now = FailureDetector(GRACE), 0.0
    for (gateway, counter, silent, leaving), gap in zip(lists, gaps, strict=False):
        now += gap
        live.echo(now)
        live.record(gateway, counter, silent, now, leaving)
        assert not live.present(now) & set(live.absent(PARTICIPANTS, now))
