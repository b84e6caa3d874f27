"""The gateway's own settings."""

from __future__ import annotations

from pydantic import field_validator

from services.addresses import is_trusted, networks
from services.settings import Settings as Shared
from services.settings import told


class Settings(Shared):
    """The gateway's own, beside those of all services."""

    trusted_proxies: str = told("networks whose `X-Forwarded-For` and `-Proto` are believed, separated by commas", "")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks(value)
        return value

    def is_trusted_proxy(self, address: str) -> bool:
        """Whether this peer is a proxy of ours."""
        return is_trusted(address, self.trusted_proxies)
