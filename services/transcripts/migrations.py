"""Migrations of the database of transcripts. Add a step at the end; never change one that was released."""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from services.common.clock import utcnow
from services.common.mongo.client import Database
from services.common.mongo.migrations import Step, make_indexes

_AT_A_TIME = 1_000  # documents


async def _first_indexes(db: Database) -> None:
    to_do = [("done_at", ASCENDING), ("department", ASCENDING), ("at", ASCENDING)]
    await make_indexes(
        db,
        {
            "chats": [IndexModel([("silence_at", ASCENDING)], name="silence", sparse=True)],
            "entries": [IndexModel([("chat_id", ASCENDING), ("seq", ASCENDING)], unique=True)],
            "notes": [IndexModel([("chat_id", ASCENDING), ("at", ASCENDING)])],
            "attachments": [
                IndexModel([("state", ASCENDING), ("changed_at", ASCENDING)]),
                IndexModel([("chat_id", ASCENDING)]),
            ],
            "questions": [
                IndexModel(to_do, name="to_do"),
                IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
            ],
        },
    )


async def _index_of_bytes(db: Database) -> None:
    """Create the index that GridFS prescribes. Drivers of earlier releases created it with the first file."""
    await make_indexes(db, {"files.chunks": [IndexModel([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)]})


async def _numbers_of_questions(db: Database) -> None:
    """Create the index by which no two left questions have one number. Those from before version 2.0 have none."""
    await make_indexes(
        db, {"questions": [IndexModel([("number", ASCENDING)], name="number", unique=True, sparse=True)]}
    )


async def _indexes_of_codes(db: Database) -> None:
    await make_indexes(
        db,
        {
            "codes": [
                IndexModel([("digest", ASCENDING)], name="digest"),
                IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
            ]
        },
    )


async def _indexes_of_retention(db: Database) -> None:
    """Create the indexes of retention. Left questions are deleted by its job, no longer by the server.

    An earlier release works with the replaced index too: it deletes no questions then, and this release does.
    """
    at = IndexModel([("at", ASCENDING)])
    await make_indexes(
        db,
        {
            "chats": [
                IndexModel([("department", ASCENDING), ("closed_at", ASCENDING)], name="ended"),
                IndexModel([("erasing.at", ASCENDING)], name="erasing", sparse=True),
                IndexModel([("hold.until", ASCENDING)], name="hold", sparse=True),
            ],
            "questions": [
                IndexModel([("expires_at", ASCENDING)], name="expiry"),
                IndexModel([("erasing.at", ASCENDING)], name="erasing", sparse=True),
                IndexModel([("hold.until", ASCENDING)], name="hold", sparse=True),
                IndexModel([("department", ASCENDING), ("at", ASCENDING)], name="left"),
                IndexModel([("department", ASCENDING), ("done_at", ASCENDING)], name="answered"),
            ],
            "erased": [IndexModel([("again_at", ASCENDING)], name="again", sparse=True), at],
            "deletions": [IndexModel([("chat_id", ASCENDING)]), at],
            "receipts": [at],
        },
    )


async def _indexes_of_access_log(db: Database) -> None:
    who = IndexModel([("who", ASCENDING), ("at", ASCENDING)], name="reader")
    await make_indexes(db, {"access_log": [who, IndexModel([("at", ASCENDING)])]})


async def _indexes_of_canned_answers(db: Database) -> None:
    """Create the index by which a department has each code of a canned answer once."""
    code = [("departments", ASCENDING), ("code", ASCENDING)]
    await make_indexes(db, {"canned_answers": [IndexModel(code, name="code", unique=True)]})


async def _statistics(db: Database) -> None:
    """Create the indexes of statistics, and let what is stored already be counted by the job of statistics."""
    counted = IndexModel([("counted", ASCENDING)], name="counted", sparse=True)
    await make_indexes(
        db,
        {
            "chats": [counted],
            "questions": [counted],
            "chat_statistics": [
                IndexModel([("department", ASCENDING), ("opened_at", ASCENDING)], name="report"),
                IndexModel([("opened_at", ASCENDING)], name="age"),
                IndexModel([("agent_id", ASCENDING)], name="agent", sparse=True),
            ],
            "question_statistics": [
                IndexModel([("department", ASCENDING), ("at", ASCENDING)], name="report"),
                IndexModel([("at", ASCENDING)], name="age"),
            ],
        },
    )
    await _mark(db, "chats", {"closed_at": {"$ne": None}}, "counted")
    await _mark(db, "questions", {}, "counted")


async def _mark(db: Database, name: str, such: dict[str, Any], mark: str) -> None:
    """Set this member of such documents to false, in parts, where it is absent."""
    new = {**such, mark: {"$exists": False}, "erasing": None}
    last = ""
    while some := await db[name].find({"_id": {"$gt": last}}, {"_id": True}).sort("_id", 1).to_list(_AT_A_TIME):
        ids, last = [one["_id"] for one in some], some[-1]["_id"]
        await db[name].update_many({"_id": {"$in": ids}, **new}, {"$set": {mark: False}})


async def _past_chats(db: Database) -> None:
    """Create the indexes of past chats, and let the job list what has ended already."""
    order = ("order", ASCENDING)
    await make_indexes(
        db,
        {
            "chats": [IndexModel([("listed", ASCENDING)], name="listed", sparse=True)],
            "past_chats": [
                IndexModel([("departments", ASCENDING), order], name="departments"),
                IndexModel([("agents", ASCENDING), order], name="agents"),
                IndexModel([("words", ASCENDING), order], name="words"),
                IndexModel([("chat_id", ASCENDING)], name="chat"),
                IndexModel([("department", ASCENDING), ("policy", ASCENDING)], name="policy"),
            ],
        },
    )
    await _mark(db, "chats", {"closed_at": {"$ne": None}}, "listed")


async def _chains(db: Database) -> None:
    """Create the indexes of chains, and note since when there are any: chats that ended before have none."""
    await make_indexes(
        db,
        {
            "chats": [IndexModel([("signed", ASCENDING)], name="signed", sparse=True)],
            "chains": [IndexModel([("code", ASCENDING)], name="code", sparse=True)],
        },
    )
    await db["chain_state"].update_one({"_id": "since"}, {"$setOnInsert": {"at": utcnow()}}, upsert=True)


async def _indexes_of_outbox(db: Database) -> None:
    unannounced = IndexModel([("announced", ASCENDING)], name="unannounced", sparse=True)
    await make_indexes(
        db,
        {
            "outbox": [
                IndexModel([("target", ASCENDING), ("state", ASCENDING), ("due_at", ASCENDING)], name="due"),
                IndexModel([("target", ASCENDING), ("state", ASCENDING), ("made_at", ASCENDING)], name="age"),
                IndexModel([("chat_id", ASCENDING)], name="chat"),
                IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
            ],
            "questions": [unannounced],
            "ratings": [unannounced],
        },
    )


async def _search_of_access_log(db: Database) -> None:
    """Create the index by which an auditor finds who read a chat."""
    await make_indexes(db, {"access_log": [IndexModel([("chat_id", ASCENDING)], name="chat", sparse=True)]})


async def _pauses(db: Database) -> None:
    """Create the indexes of the statistics of pauses."""
    await make_indexes(
        db,
        {
            "pause_statistics": [
                IndexModel([("departments", ASCENDING), ("at", ASCENDING)], name="report"),
                IndexModel([("at", ASCENDING)], name="age"),
                IndexModel([("agent_id", ASCENDING)], name="agent", sparse=True),
            ]
        },
    )


async def _rows_of_clients(db: Database) -> None:
    """Create the indexes by which clients of the read API read rows in the order of time."""
    department, id_ = ("department", ASCENDING), ("_id", ASCENDING)
    at = IndexModel([department, ("at", ASCENDING), id_], name="in_order")
    await make_indexes(
        db,
        {
            "chat_statistics": [IndexModel([department, ("opened_at", ASCENDING), id_], name="in_order")],
            "question_statistics": [at],
            "questions": [at],
        },
    )


async def _labels(db: Database) -> None:
    """Create the index by which labels are found that are not announced yet."""
    await make_indexes(
        db, {"chats": [IndexModel([("label_announced", ASCENDING)], name="label_announced", sparse=True)]}
    )


async def _answers(db: Database) -> None:
    """Create the index by which chats are found whose citizens may wait for an answer."""
    await make_indexes(db, {"chats": [IndexModel([("answer_at", ASCENDING)], name="answer_at", sparse=True)]})


async def _archive_of_questions(db: Database) -> None:
    """Create the indexes of questions that are done, in their order, and of acts that the access log does not have."""
    order = [("department", ASCENDING), ("done_at", DESCENDING), ("_id", DESCENDING)]
    await make_indexes(
        db,
        {
            "questions": [
                IndexModel(order, name="archive"),
                IndexModel([("unlogged.at", ASCENDING)], name="unlogged", sparse=True),
            ]
        },
    )


async def _assertions(db: Database) -> None:
    """Create the index by which the numbers of clients' assertions are forgotten when these are too old."""
    await make_indexes(db, {"client_assertions": [IndexModel("expires_at", expireAfterSeconds=0)]})


STEPS = (
    Step("indexes of chats, entries, notes, attachments and questions", _first_indexes),
    Step("index of the bytes of attachments", _index_of_bytes),
    Step("numbers of left questions", _numbers_of_questions),
    Step("indexes of download codes", _indexes_of_codes),
    Step("indexes of retention", _indexes_of_retention),
    Step("indexes of the access log", _indexes_of_access_log),
    Step("codes of canned answers", _indexes_of_canned_answers),
    Step("statistics", _statistics),
    Step("chains of transcripts", _chains),
    Step("indexes of the outbox", _indexes_of_outbox),
    Step("index of chats in the access log", _search_of_access_log),
    Step("past chats", _past_chats),
    Step("statistics of pauses", _pauses),
    Step("labels of chats", _labels),
    Step("answers that are overdue", _answers),
    Step("rows of clients", _rows_of_clients),
    Step("archive of questions", _archive_of_questions),
    Step("numbers of the assertions of clients", _assertions),
)
