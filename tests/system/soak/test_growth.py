"""The judgement of growth: what leaks is seen, what only fills up or jumps about is not."""

import random

import pytest

from tests.system.soak.growth import Series, grew, left_over


def series(*values: float, judged: bool = True) -> Series:
    return Series("gateway", "MiB", [(5.0 * n, v) for n, v in enumerate(values)], noise=2.0, share=0.03, judged=judged)


def noisy(rng: random.Random, of: list[float], by: float = 1.0) -> list[float]:
    return [v + rng.uniform(-by, by) for v in of]


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_leak_is_seen(seed: int) -> None:
    rng = random.Random(seed)
    leak = [80 + 0.05 * n for n in range(120)]  # 6 MiB in ten minutes
    assert "goes on by 36 an hour" in (grew(series(*leak)) or "")
    assert grew(series(*noisy(rng, leak)))


@pytest.mark.parametrize("seed", range(20))
def test_what_does_not_grow_is_not_accused(seed: int) -> None:
    rng = random.Random(seed)
    assert grew(series(*noisy(rng, [80.0] * 120))) is None
    filled = [min(90.0, 80 + 0.4 * n) for n in range(120)]  # a cache that is full after two minutes
    assert grew(series(*noisy(rng, filled))) is None
    sawtooth = [80.0 + n % 10 for n in range(120)]
    assert grew(series(*sawtooth)) is None
    shrinks = [90 - 0.05 * n for n in range(120)]
    assert grew(series(*shrinks)) is None


def test_a_late_step_that_stays_and_growth_that_is_only_shown() -> None:
    assert grew(series(*[80.0] * 60, *[95.0] * 60)) is None, "one step, nothing after it"
    assert grew(series(*(80 + n for n in range(120)), judged=False)) is None


def test_what_is_left_over_at_rest() -> None:
    assert left_over("bindings", 12, 12, 0) is None
    assert left_over("tasks", 12, 14, 2) is None
    assert left_over("bindings", 12, 13, 0) == "bindings: 12 before, 13 after, at rest both times"


def test_a_few_points_are_enough_not_to_fail() -> None:
    assert grew(series(80.0)) is None
