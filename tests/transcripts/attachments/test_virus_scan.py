"""Mirrors services/transcripts/attachments/virus_scan.py, against a small server that speaks clamd's INSTREAM."""

import asyncio
import contextlib
import io
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.transcripts.attachments.virus_scan import ScannerAway, is_infected

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"


async def clamd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What clamd does with one connection: the whole stream first, then one line."""
    assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
    content = b""
    while size := struct.unpack("!L", await reader.readexactly(4))[0]:
        content += await reader.readexactly(size)
    if content == b"too large":
        writer.write(b"INSTREAM size limit exceeded. ERROR\0")
    else:
        writer.write(b"stream: Eicar-Test-Signature FOUND\0" if EICAR in content else b"stream: OK\0")
    writer.close()


@contextlib.asynccontextmanager
async def scanner() -> AsyncIterator[str]:
    server = await asyncio.start_server(clamd, "127.0.0.1", 0)
    async with server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_it_tells_the_clean_from_the_infected():
    async with scanner() as url:
        assert not await is_infected(url, io.BytesIO(b"x" * 1_000_000), 5)
        assert await is_infected(url, io.BytesIO(b"x" * 300_000 + EICAR), 5)


async def test_over_a_unix_socket(tmp_path: Path):
    server = await asyncio.start_unix_server(clamd, tmp_path / "clamd")
    async with server:
        assert await is_infected(f"unix:{tmp_path / 'clamd'}", io.BytesIO(EICAR), 5)


async def test_no_verdict_is_no_permission():
    async with scanner() as url:
        with pytest.raises(ScannerAway, match="no verdict"):
            await is_infected(url, io.BytesIO(b"too large"), 5)
    with pytest.raises(ScannerAway):
        await is_infected(url, io.BytesIO(b"x"), 5)

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ScannerAway, match="TimeoutError"):
            await is_infected(f"tcp://127.0.0.1:{port}", io.BytesIO(b"x"), 0.1)
        await asyncio.sleep(1)
