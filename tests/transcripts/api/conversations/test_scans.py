"""Uploads and downloads with a real scanner: refused, scanned again, and never handed out without a verdict."""

import asyncio
import io
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.common.mongo.client import Database
from services.transcripts.app import create_app
from services.transcripts.attachments import rescans
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.support.dependencies.clamd import EICAR, LATER, MARK, SIGNATURES, Clamd, running_clamd
from tests.support.metrics import sample
from tests.support.servers import PATIENCE
from tests.transcripts.api.client import CHAT, ApiClient, fill, opened
from tests.transcripts.attachments.test_judging import PNG_BYTES
from tests.transcripts.made import archive, office

Make = Callable[..., Settings]


@pytest.fixture
async def make(make_settings: Make, store: Store, vhost_url: str) -> Make:
    """Settings with a scanner, for the chat of the tests."""
    await fill(store)

    def settings(url: str, **more: Any) -> Settings:
        return make_settings(**{"rabbitmq_url": vhost_url, "clamd_timeout": PATIENCE, "clamd_url": url, **more})

    return settings


@pytest.fixture
def always_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version of the signatures is asked before each download."""
    monkeypatch.setattr(rescans, "KNOWN_SECONDS", 0.0)
    monkeypatch.setattr(rescans, "UNKNOWN_SECONDS", 0.0)


async def nothing_stored(database: Database) -> bool:
    return not any([await database[n].count_documents({}) for n in ("attachments", "files.files", "files.chunks")])


def scans(outcome: str) -> float:
    return sample("eloket_transcripts_rescans_total", {"outcome": outcome}) or 0.0


async def code_of(api: ApiClient, id_: str) -> tuple[int, str]:
    status, _, body = await api.get(f"/chats/{CHAT}/attachments/{id_}")
    return status, next((word for word in ("infected", "unavailable", "not_scannable") if word.encode() in body), "")


async def test_an_infected_file_is_refused_and_stored_nowhere(make: Make, clamd: Clamd, database: Database) -> None:
    async with opened(create_app(make(clamd.url))) as api:
        for content, name in ((EICAR, "brief.txt"), (office(more={"word/media/a.png": EICAR}), "brief.docx")):
            status, answered = await api.upload(content, name)
            assert (status, answered["code"]) == (422, "infected")
            assert answered["detail"] == "The file holds malware and was refused."
        assert (await api.upload(archive({"brief.txt": EICAR}), "brief.zip"))[1]["code"] == "type_not_allowed"
        assert await nothing_stored(database)
        status, answered = await api.upload(PNG_BYTES)
        assert status == 201
        stored = await database["attachments"].find_one({"_id": answered["id"]})
        assert stored is not None
        assert {**stored["scan"], "at": None} == {"signatures": 1, "found": "", "at": None}
        assert await code_of(api, answered["id"]) == (200, "")


async def test_what_is_too_much_for_the_scanner_is_refused(make: Make, database: Database, tmp_path: Path) -> None:
    large = PNG_BYTES + random.Random(1).randbytes(1_200_000)
    with running_clamd(tmp_path / "clamd", MaxFileSize="1M") as clamd:
        async with opened(create_app(make(clamd.url))) as api:
            status, answered = await api.upload(io.BytesIO(large))
            assert (status, answered["code"], answered["reason"]) == (415, "type_not_allowed", "not_scannable")
    assert await nothing_stored(database)


async def test_without_a_verdict_no_file_is_taken_and_it_may_be_sent_again(
    make: Make, database: Database, tmp_path: Path
) -> None:
    with running_clamd(tmp_path / "clamd") as clamd:
        async with opened(create_app(make(clamd.url, clamd_timeout=1.0))) as api:
            os.kill(clamd.process.pid, signal.SIGSTOP)
            assert (await api.upload(PNG_BYTES))[1]["code"] == "unavailable", "it hangs"
            clamd.process.kill()
            clamd.process.wait()
            status, answered = await api.upload(PNG_BYTES)
            assert (status, answered["code"]) == (503, "unavailable"), "it is gone"
    assert await nothing_stored(database)
    with running_clamd(tmp_path / "clamd") as clamd:
        async with opened(create_app(make(clamd.url))) as api:
            assert (await api.upload(PNG_BYTES))[0] == 201


@pytest.mark.usefixtures("always_asked")
async def test_a_stored_file_is_scanned_once_with_each_newer_version(
    make: Make, database: Database, tmp_path: Path
) -> None:
    with running_clamd(tmp_path / "clamd") as clamd:
        async with opened(create_app(make(clamd.url))) as api:
            (_, bad), (_, good) = await api.upload(b"Dag, " + MARK, "a.txt"), await api.upload(PNG_BYTES)
            before = {outcome: scans(outcome) for outcome in ("clean", "infected")}
            assert [await code_of(api, one["id"]) for one in (bad, good)] == [(200, "")] * 2
            clamd.update(2, LATER)
            answers = await asyncio.gather(*(code_of(api, bad["id"]) for _ in range(6)))
            assert set(answers) == {(422, "infected")}
            assert [await code_of(api, good["id"]) for _ in range(3)] == [(200, "")] * 3
            assert {outcome: scans(outcome) - n for outcome, n in before.items()} == {"clean": 1, "infected": 1}
            stored = await database["attachments"].find_one({"_id": bad["id"]})
            assert stored is not None
            assert stored["scan"]["found"] == "Later-Test-Signature.UNOFFICIAL"
            assert await database["files.files"].count_documents({"_id": bad["id"]}) == 1, "kept, with the reason"
        async with opened(create_app(make(""))) as api:
            assert await code_of(api, bad["id"]) == (422, "infected"), "also when the scanner was switched off"
        clamd.update(3, SIGNATURES)
        async with opened(create_app(make(clamd.url))) as api:
            assert await code_of(api, bad["id"]) == (200, ""), "the next signatures take it back"


@pytest.mark.usefixtures("always_asked")
async def test_a_file_from_before_the_scanner_is_scanned_first(make: Make, tmp_path: Path) -> None:
    async with opened(create_app(make(""))) as api:
        (_, bad), (_, good) = await api.upload(EICAR, "a.txt"), await api.upload(PNG_BYTES)
        assert await code_of(api, bad["id"]) == (200, "")
    with running_clamd(tmp_path / "clamd") as clamd:
        async with opened(create_app(make(clamd.url))) as api:
            os.kill(clamd.process.pid, signal.SIGSTOP)
        async with opened(create_app(make(clamd.url, clamd_timeout=0.3))) as api:
            assert await code_of(api, good["id"]) == (503, "unavailable")
        os.kill(clamd.process.pid, signal.SIGCONT)
        async with opened(create_app(make(clamd.url))) as api:
            assert [await code_of(api, one["id"]) for one in (bad, good)] == [(422, "infected"), (200, "")]
            clamd.process.kill()
            clamd.process.wait()
            assert await code_of(api, good["id"]) == (200, ""), "it was clean, and nothing newer is known"
