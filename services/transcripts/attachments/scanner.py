"""Scans for malware by clamd, over TCP or a Unix socket.

Version and verdict come over one connection (IDSESSION, VERSION and INSTREAM of clamd's manual page), so that both are
of the same scanner where an address stands for several.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

CHUNK = 256 * 1024
VERSION_SECONDS = 2.0  # clamd answers at once
TRIES = 3  # connections, to meet the one of several scanners that has the wanted signatures
_REPLY = 4096  # bytes; clamd answers in one short line
_VERSION = re.compile(rb"\d+: ClamAV [^/\s]+(?:/(\d{1,9})/.*)?")
_VERDICT = re.compile(rb"\d+: stream: (?:OK|(\S{1,200}) FOUND)")
EXCEEDED = "Heuristics.Limits.Exceeded."
_TOO_LARGE = b"INSTREAM size limit exceeded"


class ScannerUnavailable(Exception):
    """The scanner gave no verdict. The file may not be accepted."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A verdict.

    Attributes:
        signatures: The version of the scanner's daily signatures; 0 where it has none.
        found: The name of the malware, or of the limit of the scanner that the file exceeds; empty: nothing was found.
    """

    signatures: int
    found: str = ""

    @property
    def is_exceeded(self) -> bool:
        """Whether the file is too large or too deep for the scanner, so that malware in it may not be seen."""
        return self.found.startswith(EXCEEDED)


class Scanner:
    """A scanner at one address, behind which there may be several."""

    def __init__(self, url: str, seconds: float) -> None:
        """Create a client; it connects for each scan.

        Args:
            url: The address of clamd: `tcp://host:port` or `unix:/path`.
            seconds: The longest time for one scan, waiting for a slot included.
        """
        self._url, self._seconds = url, seconds

    async def scan(self, chunks: AsyncIterator[bytes], at_least: int = 0) -> Scan:
        """Return the verdict on these bytes.

        Args:
            chunks: The file.
            at_least: The version of the signatures that is wanted. A scanner with older ones is used when no other
                answers.

        Raises:
            ScannerUnavailable: Clamd does not answer, is too slow, or answers something else than a verdict.
        """
        async with _no_verdict(self._seconds), _session(self._url) as first:
            session = first
            async with contextlib.AsyncExitStack() as others:
                for _ in range(TRIES - 1):
                    if session.signatures >= at_least:
                        break
                    session = await others.enter_async_context(_session(self._url))
                return await session.scan(chunks)

    async def signatures(self) -> int:
        """Return the version of the signatures.

        Raises:
            ScannerUnavailable: Clamd does not answer within `VERSION_SECONDS`.
        """
        async with _no_verdict(min(self._seconds, VERSION_SECONDS)), _session(self._url) as session:
            return session.signatures


async def chunks_of(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield the bytes of a file, from its beginning."""
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        yield chunk


@contextlib.asynccontextmanager
async def _no_verdict(seconds: float) -> AsyncIterator[None]:
    """Turn what goes wrong with clamd into `ScannerUnavailable`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError) as error:
        raise ScannerUnavailable(type(error).__name__) from error


class _Session:
    """One connection to clamd."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.signatures = 0

    async def begin(self) -> None:
        self._writer.write(b"zIDSESSION\0zVERSION\0")
        await self._writer.drain()
        answer = _VERSION.fullmatch(await self._reply())
        if answer is None:
            raise ScannerUnavailable("no version")
        self.signatures = int(answer.group(1) or 0)

    async def scan(self, chunks: AsyncIterator[bytes]) -> Scan:
        # It may answer before the end of a file that is too large for it, and closes the connection then.
        answer = asyncio.create_task(self._reply())
        try:
            await self._send(chunks, answer)
            reply = await answer
        except ConnectionError:
            with contextlib.suppress(OSError, EOFError):
                if _TOO_LARGE in await answer:
                    return self._too_large()
            raise
        finally:
            answer.cancel()
        if _TOO_LARGE in reply:
            return self._too_large()
        verdict = _VERDICT.fullmatch(reply)
        if verdict is None:
            raise ScannerUnavailable("no verdict")
        return Scan(self.signatures, _printable(verdict.group(1) or b""))

    async def _send(self, chunks: AsyncIterator[bytes], answer: asyncio.Task[bytes]) -> None:
        self._writer.write(b"zINSTREAM\0")
        async for chunk in chunks:
            self._writer.write(struct.pack("!L", len(chunk)) + chunk)
            await self._writer.drain()
            if answer.done():
                return
        self._writer.write(struct.pack("!L", 0))
        await self._writer.drain()

    def _too_large(self) -> Scan:
        return Scan(self.signatures, EXCEEDED + "StreamMaxLength")

    async def _reply(self) -> bytes:
        """Return the next answer. Without its end it is none: clamd may have died in the middle of it."""
        return (await self._reader.readuntil(b"\0"))[:-1].rstrip(b"\n ")


@contextlib.asynccontextmanager
async def _session(url: str) -> AsyncIterator[_Session]:
    reader, writer = await _connect(url)
    try:
        session = _Session(reader, writer)
        await session.begin()
        yield session
    finally:
        writer.close()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if url.startswith("unix:"):
        return await asyncio.open_unix_connection(url.removeprefix("unix:"), limit=_REPLY)
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port, limit=_REPLY)


def _printable(name: bytes) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "?" for c in name.decode("ascii", "replace"))
