"""Streamed answers: sent piece by piece as they are read, and recognisable as incomplete when they are cut off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping

import structlog
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

log = structlog.get_logger()
PIECE = 64 * 1024  # bytes
STALLED = 30.0  # seconds in which the client takes nothing
LONGEST = 600.0  # seconds for the whole of it


class Streamed(StreamingResponse):
    """A streamed answer that is aborted when the client takes nothing for 30 s, or not all of it in 10 minutes.

    An answer that ends early, because of its client or an error, is aborted without its last chunk (RFC 9112, 7.1) or
    before its `Content-Length`, so that the client does not take a part for the whole. `done` is called at the end,
    however it ends.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(content, status, headers)
        self._content, self._done = content, done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then call `done`."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._done()

    async def stream_response(self, send: Send) -> None:
        """Send the body. After an abort it returns without the end; the server then closes the connection."""
        end = time.monotonic() + LONGEST
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in self._content:
                for begin in range(0, len(piece), PIECE):
                    part = piece[begin : begin + PIECE]
                    async with asyncio.timeout(min(STALLED, end - time.monotonic())):
                        await send({"type": "http.response.body", "body": part, "more_body": True})
        except TimeoutError:
            log.warning("download_reader_too_slow")
            return
        except OSError:  # the client has disconnected
            raise
        except Exception as error:
            log.warning("download_broken_off", error=type(error).__name__)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
