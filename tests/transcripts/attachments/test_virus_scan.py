"""A real clamd with the deployed limits: what it finds, what it must not let through, and how it may fail."""

import asyncio
import contextlib
import io
import itertools
import os
import random
import signal
import socket
import struct
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.common.config.settings import MIB, Settings
from services.transcripts.attachments.formats.archives import MAX_MEMBERS, MAX_NESTED, MAX_UNPACKED, Archive, Budget
from services.transcripts.attachments.scanner import EXCEEDED, Scanner, ScannerUnavailable, chunks_of
from services.transcripts.settings import Settings as TranscriptsSettings
from tests.support.conditions import until
from tests.support.dependencies.clamd import EICAR, LATER, MARK, Clamd, deployed_options, running_clamd
from tests.support.servers import PATIENCE
from tests.transcripts.made import PNG, archive, office


@contextlib.contextmanager
def no_scanner() -> Iterator[str]:
    """An address that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{bound.getsockname()[1]}"


FOUND = "Eicar-Test-Signature.UNOFFICIAL"


async def found(clamd: Clamd, content: bytes) -> str:
    return (await Scanner(clamd.url, 10 * PATIENCE).scan(chunks_of(io.BytesIO(content)))).found


def nested(depth: int) -> bytes:
    content = EICAR
    for level in range(depth):
        content = archive({f"{level}.zip": content})
    return content


async def test_it_finds_the_test_file_wherever_it_is(clamd: Clamd) -> None:
    for clean in (b"Dag", PNG, office(), bytes(2 * MIB)):
        assert await found(clamd, clean) == ""
    for infected in (
        EICAR,
        b"x" * 3 * MIB + EICAR,
        archive({"brief.txt": EICAR}),
        archive({"brief.txt": EICAR}, zipfile.ZIP_STORED),
        office(more={"word/media/image1.png": EICAR}),
        nested(5),
    ):
        assert await found(clamd, infected) == FOUND


async def test_what_is_too_deep_or_too_much_for_it_is_reported(clamd: Clamd) -> None:
    options = deployed_options()
    assert options["AlertExceedsMax"] == "yes"
    assert await found(clamd, nested(int(options["MaxRecursion"]) + 3)) == EXCEEDED + "MaxRecursion"
    many = archive({f"{n}.txt": b"%d" % n for n in range(int(options["MaxFiles"]) + 10)})
    assert await found(clamd, many) == EXCEEDED + "MaxFiles"


async def test_each_limit_is_reported_and_none_passes(tmp_path: Path) -> None:
    """The same limits, smaller: the deployed ones are beyond what a test should unpack."""
    noise = random.Random(7).randbytes
    limits = {"StreamMaxLength": "3M", "MaxFileSize": "1M", "MaxScanSize": "2M"}
    with running_clamd(tmp_path / "clamd", **limits) as clamd:
        for content, limit in (
            (noise(3 * MIB + 200_000), "StreamMaxLength"),
            (noise(MIB + 200_000) + EICAR, "MaxFileSize"),
            (archive({f"{n}.bin": noise(600_000) for n in range(4)}), "MaxFileSize"),
        ):
            assert await found(clamd, content) == EXCEEDED + limit


async def test_a_member_above_the_largest_size_is_skipped_without_a_report(tmp_path: Path) -> None:
    """Why the deployed limits are above all that the checks of structure accept."""
    hidden = office(more={"word/media/1.txt": b"%08d line\n" * 150_000 + EICAR})
    with running_clamd(tmp_path / "small", MaxFileSize="1M", MaxScanSize="20M") as clamd:
        assert await found(clamd, hidden) == ""
    with running_clamd(tmp_path / "deployed") as clamd:
        assert await found(clamd, hidden) == FOUND


async def test_the_largest_document_that_is_accepted_is_looked_into(clamd: Clamd) -> None:
    large = archive({"mimetype": "x", "a.txt": b" " * (60 * MIB) + EICAR})
    assert Archive(large, Budget()).members
    assert await found(clamd, large) == FOUND


def test_the_deployed_limits_fit_those_of_the_service() -> None:
    options = deployed_options()

    def size(name: str) -> int:
        assert options[name].endswith("M")
        return int(options[name][:-1]) * MIB

    assert size("StreamMaxLength") > Settings.model_fields["attachment_bytes"].default
    assert size("MaxFileSize") > MAX_UNPACKED > MAX_NESTED
    assert size("MaxScanSize") > MAX_UNPACKED + MAX_NESTED + Settings.model_fields["attachment_bytes"].default
    assert int(options["MaxFiles"]) >= MAX_MEMBERS
    assert int(options["MaxScanTime"]) < 1_000 * TranscriptsSettings.model_fields["clamd_timeout"].default


async def test_it_says_which_signatures_it_has(tmp_path: Path) -> None:
    with running_clamd(tmp_path / "clamd") as clamd:
        scanner = Scanner(clamd.url, PATIENCE)
        assert await scanner.signatures() == 1
        assert await found(clamd, MARK) == ""
        clamd.update(2, LATER)
        assert await scanner.signatures() == 2
        scan = await scanner.scan(chunks_of(io.BytesIO(MARK)), 2)
        assert (scan.signatures, scan.found) == (2, "Later-Test-Signature.UNOFFICIAL")


async def test_one_that_hangs_gives_no_verdict_and_goes_on_later(tmp_path: Path) -> None:
    with running_clamd(tmp_path / "clamd") as clamd:
        os.kill(clamd.process.pid, signal.SIGSTOP)
        with pytest.raises(ScannerUnavailable, match="TimeoutError"):
            await Scanner(clamd.url, 0.3).scan(chunks_of(io.BytesIO(b"Dag")))
        os.kill(clamd.process.pid, signal.SIGCONT)
        assert await found(clamd, b"Dag") == ""


async def test_one_that_dies_in_the_middle_of_a_file_gives_no_verdict(tmp_path: Path) -> None:
    with running_clamd(tmp_path / "clamd") as clamd:

        async def dying() -> AsyncIterator[bytes]:
            yield b"the first part"
            clamd.process.kill()
            await asyncio.to_thread(clamd.process.wait)
            for _ in range(100):
                yield bytes(64 * 1024)

        with pytest.raises(ScannerUnavailable):
            await Scanner(clamd.url, PATIENCE).scan(dying())
    with running_clamd(tmp_path / "clamd") as clamd:
        assert await found(clamd, b"Dag") == ""


async def test_one_that_is_not_there_gives_no_verdict() -> None:
    with no_scanner() as url:
        with pytest.raises(ScannerUnavailable, match="ConnectionRefusedError"):
            await Scanner(url, PATIENCE).scan(chunks_of(io.BytesIO(b"Dag")))
        with pytest.raises(ScannerUnavailable, match="ConnectionRefusedError"):
            await Scanner(url, PATIENCE).signatures()


async def test_of_several_scanners_one_with_the_wanted_signatures_is_used(tmp_path: Path) -> None:
    """One address for two, as a Service of Kubernetes has it: the connections go to both in turn."""
    with running_clamd(tmp_path / "old") as old, running_clamd(tmp_path / "new") as new:
        new.update(2, LATER)
        connections, ended = itertools.count(1), list[int]()

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            number = next(connections)
            chosen = (new, old)[number % 2]
            up_reader, up_writer = await asyncio.open_unix_connection(chosen.url.removeprefix("unix:"))

            async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                with contextlib.suppress(OSError):
                    while chunk := await source.read(65_536):
                        target.write(chunk)
                        await target.drain()
                target.close()

            await asyncio.gather(pipe(reader, up_writer), pipe(up_reader, writer))
            await asyncio.gather(writer.wait_closed(), up_writer.wait_closed(), return_exceptions=True)
            ended.append(number)

        async with await asyncio.start_server(pass_on, "127.0.0.1", 0) as server:
            scanner = Scanner(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", PATIENCE)
            for _ in range(2):
                scan = await scanner.scan(chunks_of(io.BytesIO(MARK)), 2)
                assert (scan.signatures, scan.found) == (2, "Later-Test-Signature.UNOFFICIAL")
            assert (await scanner.scan(chunks_of(io.BytesIO(b"Dag")), 3)).found == "", "a verdict of older ones"
            begun = next(connections) - 1
            await until(lambda: len(ended) == begun, "the end of all connections")


GARBAGE = (b"", b"1: \0", b"\xff" * 300 + b"\0", b"x" * 100_000, b"1: ClamAV\0", b"HTTP/1.1 200 OK\r\n\r\n\0")
NO_VERDICTS = (
    *(b"", b"2: stream: O", b"2: stream: OK", b"2: stream: NOT OK\0", b"stream: OK\0", b"OK\0", b"\0"),
    *(b"2: stream: OK\n2: stream: Eicar FOUND\0", b"2: UNKNOWN COMMAND\0", b"2: stream: lstat() failed. ERROR\0"),
)


@pytest.mark.parametrize(("version", "verdict"), [*((g, b"") for g in GARBAGE), *((None, v) for v in NO_VERDICTS)])
async def test_garbage_is_no_verdict(version: bytes | None, verdict: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"zVERSION\0")
        writer.write(b"1: ClamAV 1.4.6/27400/Mon Nov 23 08:00:00 2026\0" if version is None else version)
        if version is None:
            await reader.readuntil(b"zINSTREAM\0")
            while size := struct.unpack("!L", await reader.readexactly(4))[0]:
                await reader.readexactly(size)
            writer.write(verdict)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ScannerUnavailable):
            await Scanner(url, PATIENCE).scan(chunks_of(io.BytesIO(b"Dag")))
