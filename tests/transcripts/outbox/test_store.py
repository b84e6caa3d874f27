"""Mirrors services/transcripts/outbox/store.py, on the real database."""

import asyncio
from datetime import datetime, timedelta

from services.common.internal_api.transcripts import LeftQuestion, Rating
from services.common.mongo.client import Database
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.outbox.rules import Notice
from services.transcripts.outbox.store import DEAD_KEPT, DONE_KEPT, Delivery, Outbox
from services.transcripts.questions.store import Questions
from services.transcripts.retention.store import Erasures
from services.transcripts.statistics.store import Statistics
from tests.transcripts.conftest import OPENED_AT, new_id
from tests.transcripts.outbox.conftest import PATIENCE_OF_OUTBOX

LEASE = timedelta(seconds=45)
SECOND = timedelta(seconds=1)


def notice(chat_id: str | None = None) -> Notice:
    chat_id = chat_id or new_id()
    return Notice(new_id(), "chat.closed", "algemeen", OPENED_AT, {"chat_id": chat_id, "reason": None}, chat_id)


async def claim(outbox: Outbox, target: str, now: datetime) -> Delivery | None:
    """Claim the delivery that is due the longest, as far as no other has claimed it meanwhile."""
    for id_ in await outbox.due(target, now, 50):
        if delivery := await outbox.claim(id_, now, LEASE):
            return delivery
    return None


async def test_a_notice_is_stored_once_for_each_target(outbox: Outbox, database: Database) -> None:
    one = notice()
    assert await outbox.add([("zaken", one), ("crm", one)], OPENED_AT) == 2
    assert await outbox.add([("zaken", one), ("crm", one), ("third", one)], OPENED_AT) == 1
    assert await outbox.add([], OPENED_AT) == 0
    assert await database["outbox"].count_documents({}) == 3


async def test_replicas_share_the_work_and_none_claims_what_another_has(outbox: Outbox) -> None:
    notices = [notice() for _ in range(20)]
    await outbox.add([("zaken", n) for n in notices], OPENED_AT)
    claimed = await asyncio.gather(*(claim(outbox, "zaken", OPENED_AT) for _ in range(30)))
    assert sorted(d.notice for d in claimed if d) == sorted(n.id for n in notices)
    assert await claim(outbox, "crm", OPENED_AT) is None


async def test_a_claim_of_a_replica_that_died_ends(outbox: Outbox) -> None:
    one = notice()
    await outbox.add([("zaken", one)], OPENED_AT)
    first = await claim(outbox, "zaken", OPENED_AT)
    assert await claim(outbox, "zaken", OPENED_AT + LEASE - SECOND) is None
    second = await claim(outbox, "zaken", OPENED_AT + LEASE)
    assert first
    assert second
    assert (second.notice, second.data, second.at, second.attempts) == (one.id, one.data, one.at, 2)
    await outbox.failed(first, "timeout", OPENED_AT, OPENED_AT)
    await outbox.give_up(first, "timeout", OPENED_AT)
    assert await claim(outbox, "zaken", OPENED_AT + LEASE) is None, "who lost the claim changes nothing"
    await outbox.delivered(first, OPENED_AT)
    assert await claim(outbox, "zaken", OPENED_AT + 3 * LEASE) is None, "but a delivery counts"


async def test_what_is_delivered_is_remembered_for_some_days(outbox: Outbox, database: Database) -> None:
    one = notice()
    await outbox.add([("zaken", one)], OPENED_AT)
    delivery = await claim(outbox, "zaken", OPENED_AT)
    assert delivery
    await outbox.delivered(delivery, OPENED_AT)
    assert await outbox.add([("zaken", one)], OPENED_AT) == 0
    stored = await database["outbox"].find_one({})
    assert stored
    assert (stored["state"], stored["expires_at"]) == ("done", OPENED_AT + DONE_KEPT)
    indexes = await database["outbox"].index_information()
    assert indexes["expiry"]["expireAfterSeconds"] == 0


