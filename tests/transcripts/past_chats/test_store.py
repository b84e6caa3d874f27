"""Past chats on the real database: what is found by whom, pages, rebuilding, ratings, erasure and earlier releases."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.common.config.departments import Departments
from services.common.events.types import CloseReason
from services.common.internal_api.transcripts import Rating
from services.common.mongo.leases import Leases
from services.common.mongo.migrations import upgrade
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.migrations import STEPS
from services.transcripts.past_chats import job as past_chats_job
from services.transcripts.past_chats import rows
from services.transcripts.past_chats import store as past_chats_store
from services.transcripts.past_chats.job import PastChatsJob
from services.transcripts.past_chats.rows import form_key, time_of
from services.transcripts.past_chats.store import Found, PastChats, Wanted
from services.transcripts.past_chats.words import Query, parsed
from services.transcripts.retention.store import Erasures
from services.transcripts.statistics.store import Statistics
from tests.support.conditions import until
from tests.transcripts.conftest import OPENED_AT
from tests.transcripts.past_chats.conftest import FORM, Player, with_search

DAY = timedelta(days=1)
BOTH = ("algemeen", "premies")


def query(text: str) -> Query:
    found = parsed(text)
    assert isinstance(found, Query)
    return found


async def found(past: PastChats, text: str | None = None, **more: Any) -> list[str]:
    scope = more if "agent_id" in more else {"departments": BOTH, **more}
    page = await past.search(Wanted(query=query(text) if text else Query(), **scope))
    assert (page.next, page.until) == (None, None)
    return [row["chat_id"] for row in page.rows]


def job(player: Player, past: PastChats | None = None) -> PastChatsJob:
    return PastChatsJob(past or player.past, Leases(player.database), lambda: OPENED_AT + DAY)


async def test_all_words_have_to_be_in_a_chat(player: Player) -> None:
    a = await player.ended(("citizen", "Waar is de PARKEERKAART voor cliënten?"), ("an", "In het loket."))
    b = await player.ended(("citizen", "Mijn parkeerboete"), at=OPENED_AT + DAY)
    for text, chats in (
        ("parkeerkaart", [a]),
        ("client", [a]),
        ("clie", [a]),
        ("parkeer", [b, a]),
        ("loket parkeer", [a]),
        ("loket parkeerboete", []),
        ("parkeer loket", []),
        ("arkeerkaart", []),
        ("lok parkeer", []),
        ("welkom", []),
    ):
        assert await found(player.past, text) == chats, text
    assert await found(player.past) == [b, a]


async def test_names_are_words_where_the_department_lets_them_be(player: Player, departments: Departments) -> None:
    chat = await player.ended(("citizen", "Dag"), ("an", "Ook dag"), name="Zoë Vandenbroucke")
    assert await found(player.past, "vandenbrouck") == [chat]
    for search, dag in (("messages", [chat]), ("off", []), ("names", [chat])):
        changed = PastChats(player.database, with_search(departments, search))  # type: ignore[arg-type]
        await changed.note_overlooked(OPENED_AT + DAY)
        assert await found(changed, "dag") == [], "until they are made again"
        await job(player, changed).round()
        assert await found(changed, "vandenbroucke") == ([chat] if search == "names" else []), search
        assert await found(changed, "dag") == dag, search
        assert await found(changed) == [chat], "it is listed all the same"
        await changed.note_overlooked(OPENED_AT + DAY)
        assert await changed.unlisted(10) == []


async def test_notes_are_not_searched(player: Player) -> None:
    chat = await player.ended(("citizen", "Dag"))
    await player.database["notes"].insert_one({"_id": "n", "chat_id": chat, "text": "kwetterbes", "at": OPENED_AT})
    await player.past.add(chat)
    assert await found(player.past, "kwetterbes") == []
    assert await found(player.past, "dag") == [chat]


async def test_a_supervisor_finds_the_chats_of_their_departments(player: Player) -> None:
    own = await player.ended(("citizen", "fiets"))
    other = await player.ended(("citizen", "fiets"), department="premies", at=OPENED_AT + DAY)
    moved = await player.ended(
        *(("citizen", "fiets"), ("bert", "Dag")), then="bert", moved_to="premies", at=OPENED_AT + 2 * DAY
    )
    assert await found(player.past, "fiets") == [moved, other, own]
    assert await found(player.past, "fiets", departments=("algemeen",)) == [moved, own]
    assert await found(player.past, "fiets", departments=("premies",)) == [moved, other]
    assert await found(player.past, departments=()) == []


async def test_an_agent_finds_what_they_had_up_to_where_they_left(player: Player) -> None:
    kept = await player.ended(("citizen", "fiets"))
    moved = await player.ended(
        *(("citizen", "fiets"), ("an", "helm"), ("bert", "geheim")), then="bert", at=OPENED_AT + DAY
    )
    await player.ended(("citizen", "fiets"), agent="cis")
    assert await found(player.past, "fiets", agent_id="an") == [moved, kept]
    assert await found(player.past, "helm", agent_id="an") == [moved]
    assert await found(player.past, "geheim", agent_id="an") == [], "it was said after they left"
    assert await found(player.past, "geheim", agent_id="bert") == [moved]
    assert await found(player.past, agent_id="bert") == [moved]
    (row,) = (await player.past.search(Wanted(agent_id="an", limit=1))).rows
    assert (row["left"], row["who"]) == (True, [{"id": "an", "name": "An"}])
    assert row["ended_at"] < OPENED_AT + DAY
    assert "ended_by" not in row
    assert "words" not in row


async def test_a_chat_from_before_participations_is_of_all_who_took_part(player: Player) -> None:
    chat = await player.ended(("citizen", "fiets"), listed=False)
    await player.database["chats"].update_one({"_id": chat}, {"$unset": {"holder": "", "left": ""}})
    await player.database["chats"].update_one({"_id": chat}, {"$set": {"participants": ["an", "bert"]}})
    await player.past.add(chat)
    for agent in ("an", "bert"):
        assert await found(player.past, "fiets", agent_id=agent) == [chat]


async def test_filters(player: Player) -> None:
    ratings = Ratings(player.database, Statistics(player.database), player.past)
    a = await player.ended(("citizen", "Dag"), form=FORM, locale="fr")
    b = await player.ended(("citizen", "Dag"), agent="bert", at=OPENED_AT + DAY, reason=CloseReason.INACTIVE)
    await ratings.rate(Rating(chat_id=b, helped="no", score=2), "algemeen", OPENED_AT + DAY)
    for more, chats in (
        ({"forms": form_key(" aanvraag PARKEERKAART ")}, [a]),
        ({"forms": form_key("p-12")}, [a]),
        ({"forms": form_key("https://www.voorbeeld.be/parkeren")}, [a]),
        ({"forms": form_key("geheim")}, []),
        ({"locale": "fr"}, [a]),
        ({"took_part": "bert"}, [b]),
        ({"ended_by": "inactive"}, [b]),
        ({"rating.helped": "no"}, [b]),
        ({"rating.score": 2, "took_part": "bert"}, [b]),
        ({"rating.score": 5}, []),
    ):
        assert await found(player.past, more=more) == chats, more
    assert await found(player.past, since=OPENED_AT + DAY) == [b]
    assert await found(player.past, until=OPENED_AT + DAY) == [a]
    rows = (await player.past.search(Wanted(departments=BOTH))).rows
    assert rows[1]["form"] == FORM.model_dump(include={"id", "title", "url"})


async def test_the_latest_rating_stands_whichever_is_written_last(player: Player) -> None:
    chat = await player.ended(("citizen", "Dag"))
    for day, score in ((2, 5), (1, 1)):
        await player.past.rated(chat, {"at": OPENED_AT + day * DAY, "helped": None, "score": score})
    await player.past.add(chat)
    assert await found(player.past, more={"rating.score": 1}) == [], "it was made anew, of what is stored"
    await Ratings(player.database, Statistics(player.database), player.past).rate(
        Rating(chat_id=chat, score=4), "algemeen", OPENED_AT
    )
    await player.past.add(chat)
    assert await found(player.past, more={"rating.score": 4}) == [chat]


async def test_pages_have_each_chat_once_while_others_end(player: Player) -> None:
    chats = [await player.ended(("citizen", "fiets"), at=OPENED_AT + n * DAY) for n in range(7)]
    seen: list[str] = []
    before: str | None = None
    for _ in range(4):
        page = await player.past.search(Wanted(departments=BOTH, before=before, limit=2, query=query("fiets")))
        seen += [row["chat_id"] for row in page.rows]
        before = page.next
        await player.ended(("citizen", "fiets"), at=OPENED_AT + 30 * DAY)
        await player.ended(("citizen", "iets anders"), at=OPENED_AT)
    assert (seen, before) == (chats[::-1], None)


async def test_chats_of_one_moment_are_each_on_one_page(player: Player) -> None:
    chats = {await player.ended(("citizen", "fiets")) for _ in range(5)}
    seen: list[str] = []
    before: str | None = None
    for _ in range(3):
        page = await player.past.search(Wanted(departments=BOTH, before=before, limit=2))
        seen += [row["chat_id"] for row in page.rows]
        before = page.next
    assert (sorted(seen), before) == (sorted(chats), None)


async def test_a_search_that_stops_says_how_far_it_came(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_chats_store, "PART", 2)
    monkeypatch.setattr(past_chats_store, "MOST", 4)
    wanted = await player.ended(("citizen", "naald"))
    for n in range(1, 8):
        await player.ended(("citizen", "hooi"), at=OPENED_AT + n * DAY, locale="fr")
    pages: list[Found] = []
    before: str | None = None
    while not pages or before:
        page = await player.past.search(Wanted(departments=BOTH, before=before, more={"locale": "nl"}))
        pages.append(page)
        before = page.next
        assert page.read <= 4
    assert [row["chat_id"] for page in pages for row in page.rows] == [wanted]
    assert len(pages) in (2, 3)
    assert pages[0].until == OPENED_AT + 4 * DAY
    assert pages[0].next is not None
    assert time_of(pages[0].next) == OPENED_AT + 4 * DAY
    assert wanted[:8] not in pages[0].next


async def test_the_end_of_a_chat_lets_it_be_listed_by_the_job(player: Player) -> None:
    chat = await player.ended(("citizen", "fiets"), listed=False)
    assert await found(player.past) == []
    assert await player.past.unlisted(10) == [chat]
    assert await job(player).round() is False
    assert await player.past.unlisted(10) == []
    assert await found(player.past, "fiets") == [chat]


async def test_a_crash_between_row_and_mark_is_repaired(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = await player.ended(("citizen", "fiets"), listed=False)

    class Crash(Exception):
        pass

    async def crash(self: PastChats, chat_id: str, rating: object) -> None:
        raise Crash

    await Ratings(player.database, Statistics(player.database)).rate(
        Rating(chat_id=chat, score=4), "algemeen", OPENED_AT
    )
    with monkeypatch.context() as patched:
        patched.setattr(PastChats, "rated", crash)
        with pytest.raises(Crash):
            await player.past.add(chat)
    assert await player.past.unlisted(10) == [chat]
    await job(player).round()
    assert await found(player.past, more={"rating.score": 4}) == [chat]


async def test_a_chat_without_rows_delays_no_other(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_chats_job, "AT_A_TIME", 1)
    bad = await player.ended(("citizen", "fiets"), listed=False)
    await player.database["chats"].update_one({"_id": bad}, {"$unset": {"locale": ""}})
    good = await player.ended(("citizen", "fiets"), listed=False)
    while await job(player).round():
        pass
    assert await found(player.past) == [good]
    await player.database["chats"].update_one({"_id": bad}, {"$set": {"locale": "nl"}})
    await player.past.note_overlooked(OPENED_AT + DAY)
    while await job(player).round():
        pass
    assert set(await found(player.past)) == {good, bad}


async def test_an_erasure_takes_the_rows_with_the_words(player: Player) -> None:
    chat = await player.ended(("citizen", "kwetterbes"), ("bert", "kwetterbes"), then="bert", name="Kwetterbes")
    other = await player.ended(("citizen", "kwetterbes"))
    assert await player.database["past_chats"].count_documents({"chat_id": chat}) == 2
    assert await Erasures(player.database).erase(chat, "operator", OPENED_AT + DAY) is None
    assert await player.database["past_chats"].distinct("chat_id") == [other]
    deleted = await player.database["deletions"].find_one({"_id": f"past_chats:{chat}"})
    assert deleted is not None
    assert deleted["n"] == 2
    await player.past.add(chat)
    assert await found(player.past) == [other]


async def test_a_row_that_is_made_during_an_erasure_does_not_stay(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await player.ended(("citizen", "kwetterbes"), listed=False)
    going, real = asyncio.Event(), rows.rows_of
    loop = asyncio.get_running_loop()
    read = asyncio.Event()

    def held(*given: Any) -> Any:
        loop.call_soon_threadsafe(read.set)
        asyncio.run_coroutine_threadsafe(going.wait(), loop).result()
        return real(*given)

    monkeypatch.setattr(past_chats_store, "rows_of", held)
    adding = asyncio.create_task(player.past.add(chat))
    await until(read.is_set, "the log was read")
    assert await Erasures(player.database).erase(chat, "period", OPENED_AT + DAY) is None
    going.set()
    await adding
    assert await player.database["past_chats"].count_documents({}) == 0


async def test_what_an_earlier_release_has_ended_is_listed(player: Player) -> None:
    chat = await player.ended(("citizen", "fiets"), listed=False)
    await player.database["chats"].update_one({"_id": chat}, {"$unset": {"listed": ""}})
    assert await player.past.unlisted(10) == []
    await player.past.note_overlooked(OPENED_AT + DAY)
    assert await player.past.unlisted(10) == [chat]


async def test_the_migration_lets_what_is_stored_be_listed(player: Player) -> None:
    ended = [await player.ended(("citizen", "fiets"), listed=False) for _ in range(3)]
    await player.database["chats"].update_many({}, {"$unset": {"listed": ""}})
    await player.database["chats"].insert_one({"_id": "open", "department": "algemeen", "closed_at": None})
    at = [step.what for step in STEPS].index("past chats")
    await player.database["schema"].update_one({"_id": "schema"}, {"$set": {"version": at}})
    await upgrade(player.database, STEPS)
    assert sorted(await player.past.unlisted(10)) == sorted(ended)


async def test_a_far_past_is_reached_in_few_parts(player: Player) -> None:
    old = await player.ended(("citizen", "fiets"), at=datetime(2001, 2, 3, tzinfo=UTC))
    new = await player.ended(("citizen", "fiets"), at=datetime.now(UTC).replace(microsecond=0) - DAY)
    assert await found(player.past, "fiets") == [new, old]
    assert await found(player.past, until=datetime(2010, 1, 1, tzinfo=UTC)) == [old]
