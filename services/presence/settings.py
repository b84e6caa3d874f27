"""Settings of the presence service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from services.common.config.settings import Settings, described
from services.presence.agents.password_rules import words_of

DERIVED = "derived"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_safe(url: object) -> bool:
    """Return whether this is an https address, or http on loopback."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        )
    except ValueError:
        return False


class PresenceSettings(Settings):
    """Settings that only presence has, beside those of all services."""

    signs: ClassVar[bool] = True

    agent_grace: float = described("without a sign of life for so long an agent is gone", 10.0, gt=0, le=600)
    session_hours: float = described("an agent stays logged in for so many hours", 12.0, gt=0, le=168)
    session_idle: float = described(
        "seconds after which a session that is not used ends; a console of an available agent is used; 0: no limit",
        3_600.0,
        ge=0,
        le=43_200,
    )
    accounts_file: Path | None = described("the agents' accounts", None)
    second_factor_keys: str = described(
        "where the accounts are in the database: the keys that encrypt the secrets of one-time passwords, separated by "
        "commas, the newest first: 32 random bytes in hexadecimal, `openssl rand -hex 32`, or `derived`: from "
        "`TOKEN_SECRET`",
        DERIVED,
        repr=False,
    )
    password_words: str = described(
        "words that no password has, separated by commas, beside those of docs/operating.md: the name of the "
        "organisation, its systems, streets; each of at least 4 characters",
        "",
    )
    password_range_url: str = described(
        "a service that knows passwords of breaches, which is asked for each new one with 5 digits of its hash "
        "(k-anonymity), such as `https://host/range`; empty: none",
        "",
    )
    demo_accounts: Literal["on", "off"] = described(
        "also accounts whose password is public: `an`, `bert`, `sofie`; only images that are built with `DEMO=on` have "
        "them",
        "off",
    )
    demo_agents: int = described("so many more of them", 0, ge=0, le=5_000)

    public_url: str = described(
        "the address of the gateway as browsers see it; needed with `OIDC_ISSUER` and `CITIZEN_OIDC_ISSUER`", ""
    )
    oidc_issuer: str = described("the issuer (OpenID Connect) by which agents log in; empty: none", "")
    oidc_client_id: str = described("the identifier of this installation at the issuer", "")
    oidc_client_secret: str = described("its secret; empty: a public client, or one with keys", "", repr=False)
    oidc_client_keys: str = described(
        "private keys with which it authenticates in place of the secret (`private_key_jwt`): PEM (RSA, EC), one after "
        "the other, or a JWK set; or `file:` and the path of a file with these. The first one signs, all are published "
        "at `/api/oidc-keys/agents`",
        "",
        repr=False,
    )
    oidc_client_audience: Literal["issuer", "token_endpoint"] = described(
        "the `aud` of what it signs: the issuer, or the address of its token endpoint", "issuer"
    )
    oidc_signatures: Literal["all", "strong"] = described(
        "which signatures of the issuer are accepted: `all` (RS, PS, ES, Ed25519; RSA keys of at least 2,048 bits), or "
        "`strong` (not RS; RSA keys of at least 3,072 bits); `strong` holds for `OIDC_CLIENT_KEYS` too",
        "all",
    )
    oidc_profile: Literal["generic", "acmidm"] = described(
        "whose claims: `generic` (Entra ID, Keycloak), or `acmidm` of the Flemish government", "generic"
    )
    oidc_scope: str = described("the scopes that are requested", "openid profile")
    oidc_acr: str = described("levels of authentication of which one is required, separated by spaces; empty: any", "")
    oidc_local: Literal["on", "off"] = described(
        "`off`: of the accounts with a password only those with `break_glass` may log in", "on"
    )
    oidc_session_life: float = described(
        "seconds after which an agent logs in at the issuer again", 36_000.0, ge=300, le=86_400
    )
    oidc_refresh: float = described(
        "seconds between two checks of an agent's roles, where the issuer gives a refresh token; 0: none",
        600.0,
        ge=0,
        le=86_400,
    )

    citizen_oidc_issuer: str = described(
        "the issuer (OpenID Connect) at which citizens identify in a chat, where a department has "
        "`identification = true`; empty: none",
        "",
    )
    citizen_oidc_client_id: str = described("the identifier of this installation at the citizens' issuer", "")
    citizen_oidc_client_secret: str = described("its secret; empty: a public client, or one with keys", "", repr=False)
    citizen_oidc_client_keys: str = described(
        "as `OIDC_CLIENT_KEYS`, at the citizens' issuer; published at `/api/oidc-keys/citizens`", "", repr=False
    )
    citizen_oidc_client_audience: Literal["issuer", "token_endpoint"] = described(
        "as `OIDC_CLIENT_AUDIENCE`, at the citizens' issuer", "issuer"
    )
    citizen_oidc_signatures: Literal["all", "strong"] = described(
        "as `OIDC_SIGNATURES`, at the citizens' issuer", "all"
    )
    citizen_oidc_scope: str = described(
        "the scopes that are requested of citizens; never that of a number", "openid profile"
    )
    citizen_oidc_acr: str = described(
        "values of `acr` of which a citizen's login needs one, separated by spaces; empty: any of `levels` in the "
        "departments file",
        "",
    )

    @field_validator("second_factor_keys")
    @classmethod
    def _keys(cls, value: str) -> str:
        parts = _listed(value) or [DERIVED]
        if any(part != DERIVED and not re.fullmatch("[0-9a-fA-F]{64}", part) for part in parts):
            raise ValueError(f"is not a list of keys, each of 64 hexadecimal digits or `{DERIVED}`")
        return ",".join(parts)

    def keys_of_second_factors(self, derived: Sequence[bytes]) -> list[bytes]:
        """Return the keys, the newest first.

        Args:
            derived: Those of `TOKEN_SECRET`, the newest first.
        """
        keys: list[bytes] = []
        for part in _listed(self.second_factor_keys):
            keys += derived if part == DERIVED else [bytes.fromhex(part)]
        return keys

    @field_validator("password_words")
    @classmethod
    def _words(cls, value: str) -> str:
        words_of(value)
        return value

    @property
    def agents_callback(self) -> str:
        """The address to which the issuer of agents sends them back: on the console's host."""
        return (self.console_origin or self.public_url).rstrip("/") + "/api/agent/oidc/callback"

    @field_validator("demo_accounts")
    @classmethod
    def _there(cls, value: str) -> str:
        if value == "on" and find_spec("services.presence.demo_accounts") is None:
            raise ValueError("cannot be `on`: this image has no demonstration accounts (docs/kubernetes.md, Images)")
        return value

    @field_validator("public_url", "console_origin", "oidc_issuer", "citizen_oidc_issuer", "password_range_url")
    @classmethod
    def _https(cls, value: str) -> str:
        if value and not is_safe(value):
            raise ValueError("is not an address such as https://host (http is accepted on loopback only)")
        return value

    @model_validator(mode="after")
    def _complete(self) -> PresenceSettings:
        if self.oidc_issuer and not (self.public_url and self.oidc_client_id and self.accounts_file):
            raise ValueError("OIDC_ISSUER needs PUBLIC_URL, OIDC_CLIENT_ID, and ACCOUNTS_FILE with a section [oidc]")
        if self.oidc_issuer and "openid" not in self.oidc_scope.split():
            raise ValueError("OIDC_SCOPE needs the scope openid")
        if self.citizen_oidc_issuer and not (self.public_url and self.citizen_oidc_client_id):
            raise ValueError("CITIZEN_OIDC_ISSUER needs PUBLIC_URL and CITIZEN_OIDC_CLIENT_ID")
        if self.citizen_oidc_issuer and "openid" not in self.citizen_oidc_scope.split():
            raise ValueError("CITIZEN_OIDC_SCOPE needs the scope openid")
        if self.oidc_local == "off" and not self.oidc_issuer:
            raise ValueError("OIDC_LOCAL=off needs OIDC_ISSUER: nobody could log in")
        return self

    @field_validator("accounts_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
