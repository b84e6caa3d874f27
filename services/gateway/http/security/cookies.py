"""The cookies of agents, and one of citizens.

They are HttpOnly, SameSite=Strict, and Secure everywhere except on plain-http loopback. One holds the session. Another
records which accounts this browser has logged in before; it outlives a logout. Two live for minutes during a login at
an issuer: the flow, which is SameSite=Lax because the issuer's site sends the browser back, and the reference to the
roles among which the person chooses. That of a citizen lives for minutes too, during a login at the citizens' issuer;
it is SameSite=Lax for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.responses import Response

_SECURE = "__Host-eloket-agent"  # the prefix binds it to this host, https and the path / (RFC 6265bis §4.1.3.2)
_LOOPBACK = "eloket-agent"
_DEVICE_SECURE, _DEVICE_LOOPBACK = "__Host-eloket-device", "eloket-device"
_DEVICE_DAYS = 180
MOST_DEVICE = 2_048  # characters of a device cookie; this service issues no longer ones
_FLOW_SECURE, _FLOW_LOOPBACK = "__Host-eloket-oidc", "eloket-oidc"
_FLOW_SECONDS = 600
_CITIZEN_SECURE, _CITIZEN_LOOPBACK = "__Host-eloket-identify", "eloket-identify"
_CHOICE_SECURE, _CHOICE_LOOPBACK = "__Host-eloket-choice", "eloket-choice"
_CHOICE_SECONDS = 300
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def session_token(cookies: Mapping[str, str], host: str) -> str | None:
    """Return the session token that the browser sent to this host, if any.

    The cookie without the `__Host-` prefix counts on loopback only: elsewhere a sibling site could have set it.
    """
    return cookies.get(_SECURE) or (cookies.get(_LOOPBACK) if _is_loopback(host) else None)


def device_cookie(cookies: Mapping[str, str], host: str) -> str:
    """Return the device cookie that the browser sent to this host, or the empty string."""
    value = cookies.get(_DEVICE_SECURE) or (cookies.get(_DEVICE_LOOPBACK, "") if _is_loopback(host) else "")
    return value if len(value) <= MOST_DEVICE else ""


def flow_cookie(cookies: Mapping[str, str], host: str) -> str:
    """Return the flow of the login at the issuer that this browser has begun, or the empty string."""
    return cookies.get(_FLOW_SECURE) or (cookies.get(_FLOW_LOOPBACK, "") if _is_loopback(host) else "")


def identification_cookie(cookies: Mapping[str, str], host: str) -> str:
    """Return the identification of a citizen that this browser has begun, or the empty string."""
    return cookies.get(_CITIZEN_SECURE) or (cookies.get(_CITIZEN_LOOPBACK, "") if _is_loopback(host) else "")


def choice_cookie(cookies: Mapping[str, str], host: str) -> str:
    """Return the reference to the roles among which this browser's person chooses, or the empty string."""
    return cookies.get(_CHOICE_SECURE) or (cookies.get(_CHOICE_LOOPBACK, "") if _is_loopback(host) else "")


def set_flow(response: Response, flow: str, scheme: str, host: str) -> None:
    """Set the cookie of a login at the issuer; an empty one removes it."""
    made = _cookie(flow, scheme, host, _FLOW_SECURE, _FLOW_LOOPBACK, "Lax")
    response.headers.append("Set-Cookie", f"{made}; Max-Age={_FLOW_SECONDS if flow else 0}")


def set_identification(response: Response, flow: str, scheme: str, host: str) -> None:
    """Set the cookie of a citizen's login at the citizens' issuer; an empty one removes it."""
    made = _cookie(flow, scheme, host, _CITIZEN_SECURE, _CITIZEN_LOOPBACK, "Lax")
    response.headers.append("Set-Cookie", f"{made}; Max-Age={_FLOW_SECONDS if flow else 0}")


def set_choice(response: Response, reference: str, scheme: str, host: str) -> None:
    """Set the cookie of a choice of a role; an empty one removes it."""
    made = _cookie(reference, scheme, host, _CHOICE_SECURE, _CHOICE_LOOPBACK)
    response.headers.append("Set-Cookie", f"{made}; Max-Age={_CHOICE_SECONDS if reference else 0}")


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in _LOOPBACK_HOSTS


def set_session(response: Response, token: str, scheme: str, host: str) -> None:
    """Set the session cookie. It ends with the browser session or at logout."""
    response.headers.append("Set-Cookie", _cookie(token, scheme, host))


def set_device(response: Response, value: str, scheme: str, host: str) -> None:
    """Set the cookie that records that this browser has logged an account in."""
    made = _cookie(value, scheme, host, _DEVICE_SECURE, _DEVICE_LOOPBACK)
    response.headers.append("Set-Cookie", f"{made}; Max-Age={_DEVICE_DAYS * 24 * 3600}")


def clear_session(response: Response, scheme: str, host: str) -> None:
    """Remove the session cookie."""
    response.headers.append("Set-Cookie", _cookie("", scheme, host) + "; Max-Age=0")


def _cookie(
    value: str, scheme: str, host: str, secured: str = _SECURE, plain: str = _LOOPBACK, same_site: str = "Strict"
) -> str:
    name, secure = (plain, "") if scheme == "http" and _is_loopback(host) else (secured, "; Secure")
    return f"{name}={value}; Path=/; HttpOnly; SameSite={same_site}{secure}"
