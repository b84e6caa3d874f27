"""Replicas of routing for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.routing.scene import Clock, Scene, replica
from tests.support.in_process.long_limits import lengthen_limits


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of this folder has long limits."""
    lengthen_limits(monkeypatch)


@pytest.fixture
async def scene(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> AsyncIterator[Scene]:
    """One replica with a broker and a database that are empty."""
    async with replica(vhost_url, mongodb_url, mongodb_prefix) as one:
        yield one


@pytest.fixture
async def pair(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> AsyncIterator[tuple[Scene, Scene]]:
    """Two replicas on the same broker and database."""
    clock = Clock()
    async with (
        replica(vhost_url, mongodb_url, mongodb_prefix, clock=clock) as one,
        replica(vhost_url, mongodb_url, mongodb_prefix, clock=clock) as other,
    ):
        yield one, other
