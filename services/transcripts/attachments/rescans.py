"""Scans of stored files before a download, when the signatures are newer than the last scan.

A file in which something is found stays where it is, with the name of what was found, and is handed out to nobody. It
is scanned again with the next signatures: a verdict that was wrong ends with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from services.common.http.problems import Problem
from services.transcripts import metrics
from services.transcripts.attachments.kinds import Reason
from services.transcripts.attachments.scanner import Scan, Scanner, ScannerUnavailable
from services.transcripts.attachments.store import File, Files

log = structlog.get_logger()

AT_A_TIME = 2  # scans, of all files
KNOWN_SECONDS = 60.0  # for which the version of the signatures is not asked again
UNKNOWN_SECONDS = 5.0  # the same, after the scanner did not say it
for _outcome in ("clean", "infected", "unavailable"):  # exported from the start: the first is an increase
    metrics.RESCANS.labels(_outcome)


class Rescans:
    """Decides about downloads, and scans files again. At most one scan of a file is in progress."""

    def __init__(self, files: Files, scanner: Scanner | None, seconds: float, clock: Callable[[], datetime]) -> None:
        """Create it.

        Args:
            files: The stored files.
            scanner: The scanner; None: only what is known about a file counts.
            seconds: The longest time for one scan, waiting for others included.
            clock: The present time.
        """
        self._files, self._scanner, self._seconds, self._clock = files, scanner, seconds, clock
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._scans: dict[str, asyncio.Task[Scan]] = {}
        self._asking: asyncio.Task[int] | None = None
        self._newest, self._ask_at = 0, float("-inf")

    async def require_clean(self, file: File) -> None:
        """Scan the file if its last scan is older than the signatures.

        Where it is not known that they are newer, because the scanner does not answer, the last verdict counts. A file
        without one is not handed out then.

        Raises:
            Problem: 422 `infected`, 415 `type_not_allowed`, or 503 `unavailable`.
            NoFile: Its bytes are not stored.
        """
        scan = file.scan
        if self._scanner is not None and (scan is None or await self._signatures(self._scanner) > scan.signatures):
            scan = await self._scan(self._scanner, file)
        if scan is None or not scan.found:
            return
        if scan.is_exceeded:
            detail = "The file cannot be scanned for malware, so it is not handed out."
            raise Problem(415, "type_not_allowed", detail, reason=Reason.NOT_SCANNABLE.value)
        raise Problem(422, "infected", "Malware was found in the file since it was sent. It is not handed out.")

    async def _signatures(self, scanner: Scanner) -> int:
        """Return the newest version of the signatures that is known; 0: none is."""
        if self._asking is None and time.monotonic() >= self._ask_at:
            self._asking = asyncio.create_task(self._ask(scanner))
        if self._asking is not None:
            return await asyncio.shield(self._asking)
        return self._newest

    async def _ask(self, scanner: Scanner) -> int:
        known = UNKNOWN_SECONDS
        try:
            self._newest = max(self._newest, await scanner.signatures())
            known = KNOWN_SECONDS
        except ScannerUnavailable as error:
            log.warning("scanner_unavailable", error=str(error))
        finally:
            self._ask_at, self._asking = time.monotonic() + known, None
        return self._newest

    async def _scan(self, scanner: Scanner, file: File) -> Scan:
        """Return the verdict of the scan that is in progress, or of a new one."""
        id_ = file.attachment.id
        task = self._scans.get(id_)
        if task is None:
            task = self._scans[id_] = asyncio.create_task(self._scan_anew(scanner, file))
            task.add_done_callback(lambda ended: self._ended(id_, ended))
        try:
            return await asyncio.shield(task)
        except (ScannerUnavailable, TimeoutError) as error:
            detail = "The file must be scanned for malware first, which cannot be done now. Please try later."
            raise Problem(503, "unavailable", detail, {"Retry-After": "30"}) from error

    def _ended(self, id_: str, task: asyncio.Task[Scan]) -> None:
        del self._scans[id_]
        if not task.cancelled():
            task.exception()  # those who waited for it may have left

    async def _scan_anew(self, scanner: Scanner, file: File) -> Scan:
        id_ = file.attachment.id
        try:
            async with asyncio.timeout(self._seconds), self._slots:
                scan = await scanner.scan(self._files.content(id_), self._newest)
        except (ScannerUnavailable, TimeoutError) as error:
            log.error("scanner_unavailable", error=str(error) or type(error).__name__, attachment_id=id_)
            metrics.RESCANS.labels("unavailable").inc()
            raise
        self._newest = max(self._newest, scan.signatures)
        await self._files.scanned(id_, scan, self._clock())
        metrics.RESCANS.labels("infected" if scan.found else "clean").inc()
        if scan.found:
            log.warning(
                "stored_attachment_infected",
                attachment_id=id_,
                chat_id=file.chat_id,
                found=scan.found,
                signatures=scan.signatures,
                sha256=file.sha256,
            )
        return scan
