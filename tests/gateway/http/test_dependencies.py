"""`dependencies.py`: bodies within bounds, own origins, and addresses that only our proxies may name."""

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from pydantic import BaseModel, ConfigDict
from starlette.types import Message
from structlog.testing import capture_logs

from services.common.http.problems import Problem
from services.gateway.clients.http_client import Declined
from services.gateway.http import dependencies
from services.gateway.http.dependencies import (
    MOST_JSON,
    address_of,
    limited,
    passed_on,
    read_json,
    require_own_origin,
    scheme_of,
)
from services.gateway.http.security.origins import OwnOrigins, is_foreign
from services.gateway.settings import Settings
from tests.gateway.making import value_of

SETTINGS = Settings(token_secret="a secret of the tests alone", trusted_proxies="10.0.0.0/8")


class Body(BaseModel):
    model_config = ConfigDict(strict=True)
    name: str | None = None


def request(*chunks: bytes, peer: str | None = "203.0.113.5", **headers: str) -> Request:
    """A request with these headers (underscores stand for hyphens) and a body in these chunks."""
    messages: list[Message] = [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    named = {"content_type": "application/json", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": raw,
    }
    scope |= {"client": (peer, 1) if peer else None, "server": ("127.0.0.1", 80)}
    return Request(scope, receive)


async def test_a_body_comes_in_any_pieces() -> None:
    assert (await read_json(request(b'{"na', b'me":"', b'An"}'), Body)).name == "An"
    assert (await read_json(request(), Body)).name is None


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"7", b'"x"', b'{"name":7}', b'{"name":"\\ud800"}', b"\xff", b"null", b"[" * 9_000]
)
async def test_a_wrong_body_is_invalid(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        await read_json(request(body), Body)
    assert (caught.value.status, caught.value.code) == (422, "invalid")


async def test_a_body_over_64_kib_is_too_large_however_it_comes() -> None:
    text = b'{"name":"' + b"x" * (MOST_JSON - 11) + b'"}'
    assert await read_json(request(text), Body)
    with pytest.raises(Problem) as caught:
        await read_json(request(text, b" "), Body)
    assert (caught.value.status, caught.value.code) == (413, "too_large")


def test_the_address_is_the_peers_unless_a_proxy_of_ours_names_another() -> None:
    def address(peer: str | None, forwarded: str | None = None) -> str:
        headers = {"x_forwarded_for": forwarded} if forwarded is not None else {}
        return address_of(request(peer=peer, **headers), SETTINGS)

    assert address("203.0.113.5", "1.1.1.1") == "203.0.113.5"
    assert address("10.0.0.1") == "10.0.0.1"
    assert address("10.0.0.1", "1.1.1.1, 198.51.100.7, 10.2.3.4") == "198.51.100.7"
    assert address("10.0.0.1", "10.2.3.4,,") == "10.0.0.1"
    assert address(None, "1.1.1.1") == ""


def test_the_scheme_is_believed_of_a_proxy_of_ours_alone() -> None:
    assert scheme_of(request(x_forwarded_proto="https"), SETTINGS) == "http"
    assert scheme_of(request(peer="10.0.0.1", x_forwarded_proto="https"), SETTINGS) == "https"
    assert scheme_of(request(peer="10.0.0.1"), SETTINGS) == "http"


def test_every_line_of_the_list_counts_and_one_ipv6_subscriber_is_one_address() -> None:
    def address(*lines: bytes) -> str:
        one = request(peer="10.0.0.1")
        one.scope["headers"] += [(b"x-forwarded-for", line) for line in lines]
        return address_of(one, SETTINGS)

    assert address(b"1.1.1.1", b"198.51.100.7") == "198.51.100.7"
    assert address(b"198.51.100.7:1001") == address(b"198.51.100.7:1002") == "198.51.100.7"
    assert address(b"2001:db8::1") == address(b"[2001:db8::2]:99") == "2001:db8::/64"
    assert address(b"any", b"thing") == "10.0.0.1"


def test_a_peer_that_speaks_like_a_proxy_and_is_none_is_counted_and_logged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def counted(header: str) -> float:
        return value_of(dependencies.UNTRUSTED, "_total", header=header)

    monkeypatch.setattr(dependencies, "WARNED", set[str]())
    before = counted("x-forwarded-for"), counted("x-forwarded-proto")
    with capture_logs() as logs:
        for peer in ("192.168.7.7", "203.0.113.5"):
            one = request(peer=peer, x_forwarded_for="1.1.1.1", x_forwarded_proto="https")
            assert (address_of(one, SETTINGS), scheme_of(one, SETTINGS)) == (peer, "http")
        address_of(request(peer="10.0.0.1", x_forwarded_for="1.1.1.1"), SETTINGS)
        address_of(request(peer="203.0.113.5"), SETTINGS)
    assert (counted("x-forwarded-for"), counted("x-forwarded-proto")) == (before[0] + 2, before[1] + 2)
    assert [(line["event"], line["header"], line["peer"]) for line in logs] == [
        ("untrusted_proxy", "x-forwarded-for", "192.168.7.7"),
        ("untrusted_proxy", "x-forwarded-proto", "192.168.7.7"),
    ]


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("https://loket.be", "loket.be", True),
        ("https://loket.be", "loket.be:443", True),
        ("http://loket.be", "loket.be:80", True),
        ("https://loket.be", "loket.be:80", False),
        ("HTTPS://Loket.be", "LOKET.BE", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False),
        ("https://loket.be.evil.be", "loket.be", False),
        ("https://evil.be/loket.be", "loket.be", False),
        ("https://loket.be@evil.be", "loket.be", False),
        ("null", "loket.be", False),
        ("", "loket.be", False),
        ("http://", "", False),
        ("http://[::1", "loket.be", False),
        ("loket.be", "loket.be", False),
        ("file://loket.be", "loket.be", False),
    ],
)
def test_an_origin_is_own_when_it_equals_the_host(origin: str, host: str, own: bool) -> None:
    assert OwnOrigins().sent({"origin": origin, "host": host}, "http") is own


