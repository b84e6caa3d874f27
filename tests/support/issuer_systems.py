"""Whole systems with the issuer of the tests: one whose agents log in there, one whose citizens identify there."""

import contextlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from deploy.local import ports
from deploy.local.settings import SERVICES
from tests.support.accounts import Account, weak_hash, write_accounts
from tests.support.browsers.systems import LIMITS, running_browser_system
from tests.support.departments import identifying_departments
from tests.support.mock_issuer import CLIENT_ID, CLIENT_SECRET, MockIssuer, running_issuer
from tests.support.servers import PATIENCE, Broker, System, running_system, unique

TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
ROLES = f"""
[[accounts]]
username = "nood"
name = "Nood"
departments = ["algemeen"]
password_hash = "{weak_hash()}"
totp_secret = "{TOTP_SECRET}"
break_glass = true

[oidc]
roles_claim = "eloket_rol_3d"

[[oidc.roles]]
value = "medewerker"
departments = ["algemeen"]

[[oidc.roles]]
value = "leiding"
departments = ["algemeen", "premies"]
supervisor = true
"""
LIEN = {
    "sub": "pairwise-1",
    "vo_id": "person-1",
    "vo_orgcode": "OVO000001",
    "vo_orgnaam": "Stad Een",
    "given_name": "Lien",
    "family_name": "Peeters",
    "sid": "session-1",
    "acr": "urn:high",
    "eloket_rol_3d": ["medewerker:OVO000001"],
}


def client_key() -> str:
    """A new key with which a system authenticates at its issuer, in PEM."""
    return ECKey.generate_key("P-256").as_pem(private=True).decode()


def published_keys(system: System, client: str) -> Callable[[], Any]:
    """Reads what a system publishes for the issuer of `agents` or of `citizens`, as the issuer does."""

    def read() -> Any:
        with urllib.request.urlopen(f"{system.base_url}/api/oidc-keys/{client}", timeout=PATIENCE) as answer:
            assert answer.headers["Content-Type"] == "application/jwk-set+json"
            return json.load(answer)

    return read


@contextlib.contextmanager
def running_issuer_system(
    home: Path, broker: Broker, mongodb_url: str, **variables: str
) -> Iterator[tuple[System, MockIssuer]]:
    """A system with the profile of ACM/IDM and its issuer, while the context is open.

    `an` may not log in with a password; `nood` may, with a one-time password too.
    """
    gateway = ports.remembered(home / "service_ports.json", SERVICES)["gateway"]
    public = f"http://127.0.0.1:{gateway}"
    accounts = write_accounts(home / "accounts.toml", [Account("an")])
    accounts.write_text(accounts.read_text() + ROLES)
    name = unique("issuer-")
    with running_issuer(f"{public}/api/agent/oidc/callback", LIEN) as issuer:
        settings = {
            **LIMITS,
            "RATE_LIMITS": "off",
            "RABBITMQ_URL": broker.make_vhost(name),
            "MONGODB_URL": mongodb_url,
            "MONGODB_PREFIX": f"{name}-",
            "ACCOUNTS_FILE": str(accounts),
            "PUBLIC_URL": public,
            "OIDC_ISSUER": issuer.url,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_PROFILE": "acmidm",
            "OIDC_ACR": "urn:high",
            "OIDC_LOCAL": "off",
        }
        try:
            with running_system(home, None, **settings | variables) as system:
                yield system, issuer
        finally:
            broker.remove_vhost(name)


CITIZEN = {
    "sub": "pairwise-citizen-1",
    "given_name": "Lien",
    "family_name": "De Smet",
    "rrn": "85073003328",
    "acr": "urn:be:vlaanderen:authmech:eid",
}


@contextlib.contextmanager
def running_identifying_system(home: Path, **variables: str) -> Iterator[tuple[System, MockIssuer]]:
    """A system in whose default department agents may ask citizens to identify, and its issuer."""
    gateway = ports.remembered(home / "service_ports.json", SERVICES)["gateway"]
    public = f"http://127.0.0.1:{gateway}"
    with running_issuer(f"{public}/identify/callback", CITIZEN) as issuer:
        settings = {
            "DEPARTMENTS_FILE": str(identifying_departments(home / "departments.toml")),
            "PUBLIC_URL": public,
            "CITIZEN_OIDC_ISSUER": issuer.url,
            "CITIZEN_OIDC_CLIENT_ID": CLIENT_ID,
            "CITIZEN_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        }
        with running_browser_system(home, (), None, "", **settings | variables) as system:
            yield system, issuer
