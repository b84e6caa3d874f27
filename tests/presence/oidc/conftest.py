"""Fixtures of logins and identifications at an issuer, and the ID tokens that neither accepts."""

from datetime import datetime

import aiohttp
import pytest

from services.presence.oidc import identifications, issuer, logins
from tests.support.mock_issuer import CLIENT_ID
from tests.support.servers import PATIENCE

MOMENTS = ("exp", "iat", "nbf")
WRONG_CLAIMS: tuple[dict[str, object], ...] = (
    {"nonce": "another"},
    {"nonce": None},
    {"aud": "another client"},
    {"aud": [CLIENT_ID, "another client"]},
    {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
    {"aud": None},
    {"iss": "https://another.example"},
    {"exp": -120},
    {"exp": None},
    {"iat": 120},
    {"iat": None},
    {"nbf": 120},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
)
"""What an ID token may not say. Moments are in seconds from now."""


def shifted(overrides: dict[str, object], now: datetime) -> dict[str, object]:
    """These claims, with the moments among them as times."""
    at = int(now.timestamp())
    return {k: at + v if isinstance(v, int) and k in MOMENTS else v for k, v in overrides.items()}


@pytest.fixture(autouse=True)
def nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the issuer on a full machine waits for as long as it takes."""
    for module in (identifications, logins):
        monkeypatch.setattr(module, "PATIENCE", PATIENCE)
    monkeypatch.setattr(issuer, "TIMEOUT", aiohttp.ClientTimeout(PATIENCE))
