"""The judge, on planted tables."""

from dataclasses import replace

import pytest

from tests.system.bench.comparison import ALONE, Figure, Table, spread, turned_worse, worse

P99 = Figure("p99", "ms", [10.0, 11.0, 12.0])


def tables(now: Figure, then: Figure, machine: str = "a") -> tuple[Table, Table]:
    return Table(machine, {now.name: now}), Table("a", {then.name: then})


def named(now: Figure, then: Figure = P99, machine: str = "a") -> list[str]:
    return [one.name for one in worse(*tables(now, then, machine))]


def test_a_worse_p99_beyond_the_spread_is_named() -> None:
    (one,) = worse(*tables(replace(P99, rounds=[13.4, 13.5, 13.6]), P99))
    assert (one.name, one.then, one.now, one.ratio) == ("p99", 11.0, 13.5, False)
    assert str(one) == "p99: 11 -> 13.5, 23% worse (noise 18%)"


def test_one_within_the_spread_of_either_table_is_not() -> None:
    assert named(replace(P99, rounds=[12.8, 12.9, 13.0])) == []  # 17 %, the rounds then differ by 18 %
    assert named(replace(P99, rounds=[9.0, 13.5, 14.0])) == []  # 23 %, the rounds now differ by 37 %


def test_a_better_one_is_not_named() -> None:
    assert named(replace(P99, rounds=[5.0, 5.0, 5.0])) == []


def test_of_a_rate_less_is_worse() -> None:
    rate = Figure("rate", "/s", [1000.0, 1010.0, 1020.0], more_is_better=True)
    assert named(replace(rate, rounds=[800.0, 805.0, 810.0]), rate) == ["rate"]
    assert named(replace(rate, rounds=[1200.0, 1210.0, 1220.0]), rate) == []


def test_a_smaller_change_than_the_least_is_never_named() -> None:
    still = Figure("cpu", "s", [1.0, 1.0, 1.0])
    assert named(replace(still, rounds=[1.04] * 3), still) == []
    assert named(replace(still, rounds=[1.06] * 3), still) == ["cpu"]


def test_with_a_baseline_the_ratio_is_compared() -> None:
    then = Figure("cpu", "s", [1.0, 1.0, 1.0], [0.5, 0.5, 0.5])
    slower_machine = replace(then, rounds=[2.0, 2.0, 2.0], baseline=[1.0, 1.0, 1.0])
    assert named(slower_machine, then, machine="b") == []
    (one,) = worse(*tables(replace(then, baseline=[0.4, 0.4, 0.4]), then, machine="b"))
    assert one.ratio
    assert (one.then, one.now) == (2.0, 2.5)


def test_raw_times_of_two_machines_are_not_compared_but_memory_is() -> None:
    twice = [20.0, 22.0, 24.0]
    assert named(replace(P99, rounds=twice), machine="b") == []
    memory = replace(P99, travels=True)
    assert named(replace(memory, rounds=twice), memory, machine="b") == ["p99"]


def test_what_only_one_table_has_is_left_out() -> None:
    assert worse(Table("a", {"p99": P99}), Table("a", {})) == []


def test_what_was_measured_once_is_as_uncertain_as_that() -> None:
    once = Figure("start", "s", [8.0])
    assert spread(once.rounds) == ALONE
    assert named(replace(once, rounds=[9.9]), once) == []
    assert named(replace(once, rounds=[10.1]), once) == ["start"]


def test_the_worst_comes_first() -> None:
    now = Table("a", {"x": Figure("x", "s", [2.0] * 3), "y": Figure("y", "s", [3.0] * 3)})
    then = Table("a", {"x": Figure("x", "s", [1.0] * 3), "y": Figure("y", "s", [1.0] * 3)})
    assert [one.name for one in worse(now, then)] == ["y", "x"]


@pytest.mark.parametrize(("now", "then", "more", "change"), [(0, 0, False, 0), (3, 0, False, float("inf"))])
def test_nothing_can_be_compared(now: float, then: float, more: bool, change: float) -> None:
    assert turned_worse(now, then, more) == change
