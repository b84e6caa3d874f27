"""Previews of pictures and PDFs: a PNG of bounded size, drawn in a worker process with limits of memory and time.

A small one is kept in the document of its file, and is erased with it. A large one is drawn for each request.

That a file cannot be drawn is kept too. That it took too long may be because the machine was busy: it is tried again
later, a few times.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from services.common.http.problems import Problem
from services.common.runtime.worker_process import MIB, JobFailed, NotStarted, Workers, WorkersBusy
from services.transcripts.attachments import preview_worker
from services.transcripts.attachments.kinds import GIF, JPEG, PDF, PNG, WEBP
from services.transcripts.attachments.store import File, Files

log = structlog.get_logger()

SMALL, LARGE = 280, 1_000  # pixels of the longer side
AT_A_TIME = 2
MEMORY = 256 * MIB  # of one process: a picture of 40 million pixels, and the library
SECONDS = 20.0  # for one file
LATE_AGAIN = timedelta(minutes=10)  # after a small preview took too long, until it is tried again
MOST_LATE = 3  # times that it may take too long; then the file cannot be drawn
KEPT_BYTES = 400_000  # of a preview in the document of its file; no small one has more
FORMATS = {
    PNG.content_type: "png",
    JPEG.content_type: "jpg",
    GIF.content_type: "gif",
    WEBP.content_type: "webp",
    PDF.content_type: "pdf",
}
"""How the worker names the types that have a preview."""


class Previews:
    """Draws previews, and keeps the small ones."""

    def __init__(self, files: Files, clock: Callable[[], datetime]) -> None:
        """Create it; its processes start with the first preview."""
        self._files, self._clock = files, clock
        self._turns = asyncio.Semaphore(AT_A_TIME)  # so that no more files are on the disk
        self._drawing: dict[tuple[str, int], asyncio.Task[bytes]] = {}
        self._closed = False
        self._workers = Workers(
            "services.transcripts.attachments.preview_worker:begin", memory=MEMORY, seconds=SECONDS, size=AT_A_TIME
        )

    async def of(self, file: File, large: bool) -> bytes | None:
        """Return the PNG of a file; None for a file that has no preview. Requests for the same one share the work.

        Raises:
            Problem: 503 `unavailable`: it cannot be drawn now, or it took too long.
            NoFile: Its bytes are not stored.
        """
        id_ = file.attachment.id
        if file.attachment.content_type not in FORMATS:
            return None
        drawn = None if large else await self._files.preview(id_)
        if drawn is None:
            if not large:
                await self._require_time_again(id_)
            key = id_, LARGE if large else SMALL
            task = self._drawing.get(key)
            if task is None:
                task = self._drawing[key] = asyncio.create_task(self._draw(file, key[1]))
                task.add_done_callback(lambda done: self._drawn(key, done))
            drawn = await asyncio.shield(task)
        return drawn or None

    async def _require_time_again(self, id_: str) -> None:
        """Check that it did not take too long to draw this one a short time ago.

        Raises:
            Problem: 503 `unavailable`: it did.
        """
        late = await self._files.late_preview(id_)
        if late is not None and (wait := late + LATE_AGAIN - self._clock()) > timedelta():
            raise _not_now(wait)

    def _drawn(self, key: tuple[str, int], task: asyncio.Task[bytes]) -> None:
        del self._drawing[key]
        if not task.cancelled():
            task.exception()  # those who waited for it may have left

    async def _draw(self, file: File, most: int) -> bytes:
        id_ = file.attachment.id
        async with self._turns:
            with tempfile.NamedTemporaryFile(prefix="preview-") as copy:
                async for chunk in self._files.content(id_):
                    await asyncio.to_thread(copy.write, chunk)
                await asyncio.to_thread(copy.flush)
                job = preview_worker.job_of(Path(copy.name), FORMATS[file.attachment.content_type], most)
                try:
                    drawn = await self._workers.run(job)
                except (WorkersBusy, NotStarted) as error:
                    raise _not_now() from error
                except JobFailed as failed:
                    if self._closed:  # the process was ended, which says nothing about the file
                        raise _not_now() from failed
                    log.warning("preview_not_drawn", attachment_id=id_, reason=failed.reason)
                    if failed.reason == "time" and not await self._is_late_for_good(id_, most):
                        raise _not_now(LATE_AGAIN) from failed
                    drawn = b""
        if most == SMALL and len(drawn) <= KEPT_BYTES:
            await self._files.keep_preview(id_, drawn)
        return drawn

    async def _is_late_for_good(self, id_: str, most: int) -> bool:
        """Note that it took too long, and return whether it is not tried again. A large one is drawn for each request.

        So that the machine was busy once does not take the preview of a file for good.
        """
        return most != SMALL or await self._files.note_late_preview(id_, self._clock()) >= MOST_LATE

    async def close(self) -> None:
        """End the processes. What they draw is drawn again at the next request."""
        self._closed = True
        await self._workers.close()


def _not_now(wait: timedelta = timedelta(seconds=10)) -> Problem:
    seconds = math.ceil(wait.total_seconds())
    detail = f"This preview cannot be drawn now. Try again in {seconds} seconds."
    return Problem(503, "unavailable", detail, {"Retry-After": str(seconds)})
