"""Long limits for tests against a real broker and a real database."""

import pytest

from services.common.messaging import publisher
from services.common.mongo import client
from tests.support.servers import OUR_VARIABLES, PATIENCE


def lengthen_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengthen the limits after which the broker or the database counts as lost, and hide the caller's settings.

    A machine that stands still for some seconds is no failure: these limits only guard against hanging in a test.
    """
    for name in OUR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for limit in ("PREPARE_TIMEOUT", "CONFIRM_TIMEOUT"):
        monkeypatch.setattr(publisher, limit, PATIENCE)
    for limit in ("HELLO_LIMIT", "SELECT_LIMIT", "SOCKET_LIMIT"):
        monkeypatch.setattr(client, limit, PATIENCE)
