"""Store of chains: the salts of a chat's entries, and the signature of its end. Every method may be repeated.

A chain is computed from the log whenever it is handed out: the log cannot change, since an entry has its place for
good. What cannot be computed is stored, in the collection chains:
{_id: chat_id, salts, files, removed, statement, signature, public_key, code}.

- salts: 16 random bytes for each entry, in the order of seq; zeros where the content was removed.
- files: the SHA-256 of the file of an entry, by its seq. It outlives the file.
- removed: the digest that the content of an entry had before it was removed, by its seq.
- statement, signature, public_key, code: once the chat has ended (`services/common/evidence/chain.py`).

chats has the member `signed`: false from the end of the chat until it is signed. An earlier release does not set it.
Chats that ended before the collection existed (chain_state: {_id: "since", at}) have no chain.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import Binary
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from services.common.events.types import Entry
from services.common.evidence import chain
from services.common.mongo.client import Database
from services.transcripts.access.rules import Chat
from services.transcripts.evidence.signer import Signer
from services.transcripts.log.reader import pages
from services.transcripts.log.store import Store
from services.transcripts.rendering.json_format import Proof, chained, heading_of
from services.transcripts.rendering.transcript import utc_time

log = structlog.get_logger()

SINCE = "since"
OVERLOOKED = timedelta(days=2)  # how long ago an earlier release may have ended a chat during a rolling update
_TRIES = 20  # each is lost only to another writer who has added salts
_ATTACHMENT = {"_id": False, "seq": True, "attachment.id": True}
_UNSIGNED = {"signed": False}


@dataclass(frozen=True)
class Signed:
    """What the holder of a code may know of a transcript."""

    chat_id: str
    department: str
    opened_at: datetime
    statement: dict[str, Any] = field(default_factory=dict)


class Chains:
    """Access to chains. All methods raise `PyMongoError` when the database does not answer."""

    def __init__(self, database: Database, store: Store, signer: Signer | None, clock: Callable[[], datetime]) -> None:
        """Use the collections of this database.

        Args:
            database: The database.
            store: The store of logs.
            signer: Signs the ends of chats; None: they stay unsigned.
            clock: Returns the present.
        """
        self._chains, self._chats, self._state = database["chains"], database["chats"], database["chain_state"]
        self._entries, self._attachments = database["entries"], database["attachments"]
        self._store, self._signer, self._clock = store, signer, clock
        self._since: datetime | None = None

    async def proof(self, chat: Chat, last: int, closed_at: datetime | None) -> Proof | None:
        """Return what the chain of a chat needs, up to the entry `last`. An ended chat is signed now if it was not.

        Args:
            chat: The chat.
            last: The last entry that is handed out.
            closed_at: When the chat ended; None: it goes on, or its end is not handed out.

        Returns:
            The proof, or None for a chat that ended before there were chains.
        """
        if not last or (closed_at is not None and closed_at < await self.since()):
            return None
        found = await self._with_salts(chat.chat_id, last)
        if closed_at is None:
            return _proof(found, signed=False)
        if self._signer and not found.get("statement"):
            await self._sign(chat, found, last, closed_at, self._signer)
            found = await self._chains.find_one({"_id": chat.chat_id}) or found
        return _proof(found, signed=True)

    async def since(self) -> datetime:
        """Return since when there are chains. It is stored by the migration that made the collection."""
        if self._since is None:
            found = await self._state.find_one({"_id": SINCE})
            self._since = found["at"] if found else self._clock()
        return self._since

    async def _with_salts(self, chat_id: str, last: int) -> dict[str, Any]:
        """Return the stored chain, once every entry up to `last` has its salt."""
        for _ in range(_TRIES):
            found = await self._chains.find_one({"_id": chat_id})
            salts = bytes(found["salts"]) if found else b""
            known = len(salts) // chain.SALT_BYTES
            if found and known >= last:
                return dict(found)
            more = Binary(salts + os.urandom(chain.SALT_BYTES * (last - known)))
            files = await self._files(chat_id, known, last)
            if found is None:
                try:
                    await self._chains.insert_one({"_id": chat_id, "salts": more, "files": files})
                except DuplicateKeyError:
                    continue
            else:
                added = {"salts": more, **{f"files.{seq}": digest for seq, digest in files.items()}}
                await self._chains.update_one({"_id": chat_id, "salts": found["salts"]}, {"$set": added})
        raise RuntimeError("the salts of a chain could not be stored")

    async def _files(self, chat_id: str, after: int, last: int) -> dict[str, str]:
        such = {"chat_id": chat_id, "seq": {"$gt": after, "$lte": last}, "attachment": {"$exists": True}}
        seqs = {d["attachment"]["id"]: d["seq"] async for d in self._entries.find(such, _ATTACHMENT)}
        if not seqs:
            return {}
        stored = self._attachments.find({"_id": {"$in": list(seqs)}}, {"sha256": True})
        return {str(seqs[d["_id"]]): d["sha256"] async for d in stored if d.get("sha256")}

    async def _sign(self, chat: Chat, found: dict[str, Any], last: int, closed_at: datetime, signer: Signer) -> None:
        proof, built = _proof(found, signed=False), chain.Chain(heading_of(chat))
        async for page in pages(self._store, chat.chat_id, last):
            for entry in page:
                chained(built, proof, entry)
        statement = {
            "version": chain.VERSION,
            "chat_id": chat.chat_id,
            "entries": built.entries,
            "head": built.head,
            "closed_at": utc_time(closed_at),
            "signed_at": utc_time(self._clock()),
            "kid": signer.kid,
        }
        made = {
            "statement": statement,
            "signature": Binary(signer.sign(statement)),
            "public_key": Binary(signer.public_key),
            "code": chain.code_of(statement),
        }
        signed = await self._chains.update_one({"_id": chat.chat_id, "statement": None}, {"$set": made})
        if signed.modified_count:
            log.info("transcript_signed", chat_id=chat.chat_id, entries=built.entries)
        await self._chats.update_one({"_id": chat.chat_id}, {"$set": {"signed": True}})

    # ── what is to be signed ─────────────────────────────────────────────────────────────────────────────────────────

    async def unsigned(self, limit: int) -> list[str]:
        """Return ended chats that are not signed yet."""
        return [d["_id"] async for d in self._chats.find(_UNSIGNED, {"_id": True}).limit(limit)]

    async def unsigned_since(self) -> datetime | None:
        """Return when the chat has ended that waits longest for its signature; None: none waits."""
        found = self._chats.find({**_UNSIGNED, "closed_at": {"$ne": None}}, {"closed_at": True})
        first = await found.sort("closed_at", ASCENDING).limit(1).to_list(1)
        return first[0]["closed_at"] if first else None

    async def sign(self, chat_id: str) -> None:
        """Sign a chat that has ended, unless it is being erased."""
        chat, tail = await self._store.chat(chat_id), (await self._store.tails([chat_id]))[chat_id]
        claimed = await self._chats.find_one({"_id": chat_id, "erasing": None}, {"_id": True})
        if chat is None or claimed is None or not tail.sealed or tail.at is None:
            return
        if await self.proof(chat, tail.seq, tail.at) is None:  # it ended before there were chains
            await self._chats.update_one({"_id": chat_id}, {"$unset": {"signed": ""}})
            return
        await self._chats.update_one({"_id": chat_id}, {"$set": {"signed": True}})

    async def note_overlooked(self) -> None:
        """Find what an earlier release has ended during a rolling update, so that it is signed."""
        after = max(await self.since(), self._clock() - OVERLOOKED)
        for department in await self._chats.distinct("department", {"department": {"$gte": ""}}):
            such = {"department": department, "closed_at": {"$gte": after}}
            new = {"signed": {"$exists": False}, "erasing": None}
            await self._chats.update_many({**such, **new}, {"$set": _UNSIGNED})

    # ── codes ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def of_code(self, typed: str) -> Signed | None:
        """Return the signed transcript with this code, as a person typed it; None when there is none (any more)."""
        code = chain.normal_code(typed)
        found = await self._chains.find_one({"code": code}, {"statement": True}) if code else None
        chat = await self._store.chat(found["_id"]) if found else None
        if found is None or chat is None:
            return None
        return Signed(chat.chat_id, chat.department, chat.opened_at, found["statement"])

    # ── removal ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def remove_content(self, chat: Chat, entry: Entry, closed_at: datetime) -> str | None:
        """Remove what one entry of an ended chat says, and its salt. Its digest stays, so that the chain stays whole.

        The steps may be interrupted and repeated: the digest is stored first, the salt goes last.

        Args:
            chat: The chat.
            entry: The entry.
            closed_at: When the chat ended.

        Returns:
            The digest; None for a chat without a chain.
        """
        seq, tail = entry.seq, (await self._store.tails([chat.chat_id]))[chat.chat_id]
        proof = await self.proof(chat, tail.seq, closed_at)
        digest = proof.removed.get(seq) if proof else None
        if proof and digest is None:
            digest = chain.content_digest(proof.message(entry), proof.salt(seq))
            await self._chains.update_one({"_id": chat.chat_id}, {"$set": {f"removed.{seq}": digest}})
        await self._store.remove_content(chat.chat_id, seq)
        if proof:
            await self._remove_salt(chat.chat_id, seq)
        return digest

    async def _remove_salt(self, chat_id: str, seq: int) -> None:
        """Overwrite the salt of one entry with zeros, and no other: that of another entry may be removed meanwhile."""
        for _ in range(_TRIES):
            found = await self._chains.find_one({"_id": chat_id}, {"salts": True})
            if found is None:  # the chat was erased
                return
            salts = bytearray(found["salts"])
            salts[(seq - 1) * chain.SALT_BYTES : seq * chain.SALT_BYTES] = bytes(chain.SALT_BYTES)
            such, change = {"_id": chat_id, "salts": found["salts"]}, {"$set": {"salts": Binary(bytes(salts))}}
            if (await self._chains.update_one(such, change)).matched_count:
                return
        raise RuntimeError("the salt of an entry could not be removed")


def _proof(found: dict[str, Any], signed: bool) -> Proof:
    def by_seq(member: str) -> dict[int, str]:
        return {int(seq): digest for seq, digest in (found.get(member) or {}).items()}

    proof = Proof(bytes(found["salts"]), by_seq("files"), by_seq("removed"))
    if not signed or not found.get("statement"):
        return proof
    return Proof(
        proof.salts,
        proof.files,
        proof.removed,
        statement={name: found["statement"][name] for name in chain.STATEMENT},
        signature=bytes(found["signature"]),
        public_key=bytes(found["public_key"]),
        code=found["code"],
    )
