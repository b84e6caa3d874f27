"""Checks of the structure of an upload.

Files are judged in worker processes with limits of memory and time, because they are not trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import BinaryIO

import structlog

from services.common.runtime.worker_process import MIB, JobFailed, NotStarted, Workers
from services.transcripts.attachments import jobs
from services.transcripts.attachments.kinds import Finding, Reason, Refused, Verdict

log = structlog.get_logger()

AT_A_TIME = 2
MEMORY = 128 * MIB  # of one process; ordinary files take less than half of it
SECONDS = 12.0  # for one file; ordinary files take less than two, even on a slow machine
_ATTEMPTS = 2  # a process may end for a reason other than the file, such as a full machine


class CannotCheck(Exception):
    """No file can be checked now."""


class Checker:
    """Checks files with `attachments.judging`, two at a time."""

    def __init__(self, policy: frozenset[Finding]) -> None:
        """Create a checker; its processes start with the first file.

        Args:
            policy: What documents may not contain.
        """
        self._policy = policy
        # Limited here, so that no more files are held in memory. Documents, which may take long, leave one slot free.
        self._turns, self._documents = asyncio.Semaphore(AT_A_TIME), asyncio.Semaphore(AT_A_TIME - 1)
        self._workers = Workers(
            "services.transcripts.attachments.judging:begin", memory=MEMORY, seconds=SECONDS, size=AT_A_TIME
        )

    async def check(self, file: BinaryIO, name: str) -> Verdict:
        """Return the type of this file, and what is stored of it.

        Raises:
            Refused: The file is not accepted, or checking it takes too much.
            CannotCheck: No process can be started.
        """
        async with self._documents if _is_document(file) else contextlib.nullcontext(), self._turns:
            job = jobs.write_job(await asyncio.to_thread(_whole, file), name, self._policy)
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return jobs.read_answer(await self._workers.run(job))
                except JobFailed as failed:
                    log.warning("attachment_not_checked", reason=failed.reason, size=len(job), attempt=attempt)
                    if isinstance(failed, NotStarted):
                        if attempt < _ATTEMPTS:
                            continue
                        raise CannotCheck from failed
                    if failed.reason != "ended" or attempt == _ATTEMPTS:
                        raise Refused(Reason.NOT_ALLOWED, f"check: {failed.reason}") from failed
        raise AssertionError

    async def close(self) -> None:
        """End the processes."""
        await self._workers.close()


def _whole(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _is_document(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(4) in (b"PK\3\4", b"%PDF")
