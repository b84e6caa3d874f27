"""RULES of clients of the read API that authenticate with a key: `private_key_jwt` (RFC 7523 section 3). No I/O.

A client signs an assertion for each token request. It names the client, the installation, an end within minutes and a
number that is used once. The integrations file has the client's public keys.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt
import orjson

from services.common.config.client_keys import ClientKey
from services.common.internal_api.integration import MOST_ASSERTION

MOST_LIFE = timedelta(minutes=5)  # from now to the end of an assertion
SKEW = timedelta(seconds=60)  # by which the client's clock may differ
MOST_NUMBER = 200  # bytes of `jti`
TYPES = (None, "JWT", "client-authentication+jwt")
"""What `typ` may be. An assertion that the client has signed for another purpose is none (RFC 8725 section 3.11)."""
_JWS = jwt.PyJWS(algorithms=[])
_UNPROVEN: Any = {"verify_signature": False}


class Refused(Exception):
    """An assertion is not accepted.

    Attributes:
        why: Why, in a word for the log.
        client_id: The client that it names, if the integrations file has it.
    """

    def __init__(self, why: str, client_id: str | None = None) -> None:
        super().__init__(why)
        self.why, self.client_id = why, client_id


@dataclass(frozen=True)
class Assertion:
    """An assertion that is right.

    Attributes:
        client_id: Who sent it.
        number: Its number, which is accepted once.
        until: Until when the number is remembered: then the assertion is too old.
    """

    client_id: str
    number: str
    until: datetime

    @property
    def digest(self) -> str:
        """By which the number is remembered. It differs for each client."""
        return sha256(f"{self.client_id} {self.number}".encode()).hexdigest()


def verified(
    assertion: str,
    audiences: Collection[str],
    keys: Mapping[str, Sequence[ClientKey]],
    now: datetime,
    named: str | None = None,
) -> Assertion:
    """Return an assertion whose signature and claims are right.

    Args:
        assertion: The JWT.
        audiences: What `aud` may be: the addresses of the installation.
        keys: The keys of each client; a client without keys has none.
        now: The present.
        named: The `client_id` of the request; None: it has none.

    Raises:
        Refused: It is not right.
    """
    header, claims = _read(assertion)
    if header.get("typ") not in TYPES or "crit" in header:
        raise Refused("header")
    client_id = claims.get("sub")
    if not isinstance(client_id, str) or client_id not in keys or named not in (None, client_id):
        raise Refused("client")
    if not any(key.name == header.get("alg") and key.has_signed(assertion) for key in keys[client_id]):
        raise Refused("signature", client_id)
    return _checked(claims, client_id, audiences, now)


def _read(assertion: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the header and the claims, which nothing has proven yet.

    Raises:
        Refused: It has none.
    """
    if len(assertion) > MOST_ASSERTION:
        raise Refused("too_long")
    try:
        found = _JWS.decode_complete(assertion, options=_UNPROVEN)
        claims = orjson.loads(found["payload"])
    except (jwt.PyJWTError, ValueError):
        raise Refused("not_a_token") from None
    if not isinstance(claims, dict):
        raise Refused("not_a_token")
    return found["header"], claims


def _checked(claims: Mapping[str, Any], client_id: str, audiences: Collection[str], now: datetime) -> Assertion:
    if claims.get("iss") != client_id:
        raise Refused("iss", client_id)
    aud = claims.get("aud")
    if isinstance(aud, list) and len(aud) == 1:
        (aud,) = aud
    if not isinstance(aud, str) or aud not in audiences:
        raise Refused("aud", client_id)
    number = claims.get("jti")
    if not isinstance(number, str) or not 0 < len(number.encode()) <= MOST_NUMBER:
        raise Refused("jti", client_id)
    until = _time(claims, "exp", client_id)
    if not now < until + SKEW or until > now + MOST_LIFE + SKEW:
        raise Refused("exp", client_id)
    for name in ("iat", "nbf"):
        if name in claims and _time(claims, name, client_id) > now + SKEW:
            raise Refused(name, client_id)
    return Assertion(client_id, number, until + SKEW)


def _time(claims: Mapping[str, Any], name: str, client_id: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**37:
        raise Refused(name, client_id)
    return datetime.fromtimestamp(value, UTC)
