"""`services/gateway/http/security/cookies.py`: the attributes that keep an agent's session where it belongs."""

import pytest
from fastapi.responses import Response

from services.gateway.http.security.cookies import clear_session, device_cookie, session_token, set_device, set_session


def cookie(scheme: str, host: str, clear: bool = False) -> str:
    response = Response()
    if clear:
        clear_session(response, scheme, host)
    else:
        set_session(response, "token-_1", scheme, host)
    return response.headers["set-cookie"]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "localhost:1", "[::1]:8000", "[::1]"])
def test_on_plain_http_loopback_it_is_not_secure(host: str) -> None:
    assert cookie("http", host) == "eloket-agent=token-_1; Path=/; HttpOnly; SameSite=Strict"


@pytest.mark.parametrize(
    ("scheme", "host"),
    [("https", "127.0.0.1:8000"), ("https", "loket.be"), ("http", "loket.be"), ("http", "localhost.evil.be"), ("", "")],
)
def test_everywhere_else_it_is_bound_to_host_and_https(scheme: str, host: str) -> None:
    assert cookie(scheme, host) == "__Host-eloket-agent=token-_1; Path=/; HttpOnly; SameSite=Strict; Secure"


def test_it_is_cleared_with_the_same_name_and_attributes() -> None:
    assert cookie("http", "localhost", clear=True) == "eloket-agent=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    secure = "__Host-eloket-agent=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"
    assert cookie("https", "loket.be", clear=True) == secure


def test_the_secure_one_is_preferred() -> None:
    assert session_token({}, "localhost:8000") is None
    assert session_token({"eloket-agent": "a"}, "localhost:8000") == "a"
    assert session_token({"eloket-agent": "a", "__Host-eloket-agent": "b"}, "127.0.0.1") == "b"


def test_the_plain_cookie_counts_on_loopback_alone() -> None:
    assert session_token({"eloket-agent": "a"}, "chat.example.be") is None
    assert session_token({"__Host-eloket-agent": "b"}, "chat.example.be") == "b"


def test_that_of_the_browser_has_the_same_bounds() -> None:
    response = Response()
    set_device(response, "d", "https", "loket.be")
    (value,) = response.headers.getlist("set-cookie")
    assert value == "__Host-eloket-device=d; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=15552000"
    assert device_cookie({"eloket-device": "a"}, "loket.be") == ""
    assert device_cookie({"eloket-device": "a"}, "localhost:8000") == "a"
    assert device_cookie({"__Host-eloket-device": "b"}, "loket.be") == "b"
    assert device_cookie({"__Host-eloket-device": "b" * 2_049}, "loket.be") == ""
    assert device_cookie({}, "localhost") == ""
