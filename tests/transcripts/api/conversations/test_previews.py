"""Previews of pictures and PDFs, drawn by the worker, over HTTP and the real database."""

from __future__ import annotations

import asyncio
import struct
import zlib
from datetime import UTC, datetime, timedelta

import pytest
import typst

from services.common.clock import utcnow
from services.common.http.problems import Problem
from services.common.mongo.client import Database
from services.common.runtime.worker_process import MIB, Workers
from services.transcripts.attachments.previews import KEPT_BYTES, LARGE, LATE_AGAIN, MOST_LATE, SMALL, Previews
from services.transcripts.attachments.scanner import Scan
from services.transcripts.attachments.store import FREE, Files
from tests.support.conditions import until
from tests.support.servers import PATIENCE
from tests.transcripts.api.client import AN, BERT, CHAT, CITIZEN, ApiClient

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    head = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x20\x60\xa0" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def pdf() -> bytes:
    made = typst.compile(b'#set page(paper: "a4")\nEen bladzijde\n#pagebreak()\nNog een', format="pdf")
    assert isinstance(made, bytes)
    return made


def measures(drawn: bytes) -> tuple[int, int]:
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">LL", drawn[16:24])
    return width, height


async def uploaded(api: ApiClient, content: bytes, name: str = "bestand") -> str:
    status, answered = await api.upload(content, name)
    assert status == 201, answered
    return f"/chats/{CHAT}/attachments/{answered['id']}"


@pytest.mark.parametrize(("size", "most"), [("small", SMALL), ("large", LARGE)])
async def test_a_picture_and_the_first_page_of_a_pdf_have_previews_of_bounded_size(
    api: ApiClient, size: str, most: int
) -> None:
    for content, shape in ((png(2000, 1000), 2.0), (pdf(), 210 / 297)):
        path = await uploaded(api, content)
        status, headers, drawn = await api.get(f"{path}/preview?size={size}")
        assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "image/png", "no-store")
        width, height = measures(drawn)
        assert max(width, height) == most
        assert width / height == pytest.approx(shape, rel=0.02)


async def test_a_small_preview_is_kept_with_its_file_and_deleted_with_it(
    api: ApiClient, database: Database, files: Files
) -> None:
    path = await uploaded(api, png(600, 400))
    id_ = path.rpartition("/")[2]
    assert await files.preview(id_) is None
    _, _, drawn = await api.get(f"{path}/preview")
    assert await files.preview(id_) == drawn
    assert len(drawn) < KEPT_BYTES
    await files.keep_preview(id_, b"\x89PNG kept")
    assert (await api.get(f"{path}/preview"))[2] == b"\x89PNG kept"
    await files.doom(id_, FREE, NOW)
    assert (await api.get(f"{path}/preview"))[0] == 404
    await files.clean(NOW, timedelta(hours=24))
    assert await files.preview(id_) is None


async def test_a_preview_that_the_end_of_the_service_interrupts_is_drawn_later(api: ApiClient, files: Files) -> None:
    id_ = (await uploaded(api, png(20, 20))).rpartition("/")[2]
    file, previews = await files.get(id_), Previews(files, utcnow)
    assert file is not None
    workers = previews._workers = Workers(
        "tests.support.programs.worker_jobs:asleep", memory=256 * MIB, seconds=PATIENCE, size=1
    )
    assert await workers.run(b"ready") == b""
    drawing = asyncio.create_task(previews.of(file, large=False))
    await until(lambda: workers.under_way == 1 and not workers._idle, "the job")
    await previews.close()
    with pytest.raises(Problem) as refused:
        await drawing
    assert refused.value.status == 503
    assert await files.preview(id_) is None


async def test_a_preview_that_takes_too_long_is_tried_again_later_a_few_times(api: ApiClient, files: Files) -> None:
    now, waits = NOW, list[int]()

    async def drawn(id_: str, too_long: bool = True) -> int | bytes | None:
        """The preview, of a process that takes too long or not; else the status with which it is refused."""
        file, previews = await files.get(id_), Previews(files, lambda: now)
        assert file is not None
        if too_long:
            asleep = "tests.support.programs.worker_jobs:asleep"
            previews._workers = Workers(asleep, memory=256 * MIB, seconds=0.3, size=1)
        try:
            return await previews.of(file, large=False)
        except Problem as refused:
            waits.append(int((refused.headers or {})["Retry-After"]))
            return refused.status
        finally:
            await previews.close()

    id_ = (await uploaded(api, png(20, 20))).rpartition("/")[2]
    assert await drawn(id_) == 503
    assert await files.preview(id_) is None, "it is not kept that the file cannot be drawn"
    now += LATE_AGAIN / 2
    assert await drawn(id_, too_long=False) == 503, "not yet"
    now += LATE_AGAIN / 2
    kept = await drawn(id_, too_long=False)
    assert isinstance(kept, bytes)
    assert waits == [600, 300]
    assert await files.preview(id_) == kept

    other = (await uploaded(api, png(30, 30))).rpartition("/")[2]
    outcomes = []
    for _ in range(MOST_LATE + 1):
        outcomes.append(await drawn(other))
        now += LATE_AGAIN
    assert outcomes == [503] * (MOST_LATE - 1) + [None, None], "a bounded number of tries"
    assert await files.preview(other) == b""


async def test_no_download_waits_for_previews(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    path, number, drawn = await uploaded(api, png(20, 20)), 0, asyncio.Event()

    async def of(*_: object) -> None:
        nonlocal number
        number += 1
        await drawn.wait()

    monkeypatch.setattr(Previews, "of", of)
    waiting = [asyncio.create_task(api.get(f"{path}/preview")) for _ in range(8)]
    await until(lambda: number == 8, "the previews")
    try:
        status = (await api.get(path))[0]
    finally:
        drawn.set()
    assert [one[0] for one in await asyncio.gather(*waiting)] == [204] * 8
    assert status == 200


async def test_a_file_without_a_picture_has_no_preview(api: ApiClient, files: Files) -> None:
    for content, name in (
        (b"een tekst", "brief.txt"),
        (png(8000, 8000), "plan.png"),
        (b"%PDF-1.4\n%%EOF\n", "leeg.pdf"),
    ):
        path = await uploaded(api, content, name)
        for _ in range(2):
            status, _, body = await api.get(f"{path}/preview")
            assert (status, body) == (204, b""), name


async def test_a_preview_is_for_who_may_read_the_file(api: ApiClient) -> None:
    path = await uploaded(api, png(20, 20))
    assert [(await api.get(f"{path}/preview", who))[0] for who in (CITIZEN, AN, BERT)] == [200, 404, 403]
    assert (await api.get(f"/chats/{CHAT}/attachments/{'0' * 8}/preview"))[0] == 404


async def test_a_preview_follows_the_verdict_of_the_scanner_and_its_reading_is_logged(
    api: ApiClient, files: Files, database: Database
) -> None:
    _, answered = await api.upload(png(20, 20), actor=AN)
    path = f"/chats/{CHAT}/attachments/{answered['id']}"
    assert (await api.get(f"{path}/preview", AN))[0] == 200
    logged = await database["access_log"].find({}).to_list(None)
    assert [(one["act"], one["item"]) for one in logged if one["act"] == "file_read"] == [("file_read", answered["id"])]
    await files.scanned(answered["id"], Scan(7, "Eicar-Test"), NOW)
    status, _, body = await api.get(f"{path}/preview", AN)
    assert (status, b"infected" in body) == (422, True)
