"""Systems of the end-to-end tests that not every test may share."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from tests.support.mock_issuer import MockIssuer
from tests.support.servers import Broker, System, running_system, unique
from tests.support.shared.systems import SharedSystems


@pytest.fixture(scope="module")
def frail(shared_systems: SharedSystems, tmp_path_factory: pytest.TempPathFactory) -> System:
    """A system whose processes tests may kill: whatever that leaves behind harms no other test."""
    settings = {"DEMO_AGENTS": "1", "AGENT_GRACE": "60"}  # on a full machine a killed gateway is back after 20 s
    return shared_systems.get(
        "frail", lambda: running_system(tmp_path_factory.mktemp("frail"), RATE_LIMITS="off", **settings)
    )


@pytest.fixture(scope="module")
def hasty(
    shared_systems: SharedSystems, tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str
) -> System:
    """A system that loses its patience within seconds: its limits are short, but longer than a full machine pauses."""
    limits = {"HELLO_LIMIT": "10", "ACCEPT_LIMIT": "10", "WAITING_LIMIT": "25", "SETTLE_LIMIT": "3"}

    def start() -> AbstractContextManager[System]:
        name = unique("hasty-")
        servers = {"RABBITMQ_URL": broker.make_vhost(name), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{name}-"}
        return running_system(tmp_path_factory.mktemp("hasty"), RATE_LIMITS="off", **servers, **limits)

    return shared_systems.get("hasty", start)


@pytest.fixture
def base(running: tuple[System, MockIssuer]) -> str:
    """The address of a module's system with an issuer."""
    return running[0].base_url


@pytest.fixture
def issuer(running: tuple[System, MockIssuer]) -> Iterator[MockIssuer]:
    """Its issuer. What a test changes of it is as before afterwards."""
    issuer = running[1]
    claims, refreshes = dict(issuer.claims), issuer.refreshes
    yield issuer
    issuer.claims, issuer.overrides, issuer.error = claims, {}, ""
    issuer.refreshes, issuer.down = refreshes, False
