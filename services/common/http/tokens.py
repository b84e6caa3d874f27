"""Tokens: of chats, questions, reservations, devices, agents, clients, and of requests between services.

They are JWT (RFC 7519). Where there is a `KeyRing` they are signed with Ed25519: by the gateway for itself and its
citizens, by presence for agents. Without one, and for the time of an update from version 1.1, they are signed with
HMAC-SHA256 (RFC 7518 section 3.2) by keys that are derived from `TOKEN_SECRET`, one for each purpose (HMAC of a label,
as in NIST SP 800-108). A token of one kind is never accepted as another (decision 52).
"""

from __future__ import annotations

import hmac
import sys
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal

import jwt
from pydantic import Field

from services.common.clock import utcnow
from services.common.events.types import Record, is_id
from services.common.http.key_ring import KeyRing
from services.common.lru import LruCache

_ALGORITHM = "HS256"
_OPTIONS: Any = {"verify_exp": False}  # checked by our own clock, not the machine's
SERVICE_TOKEN_LIFE = 120  # seconds
SIGNED_AGAIN = 30  # seconds for which a service token without a participant is sent again
DEVICE_TOKEN_LIFE = 180 * 24 * 3600  # seconds
CLIENT_TOKEN_LIFE = 600  # seconds
CLIENT_AUDIENCE = "eloket-chat/api/integration"
AGENT_TOKEN_LIFE = 900  # seconds
CHAT_LIFE = 7 * 24 * 3600  # seconds: the longest chat that a token lasts for, beside the time after its end
QUESTION_LIFE = 3600  # seconds for which files are added to a question that was left
RESERVATION_LIFE = 1_200  # seconds: a slot is reserved for ten minutes in all, and a press is repeated for ten more
HOUR = 3600
GATEWAY, PRESENCE, OPERATOR = "gateway", "presence", "operator"
SERVICES = ("presence", "routing", "transcripts")  # that the gateway and the operator's commands send requests to

Stage = Literal["verify", "sign", "only"]
"""Of the change from the secret to keys: keys verify only; keys sign, and both verify; keys alone."""


class Actor(Record):
    """For whom a gateway sends a request: the citizen of one chat or of one question, an agent, or a client.

    Attributes:
        party: `citizen`, `agent`, `asker`: the citizen who left a question without a chat; or `client`: a client of the
            read API.
        id: The id of the chat, the agent, the question or the client.
        supervisor: Whether the agent is a supervisor.
        departments: Departments of the agent; of a client those of its token, or `*`. None: requested by a gateway
            before version 2.0.
        by_code: Whether a citizen has a download code that is valid. It replaces the limit of time after the chat's
            end, and gives no right but to read.
        source: The address from which an agent or a client asks, for the access log.
        reason: Why an agent asks, when they said so, for the access log.
    """

    party: str
    id: str
    supervisor: bool = False
    departments: list[str] | None = None
    by_code: bool = False
    source: str | None = None
    reason: str | None = None


class Agent(Record):
    """The agent or officer whom presence has identified for a request.

    Attributes:
        id: Their id.
        supervisor: Whether they are a supervisor.
        departments: Their departments.
        role: That of an officer, who is no agent.
    """

    id: str
    supervisor: bool = False
    departments: list[str] = Field(default_factory=list)
    role: str | None = None


