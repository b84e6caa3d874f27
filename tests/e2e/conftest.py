"""Systems of the end-to-end tests that not every test may share."""

from collections.abc import Iterator

import pytest

from tests.real import Broker, System, running_system, unique


@pytest.fixture(scope="session")
def frail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose processes tests may kill: whatever that leaves behind harms no other test."""
    with running_system(tmp_path_factory.mktemp("frail"), RATE_LIMITS="off", DEMO_AGENTS="1") as running:
        yield running


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system that loses its patience within seconds: its limits are short."""
    limits = {"HELLO_LIMIT": "5", "ACCEPT_LIMIT": "4", "WAITING_LIMIT": "9", "NAMED_LIMIT": "4", "SETTLE_LIMIT": "0.5"}
    limits["SILENCE_LIMIT"] = "20"
    name = unique("hasty-")
    servers = {"RABBITMQ_URL": broker.make_vhost(name), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{name}-"}
    with running_system(tmp_path_factory.mktemp("hasty"), RATE_LIMITS="off", **servers, **limits) as running:
        yield running
    broker.remove_vhost(name)
