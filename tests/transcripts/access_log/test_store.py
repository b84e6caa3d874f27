"""The access log on the real database: one chain of several writers, failures, retention, unusual reading."""

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from services.common.access_chain import Flaw, Verifier
from services.common.mongo.client import Database
from services.transcripts.access_log import store as access_log_store
from services.transcripts.access_log.store import Access, AccessLog
from tests.transcripts.conftest import OPENED_AT, new_id


def read(who: str = "an", chat_id: str | None = None) -> Access:
    return Access("transcript_read", who, "agent", chat_id or new_id(), "pdf", "algemeen", "192.0.2.7")


def made(database: Database, unusual: int = 0) -> AccessLog:
    return AccessLog(database, lambda: OPENED_AT, unusual)


async def verified(log: AccessLog) -> int:
    """The number of entries, which are intact."""
    verifier = Verifier()
    while page := await log.entries(verifier.head.seq):
        verifier.take(page)
    assert verifier.end(await log.head()) == []
    return verifier.head.seq


async def test_an_entry_says_who_what_when_and_from_where(database: Database) -> None:
    log = made(database)
    await log.record(read(chat_id="c"))
    (entry,) = await log.entries(0)
    assert {k: v for k, v in entry.items() if k not in ("hash", "prev")} == {
        "seq": 1,
        "at": "2026-11-22T15:00:00.123Z",
        "act": "transcript_read",
        "who": "an",
        "role": "agent",
        "chat_id": "c",
        "item": "pdf",
        "department": "algemeen",
        "source": "192.0.2.7",
    }


async def test_three_replicas_write_one_chain_without_gaps(database: Database) -> None:
    replicas = [made(database) for _ in range(3)]
    await asyncio.gather(*(log.record(read(f"agent-{n}")) for n in range(40) for log in replicas))
    assert await verified(made(database)) == 120
    names = [entry["who"] for entry in await replicas[0].entries(0)]
    assert all(names.count(f"agent-{n}") == 3 for n in range(40))


async def test_a_read_is_not_logged_as_done_when_the_write_fails_and_the_chain_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = made(database)
    await log.record(read())
    real = log._entries.insert_one

    async def broken_after(document: dict[str, object]) -> object:
        await real(document)  # it is stored, and the answer is lost
        raise AutoReconnect("lost")

    monkeypatch.setattr(log._entries, "insert_one", broken_after, raising=False)
    with pytest.raises(AutoReconnect):
        await log.record(read())
    monkeypatch.undo()
    await log.record(read())
    assert await verified(log) == 3


async def test_a_change_of_the_database_is_detected(database: Database) -> None:
    log = made(database)
    for _ in range(4):
        await log.record(read())
    await database["access_log"].update_one({"_id": 2}, {"$set": {"who": "somebody else"}})
    await database["access_log"].delete_one({"_id": 3})
    verifier = Verifier()
    verifier.take(await log.entries(0))
    assert verifier.end() == [Flaw("altered", 2, 2), Flaw("missing", 3, 3)]


async def test_its_beginning_goes_after_its_period_and_the_rest_stays_verifiable(database: Database) -> None:
    now = [OPENED_AT]
    log = AccessLog(database, lambda: now[0])
    for _ in range(5):
        await log.record(read())
        now[0] += timedelta(days=1)
    assert await log.prune(OPENED_AT + timedelta(days=2)) == 2
    assert [e["seq"] for e in await log.entries(0)] == [3, 4, 5, 6]
    assert await verified(log) == 6
    assert await log.prune(OPENED_AT) == 0
    assert await log.prune(now[0] + timedelta(days=9)) == 0  # the last entry stays


async def test_a_reader_of_unusually_many_chats_is_reported_once(database: Database) -> None:
    log, same = made(database, unusual=3), new_id()
    with capture_logs() as logs:
        for chat_id in (same, same, new_id(), new_id()):
            await log.record(read(chat_id=chat_id))
        assert logs == []
        for _ in range(2):
            await log.record(read())
        await log.record(read("bert"))
    assert [(e["event"], e["agent_id"], e["chats"]) for e in logs] == [("unusual_reading", "an", 4)]


async def test_entries_that_wait_are_written_together(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log_store, "MOST_TOGETHER", 7)
    log = made(database)
    await asyncio.gather(*(log.record(read()) for _ in range(30)))
    assert await verified(log) == 30
