"""The import of the package `cryptography` where it is needed, and what PyJWT then needs to use its keys.

Entry points of services prevent it (`services/common/runtime/without_cryptography.py`), because PyJWT would load all of
it in each process.
"""

from __future__ import annotations

import sys
from typing import Any

from jwt.algorithms import Algorithm
from jwt.exceptions import InvalidKeyError


def allow_cryptography() -> None:
    """Let `cryptography` be imported from now on. PyJWT, which is loaded by then, goes on without it."""
    if sys.modules.get("cryptography", sys) is None:
        del sys.modules["cryptography"]


class KeyAlgorithm(Algorithm):
    """An algorithm for PyJWT, which has it only where it may import `cryptography` as a whole, for 2 MB more.

    A key signs by `sign(message)` and verifies by `verify(signature, message)`, which raises `InvalidSignature`.
    """

    def prepare_key(self, key: Any) -> Any:
        """Return the key: it is loaded."""
        return key

    def sign(self, msg: bytes, key: Any) -> bytes:
        """Return the signature of a message."""
        signature: bytes = key.sign(msg)
        return signature

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        """Return whether the key has signed the message."""
        from cryptography.exceptions import InvalidSignature

        try:
            key.verify(sig, msg)
        except InvalidSignature:
            return False
        return True

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> Any:
        """Refuse: no key leaves as JWK."""
        raise InvalidKeyError("these keys are not exchanged as JWK")

    @staticmethod
    def from_jwk(jwk: Any) -> Any:
        """Refuse: no key comes as JWK."""
        raise InvalidKeyError("these keys are not exchanged as JWK")
