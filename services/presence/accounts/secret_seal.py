"""Encryption of the secrets of one-time passwords in the database (AES-256-GCM, NIST SP 800-38D). No I/O.

A sealed secret is `sealed.<id of the key>.<base64url of nonce and ciphertext>`. It is valid for one username: nobody
who can write to the database gives an account the secret of another one. No secret in base32 has a dot, so a release
that knows no sealed secrets refuses such a text, and never takes the account for one without a second factor.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence

from services.presence.agents import totp

_NONCE = 12  # bytes
_KEY_ID = 8  # hexadecimal digits


class SecretSeal:
    """Seals with the first of its keys, and opens with each of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Prepare the keys: 32 bytes each, the newest first; at least one."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # only where accounts are in the database

        self._keys = {_id_of(key): AESGCM(key) for key in keys}
        self._newest = _id_of(keys[0])

    def close(self, secret: str, username: str) -> str:
        """Return the sealed secret of this account. One that could not be opened stays as it is."""
        if totp.is_sealed(secret):
            return secret
        nonce = secrets.token_bytes(_NONCE)
        ciphertext = self._keys[self._newest].encrypt(nonce, secret.encode(), _bound_to(username))
        text = base64.urlsafe_b64encode(nonce + ciphertext).decode().rstrip("=")
        return f"{totp.SEALED}{self._newest}.{text}"

    def open(self, stored: str, username: str) -> str:
        """Return the secret of a stored text, which may be in clear; the text as it is when no key opens it."""
        from cryptography.exceptions import InvalidTag

        if not totp.is_sealed(stored):
            return stored
        key_id, _, text = stored.removeprefix(totp.SEALED).partition(".")
        key = self._keys.get(key_id)
        if key is None:
            return stored
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return key.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(username)).decode()
        except (InvalidTag, ValueError, binascii.Error):
            return stored

    def is_newest(self, stored: str) -> bool:
        """Return whether this text is sealed with the newest key."""
        return stored.startswith(f"{totp.SEALED}{self._newest}.")


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"eloket/id of a key of second factors" + key).hexdigest()[:_KEY_ID]


def _bound_to(username: str) -> bytes:
    return b"totp " + username.encode()
