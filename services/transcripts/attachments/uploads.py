"""Uploads: limited in memory, disk, rate, time and number; then checked, scanned and stored.

A body is first received on disk. Receiving it blocks no other upload: its quota counts the bytes that have arrived.
Only a complete body uses one of the slots in which files are checked, scanned and stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, cast
from uuid import uuid4

import structlog
from starlette.requests import ClientDisconnect

from services.common.config.settings import MIB
from services.common.events.types import Attachment
from services.common.http.problems import Problem
from services.transcripts import metrics
from services.transcripts.attachments.checker import CannotCheck, Checker
from services.transcripts.attachments.kinds import ALLOWED, Reason, Refused
from services.transcripts.attachments.names import safe_name
from services.transcripts.attachments.scanner import Scan, Scanner, ScannerUnavailable, chunks_of
from services.transcripts.attachments.store import ASKER, UPLOADING, File, Files
from services.transcripts.log.store import Store
from services.transcripts.questions.store import Questions
from services.transcripts.settings import Settings

log = structlog.get_logger()

SPOOL_IN_MEMORY = 128 * 1024  # bytes; a larger body is kept in a temporary file
RECEIVED_OF_ONE_CHAT = 10  # bodies at a time
RECEIVED_AT_ALL = 300
ON_DISK = 320 * MIB  # of all bodies that are received or wait; the Kubernetes manifest gives /tmp 512 MiB
OF_ONE_CHAT = 2  # complete files at a time that are checked, scanned and stored
AT_ALL = 16
PATIENCE = 5.0  # seconds that a complete file waits for a slot

_WHY = {
    Reason.EMPTY: "The file is empty. Save it again and choose it again.",
    Reason.PASSWORD: "The file has a password. Save it without a password and send that.",
    Reason.OLD_OFFICE: "This is a file of an old version of Office. Save it as docx, xlsx, pptx or PDF and send that.",
    Reason.HEIC: "This is a HEIC photo. Choose the most compatible format in the settings of the camera, or save the "
    "photo as JPEG, and send that.",
    Reason.MACROS: "The file holds macros or scripts. Save it without them, or as PDF, and send that.",
    Reason.ACTIVE_CONTENT: "The file would start or load something when it is opened. Save it as a plain document, or "
    "print it to PDF, and send that.",
    Reason.NOT_SCANNABLE: "The file is too large or too deeply nested to be scanned for malware. Save it as PDF, or "
    "send its parts one by one.",
    Reason.NOT_ALLOWED: "This type of file is not accepted, or the file is damaged. Save it as PDF or as a picture and "
    "send that.",
}
_ACCEPTED = (
    "Accepted are PDF, PNG, JPEG, GIF, WebP, plain text, CSV, OpenDocument, and docx, xlsx and pptx without macros."
)


@dataclass
class _Chat:
    """The uploads of one chat that are in progress."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OF_ONE_CHAT))
    bodies: int = 0
    on_disk: int = 0


