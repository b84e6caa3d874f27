"""Signed tokens of services: JWT with Ed25519 (RFC 7519, RFC 8037), each with the id of its key and its audience.

A service signs with a private key of its own and holds nothing but public keys of the others, so a service that was
taken over cannot speak for another one. What a token is for is in its header `typ` (RFC 8725 section 3.11) and is
checked with its issuer and its audience: a token of one purpose is never accepted for another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import orjson

from services.common.clock import utcnow
from services.common.evidence import chain
from services.common.lazy_cryptography import KeyAlgorithm, allow_cryptography
from services.common.lru import LruCache

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OWNERS = ("gateway", "presence", "operator")
"""Who signs tokens: the gateway for itself and its citizens, presence for agents, the operator's commands."""

ALGORITHM = "EdDSA"
MOST_TOKEN = 16_384  # characters: that of an agent names their departments; the head of a request has room for two
REMEMBERED = 1_000  # verified tokens: a verification costs 170 µs, a lookup 1


@dataclass(frozen=True)
class PublicKey:
    """A public key of 32 bytes, and whose it is."""

    owner: str
    key: bytes


def parse_public_keys(value: str) -> list[PublicKey]:
    """Return the keys of a list such as `gateway:11qYAY…,presence:3p7bf…`. An owner may have several.

    Raises:
        ValueError: It is no such list. The message quotes no key.
    """
    found = []
    for part in (part.strip() for part in value.split(",") if part.strip()):
        owner, _, text = part.partition(":")
        key = chain.decoded(text)
        if owner not in OWNERS or key is None or len(key) != 32:
            raise ValueError(
                f"is not a list such as gateway:KEY,presence:KEY, with owners of {', '.join(OWNERS)} and keys of 43 "
                "characters (make token-keys)"
            )
        found.append(PublicKey(owner, key))
    return found


class KeyRing:
    """The private key of one service, if it signs, and the public keys of all that do."""

    def __init__(self, service: str, private_key: bytes | None, public_keys: Collection[PublicKey]) -> None:
        """Load the keys.

        Entry points of services prevent the import of `cryptography` by PyJWT
        (`services/common/runtime/without_cryptography.py`). Its Ed25519 is imported here, where there are keys.

        Args:
            service: The name of the service.
            private_key: Its 32 bytes; None: it signs nothing.
            public_keys: Those of all services that sign. The own one is added.
        """
        allow_cryptography()
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self.service = service
        self._private: Ed25519PrivateKey | None = None
        self._kid = ""
        known = {chain.kid_of(one.key): one for one in public_keys}
        if private_key is not None:
            self._private = ed25519.Ed25519PrivateKey.from_private_bytes(private_key)
            own = PublicKey(service, self._private.public_key().public_bytes_raw())
            self._kid = chain.kid_of(own.key)
            known[self._kid] = own
        self._public = {
            kid: (one.owner, ed25519.Ed25519PublicKey.from_public_bytes(one.key)) for kid, one in known.items()
        }
        self._jws = jwt.PyJWS(algorithms=[])
        self._jws.register_algorithm(ALGORITHM, KeyAlgorithm())
        self._verified = LruCache[tuple[str, dict[str, Any]]](REMEMBERED)

    @property
    def signs(self) -> bool:
        """Whether the service has a private key."""
        return self._private is not None

    def sign(self, purpose: str, audience: str | list[str], claims: Mapping[str, Any]) -> str:
        """Return a token with these claims. The same claims give the same token (RFC 8032 is deterministic)."""
        assert self._private is not None, "checked by `signs`"
        payload = orjson.dumps({"iss": self.service, "aud": audience, **claims})
        headers = {"kid": self._kid, "typ": f"{purpose}+jwt"}
        return self._jws.encode(payload, self._private, algorithm=ALGORITHM, headers=headers)

    def verify(self, token: str, purpose: str, audience: str, issuers: Collection[str]) -> dict[str, Any] | None:
        """Return the claims of a token that is for this purpose and audience and of one of these issuers.

        Returns:
            None for every other token, and for one that has expired. A key that is not known (any more), or that is
            another service's than `iss` names, makes none valid.
        """
        found = self._verified.get(token) or self._read(token)
        if found is None:
            return None
        kind, claims = found
        aud, exp = claims.get("aud"), claims.get("exp")
        expired = "exp" in claims and (not isinstance(exp, int) or exp <= utcnow().timestamp())
        if kind != f"{purpose}+jwt" or claims["iss"] not in issuers:
            return None
        if audience not in (aud if isinstance(aud, list) else [aud]):
            return None
        return None if expired else claims

    def _read(self, token: str) -> tuple[str, dict[str, Any]] | None:
        """Return what a token with a valid signature is for, and its claims."""
        if len(token) > MOST_TOKEN:
            return None
        try:
            header = self._jws.get_unverified_header(token)
            owner, key = self._public.get(header.get("kid", ""), ("", None))
            if key is None:
                return None
            decoded = self._jws.decode_complete(token, key, algorithms=[ALGORITHM])
            claims = orjson.loads(decoded["payload"])
        except (jwt.PyJWTError, UnicodeError, ValueError):
            return None
        if not isinstance(claims, dict) or claims.get("iss") != owner:
            return None
        found = str(header.get("typ", "")), claims
        self._verified.set(token, found)
        return found
