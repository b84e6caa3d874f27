"""Mirrors services/transcripts/attachments/checker.py, against a small server that speaks clamd's INSTREAM."""

import asyncio
import contextlib
import io
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.transcripts.attachments.checker import ScannerUnavailable, is_infected
from tests.support.servers import PATIENCE
from tests.transcripts.conftest import until

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


@contextlib.contextmanager
def no_scanner() -> Iterator[str]:
    """An address that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{bound.getsockname()[1]}"


async def test_it_distinguishes_the_clean_from_the_infected() -> None:
    async with scanner() as url:
        assert not await is_infected(url, io.BytesIO(b"x" * 1_000_000), PATIENCE)
        assert await is_infected(url, io.BytesIO(b"x" * 300_000 + EICAR), PATIENCE)


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(clamd, tmp_path / "clamd")
    async with server:
        assert await is_infected(f"unix:{tmp_path / 'clamd'}", io.BytesIO(EICAR), PATIENCE)


async def test_no_verdict_is_no_permission() -> None:
    async with scanner() as url:
        with pytest.raises(ScannerUnavailable, match="no verdict"):
            await is_infected(url, io.BytesIO(b"too large"), PATIENCE)
    with no_scanner() as url, pytest.raises(ScannerUnavailable, match="ConnectionRefusedError"):
        await is_infected(url, io.BytesIO(b"x"), PATIENCE)
    over, ended = asyncio.Event(), asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        ended.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ScannerUnavailable, match="TimeoutError"):
            await is_infected(f"tcp://127.0.0.1:{port}", io.BytesIO(b"x"), 0.1)
        over.set()
        await until(ended.is_set, "the end of the connection")
