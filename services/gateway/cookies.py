"""The agent's session cookie: HttpOnly, SameSite=Strict, and Secure everywhere but on plain-http loopback."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.responses import Response

_SECURE = "__Host-eloket-agent"  # the prefix binds it to this host, https and the path / (RFC 6265bis §4.1.3.2)
_LOOPBACK = "eloket-agent"
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def session_token(cookies: Mapping[str, str], host: str) -> str | None:
    """The session token that the browser sent to this host, if any.

    The plain cookie counts on loopback alone: elsewhere a sibling site could have set it.
    """
    return cookies.get(_SECURE) or (cookies.get(_LOOPBACK) if _is_loopback(host) else None)


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in _LOOPBACK_HOSTS


def set_session(response: Response, token: str, scheme: str, host: str) -> None:
    """Keeps the session in the browser, until it is closed or logs out."""
    response.headers.append("Set-Cookie", _cookie(token, scheme, host))


def clear_session(response: Response, scheme: str, host: str) -> None:
    """Takes the session out of the browser."""
    response.headers.append("Set-Cookie", _cookie("", scheme, host) + "; Max-Age=0")


def _cookie(value: str, scheme: str, host: str) -> str:
    name, secure = (_LOOPBACK, "") if scheme == "http" and _is_loopback(host) else (_SECURE, "; Secure")
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}"
