"""`client_assertions.py`: what a client signs for a token, and what is refused of it (RFC 7523 section 3)."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.common.config.client_keys import client_key
from services.common.internal_api.integration import MOST_ASSERTION
from services.transcripts.access.client_assertions import MOST_LIFE, SKEW, Assertion, Refused, verified

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
PLACE, ALSO = "https://chat.stad.example", "https://chat.example"
PRIVATE, OTHER, NOBODYS = (ed25519.Ed25519PrivateKey.generate() for _ in range(3))


def public(private: ed25519.Ed25519PrivateKey) -> Any:
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return client_key(pem.decode())


KEYS = {"cijfers": (public(PRIVATE),), "ander": (public(OTHER),), "geheim": ()}


def seconds(later: float) -> float:
    return NOW.timestamp() + later


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of an assertion; one that is None is missing."""
    made = {"iss": "cijfers", "sub": "cijfers", "aud": PLACE, "exp": seconds(60), "jti": "1", **changed}
    return {name: value for name, value in made.items() if value is not None}


def signed(private: Any = PRIVATE, header: dict[str, Any] | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), private, "EdDSA", header)


def signed_raw(payload: bytes, header: bytes = b'{"alg":"EdDSA"}') -> str:
    """A right signature over whatever this is."""
    parts = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    return (parts + b"." + base64.urlsafe_b64encode(PRIVATE.sign(parts)).rstrip(b"=")).decode()


def accepted(assertion: str, named: str | None = None) -> Assertion:
    return verified(assertion, [PLACE, ALSO], KEYS, NOW, named)