async def test_a_failure_is_tried_later_and_given_up_in_the_end(outbox: Outbox) -> None:
    await outbox.add([("zaken", notice())], OPENED_AT)
    delivery = await claim(outbox, "zaken", OPENED_AT)
    assert delivery
    later = OPENED_AT + timedelta(minutes=5)
    await outbox.failed(delivery, "status_500", later, OPENED_AT)
    assert await claim(outbox, "zaken", later - SECOND) is None
    assert await outbox.give_up_old("zaken", OPENED_AT + PATIENCE_OF_OUTBOX) == 0
    backlog = await outbox.backlog("zaken")
    assert (backlog.due, backlog.oldest, backlog.dead) == (1, OPENED_AT, 0)
    assert not outbox.is_late(delivery, OPENED_AT + PATIENCE_OF_OUTBOX - SECOND)
    assert outbox.is_late(delivery, OPENED_AT + PATIENCE_OF_OUTBOX)
    assert await outbox.give_up_old("zaken", OPENED_AT + PATIENCE_OF_OUTBOX + SECOND) == 1
    backlog = await outbox.backlog("zaken")
    assert (backlog.due, backlog.oldest, backlog.dead) == (0, None, 1)
    (letter,) = await outbox.dead("zaken", None, 10)
    assert letter["cause"] == "status_500"


async def test_what_was_never_tried_is_not_given_up(outbox: Outbox) -> None:
    await outbox.add([("zaken", notice())], OPENED_AT)
    assert await outbox.give_up_old("zaken", OPENED_AT + 2 * PATIENCE_OF_OUTBOX) == 0


async def test_dead_letters_are_listed_in_pages_replayed_and_discarded(outbox: Outbox, database: Database) -> None:
    notices = [notice() for _ in range(5)]
    await outbox.add([("zaken", n) for n in notices] + [("crm", notices[0])], OPENED_AT)
    for target in ("zaken", "crm"):
        while delivery := await claim(outbox, target, OPENED_AT):
            await outbox.give_up(delivery, "status_410", OPENED_AT)
    first = await outbox.dead(None, None, 4)
    rest = await outbox.dead(None, first[-1]["_id"], 4)
    assert len(first) == 4
    assert {d["_id"] for d in (*first, *rest)} == {f"zaken:{n.id}" for n in notices} | {f"crm:{notices[0].id}"}
    now = OPENED_AT + timedelta(days=20)
    assert await outbox.replay("zaken", notices[0].id, now) == 1
    assert await outbox.replay("zaken", notices[0].id, now) == 0
    again = await claim(outbox, "zaken", now)
    assert again
    assert (again.notice, again.attempts, again.made_at) == (notices[0].id, 1, now), "tried for as long as a new one"
    stored = await database["outbox"].find_one({"_id": again.id})
    assert stored
    assert stored["expires_at"] == now + PATIENCE_OF_OUTBOX + DEAD_KEPT
    assert await outbox.discard("zaken", notices[1].id) == 1
    assert await outbox.replay("zaken", None, now) == 3
    assert await outbox.discard("crm", None) == 1
    assert await outbox.dead(None, None, 10) == []


async def test_of_two_buttons_the_later_one_is_remembered(outbox: Outbox) -> None:
    assert await outbox.last_button("premies") is None
    await outbox.button_announced("premies", 7)
    await outbox.button_announced("premies", 6)
    assert await outbox.last_button("premies") == 7


async def test_questions_and_ratings_are_marked_until_they_are_announced(outbox: Outbox, database: Database) -> None:
    chat, at = new_id(), OPENED_AT
    fields = {"chat_id": chat, "department": "algemeen", "locale": "nl", "contact": "02 1", "text": "Vraag", "at": at}
    await Questions(database, announced=True).leave(LeftQuestion.model_validate(fields), at)
    ratings = Ratings(database, Statistics(database), announced=True)
    await ratings.rate(Rating(chat_id=chat, helped="yes", score=5), "algemeen", at)
    (question,), (rating,) = await outbox.unannounced(10)
    await ratings.rate(Rating(chat_id=chat, helped="no", score=1), "algemeen", at + SECOND)
    await outbox.rating_announced(chat, rating["at"])
    await outbox.question_announced(question["_id"])
    questions, (second,) = await outbox.unannounced(10)
    assert questions == []
    assert second["score"] == 1, "the second rating is announced too"
    await outbox.rating_announced(chat, second["at"])
    assert await outbox.unannounced(10) == ([], [])


async def test_what_is_erased_is_erased_here_too(outbox: Outbox, database: Database) -> None:
    chat, other = new_id(), new_id()
    await outbox.add([("zaken", notice(chat)), ("crm", notice(chat)), ("zaken", notice(other))], OPENED_AT)
    erasures = Erasures(database)
    assert await erasures.check(chat, OPENED_AT) is None, "something of it is left"
    assert await erasures.erase(chat, "operator", OPENED_AT) is None
    assert [d["chat_id"] async for d in database["outbox"].find({})] == [other]
    deleted = await database["deletions"].find_one({"chat_id": chat})
    assert deleted
    assert (deleted["category"], deleted["n"]) == ("outbox", 2)
