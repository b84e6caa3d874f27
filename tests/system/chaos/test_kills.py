"""KillPlan by signal fall on the processes that they name, and leave a system that is whole again."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.support.servers import ROOT, Broker, System, running_system, wait_for
from tests.system.chaos import kills
from tests.system.chaos.faults import Fault

COMMAND = f"{sys.executable} {ROOT}/tests/deploy/dummy_service.py {{name}}"


@pytest.fixture(scope="module")
def dummies(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """Two of each service, all of them stand-ins that start at once."""
    servers = {"RABBITMQ_URL": broker.url, "MONGODB_URL": mongodb_url}
    with running_system(tmp_path_factory.mktemp("dummies"), COMMAND, REPLICAS="2", **servers) as system:
        yield system


def named(faults: list[Fault], kind: str) -> Fault:
    return next(fault for fault in faults if fault.kind == kind)


async def injected(system: System, fault: Fault) -> set[str]:
    """The processes that are other ones after a fault and its healing."""
    await kills.whole(system)
    before = system.pids()
    await fault.inject()
    await fault.end()
    await kills.whole(system)
    return {name for name, pid in system.pids().items() if pid != before[name]}


async def test_one_of_two_is_killed_and_the_other_one_the_next_time(dummies: System) -> None:
    fault = named(kills.of_one_replica(dummies), "routing, one of two: kill -9")
    assert [await injected(dummies, fault) for _ in range(3)] == [{"routing-1"}, {"routing-2"}, {"routing-1"}]


async def test_all_of_a_service_are_killed_at_once(dummies: System) -> None:
    fault = named(kills.of_all_replicas(dummies), "transcripts, both at once: kill -9")
    assert await injected(dummies, fault) == {"transcripts-1", "transcripts-2"}


async def test_a_stopped_process_answers_no_request_until_it_continues(dummies: System) -> None:
    fault = named(kills.standing_still(dummies, 0.0), "presence, one of two: stands still")
    await fault.inject()
    pid = dummies.pids()["presence-1"]
    try:
        wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "it to stand still")
        assert psutil.Process(dummies.pids()["presence-2"]).status() != psutil.STATUS_STOPPED
    finally:
        await fault.end()
    await kills.whole(dummies)
    assert dummies.pids()["presence-1"] == pid


async def test_a_process_that_was_asked_to_stop_is_healed_when_it_runs_again(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str
) -> None:
    servers = {"RABBITMQ_URL": broker.url, "MONGODB_URL": mongodb_url, "DUMMY_DRAIN": "0.3"}
    with running_system(tmp_path_factory.mktemp("draining"), COMMAND, **servers) as system:
        fault = named(kills.asked_to_stop(system), "gateway, the only one: SIGTERM")
        assert await injected(system, fault) == {"gateway"}
        wait_for(lambda: "dummy_drained" in system.log(), "it to say that it had the time to finish")
        assert await injected(system, named(kills.of_the_only_ones(system), "all four services at once: kill -9")) == {
            "gateway",
            "presence",
            "routing",
            "transcripts",
        }
