"""Checks of the public door: which versions and cipher suites of TLS it accepts (RFC 9325)."""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings
from urllib.parse import urlsplit

from deploy.check.result import Result

LIMIT = 10.0  # seconds
OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
WEAK = "kRSA:3DES:DES:RC4:NULL:EXPORT:MD5:aNULL:@SECLEVEL=0"
"""Suites without forward secrecy, without authentication, or with a broken cipher, as OpenSSL calls them."""


def tls(url: str) -> list[Result]:
    """Check that the door speaks TLS 1.2 or later alone, prefers 1.3, and accepts no weak suite.

    Args:
        url: The public address.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        return [Result("TLS of the public door", "the address is not https", asked=False)]
    place = parts.hostname or "", parts.port or 443
    try:
        version, suite = _handshake(place, ssl.create_default_context())
    except OSError as error:
        todo = "does the door answer, with a certificate that the system trusts?"
        return [Result("TLS of the public door", f"no connection ({_why(error)})", todo)]
    found = [Result("TLS of the public door", f"{version}, {suite}")]
    if version != "TLSv1.3":
        found = [Result("TLS of the public door", f"{version}, {suite}", "let it offer TLS 1.3 too")]
    old = [name for name, context in _older() if _accepts(place, context)]
    todo = "let the door accept TLS 1.2 and 1.3 alone" if old else ""
    found.append(Result("TLS: old versions", f"accepts {', '.join(old)}" if old else "refused", todo))
    weak = _context(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, WEAK)
    taken = _accepts(place, weak)
    todo = "let the door accept suites with forward secrecy (ECDHE) and AEAD alone" if taken else ""
    return [*found, Result("TLS: weak cipher suites", f"accepts {taken}" if taken else "refused", todo)]


def _older() -> list[tuple[str, ssl.SSLContext]]:
    return [(version.name, _context(version, version, "ALL:@SECLEVEL=0")) for version in OLD]


def _context(least: ssl.TLSVersion, most: ssl.TLSVersion, ciphers: str) -> ssl.SSLContext:
    """Return a context that offers just this. It verifies nothing: only what is accepted is asked."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_ciphers(ciphers)
    with warnings.catch_warnings():  # that these versions are old is why they are tried
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version, made.maximum_version = least, most
    return made


def _handshake(place: tuple[str, int], context: ssl.SSLContext) -> tuple[str, str]:
    with socket.create_connection(place, LIMIT) as plain, context.wrap_socket(plain, server_hostname=place[0]) as made:
        return made.version() or "", (made.cipher() or ("",))[0]


def _accepts(place: tuple[str, int], context: ssl.SSLContext) -> str:
    """Return the suite that the door accepts of what this context offers; empty: it accepts none."""
    with contextlib.suppress(OSError):
        return _handshake(place, context)[1]
    return ""


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
