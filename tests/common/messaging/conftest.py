"""Fixtures of the tests of messaging: patient limits, and a user of the broker whose connections a test may close."""

from collections.abc import Iterator

import pytest

from services.common.messaging import connection, consumer, publisher
from tests.support.servers import PATIENCE, Account, Broker


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit runs out because the machine stands still for some seconds; a test of a limit sets its own."""
    for module, names in (
        (connection, ("CONNECT_TIMEOUT",)),
        (publisher, ("PREPARE_TIMEOUT", "CONFIRM_TIMEOUT")),
        (consumer, ("CONNECT_TIMEOUT", "WIDEN_LIMIT", "CANCEL_LIMIT")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, PATIENCE)


@pytest.fixture
def account(broker: Broker, vhost_url: str) -> Iterator[Account]:
    """A user on this test's virtual host."""
    with broker.account(vhost_url) as made:
        yield made