class Keys:
    """Signs and verifies tokens.

    Of `TOKEN_SECRET` the present one signs, and the present and the previous one verify.

    Attributes:
        access: For how many seconds a chat's token opens the chat after its end (`CITIZEN_ACCESS`).
        knows_keys: Whether there are keys of services.
        requires_keys: Whether tokens that the secret signs are refused.
    """

    def __init__(
        self,
        secret: str,
        previous: str = "",
        ring: KeyRing | None = None,
        stage: Stage = "sign",
        access: float = 48 * 3600.0,
    ) -> None:
        """Prepare the keys.

        Args:
            secret: `TOKEN_SECRET`.
            previous: The one before it, while it is replaced.
            ring: The keys of services; None: tokens are signed with the secret.
            stage: How far the change from the secret to the keys has come.
            access: `CITIZEN_ACCESS`, in seconds.
        """
        self._secrets = [s.encode() for s in (secret, previous) if s]
        self._ring, self.access = ring, access
        self._signs = ring is not None and ring.signs and stage != "verify"
        self.knows_keys = ring is not None
        self.requires_keys = ring is not None and stage == "only"
        self._sent = LruCache[tuple[str, int]](len(SERVICES))

    def chat_token(self, chat_id: str, opened_at: datetime | None = None, department: str | None = None) -> str:
        """Return the bearer token of one chat, opened then, which was started in this department.

        It is the same each time. It has the department because a chat may go to another one, whose list of origins does
        not apply to it (decision 69).

        It expires `CHAT_LIFE` and `CITIZEN_ACCESS` after the opening, rounded up to an hour so that replicas whose
        clocks differ make the same one. The services that store the chat end it earlier: `CITIZEN_ACCESS` after the
        end of the chat, and when it is revoked (decision 57).
        """
        more = {"dep": department} if department is not None else {}
        return self._citizens("chat", chat_id, _hour_after(opened_at, CHAT_LIFE + self.access), **more)

    def chat_of(self, token: str) -> str | None:
        """Return the chat of this token, or None when it is not one of ours."""
        found = self.started_chat_of(token)
        return found[0] if found else None

    def started_chat_of(self, token: str) -> tuple[str, str | None] | None:
        """Return the chat of this token and the department in which it was started; None when it is not one of ours.

        A token of a release before 2.0 has no department.
        """
        claims = self._claims(token, "chat", GATEWAY, (GATEWAY,))
        if not claims or not is_id(claims.get("sub")):
            return None
        department = claims.get("dep")
        return claims["sub"], department if isinstance(department, str) else None

    def question_token(self, question_id: str, left_at: datetime | None = None) -> str:
        """Return the bearer token with which files are added to one question, left then. It is the same each time.

        It expires `QUESTION_LIFE` after that, rounded up to an hour as that of a chat. The service that stores the
        question ends it on time.
        """
        return self._citizens("question", question_id, _hour_after(left_at, QUESTION_LIFE))

    def question_of(self, token: str) -> str | None:
        """Return the question of this token, or None when it is not one of ours."""
        return self._id_of(token, "question")

    def reservation_token(self, chat_id: str, department: str) -> str:
        """Return the token of a form that reserves a slot of this department for a chat that may be started later.

        It expires after `RESERVATION_LIFE`; each renewal of the reservation makes another one. Presence ends the
        reservation earlier.
        """
        return self._citizens("reservation", chat_id, _now() + RESERVATION_LIFE, dep=department)

    def reservation_of(self, token: str) -> tuple[str, str] | None:
        """Return the chat and the department of a reservation's token, or None when it is not one of ours."""
        claims = self._claims(token, "reservation", GATEWAY, (GATEWAY,))
        return (claims["sub"], str(claims.get("dep", ""))) if claims and is_id(claims.get("sub")) else None

    def service_token(self, service: str, actor: Actor | None = None, audience: str = "") -> str:
        """Return a token with which `service` can send requests to another one for two minutes.

        Args:
            service: The sender.
            actor: The participant for whom it asks.
            audience: The service that is asked.
        """
        now = _now()
        if self._signs and actor is None and (sent := self._sent.get(audience)) and now - sent[1] < SIGNED_AGAIN:
            return sent[0]
        claims: dict[str, Any] = {"exp": now + SERVICE_TOKEN_LIFE}
        if actor:
            claims["act"] = actor.model_dump()
        if not (self._signs and self._ring):
            return self._encode("service", {"iss": service, **claims})
        token = self._ring.sign("service", audience, claims)
        if actor is None:
            self._sent.set(audience, (token, now))
        return token

    def service_of(self, token: str, audience: str = "") -> tuple[str, Actor | None] | None:
        """Return which service sends the request, and for whom; None when the token is not valid (any more).

        `audience`: the service that is asked.
        """
        claims = self._claims(token, "service", audience, (GATEWAY, OPERATOR))
        if not claims or claims.get("exp", 0) <= _now():
            return None
        actor = Actor.model_validate(claims["act"]) if "act" in claims else None
        return str(claims.get("iss", "")), actor

    def agent_token(self, agent: Agent) -> str | None:
        """Return what presence says of an agent: who they are, for the services that the gateway asks for them.

        It is valid for `AGENT_TOKEN_LIFE`. None where presence has no key: then the gateway is believed.
        """
        if not (self._signs and self._ring):
            return None
        claims = {"sub": agent.id, "act": agent.model_dump(exclude={"id"}), "exp": _now() + AGENT_TOKEN_LIFE}
        return self._ring.sign("agent", list(SERVICES), claims)

    def agent_of(self, token: str, audience: str) -> Agent | None:
        """Return the agent whom presence has identified; None when it has not, or not lately enough."""
        claims = self._ring.verify(token, "agent", audience, (PRESENCE,)) if self._ring else None
        if not claims or claims.get("exp", 0) <= _now():
            return None
        return Agent.model_validate({"id": claims.get("sub"), **claims.get("act", {})})

    def device_token(self, account: str, device: str) -> str:
        """Return a token that records that this browser has logged this account in. It gives no access by itself."""
        claims = {"sub": account, "jti": device, "exp": _now() + DEVICE_TOKEN_LIFE}
        if self._signs and self._ring:
            return self._ring.sign("device", PRESENCE, claims)
        return self._encode("device", claims)

    def device_of(self, token: str) -> tuple[str, str] | None:
        """Return the account and the browser of a device token; None when it is not one of ours, or too old."""
        claims = self._claims(token, "device", PRESENCE, (PRESENCE,))
        if not claims or claims.get("exp", 0) <= _now():
            return None
        return str(claims.get("sub", "")), str(claims.get("jti", ""))

    def client_token(self, client_id: str, scopes: Sequence[str]) -> str:
        """Return an access token with which a client of the read API reads within these scopes, for ten minutes."""
        claims = {"sub": client_id, "scope": " ".join(scopes), "exp": _now() + CLIENT_TOKEN_LIFE}
        if self._signs and self._ring:
            return self._ring.sign("client", CLIENT_AUDIENCE, claims)
        return self._encode("client", {**claims, "aud": CLIENT_AUDIENCE})

    def client_of(self, token: str) -> tuple[str, frozenset[str]] | None:
        """Return the client of an access token and its scopes; None when the token is not valid (any more)."""
        claims = self._claims(token, "client", CLIENT_AUDIENCE, (GATEWAY,))
        if not claims or claims.get("exp", 0) <= _now():
            return None
        return str(claims.get("sub", "")), frozenset(str(claims.get("scope", "")).split())

    def digest(self, purpose: str, text: str) -> bytes:
        """Return 32 bytes that only a holder of the secret can derive from `text`; they differ for each purpose."""
        return hmac.digest(self._key(0, purpose), text.encode("utf-8", "surrogatepass"), "sha256")

    def derived(self, purpose: str) -> list[bytes]:
        """Return the keys of 32 bytes for this purpose: that of the present secret, then that of the previous one."""
        return [self._key(index, purpose) for index in range(len(self._secrets))]

    def _key(self, index: int, purpose: str) -> bytes:
        return hmac.digest(self._secrets[index], b"eloket/" + purpose.encode(), "sha256")

    def _citizens(self, purpose: str, subject: str, exp: int, **more: str) -> str:
        """Return a token that the gateway gives to a citizen and takes back itself, until `exp`."""
        claims: dict[str, Any] = {"sub": subject, **more, "exp": exp}
        if self._signs and self._ring:
            return self._ring.sign(purpose, GATEWAY, claims)
        return self._encode(purpose, claims)

    def _id_of(self, token: str, purpose: str) -> str | None:
        claims = self._claims(token, purpose, GATEWAY, (GATEWAY,))
        return claims["sub"] if claims and is_id(claims.get("sub")) else None

    def _encode(self, purpose: str, claims: dict[str, Any]) -> str:
        return jwt.encode({"typ": purpose, **claims}, self._key(0, purpose), algorithm=_ALGORITHM)

    def _claims(self, token: str, purpose: str, audience: str, issuers: Collection[str]) -> dict[str, Any] | None:
        if self._ring and (found := self._ring.verify(token, purpose, audience, issuers)):
            return found
        return None if self.requires_keys else self._claims_by_secret(token, purpose)

    def _claims_by_secret(self, token: str, purpose: str) -> dict[str, Any] | None:
        audience = CLIENT_AUDIENCE if purpose == "client" else None  # the others name none
        for index in range(len(self._secrets)):
            try:
                key = self._key(index, purpose)
                claims: dict[str, Any] = jwt.decode(token, key, [_ALGORITHM], _OPTIONS, audience=audience)
            except (jwt.PyJWTError, UnicodeError):
                continue
            if claims.get("typ") == purpose:
                return None if _is_over(claims) else claims
        return None


def _is_over(claims: dict[str, Any]) -> bool:
    """Return whether a token has expired.

    One of a citizen that an earlier release has signed may have no end of its own: the end of what it opens is its end.
    """
    exp = claims.get("exp", sys.maxsize)
    return not isinstance(exp, int) or exp <= _now()


def _hour_after(at: datetime | None, seconds: float) -> int:
    """Return the first full hour that is more than so many seconds after this moment (None: the present)."""
    return int((at or utcnow()).timestamp() + seconds) // HOUR * HOUR + HOUR


def _now() -> int:
    return int(utcnow().timestamp())
