"""Store of the codes with which citizens download their conversation on another device.

A code has 12 characters of Crockford's Base32, which has no letters that look like digits: 60 random bits. Only its
digest is stored. A chat has at most one code; the database removes it when it has expired.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from services.common.mongo.client import Database

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12  # characters
GROUP = 4  # characters between two hyphens
_LOOKALIKES = str.maketrans("ILO", "110")


def new_code() -> str:
    """Return a random code, in groups: `7K3F-9QWD-XM2P`."""
    text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(text[start : start + GROUP] for start in range(0, LENGTH, GROUP))


def normal_form(typed: str) -> str | None:
    """Return a code as `new_code` does, from what a person typed, or None when it cannot be a code.

    Case, spaces and hyphens do not matter. `I` and `L` are read as 1, and `O` as 0.
    """
    text = "".join(c for c in typed.upper() if c not in " -\u2010\u2011\u2012\u2013\t").translate(_LOOKALIKES)
    if len(text) != LENGTH or any(c not in ALPHABET for c in text):
        return None
    return "-".join(text[start : start + GROUP] for start in range(0, LENGTH, GROUP))


class DownloadCodes:
    """Access to the collection `codes`: {_id: chat_id, digest, expires_at}.

    All methods raise `PyMongoError` when the database does not answer.
    """

    def __init__(self, database: Database, life: timedelta) -> None:
        """Use the collection of this database.

        Args:
            database: The database.
            life: How long a code is valid.
        """
        self._codes, self._life = database["codes"], life

    async def create(self, chat_id: str, now: datetime) -> tuple[str, datetime]:
        """Create the code of a chat. It replaces the one before.

        Returns:
            The code, and the moment at which it expires.
        """
        code, expires_at = new_code(), now + self._life
        await self._codes.replace_one(
            {"_id": chat_id}, {"digest": _digest(code), "expires_at": expires_at}, upsert=True
        )
        return code, expires_at

    async def chat_of(self, typed: str, now: datetime) -> str | None:
        """Return the chat of a code that was typed, or None when there is no such code or it has expired."""
        code = normal_form(typed)
        if code is None:
            return None
        found = await self._codes.find_one({"digest": _digest(code), "expires_at": {"$gt": now}})
        return str(found["_id"]) if found else None


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
