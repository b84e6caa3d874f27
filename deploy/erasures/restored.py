"""Erases again, in restored databases, what was erased after the backup was made. The services are stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bson import Binary
from bson.codec_options import CodecOptions
from pymongo import MongoClient

from deploy.erasures.receipts import to_apply
from services.common.evidence.chain import SALT_BYTES
from services.common.internal_api.erasures import Receipt
from services.transcripts.retention.rules import BY_ID, OF_CHAT, QUESTIONS

Client = MongoClient[dict[str, Any]]
UTC_TIMES: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


def receipts_of(client: Client, prefix: str) -> list[Receipt]:
    """Return the receipts in the database of transcripts; none when there is no such database."""
    collection = client[prefix + "transcripts"].get_collection("receipts", codec_options=UTC_TIMES)
    return [Receipt.model_validate({"id": d.pop("_id"), **d}) for d in collection.find({})]


def apply(client: Client, prefix: str, receipts: Iterable[Receipt]) -> tuple[int, int]:
    """Erase the chats of these receipts, set the holds that are in force, and store the receipts.

    Holds are set first. A chat that was erased is erased whether a hold is on it or not: the hold was lifted then.

    Returns:
        The number of chats of which something was erased, and of chats that are on hold.

    Raises:
        PyMongoError: The write failed; apply the list again.
    """
    known = list(receipts)
    erased, holds = to_apply(known)
    transcripts, routing = client[prefix + "transcripts"], client[prefix + "routing"]
    held = sum(_hold(transcripts, receipt) for receipt in holds.values())
    number = sum(_erase(transcripts, routing, receipt) for receipt in erased.values())
    for receipt in known:
        if receipt.act == "erase_message" and receipt.chat_id not in erased:
            _erase_message(transcripts, receipt)
    for receipt in known:
        document = receipt.model_dump(exclude={"id"}, exclude_none=True)
        transcripts["receipts"].update_one({"_id": receipt.id}, {"$setOnInsert": document}, upsert=True)
    return number, held


def _hold(transcripts: Any, receipt: Receipt) -> bool:
    hold = {"reason": receipt.reason, "by": receipt.by, "since": receipt.at, "until": receipt.until}
    such = {"_id": receipt.chat_id, "erasing": None}
    changed = [transcripts[name].update_one(such, {"$set": {"hold": hold}}) for name in ("chats", QUESTIONS)]
    return any(one.matched_count for one in changed)


def _erase(transcripts: Any, routing: Any, receipt: Receipt) -> bool:
    chat_id = receipt.chat_id
    first = {"department": receipt.department or "", "at": receipt.at, "by": "operator"}
    again = {"$set": {"again_at": datetime.now(UTC)}}
    transcripts["erased"].update_one({"_id": chat_id}, {"$setOnInsert": first, **again}, upsert=True)
    deleted = 0
    for file in list(transcripts["attachments"].find({"chat_id": chat_id}, {"_id": True})):
        deleted += _delete_file(transcripts, file["_id"])
    for name in OF_CHAT.values():
        deleted += transcripts[name].delete_many({"chat_id": chat_id}).deleted_count
    for name in (*BY_ID.values(), QUESTIONS, "chats"):
        deleted += transcripts[name].delete_one({"_id": chat_id}).deleted_count
    for wanted in _of_routing(chat_id):
        deleted += routing[wanted["name"]].delete_many(wanted["such"]).deleted_count
    return deleted > 0


def _erase_message(transcripts: Any, receipt: Receipt) -> None:
    """Erase what one message says, and its salt; its digest stays in the chain (`evidence/store.py`)."""
    such, seq = {"chat_id": receipt.chat_id, "seq": receipt.entry}, int(receipt.entry or 0)
    entry = transcripts["entries"].find_one(such)
    if entry is None:
        return
    if "attachment" in entry:
        _delete_file(transcripts, entry["attachment"]["id"])
    transcripts["entries"].update_one(such, {"$set": {"text": ""}, "$unset": {"name": "", "attachment": ""}})
    found = transcripts["chains"].find_one({"_id": receipt.chat_id})
    if found and receipt.digest:
        salts = bytearray(found["salts"])
        salts[(seq - 1) * SALT_BYTES : seq * SALT_BYTES] = bytes(SALT_BYTES)
        change = {"salts": Binary(bytes(salts)), f"removed.{seq}": receipt.digest}
        transcripts["chains"].update_one({"_id": receipt.chat_id}, {"$set": change})


def _delete_file(transcripts: Any, id_: str) -> int:
    transcripts["files.files"].delete_one({"_id": id_})
    transcripts["files.chunks"].delete_many({"files_id": id_})
    return int(transcripts["attachments"].delete_one({"_id": id_}).deleted_count)


def _of_routing(chat_id: str) -> Iterable[Mapping[str, Any]]:
    yield {"name": "chats", "such": {"_id": chat_id}}
    yield {"name": "starts", "such": {"_id": chat_id}}
