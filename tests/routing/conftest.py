"""Replicas of routing for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from services.common.messaging import connection
from services.common.mongo import client
from tests.real import OUR_VARIABLES, PATIENCE
from tests.routing.scene import Clock, Scene, replica


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no failure, and nobody's settings are read.

    The limits after which the broker or the database counts as lost are guards against hanging here.
    """
    for name in OUR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connection, "CONFIRM_TIMEOUT", PATIENCE)
    for limit in ("HELLO_LIMIT", "SELECT_LIMIT", "SOCKET_LIMIT"):
        monkeypatch.setattr(client, limit, PATIENCE)


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
