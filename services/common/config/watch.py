"""Watch of configuration files: a file that changes while the service runs is read again, and used when it is valid.

A file is compared by its content, so that it does not matter how it is replaced: written in place, renamed over the old
one, or behind a symbolic link, as Kubernetes replaces the files of a ConfigMap. It is used when two looks in a row have
found the same content, because one look may find a file that is being written. A wrong file changes nothing: the
service goes on with what it has, and says so in its log and its metrics. The text of the departments that a process
holds (`stored_text.py`) is watched in the same way.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import Awaitable, Callable, Mapping

import structlog
from prometheus_client import Counter, Gauge

from services.common.config.toml_file import ConfigurationError, Source

log = structlog.get_logger()

EVERY = 2.0  # seconds between two looks
MOST_BYTES = 8 * 1024 * 1024  # of one file; a ConfigMap has at most 1 MiB
REFUSED = Gauge(
    "eloket_configuration_refused", "1 while the configuration files are wrong and those before them are used, else 0"
)
CHANGES = Counter(
    "eloket_configuration_changes_total", "Changed configuration files that were applied or refused", ["outcome"]
)
for _outcome in ("applied", "refused"):  # exported from the start, so that the first one counts as an increase
    CHANGES.labels(_outcome)

Contents = Mapping[str, str]  # file → a hash of its content; empty: it cannot be read
Apply = Callable[[], Awaitable[None]]


class ConfigurationWatch:
    """Looks at configuration files, and applies them when they have changed.

    It is created before the files are read for the first time, so that no change is missed.
    """

    def __init__(self, files: Mapping[str, Source | None]) -> None:
        """Remember what is in the files now.

        Args:
            files: The files, or texts that are held, by their settings, such as `DEPARTMENTS_FILE`; None: there is no
                such file.
        """
        self._files = {name: path for name, path in files.items() if path is not None}
        self._used = self._seen = self._contents()
        self._refused: Contents | None = None

    async def begin(self, load: Callable[[], Apply]) -> None:
        """Apply what is there now, whatever was there before.

        Args:
            load: As for `run`.

        Raises:
            ConfigurationError: It cannot be used.
        """
        found = await asyncio.to_thread(self._contents)
        apply = await asyncio.to_thread(load)
        await apply()
        self._used = self._seen = found
        log.info("configuration_begun")

    async def run(self, load: Callable[[], Apply]) -> None:
        """Look at the files until cancelled.

        Args:
            load: Reads and validates the files, in a thread. Returns the function that applies them; it may be called
                again after an error. Raises `ConfigurationError` when they cannot be used.
        """
        while True:
            await asyncio.sleep(EVERY * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret
            try:
                await self.look(load)
            except Exception:
                log.exception("configuration_not_applied")  # the next look tries again

    async def look(self, load: Callable[[], Apply]) -> bool:
        """Apply the files if they have changed and are no longer being written. Return whether they were applied.

        Args:
            load: As for `run`.
        """
        before, found = self._seen, await asyncio.to_thread(self._contents)
        self._seen = found
        if found == self._used:
            self._refused = None
            REFUSED.set(0)
            return False
        if found != before or found == self._refused:
            return False
        try:
            self._require_size()
            apply = await asyncio.to_thread(load)
        except ConfigurationError as error:
            self._refuse(found, str(error))
            return False
        if await asyncio.to_thread(self._contents) != found:
            return False
        await apply()
        changed = sorted(name for name, content in found.items() if content != self._used[name])
        self._used, self._refused = found, None
        REFUSED.set(0)
        CHANGES.labels("applied").inc()
        log.info("configuration_applied", files=changed)
        return True

    def _refuse(self, found: Contents, reason: str) -> None:
        self._refused = found
        REFUSED.set(1)
        CHANGES.labels("refused").inc()
        log.error("configuration_refused", reason=reason)

    def _contents(self) -> Contents:
        return {name: _hash_of(path) for name, path in self._files.items()}

    def _require_size(self) -> None:
        for name, source in self._files.items():
            try:
                with source.open("rb") as content:
                    size = content.seek(0, os.SEEK_END)
            except OSError:
                continue  # reading it says why
            if size > MOST_BYTES:
                raise ConfigurationError(f"{name} {source}: has {size} bytes; at most {MOST_BYTES} are read.")


def _hash_of(source: Source) -> str:
    """Return a hash of what is read of this file or text, at most one byte more than `MOST_BYTES`."""
    try:
        with source.open("rb") as content:
            return hashlib.sha256(content.read(MOST_BYTES + 1)).hexdigest()
    except OSError:
        return ""
