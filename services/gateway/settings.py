"""The gateway's own settings."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from pydantic import field_validator

from services.settings import Settings as Shared
from services.settings import told


class Settings(Shared):
    """The gateway's own, beside those of all services."""

    trusted_proxies: str = told("networks whose `X-Forwarded-For` and `-Proto` are believed, separated by commas", "")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, (p.strip() for p in value.split(","))):
            ip_network(part)
        return value

    def is_trusted_proxy(self, address: str) -> bool:
        """Whether this peer is a proxy of ours."""
        networks = [ip_network(p.strip()) for p in self.trusted_proxies.split(",") if p.strip()]
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in networks)
