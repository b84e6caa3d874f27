"""tests/support/shared/broker.py: one broker for all processes of a test run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.rabbitmq import Node
from tests.support.servers import Broker
from tests.support.shared.broker import SharedBroker, ask, broker_of_the_run


class Starts:
    """Stands in for the start of a broker, and counts."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.started, self.stopped = failures, 0, 0

    @contextlib.contextmanager
    def __call__(self, home: Path) -> Iterator[Broker]:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no port")
        self.started += 1
        yield Broker(Node(home, home, {"broker": 1}, "secret"), "http://127.0.0.1:2")
        self.stopped += 1


def test_it_starts_once_when_the_first_worker_asks_and_stops_with_the_run(tmp_path: Path) -> None:
    starts = Starts()
    shared = SharedBroker(starts)
    assert starts.started == 0
    first = ask(shared.address)
    with broker_of_the_run(shared.address, tmp_path) as second:
        assert second == first
    assert (starts.started, starts.stopped) == (1, 0)
    assert first.node.home.exists()
    shared.stop()
    assert (starts.started, starts.stopped) == (1, 1)
    assert not first.node.home.exists()


def test_a_start_that_fails_is_raised_to_its_caller_and_tried_again_for_the_next() -> None:
    shared = SharedBroker(Starts(failures=1))
    with pytest.raises(AssertionError, match="no port"):
        ask(shared.address)
    assert ask(shared.address).node.password == "secret"
    shared.stop()


def test_a_run_that_needed_none_started_none() -> None:
    starts = Starts()
    SharedBroker(starts).stop()
    assert (starts.started, starts.stopped) == (0, 0)
