"""Fixtures of logins and identifications at an issuer."""

import aiohttp
import pytest

from services.presence.oidc import identifications, issuer, logins
from tests.support.servers import PATIENCE


@pytest.fixture(autouse=True)
def nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the issuer on a full machine waits for as long as it takes."""
    for module in (identifications, logins):
        monkeypatch.setattr(module, "PATIENCE", PATIENCE)
    monkeypatch.setattr(issuer, "TIMEOUT", aiohttp.ClientTimeout(PATIENCE))