class Uploads:
    """Accepts uploads of any number of chats and of questions without a chat."""

    def __init__(
        self,
        store: Store,
        files: Files,
        settings: Settings,
        clock: Callable[[], datetime],
        checker: Checker,
        questions: Questions,
        scanner: Scanner | None,
    ) -> None:
        self._scanner = scanner
        self._store, self._files, self._settings, self._clock = store, files, settings, clock
        self._checker, self._questions = checker, questions
        self._all = asyncio.Semaphore(AT_ALL)
        self._chats: dict[str, _Chat] = {}
        self._bodies = self._on_disk = 0

    async def take(
        self, chat_id: str, uploader: str, name: str, body: AsyncIterator[bytes], declared: int | None
    ) -> File:
        """Receive, check and store a file. Return the stored file, which can then be posted.

        Args:
            chat_id: The chat, or the question.
            uploader: `citizen`, the agent's id, or `ASKER` for a file of a question without a chat.
            name: The name that the uploader gave the file.
            body: The bytes of the request.
            declared: The size that the request declares. It can only cause an early refusal: the bytes that arrive
                are counted.

        Raises:
            Problem: The file is refused, with a code of the protocol.
        """
        outcome = "failed"
        try:
            file = await self._take(chat_id, uploader, name, body, declared)
            outcome = "stored"
            return file
        except Problem as problem:
            outcome = problem.code
            raise
        except ClientDisconnect:
            outcome = "broken_off"
            raise Problem(400, "broken_off", "The upload was broken off.") from None
        finally:
            metrics.ATTACHMENTS.labels(outcome).inc()

    async def _take(
        self, chat_id: str, uploader: str, name: str, body: AsyncIterator[bytes], declared: int | None
    ) -> File:
        await self._refuse_early(chat_id, uploader, declared)
        with self._body(chat_id) as chat, tempfile.SpooledTemporaryFile(SPOOL_IN_MEMORY) as spool:
            file, size = cast(BinaryIO, spool), 0
            try:
                async for chunk in self._chunks(body):
                    size += len(chunk)
                    self._count(chat, len(chunk))
                    if size > self._settings.attachment_bytes:
                        raise _too_large(self._settings)
                    file.write(chunk)
                if not size:
                    raise _refusal(Refused(Reason.EMPTY, "empty"))
                async with self._slot(chat):
                    return await self._keep(chat_id, uploader, name, file)
            finally:
                self._count(chat, -size)

    def _count(self, chat: _Chat, size: int) -> None:
        """Count bytes on disk.

        Raises:
            Problem: 429 `rate_limited` when the bodies of this chat, or of all, use too much of the disk.
        """
        chat.on_disk += size
        self._on_disk += size
        if size > 0 and (self._on_disk > ON_DISK or chat.on_disk > self._settings.attachment_total):
            raise _busy()

    async def _keep(self, chat_id: str, uploader: str, name: str, spool: BinaryIO) -> File:
        """Check, scan and store a complete file."""
        try:
            verdict = await self._checker.check(spool, name)
        except Refused as refused:
            log.info("attachment_refused", reason=refused.reason, found=refused.found)
            raise _refusal(refused) from None
        except CannotCheck:
            raise _unchecked() from None
        if verdict.stored is not None:
            await asyncio.to_thread(_replace, spool, verdict.stored)
        size, digest = await asyncio.to_thread(_measure, spool)
        scan = await self._scan(spool, size, digest)
        kind = verdict.kind
        attachment = Attachment(id=str(uuid4()), name=safe_name(name, kind), size=size, content_type=kind.content_type)
        file = File(attachment, chat_id, uploader, UPLOADING, digest, scan)
        await self._store_bytes(file, spool)
        log.info("attachment_stored", attachment_id=attachment.id, size=size, type=kind.content_type)
        return file

    async def _refuse_early(self, chat_id: str, uploader: str, declared: int | None) -> None:
        limits = self._settings
        await self._refuse_when_closed(chat_id, uploader)
        if declared is not None and declared > limits.attachment_bytes:
            raise _too_large(limits)
        count, total = limits.attachment_count, limits.attachment_total
        if not await self._files.within_quota(chat_id, count, total, declared or 1, uploader):
            raise _too_large(limits)

    async def _refuse_when_closed(self, chat_id: str, uploader: str) -> None:
        if uploader == ASKER:
            takes = await self._questions.takes_files(chat_id, self._clock())
            if takes is None:
                raise Problem(404, "no_such_question", "There is no such question.")
            if not takes:
                raise Problem(409, "question_closed", "Files can be added to a question for one hour.")
            return
        if (await self._store.tails([chat_id]))[chat_id].sealed:
            raise Problem(409, "chat_closed", "The conversation has ended: nothing can be added.")

    async def _chunks(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the chunks as long as they arrive fast enough: at a minimum rate, and within a total time.

        Each byte extends the deadline by the minimum rate. The deadline is never later than the longest allowed pause.
        """
        limits, loop = self._settings, asyncio.get_running_loop()
        now = loop.time()
        end, due = now + limits.upload_time, now + limits.upload_idle
        while True:
            try:
                async with asyncio.timeout_at(min(end, due)):
                    chunk = await anext(body, None)
            except TimeoutError:
                raise Problem(
                    408, "too_slow", "The file came too slowly. Try again over a better connection."
                ) from None
            if chunk is None:
                return
            due = min(due + len(chunk) / limits.upload_rate, loop.time() + limits.upload_idle)
            yield chunk

    async def _scan(self, file: BinaryIO, size: int, digest: str) -> Scan | None:
        """Return the verdict of the scanner; None where there is no scanner. Only a clean file has one here.

        A file that is refused is stored nowhere: the operator's log says what was found, and the file's digest.
        """
        if self._scanner is None:
            return None
        try:
            scan = await self._scanner.scan(chunks_of(file))
        except ScannerUnavailable as error:
            log.error("scanner_unavailable", error=str(error))
            raise _unchecked() from None
        if scan.found:
            log.warning("attachment_infected", found=scan.found, signatures=scan.signatures, sha256=digest, size=size)
            if scan.is_exceeded:
                raise _refusal(Refused(Reason.NOT_SCANNABLE, scan.found))
            raise Problem(422, "infected", "The file holds malware and was refused.")
        return scan

    async def _store_bytes(self, file: File, source: BinaryIO) -> None:
        limits, id_ = self._settings, file.attachment.id
        await self._files.begin(file, self._clock())
        try:
            source.seek(0)
            await self._files.put(id_, source)
            await self._refuse_when_closed(file.chat_id, file.uploader)
            if not await self._files.finish(file, limits.attachment_count, limits.attachment_total, self._clock()):
                raise _too_large(limits)
        except BaseException:
            with contextlib.suppress(Exception):  # the cleaner finds what is left
                await self._files.doom(id_, UPLOADING, self._clock())
            raise

    @contextlib.contextmanager
    def _body(self, chat_id: str) -> Iterator[_Chat]:
        """Count a body that is being received or waits for a slot.

        Raises:
            Problem: 429 `rate_limited` when there are too many.
        """
        chat = self._chats.get(chat_id) or _Chat()
        if chat.bodies >= RECEIVED_OF_ONE_CHAT or self._bodies >= RECEIVED_AT_ALL:
            raise _busy()
        self._chats[chat_id] = chat
        chat.bodies += 1
        self._bodies += 1
        try:
            yield chat
        finally:
            chat.bodies -= 1
            self._bodies -= 1
            if not chat.bodies:
                del self._chats[chat_id]

    @contextlib.asynccontextmanager
    async def _slot(self, chat: _Chat) -> AsyncIterator[None]:
        """Wait for a slot for a complete file, of its chat and of all.

        Raises:
            Problem: 429 `rate_limited` when none is free after some seconds.
        """
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(PATIENCE):
                    await held.enter_async_context(chat.slots)
                    await held.enter_async_context(self._all)
            except TimeoutError:
                raise _busy() from None
            yield


def _replace(file: BinaryIO, content: bytes) -> None:
    file.seek(0)
    file.truncate()
    file.write(content)


def _measure(file: BinaryIO) -> tuple[int, str]:
    """Return the size of a file in bytes, and its SHA-256."""
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(MIB):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _refusal(refused: Refused) -> Problem:
    detail = f"{_WHY[refused.reason]} {_ACCEPTED}"
    return Problem(415, "type_not_allowed", detail, reason=refused.reason.value, allowed=list(ALLOWED))


def _busy() -> Problem:
    detail = "Too many files are on their way just now. Try again in some seconds."
    return Problem(429, "rate_limited", detail, {"Retry-After": "5"})


def _unchecked() -> Problem:
    return Problem(503, "unavailable", "Files cannot be checked now. Please try later.", {"Retry-After": "30"})


def _too_large(limits: Settings) -> Problem:
    return Problem(
        413,
        "too_large",
        f"The file is too large: at most {limits.attachment_bytes / MIB:g} MiB a file, and {limits.attachment_count} "
        f"files and {limits.attachment_total / MIB:g} MiB a conversation. Send a smaller file, or a photo of it.",
        limit_bytes=limits.attachment_bytes,
        limit_files=limits.attachment_count,
        limit_total_bytes=limits.attachment_total,
    )
