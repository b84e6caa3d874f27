"""RULES of a request's origin: `Origin` (RFC 6454) and `Sec-Fetch-Site` (W3C Fetch Metadata). No I/O."""

from __future__ import annotations

from collections.abc import Mapping

_PORTS = {"http": ":80", "https": ":443"}


def own_origin(
    headers: Mapping[str, str], origins: frozenset[str] = frozenset(), schemes: tuple[str, ...] = ("http", "https")
) -> bool:
    """Return whether `Origin` is present and equals `Host`, or is one of the listed ones.

    Args:
        headers: Headers of the request, by lower-case name.
        origins: The listed origins, in lower case.
        schemes: The schemes that the own origin may have.
    """
    origin, host = headers.get("origin", "").lower(), headers.get("host", "").lower()
    if origin in origins:
        return True
    return bool(host) and any(
        origin in (f"{scheme}://{host}", f"{scheme}://{host.removesuffix(_PORTS[scheme])}") for scheme in schemes
    )


def is_foreign(headers: Mapping[str, str], origins: frozenset[str], scheme: str) -> bool:
    """Return whether a page of another site sent this request: a page whose origin is neither ours nor listed.

    A request without `Origin` does not come from a page (a browser sends it with every POST), unless `Sec-Fetch-Site`
    says so.

    Args:
        headers: Headers of the request, by lower-case name.
        origins: The listed origins, in lower case.
        scheme: The scheme of the own origin, as the browser used it. With `http` an own origin may also be `https`:
            a proxy that is not trusted may have ended TLS.
    """
    schemes = ("https",) if scheme == "https" else ("http", "https")
    if "origin" in headers and not own_origin(headers, origins, schemes):
        return True
    site = headers.get("sec-fetch-site", "").lower()
    return site in ("cross-site", "same-site") and headers.get("origin", "").lower() not in origins
