"""The clock: set by readings, times of events and nothing else; a jump of the machine's clock is not seen."""

from datetime import UTC, datetime, timedelta

import pytest

from services.common.clock import Clock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Machine:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.passed, self.wall = 1000.0, NOON.timestamp()

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.wall += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.passed, lambda: self.wall)


def near(one: datetime, other: datetime) -> bool:
    return abs(one - other) < timedelta(milliseconds=1)


def test_it_begins_with_the_machines_clock_and_never_looks_at_it_again() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += 86_400
    machine.sleep(5)
    assert near(clock.now(), NOON + timedelta(seconds=5))


def test_a_reading_sets_it_and_what_lies_within_the_doubt_does_not() -> None:
    machine = Machine()
    clock = machine.clock()
    hour = timedelta(hours=1)
    assert clock.read(NOON + hour, 1000.0, 1000.2) == pytest.approx(3600 - 0.1)
    machine.sleep(0.2)
    assert abs(clock.now() - NOON - hour - timedelta(seconds=0.1)) < timedelta(milliseconds=1)
    assert clock.read(NOON + hour + timedelta(seconds=0.1), 1000.0, 1000.2) == 0.0


def test_an_answer_that_took_long_is_not_used() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.read(NOON + timedelta(hours=1), 1000.0, 1001.5) == 0.0
    assert near(clock.now(), NOON)


def test_what_is_reported_counts_by_the_least_delayed() -> None:
    machine = Machine()
    clock = machine.clock()
    truth = timedelta(hours=1)
    clock.set_by(NOON + truth - timedelta(seconds=3))  # was three seconds on the way
    machine.sleep(2)
    clock.set_by(NOON + truth + timedelta(seconds=2))
    assert near(clock.now(), NOON + truth + timedelta(seconds=2))
    machine.sleep(2)
    assert clock.set_by(NOON + truth) == 0.0, "late, but no reason to go back"


def test_it_goes_back_once_the_window_holds_only_earlier_times() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(15):
        clock.set_by(NOON - timedelta(hours=1) + timedelta(seconds=machine.passed - 1000))
        machine.sleep(2)
    assert near(clock.now(), NOON - timedelta(hours=1) + timedelta(seconds=30))


def test_it_does_not_go_back_before_times_were_received_for_ten_seconds() -> None:
    machine = Machine()
    clock = machine.clock()
    set_by = []
    for _ in range(6):
        set_by.append(clock.set_by(NOON - timedelta(hours=1) + timedelta(seconds=machine.passed - 1000)))
        machine.sleep(2)
    assert set_by == [0.0] * 5 + [pytest.approx(-3600)]


def test_small_differences_of_what_is_reported_change_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.set_by(NOON + timedelta(seconds=0.4)) == 0.0
    assert near(clock.now(), NOON)
