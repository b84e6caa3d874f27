"""Private keys with which this service authenticates at an issuer: `private_key_jwt` (OpenID Connect Core 1.0 §9).

The issuer reads the public keys at a route of the gateway, as a JWK set (RFC 7517). The first key signs; the others are
published only, so that a key can be replaced while logins go on (docs/rotation.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key

from services.common.config.toml_file import ConfigurationError

FILE = "file:"
MOST_BYTES = 64 * 1024  # of a file with keys
ASSERTION_LIFE = 60  # seconds; an issuer accepts each assertion once (RFC 7523 §3)
LEAST_RSA, LEAST_STRONG_RSA = 2_048, 3_072  # bits
EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
STRONG_RSA_ALGORITHMS = ("PS256", "PS384", "PS512")
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", *STRONG_RSA_ALGORITHMS)
PUBLIC_MEMBERS = ("kty", "n", "e", "crv", "x", "y")
_PEM = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.+?-----END \1PRIVATE KEY-----", re.DOTALL)
_NO_KEY = (JoseError, ValueError, TypeError, UnsupportedAlgorithm)


class _Unfit(Exception):
    """Why a key cannot be used. The message never has a part of it."""


@dataclass(frozen=True)
class ClientKey:
    """A private key, its id and the algorithm that it signs with."""

    key: RSAKey | ECKey
    kid: str
    algorithm: str

    def public(self) -> dict[str, str]:
        """Return the public key as a JWK."""
        members = self.key.as_dict(private=False)
        shown = {name: str(members[name]) for name in PUBLIC_MEMBERS if name in members}
        return {**shown, "kid": self.kid, "use": "sig", "alg": self.algorithm}


@dataclass(frozen=True)
class ClientKeys:
    """The keys of one client, the one that signs first."""

    keys: tuple[ClientKey, ...]

    def public(self) -> list[dict[str, str]]:
        """Return the public keys, that of the key that signs first."""
        return [one.public() for one in self.keys]

    def authentication(self, audience: str, now: int) -> PrivateKeyJWT:
        """Return the authentication of one request, with an assertion of its own (RFC 7523 §2.2).

        Args:
            audience: What the issuer expects as `aud`.
            now: The present, in seconds since the epoch.
        """
        signing = self.keys[0]
        claims = {"iat": now, "exp": now + ASSERTION_LIFE}
        return PrivateKeyJWT(audience, claims, {"kid": signing.kid, "typ": "JWT"}, signing.algorithm)


def read_client_keys(setting: str, value: str, strong: bool = False) -> ClientKeys | None:
    """Return the keys of a setting; None when it is empty.

    Args:
        setting: The name of the setting, for errors.
        value: Private keys in PEM, one after the other; or a JWK or a JWK set; or `file:` and the path of a file with
            these.
        strong: Whether RSA keys have at least 3,072 bits, and sign by PSS.

    Raises:
        ConfigurationError: There is no key, or one of them is unfit. The message has no part of a key.
    """
    if not value.strip():
        return None
    try:
        text = _text(value.strip())
        keys = tuple(_found(text, strong))
        if not keys:
            raise _Unfit("has no private key in PEM, and is no JWK set")
        if len({one.kid for one in keys}) < len(keys):
            raise _Unfit("has two keys with the same id")
    except _Unfit as unfit:
        raise ConfigurationError(f"{setting}: {unfit}.") from None
    return ClientKeys(keys)


def _found(text: str, strong: bool) -> Iterator[ClientKey]:
    if text.startswith("{"):
        yield from (_jwk(one, strong) for one in _jwks(text))
    else:
        yield from (_pem(one, strong) for one in _pems(text))


def _text(value: str) -> str:
    if not value.startswith(FILE):
        return value
    path = Path(value.removeprefix(FILE))
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise _Unfit(f"{path} has more than {MOST_BYTES} bytes")
        return content.decode("utf-8").strip()
    except OSError as error:
        raise _Unfit(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _Unfit(f"{path} is not a text") from None


def _pems(text: str) -> list[str]:
    return [found.group() for found in _PEM.finditer(text)]


def _pem(text: str, strong: bool) -> ClientKey:
    for kind in (RSAKey, ECKey):
        try:
            return _fit(kind.import_key(text), {}, strong)
        except _NO_KEY:
            continue
    raise _Unfit("has a key that is neither RSA nor EC, or is encrypted")


def _jwks(text: str) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        raise _Unfit("is not JSON") from None
    keys = found.get("keys", [found])
    if not isinstance(keys, list) or not all(isinstance(one, dict) for one in keys):
        raise _Unfit("is not a JWK set")
    return keys


def _jwk(members: Mapping[str, Any], strong: bool) -> ClientKey:
    try:
        key = import_key(dict(members))
    except _NO_KEY:
        raise _Unfit("has a JWK that is not valid") from None
    if not isinstance(key, RSAKey | ECKey):
        raise _Unfit("has a JWK that is neither RSA nor EC")
    return _fit(key, members, strong)


def _fit(key: RSAKey | ECKey, members: Mapping[str, Any], strong: bool) -> ClientKey:
    """Return the key with its id and its algorithm: those of its JWK, or the thumbprint (RFC 7638) and the usual one.

    Raises:
        _Unfit: It is a public key, too short, or its JWK is for something else.
    """
    if not key.is_private:
        raise _Unfit("has a public key: give the private one")
    if members.get("use", "sig") != "sig":
        raise _Unfit("has a JWK that is not for signatures")
    if isinstance(key, RSAKey):
        least = LEAST_STRONG_RSA if strong else LEAST_RSA
        if key.raw_value.key_size < least:
            raise _Unfit(f"has an RSA key of less than {least} bits")
        fitting: tuple[str, ...] = STRONG_RSA_ALGORITHMS if strong else RSA_ALGORITHMS
    else:
        fitting = tuple(name for curve, name in EC_ALGORITHMS.items() if key.curve_name == curve)
        if not fitting:
            raise _Unfit(f"has an EC key of another curve than {', '.join(EC_ALGORITHMS)}")
    algorithm, kid = members.get("alg", fitting[0]), members.get("kid") or key.thumbprint()
    if algorithm not in fitting or not isinstance(kid, str):
        raise _Unfit("has a JWK whose `alg` or `kid` does not fit")
    return ClientKey(key, kid, algorithm)
