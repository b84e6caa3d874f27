"""`services/gateway/rate_limits.py`: a burst, then so many a second, by key, in bounded memory."""

import math

from hypothesis import given
from hypothesis import strategies as st

from services.gateway import rate_limits
from services.gateway.rate_limits import Bucket, Buckets, Limit


def test_a_burst_then_the_rate() -> None:
    bucket = Bucket(Limit(3, 2), 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take(0.5) == 0
    assert bucket.take(0.5) > 0
    assert [bucket.take(100.0) for _ in range(4)] == [0, 0, 0, 0.5], "it never saves more than its burst"


def test_waiting_as_long_as_it_says_is_enough() -> None:
    buckets = Buckets(Limit(1, 1 / 7))
    assert buckets.retry_after("a", 0.0) == 0
    wait = buckets.retry_after("a", 0.5)
    assert wait == 7
    assert buckets.retry_after("a", 0.5 + wait) == 0


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 10), st.floats(0.1, 20))
def test_never_more_than_burst_and_rate_allow(gaps: list[float], burst: int, rate: float) -> None:
    bucket, now, granted = Bucket(Limit(burst, rate), 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        granted += bucket.take(now) == 0
    assert granted <= math.floor(burst + now * rate + 1e-6)


def test_keys_do_not_touch_each_other_and_the_oldest_are_forgotten() -> None:
    buckets = Buckets(Limit(1, 0.001), most=3)
    assert [buckets.retry_after(key, 0.0) for key in "abc"] == [0, 0, 0]
    assert buckets.retry_after("a", 0.0) > 0
    assert buckets.retry_after("d", 0.0) == 0
    assert len(buckets) == 3
    assert buckets.retry_after("a", 0.0) > 0, "used lately: kept"
    assert buckets.retry_after("b", 0.0) == 0, "forgotten"


def test_the_limits_let_an_eager_writer_through() -> None:
    named = {name: one for name, one in vars(rate_limits).items() if isinstance(one, Limit)}
    assert len(named) >= 7
    assert all(one.burst >= 10 for one in named.values())
    assert rate_limits.MESSAGES_PER_SENDER.burst >= 32, "a whole line may be said again at once"


def test_what_cannot_be_refused_counts_all_the_same_and_full_ones_are_forgotten() -> None:
    buckets = Buckets(Limit(10, 1))
    buckets.spend("a", 0.0, 25)
    assert buckets.retry_after("a", 0.0) == 11, "a debt is never more than a burst"
    assert buckets.retry_after("a", 0.0, 0.0) == 10, "free of charge, once the debt is paid"
    assert buckets.retry_after("a", 10.0, 0.0) == 0
    for number in range(100):
        buckets.retry_after(f"k{number}", 100.0 + 2 * number)
    assert len(buckets) < 5, "each is full again after a second"
