"""Public keys of clients of the read API: what the integrations file has of them, and what each of them has signed.

The package `cryptography` is imported where a client has a key, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt

from services.common.lazy_cryptography import KeyAlgorithm, allow_cryptography

LEAST_RSA, MOST_RSA = 3_072, 8_192  # bits: at least 128 bits of security, at most some milliseconds
_PART = 32  # bytes of each of the two numbers of a signature with P-256 (RFC 7518 section 3.4)
Check = Callable[[bytes, bytes], None]
"""Takes a signature and what is signed. Raises `InvalidSignature`."""


class _Verifying:
    """A key that verifies in one way alone."""

    def __init__(self, check: Check) -> None:
        self.verify = check


class ClientKey:
    """A public key, with the one algorithm that it verifies. The key decides on it, not the header of what is signed.

    Attributes:
        name: The algorithm (RFC 7518 section 3.1, RFC 8037).
    """

    def __init__(self, name: str, check: Check) -> None:
        """Use a key, whose signatures `check` checks."""
        self.name = name
        self._key: Any = _Verifying(check)
        self._jws = jwt.PyJWS(algorithms=[])
        self._jws.register_algorithm(name, KeyAlgorithm())

    def has_signed(self, token: str) -> bool:
        """Return whether this JWS in its compact form names the algorithm of the key and is signed with it."""
        try:
            self._jws.decode_complete(token, self._key, algorithms=[self.name])
        except (jwt.PyJWTError, ValueError):
            return False
        return True


def client_key(pem: str) -> ClientKey:
    """Return the key that this text has: Ed25519 for EdDSA, P-256 for ES256, RSA for PS256.

    Raises:
        ValueError: It is no public key in PEM, of another kind, or too weak. The message quotes nothing of it.
    """
    allow_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if "PRIVATE" in pem:
        raise ValueError("has a private key: give the public one, and keep the other one with the client")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is no public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
    if isinstance(key, Ed25519PublicKey):
        return ClientKey("EdDSA", key.verify)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return ClientKey("ES256", _es256(key))
    if isinstance(key, RSAPublicKey) and LEAST_RSA <= key.key_size <= MOST_RSA:
        return ClientKey("PS256", _ps256(key))
    raise ValueError(f"is no key of Ed25519 or P-256, and no RSA key of {LEAST_RSA} to {MOST_RSA} bits")


def is_client_key(pem: str) -> str:
    """Return the text, for a model.

    Raises:
        ValueError: As `client_key`.
    """
    client_key(pem)
    return pem


def _es256(key: Any) -> Check:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    def check(signature: bytes, signed: bytes) -> None:
        if len(signature) != 2 * _PART:
            raise InvalidSignature
        numbers = (int.from_bytes(part, "big") for part in (signature[:_PART], signature[_PART:]))
        key.verify(encode_dss_signature(*numbers), signed, ECDSA(SHA256()))

    return check


def _ps256(key: Any) -> Check:
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.hashes import SHA256

    def check(signature: bytes, signed: bytes) -> None:
        key.verify(signature, signed, PSS(MGF1(SHA256()), SHA256.digest_size), SHA256())

    return check
