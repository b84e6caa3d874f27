"""Settings of the gateway."""

from __future__ import annotations

import re
from datetime import datetime
from typing import ClassVar, Self

from pydantic import field_validator, model_validator

from services.common.config.settings import Settings as Shared
from services.common.config.settings import described
from services.common.http.addresses import is_trusted, networks

_CONTACT = re.compile(r"(mailto:[^\s@]+@[^\s@]+|https://\S+|tel:\+[\d-]+)")
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?")


class Settings(Shared):
    """Settings that only the gateway has, beside those of all services."""

    signs: ClassVar[bool] = True

    trusted_proxies: str = described(
        "networks whose `X-Forwarded-For` and `-Proto` are believed, separated by commas", ""
    )

    public_origins: str = described(
        "origins under which browsers reach the gateway, such as `https://chat.example.be`, separated by commas; "
        "requests for other hosts are refused; empty: any host",
        "",
    )
    security_contact: str = described(
        "whom a finder of a vulnerability tells, for `/.well-known/security.txt` (RFC 9116): addresses that begin with "
        "`mailto:`, `https://` or `tel:`, separated by commas; needs `SECURITY_EXPIRES`",
        "",
    )
    security_expires: str = described(
        "until when `SECURITY_CONTACT` is valid, such as `2027-12-31T23:00:00Z`; after it the file is not served", ""
    )
    connections_per_address: int = described(
        "connections (or requests through a trusted proxy) of one address at a time, for each process; 0: any number",
        1_000,
        ge=0,
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks(value)
        return value

    @field_validator("public_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in items_of(value):
            hosts_of(origin)
        return value

    @field_validator("console_origin")
    @classmethod
    def _one_origin(cls, value: str) -> str:
        if value:
            hosts_of(value)
        return value

    @field_validator("security_contact")
    @classmethod
    def _contacts(cls, value: str) -> str:
        if not all(_CONTACT.fullmatch(contact) for contact in items_of(value)):
            raise ValueError("must be addresses such as mailto:security@example.be, separated by commas")
        return value

    @field_validator("security_expires")
    @classmethod
    def _moment(cls, value: str) -> str:
        if value and datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("must be a moment with its offset, such as 2027-12-31T23:00:00Z")
        return value

    @model_validator(mode="after")
    def _contact_until(self) -> Self:
        if bool(self.security_contacts) != bool(self.security_expires):
            raise ValueError("SECURITY_CONTACT and SECURITY_EXPIRES are set together")
        return self

    @model_validator(mode="after")
    def _console_apart(self) -> Self:
        if self.console_origin and not self.public_origins:
            raise ValueError("CONSOLE_ORIGIN needs PUBLIC_ORIGINS: the addresses for citizens")
        if self.console_origin and _name_of(self.console_origin) in map(_name_of, self.origins):
            raise ValueError("CONSOLE_ORIGIN needs a host that is not in PUBLIC_ORIGINS: ports share their cookies")
        return self

    @property
    def security_contacts(self) -> list[str]:
        """The addresses of `security_contact`."""
        return items_of(self.security_contact)

    @property
    def security_expires_at(self) -> datetime | None:
        """The moment of `security_expires`."""
        return datetime.fromisoformat(self.security_expires) if self.security_expires else None

    @property
    def origins(self) -> list[str]:
        """The origins of `public_origins`."""
        return items_of(self.public_origins)

    @property
    def own_origins(self) -> tuple[str, ...]:
        """The origins that our own pages have: those of `public_origins`, and `console_origin`."""
        return (*self.origins, self.console_origin) if self.console_origin else tuple(self.origins)

    @property
    def hosts(self) -> frozenset[str]:
        """The values of `Host` of a request that is sent to one of `own_origins`."""
        return frozenset(host for origin in self.own_origins for host in hosts_of(origin))

    def is_trusted_proxy(self, address: str) -> bool:
        """Return whether the peer with this address is a trusted proxy."""
        return is_trusted(address, self.trusted_proxies)


def items_of(value: str) -> list[str]:
    """Return the parts of a setting that are separated by commas."""
    return [item.strip() for item in value.split(",") if item.strip()]


def _name_of(origin: str) -> str:
    """Return the name of the host of an origin, without its port."""
    found = _ORIGIN.fullmatch(origin.lower())
    return found[2] if found else ""


def hosts_of(origin: str) -> tuple[str, ...]:
    """Return the values of `Host` of a request that is sent to this origin: with and without the usual port.

    Raises:
        ValueError: It is not an origin (RFC 6454).
    """
    found = _ORIGIN.fullmatch(origin.lower())
    if not found:
        raise ValueError("must be origins such as https://chat.example.be, without a path")
    scheme, host, port = found.groups()
    usual = "80" if scheme == "http" else "443"
    return (host, f"{host}:{usual}") if port in (None, usual) else (f"{host}:{port}",)