def refused(assertion: str, named: str | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        accepted(assertion, named)
    return caught.value


def test_an_assertion_is_remembered_for_as_long_as_it_would_be_accepted() -> None:
    assertion = signed()
    found = accepted(assertion, "cijfers")
    assert (found.client_id, found.number) == ("cijfers", "1")
    assert found.until == NOW + timedelta(seconds=60) + SKEW
    last = found.until - timedelta(microseconds=1)
    assert verified(assertion, [PLACE], KEYS, last).until == found.until
    with pytest.raises(Refused, match="exp"):
        verified(assertion, [PLACE], KEYS, found.until)


def test_a_number_is_of_its_client() -> None:
    mine, theirs = accepted(signed()), accepted(signed(OTHER, iss="ander", sub="ander"))
    assert mine.number == theirs.number
    assert mine.digest != theirs.digest
    assert mine.digest == accepted(signed(exp=seconds(90))).digest
    assert "cijfers" not in mine.digest


@pytest.mark.parametrize(
    "more",
    [
        {"aud": [PLACE]},
        {"aud": ALSO},
        {"header": {"typ": "client-authentication+jwt", "kid": "any"}},
        {"header": {"typ": None}},
        {"iat": seconds(-3_600), "nbf": seconds(59)},
        {"exp": seconds(-59.5)},
        {"exp": seconds((MOST_LIFE + SKEW).total_seconds())},
        {"jti": "é" * 100},
        {"more": {"a": [1]}},
    ],
    ids=str,
)
def test_what_the_standard_leaves_free_is_accepted(more: dict[str, Any]) -> None:
    assert accepted(signed(**more)).client_id == "cijfers"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"aud": None}, "aud"),
        ({"aud": "https://other.example"}, "aud"),
        ({"aud": PLACE + "/"}, "aud"),
        ({"aud": PLACE + "/api/integration/token"}, "aud"),
        ({"aud": [PLACE, "https://other.example"]}, "aud"),
        ({"aud": [PLACE, ALSO]}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": [[PLACE]]}, "aud"),
        ({"aud": {PLACE: 1}}, "aud"),
        ({"iss": None}, "iss"),
        ({"iss": "ander"}, "iss"),
        ({"iss": ["cijfers"]}, "iss"),
        ({"exp": None}, "exp"),
        ({"exp": seconds(-60)}, "exp"),
        ({"exp": seconds(361)}, "exp"),
        ({"exp": 2**38}, "exp"),
        ({"exp": 2**70}, "exp"),
        ({"exp": -1}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": seconds(61)}, "iat"),
        ({"nbf": seconds(61)}, "nbf"),
        ({"iat": True}, "iat"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": ["1"]}, "jti"),
        ({"jti": "x" * 201}, "jti"),
        ({"jti": "é" * 101}, "jti"),
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused(more: dict[str, Any], why: str) -> None:
    found = refused(signed_raw(json.dumps(claims(**more)).encode()))
    assert (found.why, found.client_id) == (why, "cijfers")


@pytest.mark.parametrize("sub", [None, "nobody", "Cijfers", 1, ["cijfers"], {"cijfers": 1}, ""], ids=str)
def test_a_client_that_is_not_known_is_not_named_in_the_log(sub: object) -> None:
    found = refused(signed_raw(json.dumps(claims(sub=sub, iss=sub)).encode()))
    assert (found.why, found.client_id) == ("client", None)


def test_the_request_names_the_same_client_or_none() -> None:
    assert accepted(signed(), "cijfers")
    for named in ("ander", "nobody", ""):
        assert refused(signed(), named).why == "client"


@pytest.mark.parametrize(
    "header",
    [{"typ": "at+jwt"}, {"typ": "logout+jwt"}, {"typ": ["JWT"]}, {"typ": 1}, {"crit": ["b64"], "b64": True}],
    ids=str,
)
def test_what_was_signed_for_another_purpose_is_no_assertion(header: dict[str, Any]) -> None:
    made = json.dumps({"alg": "EdDSA", **header}).encode()
    assert refused(signed_raw(json.dumps(claims()).encode(), made)).why == "header"


def test_another_key_proves_nothing() -> None:
    assert refused(signed(NOBODYS)).why == "signature"
    assert refused(signed(OTHER)).why == "signature", "the key of another client"
    assert refused(signed(iss="geheim", sub="geheim")).why == "signature", "a client without keys"
    head, body, _ = signed().split(".")
    assert refused(f"{head}.{body}.").why == "signature"
    assert refused(jwt.encode(claims(), "", "none")).why == "signature"
    assert refused(jwt.encode(claims(), "x" * 32, "HS256")).why == "signature"


def test_each_of_several_keys_is_accepted_until_it_is_removed() -> None:
    former, new = public(PRIVATE), public(OTHER)
    for keys, good in (((former,), (PRIVATE,)), ((former, new), (PRIVATE, OTHER)), ((new,), (OTHER,))):
        for private in (PRIVATE, OTHER):
            if private in good:
                assert verified(signed(private), [PLACE], {"cijfers": keys}, NOW)
            else:
                with pytest.raises(Refused, match="signature"):
                    verified(signed(private), [PLACE], {"cijfers": keys}, NOW)


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", b"[]", b'"cijfers"', b"null", b"\xff", b'{"sub": "\\ud800"}', b'{"exp": NaN}', b"[" * 2_500],
    ids=range(9),
)
def test_what_has_no_claims_is_no_assertion(payload: bytes) -> None:
    assert refused(signed_raw(payload)).why == "not_a_token"


@pytest.mark.parametrize(
    "text",
    ["", "x", "a.b.c", "é.a.b", "\ud800.a.b", signed() + "!", "." * 5, "=.=.=", "W" * 2_000 + ".W.W"],
    ids=range(9),
)
def test_nonsense_is_no_assertion(text: str) -> None:
    assert refused(text).why == "not_a_token"


def test_a_header_that_is_nested_deeply_is_no_assertion() -> None:
    assert refused(signed_raw(b"{}", b'{"a":' * 500 + b"1" + b"}" * 500)).why in ("not_a_token", "client")
    assert refused(signed_raw(b"{}", b"[" * 2_500)).why == "not_a_token"


def test_an_assertion_is_bounded_before_it_is_read() -> None:
    room = signed(more="")
    assertion = signed(more="x" * ((MOST_ASSERTION - len(room)) * 3 // 4 - 2))
    assert MOST_ASSERTION - 8 < len(assertion) <= MOST_ASSERTION
    assert accepted(assertion)
    assert refused(signed(more="x" * MOST_ASSERTION)).why == "too_long"
