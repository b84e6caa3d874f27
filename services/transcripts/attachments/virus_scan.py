"""Malware scan of an upload: clamd's INSTREAM command (clamd manual page), over TCP or a Unix socket."""

from __future__ import annotations

import asyncio
import struct
from typing import BinaryIO
from urllib.parse import urlsplit

CHUNK = 256 * 1024
_REPLY = 4096  # bytes; clamd answers in one short line


class ScannerUnavailable(Exception):
    """The scanner gave no verdict. The file may not be accepted."""


async def is_infected(url: str, file: BinaryIO, seconds: float) -> bool:
    """Return whether clamd finds malware in the file.

    Args:
        url: The address of clamd: `tcp://host:port` or `unix:/path`.
        file: The file, which is read from its beginning.
        seconds: The longest time for the scan.

    Raises:
        ScannerAway: Clamd does not answer, is too slow or reports an error.
    """
    try:
        async with asyncio.timeout(seconds):
            reply = await _ask(url, file)
    except (OSError, TimeoutError, EOFError) as error:
        raise ScannerUnavailable(type(error).__name__) from error
    if reply.endswith(b"OK"):
        return False
    if reply.endswith(b"FOUND"):
        return True
    raise ScannerUnavailable("no verdict")


async def _ask(url: str, file: BinaryIO) -> bytes:
    reader, writer = await _connect(url)
    try:
        writer.write(b"zINSTREAM\0")
        file.seek(0)
        while chunk := file.read(CHUNK):
            writer.write(struct.pack("!L", len(chunk)) + chunk)
            await writer.drain()
        writer.write(struct.pack("!L", 0))
        await writer.drain()
        return (await reader.read(_REPLY)).rstrip(b"\0\n ")
    finally:
        writer.close()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if url.startswith("unix:"):
        return await asyncio.open_unix_connection(url.removeprefix("unix:"))
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)
