"""Takes an upload in: bounded in memory, size, time and number; judged, scanned, then stored."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, cast
from uuid import uuid4

import structlog
from starlette.requests import ClientDisconnect

from services.contracts import Attachment
from services.problems import Problem
from services.transcripts import counting
from services.transcripts.attachments import kind_of, safe_name
from services.transcripts.files import UPLOADING, File, Files
from services.transcripts.scanning import ScannerAway, is_infected
from services.transcripts.settings import Settings
from services.transcripts.store import Store

log = structlog.get_logger()

SPOOL_IN_MEMORY = 512 * 1024  # bytes; what is larger waits in a temporary file
OF_ONE_CHAT = 2
AT_ALL = 16
LONGEST = 600.0  # seconds for one upload as a whole
PATIENCE = 30.0  # seconds that one more upload waits for its turn


@dataclass(frozen=True, slots=True)
class Received:
    file: BinaryIO
    size: int
    sha256: str


class Uploads:
    """Takes uploads of any number of chats, two at a time of each."""

    def __init__(self, store: Store, files: Files, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._store, self._files, self._settings, self._clock = store, files, settings, clock
        self._all = asyncio.Semaphore(AT_ALL)
        self._chats: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def take(
        self, chat_id: str, uploader: str, name: str, body: AsyncIterator[bytes], declared: int | None
    ) -> File:
        """The file as it is stored, free to be posted. Raises `Problem` with the protocol's code when it is refused."""
        outcome = "failed"
        try:
            async with self._turn(chat_id), asyncio.timeout(LONGEST):
                file = await self._take(chat_id, uploader, name, body, declared)
            outcome = "stored"
            return file
        except Problem as problem:
            outcome = problem.code
            raise
        except TimeoutError:
            outcome = "too_slow"
            raise Problem(408, "too_slow", "The upload took too long. Please try again.") from None
        except ClientDisconnect:
            outcome = "broken_off"
            raise Problem(400, "broken_off", "The upload was broken off.") from None
        finally:
            counting.ATTACHMENTS.labels(outcome).inc()

    async def _take(
        self, chat_id: str, uploader: str, name: str, body: AsyncIterator[bytes], declared: int | None
    ) -> File:
        await self._refuse_early(chat_id, declared)
        with tempfile.SpooledTemporaryFile(SPOOL_IN_MEMORY) as spool:
            received = await self._receive(cast(BinaryIO, spool), body)
            kind = await asyncio.to_thread(kind_of, received.file, name)
            if kind is None:
                raise Problem(415, "type_not_allowed", "This type of file is not allowed.")
            await self._scan(received.file)
            attachment = Attachment(
                id=str(uuid4()), name=safe_name(name, kind), size=received.size, content_type=kind.content_type
            )
            file = File(attachment, chat_id, uploader, UPLOADING, received.sha256)
            await self._store_bytes(file, received.file)
        log.info("attachment_stored", attachment_id=attachment.id, size=attachment.size, type=kind.content_type)
        return file

    async def _refuse_early(self, chat_id: str, declared: int | None) -> None:
        limits = self._settings
        await self._refuse_when_closed(chat_id)
        if declared is not None and declared > limits.attachment_bytes:
            raise _too_large(limits)
        if not await self._files.within_quota(chat_id, limits.attachment_count, limits.attachment_total, declared or 1):
            raise _too_large(limits)

    async def _refuse_when_closed(self, chat_id: str) -> None:
        if (await self._store.tails([chat_id]))[chat_id].sealed:
            raise Problem(409, "chat_closed", "The conversation has ended: nothing can be added.")

    async def _receive(self, spool: BinaryIO, body: AsyncIterator[bytes]) -> Received:
        digest, size = hashlib.sha256(), 0
        while True:
            async with asyncio.timeout(self._settings.upload_idle):
                chunk = await anext(body, None)
            if chunk is None:
                break
            size += len(chunk)
            if size > self._settings.attachment_bytes:
                raise _too_large(self._settings)
            digest.update(chunk)
            spool.write(chunk)
        if not size:
            raise Problem(422, "invalid", "The file is empty.")
        return Received(spool, size, digest.hexdigest())

    async def _scan(self, file: BinaryIO) -> None:
        if not self._settings.clamd_url:
            return
        try:
            infected = await is_infected(self._settings.clamd_url, file, self._settings.clamd_timeout)
        except ScannerAway as error:
            log.error("scanner_away", error=str(error))
            raise Problem(503, "unavailable", "Files cannot be checked now. Please try later.", {"Retry-After": "30"})  # noqa: B904
        if infected:
            log.warning("attachment_infected")
            raise Problem(422, "infected", "The file holds malware and was refused.")

    async def _store_bytes(self, file: File, source: BinaryIO) -> None:
        limits, id_ = self._settings, file.attachment.id
        await self._files.begin(file, self._clock())
        try:
            source.seek(0)
            await self._files.put(id_, source)
            await self._refuse_when_closed(file.chat_id)
            if not await self._files.finish(file, limits.attachment_count, limits.attachment_total, self._clock()):
                raise _too_large(limits)
        except BaseException:
            with contextlib.suppress(Exception):  # what is left is found by the cleaner
                await self._files.doom(id_, UPLOADING, self._clock())
            raise

    @contextlib.asynccontextmanager
    async def _turn(self, chat_id: str) -> AsyncIterator[None]:
        own, users = self._chats.get(chat_id, (asyncio.Semaphore(OF_ONE_CHAT), 0))
        self._chats[chat_id] = own, users + 1
        try:
            try:
                async with asyncio.timeout(PATIENCE):
                    await own.acquire()
            except TimeoutError:
                raise Problem(429, "rate_limited", "Wait for the other uploads.", {"Retry-After": "10"}) from None
            try:
                async with self._all:
                    yield
            finally:
                own.release()
        finally:
            own, users = self._chats[chat_id]
            if users == 1:
                del self._chats[chat_id]
            else:
                self._chats[chat_id] = own, users - 1


def _too_large(limits: Settings) -> Problem:
    mib = 1024 * 1024
    return Problem(
        413,
        "too_large",
        f"At most {limits.attachment_bytes / mib:g} MiB a file, and {limits.attachment_count} files and "
        f"{limits.attachment_total / mib:g} MiB a conversation.",
    )
