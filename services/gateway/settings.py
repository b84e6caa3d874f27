"""Settings of the gateway."""

from __future__ import annotations

from pydantic import field_validator

from services.common.config.settings import Settings as Shared
from services.common.config.settings import described
from services.common.http.addresses import is_trusted, networks


class Settings(Shared):
    """Settings that only the gateway has, beside those of all services."""

    trusted_proxies: str = described(
        "networks whose `X-Forwarded-For` and `-Proto` are believed, separated by commas", ""
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

    def is_trusted_proxy(self, address: str) -> bool:
        """Return whether the peer with this address is a trusted proxy."""
        return is_trusted(address, self.trusted_proxies)
