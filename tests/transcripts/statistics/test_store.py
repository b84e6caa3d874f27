"""Statistics on the real database: a played month, repetitions, ratings, erasure, retention and earlier releases."""

import asyncio
from datetime import date, datetime
from typing import Any

import pytest

from services.common.events.agents import PauseEnded
from services.common.events.types import Cause
from services.common.internal_api.reports import By, FiguresQuery, FiguresReport
from services.common.internal_api.transcripts import Rating, Reader
from services.common.mongo.client import Database
from services.common.mongo.leases import Leases
from services.common.mongo.migrations import upgrade
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.log.store import Store
from services.transcripts.migrations import STEPS
from services.transcripts.questions.store import Questions
from services.transcripts.retention.store import Erasures
from services.transcripts.statistics import job as statistics_job
from services.transcripts.statistics.job import StatisticsJob
from services.transcripts.statistics.rules import row_id
from services.transcripts.statistics.store import Statistics
from tests.support.conditions import until
from tests.transcripts.conftest import EventObserver, Start, new_id, opened_event, posted, state
from tests.transcripts.statistics.month import (
    AGENTS,
    ALGEMEEN,
    BRUSSELS,
    NONE,
    OF_DAYS,
    OF_WEEKS,
    PREMIES,
    TOTAL,
    local,
    play,
)

LATER = local(1, "12:00:00", month=12)
READER = Reader(agent_id="sofie", supervisor=True)


@pytest.fixture
def statistics(database: Database) -> Statistics:
    return Statistics(database)


@pytest.fixture
async def month(database: Database, store: Store, statistics: Statistics) -> dict[str, str]:
    """The numbers of its chats. Nothing is counted yet."""
    return await play(store, Questions(database), Ratings(database, statistics))


def job(statistics: Statistics, database: Database, now: datetime = LATER) -> StatisticsJob:
    return StatisticsJob(statistics, Leases(database), lambda: now)


async def counted(statistics: Statistics, database: Database) -> None:
    while await job(statistics, database).round():
        pass


async def report(
    statistics: Statistics, by: By = "day", departments: tuple[str, ...] = ("algemeen", "premies")
) -> FiguresReport:
    first, last = date(2026, 10, 1), date(2026, 10, 31)
    query = FiguresQuery(since=first, until=last, by=by, departments=list(departments), reader=READER)
    return await statistics.report(query, BRUSSELS)


async def rows(database: Database) -> list[dict[str, Any]]:
    both = (database["chat_statistics"], database["question_statistics"])
    return [row for one in both for row in await one.find({}).sort("_id", 1).to_list(None)]


