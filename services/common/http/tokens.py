"""Chat tokens and service tokens: signed with keys that are derived for one purpose each from `TOKEN_SECRET`.

JWT with HMAC-SHA256 (RFC 7519, RFC 7518 §3.2); a key for each purpose (NIST SP 800-108 in spirit: HMAC of a label), so
that no token of one kind is ever accepted as another. While secrets rotate, the previous one is still accepted.
"""

from __future__ import annotations

import hmac
from typing import Any

import jwt

from services.common.clock import utcnow
from services.common.events.types import Record, is_id

_ALGORITHM = "HS256"
_OPTIONS: Any = {"verify_exp": False}  # by our own clock, not by the machine's
SERVICE_TOKEN_LIFE = 120  # seconds
DEVICE_TOKEN_LIFE = 180 * 24 * 3600  # seconds


class Actor(Record):
    """On whose behalf a gateway asks: the citizen of one chat, or an agent. `id`: the chat's or the agent's id.

    `departments`: those of the agent; None: asked by a gateway of before 1.2.
    """

    party: str
    id: str
    supervisor: bool = False
    departments: list[str] | None = None


class Keys:
    """Signs with the present secret; verifies with the present and the previous one."""

    def __init__(self, secret: str, previous: str = "") -> None:
        self._secrets = [s.encode() for s in (secret, previous) if s]

    def chat_token(self, chat_id: str) -> str:
        """The bearer token of one chat: the same each time it is asked for.

        It has no time in it: it ends `CITIZEN_ACCESS` after the chat does, which only those who keep the chat can tell.
        """
        return jwt.encode({"typ": "chat", "sub": chat_id}, self._key(0, "chat"), algorithm=_ALGORITHM)

    def chat_of(self, token: str) -> str | None:
        """The chat that this token is for, or None when it is not one of ours."""
        claims = self._claims(token, "chat")
        return claims["sub"] if claims and is_id(claims.get("sub")) else None

    def service_token(self, service: str, actor: Actor | None = None) -> str:
        """A token with which `service` asks another one, for two minutes."""
        claims: dict[str, Any] = {"typ": "service", "iss": service, "exp": _now() + SERVICE_TOKEN_LIFE}
        if actor:
            claims["act"] = actor.model_dump()
        return jwt.encode(claims, self._key(0, "service"), algorithm=_ALGORITHM)

    def service_of(self, token: str) -> tuple[str, Actor | None] | None:
        """Which service asks, and for whom; None when the token is not valid (any more)."""
        claims = self._claims(token, "service")
        if not claims or claims.get("exp", 0) <= _now():
            return None
        actor = Actor.model_validate(claims["act"]) if "act" in claims else None
        return str(claims.get("iss", "")), actor

    def device_token(self, account: str, device: str) -> str:
        """A token that says that this browser has logged this account in; it opens nothing by itself."""
        claims = {"typ": "device", "sub": account, "jti": device, "exp": _now() + DEVICE_TOKEN_LIFE}
        return jwt.encode(claims, self._key(0, "device"), algorithm=_ALGORITHM)

    def device_of(self, token: str) -> tuple[str, str] | None:
        """The account and the browser of a device token; None when it is not one of ours, or too old."""
        claims = self._claims(token, "device")
        if not claims or claims.get("exp", 0) <= _now():
            return None
        return str(claims.get("sub", "")), str(claims.get("jti", ""))

    def digest(self, purpose: str, text: str) -> bytes:
        """32 bytes that only a holder of the secret can derive from `text`; other for each purpose."""
        return hmac.digest(self._key(0, purpose), text.encode("utf-8", "surrogatepass"), "sha256")

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
