"""RULES of a request's origin: `Origin` (RFC 6454) and `Sec-Fetch-Site` (W3C Fetch Metadata). No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_PORTS = {"http": ":80", "https": ":443"}


def canonical(origin: str) -> str:
    """Return an origin as browsers write it: in lower case, without the usual port of its scheme."""
    lower = origin.lower()
    return lower.removesuffix(_PORTS.get(lower.partition("://")[0], ""))


class OwnOrigins:
    """The origins that our own pages have.

    Where the operator has named them (`PUBLIC_ORIGINS`), an origin is own when it is one of them and that of the
    request's host. Else it is the request's host with the scheme as the browser used it. With `http` it may also be
    `https`: a proxy that is not trusted may have ended TLS.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        """Create the rule. `named`: the origins that the operator has named."""
        self._named = frozenset(map(canonical, named))

    def has(self, origin: str, host: str, scheme: str) -> bool:
        """Return whether an origin is own.

        Args:
            origin: The origin.
            host: The `Host` of the request; empty: no origin is own.
            scheme: The scheme of the request, as the browser used it.
        """
        if self._named:
            schemes: tuple[str, ...] = tuple(_PORTS)
        else:
            schemes = ("https",) if scheme == "https" else tuple(_PORTS)
        given = canonical(origin)
        if not host or all(given != canonical(f"{one}://{host}") for one in schemes):
            return False
        return not self._named or given in self._named

    def sent(self, headers: Mapping[str, str], scheme: str) -> bool:
        """Return whether `Origin` is present and own. `headers`: those of the request, by lower-case name."""
        return self.has(headers.get("origin", ""), headers.get("host", ""), scheme)


def is_foreign(headers: Mapping[str, str], listed: frozenset[str], own: OwnOrigins, scheme: str) -> bool:
    """Return whether a page of another site sent this request: a page whose origin is neither ours nor listed.

    A request without `Origin` does not come from a page (a browser sends it with every POST), unless `Sec-Fetch-Site`
    says so.

    Args:
        headers: Headers of the request, by lower-case name.
        listed: The listed origins, in lower case.
        own: The origins of our own pages.
        scheme: The scheme of the request, as the browser used it.
    """
    if headers.get("origin", "").lower() in listed:
        return False
    if "origin" in headers and not own.sent(headers, scheme):
        return True
    return headers.get("sec-fetch-site", "").lower() in ("cross-site", "same-site")
