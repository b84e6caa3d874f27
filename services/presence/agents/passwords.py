"""Passwords of agents: argon2 hashes, which are computed in threads.

A letter with an accent has two spellings in Unicode, and keyboards of different systems send different ones. Passwords
are therefore hashed in normalisation form C (NIST SP 800-63B, 3.1.1.2). A hash of an earlier release may be of the
other spelling, so that one is tried too.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import unicodedata

import argon2

AT_ONCE = 2  # hashes at a time: each takes 19 MiB and a core


def fingerprint(password_hash: str) -> str:
    """Return what a session stores of its password. The session ends when the account's password changes."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:32]


class Passwords:
    """Password hashes: argon2id with the second recommended parameters of OWASP's Password Storage Cheat Sheet."""

    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._nobodys = self._hasher.hash(secrets.token_hex())

    async def hash(self, password: str, salt: bytes | None = None) -> str:
        """Return the argon2 hash of a password, with a random salt unless one is given."""
        async with self._gate:
            return await asyncio.to_thread(self._hasher.hash, _normalised(password), salt=salt)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Return whether this is the password.

        For a user who does not exist (`stored` is None) the answer takes as long, and is False.
        """
        hashed, normalised = stored or self._nobodys, _normalised(password)
        async with self._gate:
            right = await asyncio.to_thread(self._verify, hashed, normalised)
            if not right and password != normalised:
                right = await asyncio.to_thread(self._verify, hashed, password)
        return right and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def _normalised(password: str) -> str:
    return unicodedata.normalize("NFC", password)