async def test_a_month_has_the_figures_that_were_calculated_by_hand(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    await counted(statistics, database)
    told = await report(statistics)
    assert told.timezone == "Europe/Brussels"
    assert told.total.model_dump() == TOTAL
    assert {d.id: d.figures.model_dump() for d in told.departments} == {"algemeen": ALGEMEEN, "premies": PREMIES}
    assert told.agents is None
    days = {p.period: p.figures for p in told.periods}
    assert len(days) == 31
    for day, figures in days.items():
        if day in OF_DAYS:
            assert (figures.offered, figures.served, figures.wait_p50, figures.left_questions) == OF_DAYS[day], day
        else:
            assert figures.model_dump() == NONE, day


async def test_its_weeks(database: Database, statistics: Statistics, month: dict[str, str]) -> None:
    await counted(statistics, database)
    told = await report(statistics, "week")
    found = {
        p.period: (
            p.since.isoformat(),
            p.until.isoformat(),
            *(p.figures.offered, p.figures.served, p.figures.wait_p50, p.figures.wait_p90),
        )
        for p in told.periods
    }
    assert found == OF_WEEKS


async def test_figures_of_agents_are_given_only_while_they_are_on(database: Database, month: dict[str, str]) -> None:
    on, off = Statistics(database, agents=True), Statistics(database)
    await counted(on, database)
    told = (await report(on)).agents
    assert told is not None
    assert {a.id: a.figures.model_dump() for a in told} == AGENTS
    assert (await report(on)).total.model_dump() == TOTAL
    assert (await report(off)).agents is None
    await job(off, database)._work()
    assert not any("agent_id" in row for row in await rows(database)), "what is off is not kept either"
    assert (await report(on)).agents == []
    assert (await report(on)).total.model_dump() == TOTAL


async def test_a_department_that_was_not_asked_for_is_not_counted(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    await counted(statistics, database)
    told = await report(statistics, departments=("premies",))
    assert told.total.model_dump() == PREMIES
    assert [d.id for d in told.departments] == ["premies"]


async def test_a_repetition_by_any_replica_counts_once(
    database: Database, store: Store, statistics: Statistics, month: dict[str, str]
) -> None:
    replicas = [job(Statistics(database), database) for _ in range(3)]
    await asyncio.gather(*(replica.round() for replica in replicas))
    first = await rows(database)
    assert len(first) == 14 + 2, "every ended chat, and both questions"
    await database["chats"].update_many({"closed_at": {"$ne": None}}, {"$set": {"counted": False}})  # as after a crash
    await database["questions"].update_many({}, {"$set": {"counted": False}})
    await counted(statistics, database)
    assert await rows(database) == first
    assert (await report(statistics)).total.model_dump() == TOTAL


async def test_events_that_are_delivered_again_change_no_figure(
    start: Start, observer: EventObserver, database: Database, statistics: Statistics
) -> None:
    chat = new_id()
    events = [
        opened_event(chat),
        state(chat, 2, Cause.ASSIGNED, agent="an", accepted=True),
        posted(chat, sender="an", text="Dag", turn=1),
        state(chat, 3, Cause.CLOSED, reason="citizen"),
    ]
    async with start() as bench:
        await observer.put(*events)
        await until(lambda: any(e.event is Cause.CLOSED for e in observer.stored(chat)), "the seal")
        await counted(statistics, database)
        first = await rows(database)
        await observer.put(*events, *reversed(events))
        await observer.caught_up()
        await bench.acknowledged()
        await counted(statistics, database)
    assert len(first) == 1
    assert first[0]["served"]
    assert first[0]["reason"] == "citizen"
    assert await rows(database) == first


async def test_a_rating_counts_before_and_after_its_chat_is_counted_and_the_last_one_stays(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    ratings, chat = Ratings(database, statistics), month["3"]
    before = Rating(chat_id=chat, helped="no", score=1)
    await ratings.rate(before, "algemeen", local(5, "10:30:00"))
    await counted(statistics, database)
    assert (await report(statistics)).total.helped_no == 2
    after = Rating(chat_id=chat, helped="yes", score=5)
    await ratings.rate(after, "algemeen", local(5, "10:40:00"))
    await statistics.rated(chat, {"at": local(5, "10:30:00"), "helped": "no", "score": 1})  # it lands late
    told = (await report(statistics)).total
    assert (told.helped_yes, told.helped_no, told.scores, told.score_mean) == (4, 1, 6, 3.83)


async def test_figures_stay_when_the_conversations_are_erased_counted_or_not(
    database: Database, month: dict[str, str]
) -> None:
    statistics = Statistics(database, agents=True)
    await statistics.count_chat(month["1"])
    erasures = Erasures(database, statistics)
    for name, chat in month.items():
        if name != "X3":
            assert await erasures.erase(chat, "operator", LATER) is None
    assert await erasures.delete_questions("algemeen", LATER, LATER, LATER, 200) == 1
    assert await database["entries"].count_documents({"chat_id": {"$ne": month["X3"]}}) == 0
    await counted(statistics, database)
    told = await report(statistics)
    assert told.total.model_dump() == TOTAL
    assert told.agents == [], "no person is left"


async def test_an_erasure_that_was_interrupted_spoils_no_row(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    erasures, chat = Erasures(database, statistics), month["9"]
    await statistics.count_before_erasure(chat)
    await database["entries"].delete_many({"chat_id": chat, "event": {"$ne": "closed"}})
    for erasing in (None, {"at": LATER, "by": "period"}):  # as a job saw it that read the chat before, and after
        change = {"$set": {"counted": False, "erasing": erasing}}
        await database["chats"].update_one({"_id": chat}, change)
        await job(statistics, database).round()
    assert await erasures.erase(chat, "period", LATER) is None
    assert (await report(statistics)).total.model_dump() == TOTAL


async def test_rows_go_after_the_period_of_statistics(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    await counted(statistics, database)
    deleted = await Erasures(database, statistics).forget(local(25, "00:00:00"))
    assert deleted == 7 + 1, "X1, 1 to 6, and one question"
    assert (await report(statistics)).total.offered == 6


async def test_chats_of_earlier_releases_are_counted_after_the_update(
    database: Database, statistics: Statistics, month: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chats", "questions"):
        await database[name].update_many({}, {"$unset": {"counted": ""}})
    before = [step.what for step in STEPS].index("statistics")
    await database["schema"].update_one({"_id": "schema"}, {"$set": {"version": before}})
    await upgrade(database, STEPS)
    monkeypatch.setattr(statistics_job, "AT_A_TIME", 4)
    await counted(statistics, database)
    assert (await report(statistics)).total.model_dump() == TOTAL


async def test_what_an_earlier_release_ends_during_an_update_is_found(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    await counted(statistics, database)
    for name, such in (("chats", {"_id": month["12"]}), ("questions", {"_id": month["4"]})):
        await database[name].update_one(such, {"$unset": {"counted": ""}})
        await database[f"{name[:-1]}_statistics"].delete_one({"_id": row_id(str(such["_id"]))})
    await job(statistics, database, local(1, "12:00:00", month=11))._work()
    assert (await report(statistics)).total.offered == 12
    assert (await report(statistics)).total.left_questions == 1, "the question is older than two days"


async def test_what_cannot_be_counted_keeps_nothing_else_from_it(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    await database["chats"].insert_one({"_id": "0", "counted": False, "closed_at": LATER, "department": "algemeen"})
    await counted(statistics, database)
    assert (await report(statistics)).total.model_dump() == TOTAL


async def test_a_report_is_reproducible_from_what_is_stored(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    await counted(statistics, database)
    first = await report(statistics)
    await database["chat_statistics"].delete_many({})
    await database["chats"].update_many({"closed_at": {"$ne": None}}, {"$set": {"counted": False}})
    await counted(statistics, database)
    assert await report(statistics) == first
    assert first.total.model_dump() == TOTAL


async def test_the_time_in_wrap_up_is_in_the_figures_whichever_is_stored_first(
    database: Database, statistics: Statistics, month: dict[str, str]
) -> None:
    of_algemeen = [number for name, number in month.items() if name in ("1", "2")]
    await statistics.wrapped_up(of_algemeen[0], 30, LATER)  # before its chat is counted
    await counted(statistics, database)
    await statistics.wrapped_up(of_algemeen[1], 90, LATER)
    await statistics.wrapped_up(of_algemeen[1], 90, LATER)  # delivered twice
    told = (await report(statistics)).total
    assert (told.wrap_up_p50, told.wrap_up_p90, told.wrap_up_total) == (30, 90, 120)
    assert told.model_copy(update={"wrap_up_p50": None, "wrap_up_p90": None, "wrap_up_total": 0}).model_dump() == TOTAL
    assert await database["wrap_ups"].count_documents({}) == 0, "it is in the rows"


async def test_a_wrap_up_of_a_chat_that_is_never_counted_goes_with_the_statistics(
    database: Database, statistics: Statistics
) -> None:
    await statistics.wrapped_up(new_id(), 30, local(1, "12:00:00"))
    await statistics.forget(local(1, "11:59:59"))
    assert await database["wrap_ups"].count_documents({}) == 1
    await statistics.forget(local(1, "12:00:01"))
    assert await database["wrap_ups"].count_documents({}) == 0


def pause(
    number: int, at: datetime, seconds: int, reason: str | None = "lunch", of: tuple[str, ...] = ("algemeen",)
) -> PauseEnded:
    pause_id = f"00000000-0000-4000-8000-{number:012}"
    return PauseEnded(pause_id=pause_id, agent_id="an", departments=list(of), reason=reason, since=at, seconds=seconds)


PAUSES = (
    pause(1, local(5, "12:00:00"), 1_800),
    pause(1, local(5, "12:00:00"), 1_800),  # delivered twice
    pause(2, local(5, "23:59:59"), 600, "meeting", ("premies", "algemeen")),
    pause(3, local(6, "00:00:00"), 60, None, ("premies",)),
    pause(4, local(7, "09:00:00"), 200, of=("elsewhere",)),
    pause(5, local(30, "12:00:00", month=9), 900),
)


async def test_pauses_are_counted_by_reason_on_the_day_on_which_they_began(
    database: Database, statistics: Statistics
) -> None:
    for one in PAUSES:
        await statistics.paused(one)
    told = await report(statistics)
    assert told.total.paused_total == 2_460
    assert [(p.reason, p.pauses, p.seconds) for p in told.total.pauses] == [
        ("lunch", 1, 1_800),
        ("meeting", 1, 600),
        (None, 1, 60),
    ]
    days = {p.period: p.figures.paused_total for p in told.periods if p.figures.paused_total}
    assert days == {"2026-10-05": 2_400, "2026-10-06": 60}
    assert {d.id: d.figures.paused_total for d in told.departments} == {"algemeen": 2_400, "premies": 660}
    assert all("agent_id" not in row for row in await database["pause_statistics"].find({}).to_list(None))
    assert (await report(statistics, departments=("premies",))).total.paused_total == 660


async def test_the_agents_of_pauses_are_named_only_while_that_is_on_and_for_the_period_of_conversations(
    database: Database,
) -> None:
    on = Statistics(database, agents=True)
    for one in PAUSES:
        await on.paused(one)
    named = (await report(on)).agents
    assert named is not None
    assert [(a.id, a.figures.paused_total) for a in named] == [("an", 2_460)]
    await on.without_agents_of_pauses(local(6, "00:00:00"))
    named = (await report(on)).agents
    assert named is not None
    assert [(a.id, a.figures.paused_total) for a in named] == [("an", 60)]
    assert (await report(on)).total.paused_total == 2_460
    assert await Statistics(database).without_agents() == 2
    assert await database["pause_statistics"].count_documents({"agent_id": {"$exists": True}}) == 0


async def test_pauses_go_after_the_period_of_statistics(database: Database, statistics: Statistics) -> None:
    for one in PAUSES:
        await statistics.paused(one)
    assert await statistics.forget(local(5, "12:00:01")) == 2
    assert await database["pause_statistics"].count_documents({}) == 3
