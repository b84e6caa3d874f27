"""The departments as a text that this process holds, where `CONFIG_SOURCE` is `database`.

Presence stores the text and sends it to the other services. Each process holds the newest version that it knows and
reads it as it would read the file.
"""

from __future__ import annotations

import asyncio
import io
from typing import IO, Literal

from services.common.config.faults import Fault
from services.common.config.toml_file import MOST_STORED, ConfigurationError


class StoredText:
    """The newest version of the departments that this process knows. Version 0: none yet."""

    def __init__(self) -> None:
        self.version = 0
        self.arrived = asyncio.Event()
        """Set as soon as there is a version."""
        self._content = b""

    @property
    def text(self) -> str:
        """The departments in TOML."""
        return self._content.decode()

    def __str__(self) -> str:
        """Return what messages call it."""
        return f"version {self.version}"

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Return the content."""
        return io.BytesIO(self._content)

    def take(self, version: int, text: str) -> bool:
        """Hold this version, unless it is no newer one. Return whether it is held now."""
        if version <= self.version:
            return False
        self.version, self._content = version, text.encode()
        self.arrived.set()
        return True


def candidate(text: str, version: int = 0) -> StoredText:
    """Return a text that is not stored (yet), to be validated.

    Raises:
        ConfigurationError: It is too long.
    """
    size = len(text.encode())
    if size > MOST_STORED:
        words = f"The departments have {size} bytes; at most {MOST_STORED} are stored."
        raise ConfigurationError(words, Fault("too_large", {"size": size, "most": MOST_STORED}))
    held = StoredText()
    held.take(version or 1, text)
    return held
