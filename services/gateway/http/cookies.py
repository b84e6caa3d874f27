"""The agent's cookies: HttpOnly, SameSite=Strict, and Secure everywhere but on plain-http loopback.

One holds the session. The other says which accounts this browser has logged in before; it outlives a logout.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.responses import Response

_SECURE = "__Host-eloket-agent"  # the prefix binds it to this host, https and the path / (RFC 6265bis §4.1.3.2)
_LOOPBACK = "eloket-agent"
_DEVICE_SECURE, _DEVICE_LOOPBACK = "__Host-eloket-device", "eloket-device"
_DEVICE_DAYS = 180
MOST_DEVICE = 2_048  # characters of a device cookie; longer ones are not ours
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def session_token(cookies: Mapping[str, str], host: str) -> str | None:
    """The session token that the browser sent to this host, if any.

    The plain cookie counts on loopback alone: elsewhere a sibling site could have set it.
    """
    return cookies.get(_SECURE) or (cookies.get(_LOOPBACK) if _is_loopback(host) else None)


def device_cookie(cookies: Mapping[str, str], host: str) -> str:
    """The device cookie that the browser sent to this host, or nothing."""
    value = cookies.get(_DEVICE_SECURE) or (cookies.get(_DEVICE_LOOPBACK, "") if _is_loopback(host) else "")
    return value if len(value) <= MOST_DEVICE else ""


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in _LOOPBACK_HOSTS


def set_session(response: Response, token: str, scheme: str, host: str) -> None:
    """Keeps the session in the browser, until it is closed or logs out."""
    response.headers.append("Set-Cookie", _cookie(token, scheme, host))


def set_device(response: Response, value: str, scheme: str, host: str) -> None:
    """Keeps in the browser that it has logged an account in."""
    made = _cookie(value, scheme, host, _DEVICE_SECURE, _DEVICE_LOOPBACK)
    response.headers.append("Set-Cookie", f"{made}; Max-Age={_DEVICE_DAYS * 24 * 3600}")


def clear_session(response: Response, scheme: str, host: str) -> None:
    """Takes the session out of the browser."""
    response.headers.append("Set-Cookie", _cookie("", scheme, host) + "; Max-Age=0")


def _cookie(value: str, scheme: str, host: str, secured: str = _SECURE, plain: str = _LOOPBACK) -> str:
    name, secure = (plain, "") if scheme == "http" and _is_loopback(host) else (secured, "; Secure")
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}"
