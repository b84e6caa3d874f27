"""The private key with which the ends of chats are signed, and the public keys that are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.common.evidence import chain
from services.common.lazy_cryptography import allow_cryptography


class Signer:
    """Signs statements with an Ed25519 key (RFC 8032)."""

    def __init__(self, private_key: bytes) -> None:
        """Use this private key of 32 bytes.

        Entry points of services prevent the import of `cryptography`, which PyJWT would load where it is installed
        (`services/common/runtime/without_cryptography.py`). It is imported here because there is a key.
        """
        allow_cryptography()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.public_key = self._key.public_key().public_bytes_raw()
        self.kid = chain.kid_of(self.public_key)

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """Return the signature of this statement."""
        return self._key.sign(chain.signed_bytes(statement))


def published(signer: Signer | None, former: Sequence[bytes]) -> list[bytes]:
    """Return all public keys, the present one first."""
    present = [signer.public_key] if signer else []
    return [*present, *(key for key in former if key not in present)]
