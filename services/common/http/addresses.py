"""The client's address behind trusted proxies, and the key under which limits count it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
IPV6_PREFIX = 64  # one subscriber gets at least a /64 and may use any address in it (RFC 6177, RFC 8981)
_NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address in the last 32 bits (RFC 6052)
MOST_ITEMS = 32  # of `X-Forwarded-For`, from the right, that are read
_LONGEST = 100  # characters of an address with brackets, zone and port


def parse(text: str) -> Address | None:
    """Return the address in this text, or None when it has none.

    The forms are those that proxies write into `X-Forwarded-For`: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`,
    `[2001:db8::1]` and `[2001:db8::1]:4711`. A zone (`%eth0`) is dropped. An IPv4 address inside an IPv6 one
    (`::ffff:192.0.2.1`, NAT64) is returned as the IPv4 address.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6


def key_of(address: Address) -> str:
    """Return the key under which limits count this address: the IPv4 address, or the /64 of the IPv6 address."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, IPV6_PREFIX), strict=False))


def network_of(key: str) -> str:
    """Return the beginning of an address, enough for a person to recognise their own: `192.0.2.*`, `2001:db8:7:*`.

    Of an IPv4 address it is the /24, of an IPv6 address the /48 (that of an office or a household).

    Args:
        key: An address, or a key of `key_of`. What is neither gives "".
    """
    address = parse(key.partition("/")[0])
    if address is None:
        return ""
    if isinstance(address, IPv4Address):
        return ".".join(str(address).split(".")[:3]) + ".*"
    return ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":")[:3]) + ":*"


def is_trusted(address: str | Address, proxies: str) -> bool:
    """Return whether this peer or hop is one of our proxies.

    Args:
        address: The peer's address, parsed or as text in any form that `parse` reads.
        proxies: The trusted networks, separated by commas (`TRUSTED_PROXIES`).
    """
    found = parse(address) if isinstance(address, str) else address
    return found is not None and any(found in network for network in networks(proxies))


@lru_cache(maxsize=16)
def networks(proxies: str) -> tuple[Network, ...]:
    """Return the networks of a list separated by commas.

    Raises:
        ValueError: A part is no network.
    """
    return tuple(ip_network(part.strip()) for part in proxies.split(",") if part.strip())


def hops(peer: str, lines: Iterable[str], proxies: str) -> list[Address]:
    """Return the hops that can be trusted, the nearest first; the last one is the client.

    The peer is trusted to be what it is. Items of `X-Forwarded-For` are trusted from right to left, as long as the hop
    that wrote them is a trusted proxy. The list ends before the first item that is not an address, and after
    `MOST_ITEMS`.

    Args:
        peer: The address of the connection's other end.
        lines: Every `X-Forwarded-For` line of the request, in order; together they are one list (RFC 9110 §5.3).
        proxies: The trusted networks, separated by commas (`TRUSTED_PROXIES`).
    """
    nearest = parse(peer)
    if nearest is None:
        return []
    found = [nearest]
    for item in reversed(",".join(lines).rsplit(",", MOST_ITEMS)[-MOST_ITEMS:]):
        if not is_trusted(found[-1], proxies):
            break
        if not item.strip():
            continue
        hop = parse(item)
        if hop is None:
            break
        found.append(hop)
    return found


def client_key(peer: str, lines: Iterable[str], proxies: str) -> str:
    """Return the key of the client's address for limits. Arguments are those of `hops`.

    An item that is not an address never makes a key of its own: the last hop before it counts. When every hop is a
    trusted proxy the peer counts. A peer without an address (a Unix socket) has the key "".
    """
    found = hops(peer, lines, proxies)
    if not found:
        return ""
    client = found[-1]
    return key_of(found[0] if is_trusted(client, proxies) else client)


def client_scheme(peer: str, forwarded_for: Iterable[str], lines: Iterable[str], proxies: str, scheme: str) -> str:
    """Return `http` or `https`, as the browser used it.

    Args:
        peer: As for `hops`.
        forwarded_for: As `lines` for `hops`.
        lines: Every `X-Forwarded-Proto` line. Each trusted proxy may have added an item; the one of the outermost
            trusted proxy counts, or the first when there are fewer.
        proxies: As for `hops`.
        scheme: The scheme of the connection itself, returned when no trusted proxy declares another.
    """
    trusted = [hop for hop in hops(peer, forwarded_for, proxies) if is_trusted(hop, proxies)]
    forwarded = [item.strip().lower() for item in ",".join(lines).split(",") if item.strip()]
    if not trusted or not forwarded:
        return scheme
    found = forwarded[-min(len(trusted), len(forwarded))]
    return found if found in ("http", "https") else scheme
