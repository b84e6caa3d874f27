"""RULES of the addresses to which webhooks may be sent: public ones, and networks that the operator allows. No I/O.

A target that names or resolves to an address of the installation's own networks could reach what is not meant for it
(OWASP, "Server-Side Request Forgery").
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215: addresses that an installation's own translator maps
_NEVER = (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))  # where clouds answer with credentials


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a list that is separated by commas.

    Raises:
        ValueError: One is not a network.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_allowed(address: str, networks: Iterable[Network]) -> bool:
    """Return whether a webhook may be sent to this address.

    Args:
        address: An IPv4 or IPv6 address, not a name.
        networks: Networks that are allowed although they are not public. Link-local addresses never are.
    """
    try:
        found = _meant(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if any(found in network for network in _NEVER):
        return False
    if any(found in network for network in networks):
        return True
    return found.is_global and not found.is_multicast and found not in _LOCAL_NAT64


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