def test_a_missing_origin_is_not_own_and_a_listed_one_is_not_foreign() -> None:
    own, listed = OwnOrigins(), frozenset({"https://www.stad.be"})
    there = {"origin": "https://www.stad.be", "host": "loket.be"}
    assert not own.sent({"host": "loket.be"}, "https")
    assert not own.sent(there, "https")
    assert is_foreign(there, frozenset(), own, "https")
    assert not is_foreign(there, listed, own, "https")
    assert not is_foreign({"host": "loket.be"}, listed, own, "https"), "it is of no page"


def test_on_https_and_where_origins_are_named_http_is_not_own() -> None:
    def own(origin: str, scheme: str, *named: str, host: str = "loket.be") -> bool:
        return OwnOrigins(named).has(origin, host, scheme)

    assert [own("http://loket.be", scheme) for scheme in ("http", "https")] == [True, False]
    assert [own("https://loket.be", scheme) for scheme in ("http", "https")] == [True, True], "TLS may end elsewhere"
    for scheme in ("http", "https"):
        for named in ("https://loket.be", "https://LOKET.be:443"):
            assert own("https://loket.be", scheme, named)
            assert own("https://loket.be", scheme, named, host="loket.be:443")
            assert not own("http://loket.be", scheme, named)
        assert own("http://localhost:8000", scheme, "https://loket.be", "http://localhost:8000", host="localhost:8000")
        assert not own("https://loket.be", scheme, "https://other.be"), "it is none of those that are named"
        both = ("https://loket.be", "https://other.be")
        assert not own("https://other.be", scheme, *both), "it is of another host than the request"


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({}, True),
        ({"origin": "https://loket.be"}, True),
        ({"origin": "https://loket.be", "sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"origin": "https://other.be"}, False),
        ({"origin": "null"}, False),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
    ],
)
def test_a_request_with_an_agents_cookie_comes_from_our_own_pages(headers: dict[str, str], good: bool) -> None:
    one = request(host="loket.be", **headers)
    one.scope["app"] = SimpleNamespace(state=SimpleNamespace(service=SimpleNamespace(settings=SETTINGS)))
    if good:
        require_own_origin(one)
    else:
        with pytest.raises(Problem) as caught:
            require_own_origin(one)
        assert caught.value.code == "forbidden"


def test_too_many_requests_say_when_to_come_back() -> None:
    limited(0)
    with pytest.raises(Problem) as caught:
        limited(7)
    assert (caught.value.status, caught.value.code, caught.value.headers) == (429, "rate_limited", {"Retry-After": "7"})


def test_what_another_service_refused_is_passed_on_as_it_said_it() -> None:
    problem = {"type": "about:blank", "title": "T", "status": 413, "code": "too_large", "detail": "D", "limit": 5}
    passed = passed_on(Declined(413, problem, "3"))
    assert (passed.status, passed.code, passed.detail, passed.extra) == (413, "too_large", "D", {"limit": 5})
    assert passed.headers == {"Retry-After": "3"}
    assert passed_on(Declined(409, {}, None)).code == "error"
