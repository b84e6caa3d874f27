"""Settings of the gateway."""

from __future__ import annotations

import re

from pydantic import field_validator

from services.common.config.settings import Settings as Shared
from services.common.config.settings import described
from services.common.http.addresses import is_trusted, networks

_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?")


class Settings(Shared):
    """Settings that only the gateway has, beside those of all services."""

    trusted_proxies: str = described(
        "networks whose `X-Forwarded-For` and `-Proto` are believed, separated by commas", ""
    )

    public_origins: str = described(
        "origins under which browsers reach the gateway, such as `https://chat.example.be`, separated by commas; "
        "requests for other hosts are refused; empty: any host",
        "",
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
        for origin in _items(value):
            hosts_of(origin)
        return value

    @property
    def hosts(self) -> frozenset[str]:
        """The values of `Host` of a request that is sent to one of `public_origins`."""
        return frozenset(host for origin in _items(self.public_origins) for host in hosts_of(origin))

    def is_trusted_proxy(self, address: str) -> bool:
        """Return whether the peer with this address is a trusted proxy."""
        return is_trusted(address, self.trusted_proxies)


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


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
