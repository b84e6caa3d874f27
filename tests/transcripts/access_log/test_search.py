"""The access log as auditors read it: searches, the span of an export, and the verification of the newest entries."""

import dataclasses
from datetime import datetime, timedelta

from services.common.access_chain import Flaw
from services.common.mongo.client import Database
from services.transcripts.access_log.store import Access, AccessLog, Act, Filter, stamp
from tests.transcripts.conftest import OPENED_AT

CHAT = "0f3a41f2-0000-4000-8000-00000000000a"
OTHER = "0f3a5b00-0000-4000-8000-00000000000b"


async def filled(database: Database) -> AccessLog:
    """A log of six entries, a day apart."""
    now = [OPENED_AT]
    log = AccessLog(database, lambda: now[0])
    reads: tuple[tuple[Act, str | None, str | None], ...] = (
        ("transcript_read", "an", CHAT),
        ("file_read", "an", CHAT),
        ("transcript_read", "sofie", OTHER),
        ("report_read", "sofie", None),
        ("transcript_read", None, CHAT),
        ("chat_erased", "griffie", OTHER),
    )
    for act, who, chat in reads:
        await log.record(Access(act, who, "agent", chat))
        now[0] += timedelta(days=1)
    return log


def day(number: int) -> datetime:
    """The beginning of the time of this entry."""
    return OPENED_AT + timedelta(days=number - 1)


async def test_each_filter_alone_and_all_of_them(database: Database) -> None:
    log = await filled(database)

    async def found(wanted: Filter, most: int = 10, before: int | None = None, after: int | None = None) -> list[int]:
        return [int(e["seq"]) for e in await log.search(wanted, most, before, after)]

    assert await found(Filter()) == [6, 5, 4, 3, 2, 1]
    assert await found(Filter(), most=2, before=5) == [4, 3]
    assert await found(Filter(), most=2, after=3) == [4, 5]
    assert await found(Filter(who=["an", "griffie"])) == [6, 2, 1]
    assert await found(Filter(who=[])) == []
    assert await found(Filter(chat=CHAT)) == [5, 2, 1]
    assert await found(Filter(chat="0f3a")) == [6, 5, 3, 2, 1]
    assert await found(Filter(chat="0f3a4")) == [5, 2, 1]
    assert await found(Filter(act="transcript_read")) == [5, 3, 1]
    assert await found(Filter(since=day(3), until=day(5))) == [4, 3]
    assert await found(Filter(["an"], "0f3a", "file_read", day(2), day(3))) == [2]


async def test_the_span_of_a_period(database: Database) -> None:
    log = await filled(database)
    assert await log.span(None, None) == (0, 6)
    assert await log.span(day(3), day(5)) == (2, 4)
    assert await log.span(day(5), None) == (4, 6)
    assert await log.span(None, day(1)) == (0, 0)
    assert await log.span(day(9), None) == (0, 0)


async def test_the_span_has_what_a_clock_that_was_ahead_has_written(database: Database) -> None:
    now = [OPENED_AT]
    log = AccessLog(database, lambda: now[0])
    for seconds in (0, 62, 60, 118, 119, 117, 130):
        now[0] = OPENED_AT + timedelta(seconds=seconds)
        await log.record(Access("file_read", "an", "agent", CHAT))
    minute = timedelta(seconds=60)
    assert await log.span(OPENED_AT + minute, OPENED_AT + 2 * minute) == (1, 6)
    assert await log.span(OPENED_AT + minute, OPENED_AT + minute) == (0, 0)


async def test_the_verification_is_bounded_and_finds_what_was_changed(database: Database) -> None:
    log = await filled(database)
    whole = await log.verify()
    assert (whole.first, whole.head, whole.complete, whole.flaws) == (1, await log.head(), True, [])
    newest = await log.verify(most=2)
    assert (newest.first, newest.head.seq, newest.complete, newest.flaws) == (5, 6, False, [])

    await database["access_log"].update_one({"_id": 2}, {"$set": {"who": "bert"}})
    assert (await log.verify()).flaws == [Flaw("altered", 2, 2)]
    assert (await log.verify(most=2)).flaws == []
    await database["access_log"].delete_one({"_id": 6})
    assert Flaw("end", 6, 6) in (await log.verify(most=2)).flaws, "this process wrote it"
    assert (await AccessLog(database, lambda: OPENED_AT).verify(most=2)).flaws == []


async def test_after_a_pruning_the_rest_is_intact_and_complete(database: Database) -> None:
    log = await filled(database)
    assert await log.prune(day(4)) == 3
    found = await log.verify()
    assert (found.first, found.head.seq, found.complete, found.flaws) == (4, 7, True, [])


def test_a_filter_of_nothing_asks_for_nothing() -> None:
    assert Filter().document() == {}
    assert all(getattr(Filter(), field.name) is None for field in dataclasses.fields(Filter))
    assert Filter(since=OPENED_AT).document() == {"at": {"$gte": stamp(OPENED_AT)}}
