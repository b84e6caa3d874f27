"""Systems of the end-to-end tests that not every test may share."""

from collections.abc import Iterator

import pytest

from tests.real import System, running_system


@pytest.fixture(scope="session")
def frail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose processes tests may kill: whatever that leaves behind harms no other test."""
    with running_system(tmp_path_factory.mktemp("frail"), RATE_LIMITS="off", DEMO_AGENTS="1") as running:
        yield running


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that loses its patience within seconds: its limits are short."""
    limits = {"HELLO_LIMIT": "2", "ACCEPT_LIMIT": "2", "WAITING_LIMIT": "4", "NAMED_LIMIT": "2", "SETTLE_LIMIT": "0.5"}
    with running_system(tmp_path_factory.mktemp("hasty"), RATE_LIMITS="off", **limits) as running:
        yield running
