"""Chat tokens and service tokens, signed with keys that are derived for one purpose each from `TOKEN_SECRET`.

They are JWT with HMAC-SHA256 (RFC 7519, RFC 7518 §3.2). Each purpose has its own key (HMAC of a label, as in NIST SP
800-108), so that a token of one kind is never accepted as another. While secrets are rotated, the previous one is still
accepted.
"""

from __future__ import annotations

import hmac
from typing import Any

import jwt

from services.common.clock import utcnow
from services.common.events.types import Record, is_id

_ALGORITHM = "HS256"
_OPTIONS: Any = {"verify_exp": False}  # checked by our own clock, not the machine's
SERVICE_TOKEN_LIFE = 120  # seconds
DEVICE_TOKEN_LIFE = 180 * 24 * 3600  # seconds


class Actor(Record):
    """The participant for whom a gateway sends a request: the citizen of one chat or of one question, or an agent.

    Attributes:
        party: `citizen`, `agent`, or `asker`: the citizen who left a question without a chat.
        id: The chat's, the agent's or the question's id.
        supervisor: Whether the agent is a supervisor.
        departments: Departments of the agent; None: requested by a gateway before version 2.0.
        by_code: Whether a citizen has a download code that is valid. It replaces the limit of time after the chat's
            end, and gives no right but to read.
        source: The address from which an agent asks, for the access log.
        reason: Why an agent asks, when they said so, for the access log.
    """

    party: str
    id: str
    supervisor: bool = False
    departments: list[str] | None = None
    by_code: bool = False
    source: str | None = None
    reason: str | None = None


class Keys:
    """Signs with the present secret; verifies with the present and the previous one."""

    def __init__(self, secret: str, previous: str = "") -> None:
        self._secrets = [s.encode() for s in (secret, previous) if s]

    def chat_token(self, chat_id: str) -> str:
        """Return the bearer token of one chat. It is the same each time.

        It contains no time: it expires `CITIZEN_ACCESS` after the end of the chat, which only services that store the
        chat know.
        """
        return jwt.encode({"typ": "chat", "sub": chat_id}, self._key(0, "chat"), algorithm=_ALGORITHM)

    def chat_of(self, token: str) -> str | None:
        """Return the chat of this token, or None when it is not one of ours."""
        claims = self._claims(token, "chat")
        return claims["sub"] if claims and is_id(claims.get("sub")) else None

    def question_token(self, question_id: str) -> str:
        """Return the bearer token with which files are added to one question. It is the same each time.

        It contains no time: the service that stores the question knows for how long it takes files.
        """
        return jwt.encode({"typ": "question", "sub": question_id}, self._key(0, "question"), algorithm=_ALGORITHM)

    def question_of(self, token: str) -> str | None:
        """Return the question of this token, or None when it is not one of ours."""
        claims = self._claims(token, "question")
        return claims["sub"] if claims and is_id(claims.get("sub")) else None

    def reservation_token(self, chat_id: str, department: str) -> str:
        """Return the token of a form that reserves a slot of this department for a chat that may be started later."""
        claims = {"typ": "reservation", "sub": chat_id, "dep": department}
        return jwt.encode(claims, self._key(0, "reservation"), algorithm=_ALGORITHM)

    def reservation_of(self, token: str) -> tuple[str, str] | None:
        """Return the chat and the department of a reservation's token, or None when it is not one of ours."""
        claims = self._claims(token, "reservation")
        return (claims["sub"], str(claims.get("dep", ""))) if claims and is_id(claims.get("sub")) else None

    def service_token(self, service: str, actor: Actor | None = None) -> str:
        """Return a token with which `service` can send requests to another one for two minutes."""
        claims: dict[str, Any] = {"typ": "service", "iss": service, "exp": _now() + SERVICE_TOKEN_LIFE}
        if actor:
            claims["act"] = actor.model_dump()
        return jwt.encode(claims, self._key(0, "service"), algorithm=_ALGORITHM)

    def service_of(self, token: str) -> tuple[str, Actor | None] | None:
        """Return which service sends the request, and for whom; None when the token is not valid (any more)."""
        claims = self._claims(token, "service")
        if not claims or claims.get("exp", 0) <= _now():
            return None
        actor = Actor.model_validate(claims["act"]) if "act" in claims else None
        return str(claims.get("iss", "")), actor

    def device_token(self, account: str, device: str) -> str:
        """Return a token that records that this browser has logged this account in. It gives no access by itself."""
        claims = {"typ": "device", "sub": account, "jti": device, "exp": _now() + DEVICE_TOKEN_LIFE}
        return jwt.encode(claims, self._key(0, "device"), algorithm=_ALGORITHM)

    def device_of(self, token: str) -> tuple[str, str] | None:
        """Return the account and the browser of a device token; None when it is not one of ours, or too old."""
        claims = self._claims(token, "device")
        if not claims or claims.get("exp", 0) <= _now():
            return None
        return str(claims.get("sub", "")), str(claims.get("jti", ""))

    def digest(self, purpose: str, text: str) -> bytes:
        """Return 32 bytes that only a holder of the secret can derive from `text`; they differ for each purpose."""
        return hmac.digest(self._key(0, purpose), text.encode("utf-8", "surrogatepass"), "sha256")

    def derived(self, purpose: str) -> list[bytes]:
        """Return the keys of 32 bytes for this purpose: that of the present secret, then that of the previous one."""
        return [self._key(index, purpose) for index in range(len(self._secrets))]

    def _key(self, index: int, purpose: str) -> bytes:
        return hmac.digest(self._secrets[index], b"eloket/" + purpose.encode(), "sha256")

    def _claims(self, token: str, purpose: str) -> dict[str, Any] | None:
        for index in range(len(self._secrets)):
            try:
                claims: dict[str, Any] = jwt.decode(token, self._key(index, purpose), [_ALGORITHM], _OPTIONS)
            except (jwt.PyJWTError, UnicodeError):
                continue
            if claims.get("typ") == purpose:
                return claims
        return None


def _now() -> int:
    return int(utcnow().timestamp())
