"""Clients of the read API, and the rows that they read: of statistics, and of left questions.

The integrations file says who may read what. An access token has the scopes of the moment at which it was given; here
they count as far as the file still grants them. Rows are read in the order of time, by an index, a page at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from services.common.config.client_keys import client_key
from services.common.config.departments import Departments
from services.common.config.integrations import Client, Integrations
from services.common.http.tokens import Actor
from services.common.internal_api.integration import EVERY, Kind, RowsPage
from services.common.mongo.client import Database
from services.transcripts.access.client_assertions import Refused, verified
from services.transcripts.rendering.transcript import utc_time

LONGEST = 2_000  # milliseconds for one page
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CHAT_MEMBERS = ("department", "served", "reason", "transfers")
_CHAT_MEASURES = ("wait", "first_answer", "duration", "wrap_up")
_QUESTION_MEMBERS = ("department", "locale", "source", "number", "name", "contact", "text")
Document = Mapping[str, Any]


class ReadAccess:
    """The clients, and what they read. Methods that read raise `PyMongoError` when the database does not answer."""

    def __init__(self, database: Database, integrations: Integrations, departments: Departments) -> None:
        """Use the rows of this database, for the clients of the integrations file.

        Args:
            database: The database.
            integrations: The integrations file, which has the clients.
            departments: The departments as they are now: a client reads nothing of one that is gone.
        """
        self._clients: dict[str, Client] = {client.id: client for client in integrations.clients}
        self._keys = {client.id: tuple(map(client_key, client.public_keys)) for client in integrations.clients}
        self._departments = departments
        self._chats, self._asked = database["chat_statistics"], database["question_statistics"]
        self._questions = database["questions"]
        self._assertions = database["client_assertions"]

    # ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def client(self, client_id: str, secret: str) -> Client | None:
        """Return the client that has this secret, or None."""
        client = self._clients.get(client_id)
        return client if client is not None and client.knows(secret) else None

    async def asserted(
        self, assertion: str, audiences: Collection[str], request: str, named: str | None, now: datetime
    ) -> Client:
        """Return the client that has signed this assertion, which is used up.

        Args:
            assertion: The JWT.
            audiences: The addresses of the installation.
            request: The number of the token request. A repetition of it is the same use.
            named: The client that the request names; None: none.
            now: The present.

        Raises:
            Refused: It is not right, or was used before, by any replica.
        """
        found = verified(assertion, audiences, self._keys, now, named)
        use, remembered = {"_id": found.digest, "request": request}, {"expires_at": found.until}
        try:
            await self._assertions.update_one(use, {"$setOnInsert": remembered}, upsert=True)
        except DuplicateKeyError:
            raise Refused("jti_used", found.client_id) from None
        return self._clients[found.client_id]

    def knows(self, client_id: str) -> bool:
        """Return whether the integrations file has this client."""
        return client_id in self._clients

    def scopes(self, client: Client, asked: str | None) -> list[str] | None:
        """Return the scopes of a token: those that are asked for, or all. None: one of them is not granted."""
        if asked is None or not asked.strip():
            return list(client.scopes)
        wanted = list(dict.fromkeys(asked.split()))
        return wanted if all(self._is_granted(client, scope) for scope in wanted) else None

    def _is_granted(self, client: Client, scope: str) -> bool:
        kind, _, department = scope.partition(":")
        if department == EVERY or department not in self._departments.ids:
            return scope in client.scopes
        return client.may(kind, department)

    def may(self, client_id: str, kind: Kind, department: str) -> bool:
        """Return whether the integrations file lets this client read this of the department now."""
        client = self._clients.get(client_id)
        return client is not None and department in self._departments.ids and client.may(kind, department)

    def granted(self, actor: Actor | None) -> Actor | None:
        """Return the actor; of a client with the departments whose transcripts it may read now, by its token too."""
        if actor is None or actor.party != "client":
            return actor
        token = set(actor.departments or ())
        named = [d for d in self._departments.ids if EVERY in token or d in token]
        return actor.model_copy(update={"departments": [d for d in named if self.may(actor.id, "transcripts", d)]})

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def statistics(
        self, of: str, department: str, since: datetime, until: datetime, after: str | None, limit: int
    ) -> RowsPage:
        """Return a page of the rows of chats (by their opening) or of left questions, without persons.

        Args:
            of: `chats` or `questions`.
            department: The department.
            since: From then on.
            until: Before then.
            after: The `next` of the page before.
            limit: The most rows.
        """
        rows, member, shown = (
            (self._chats, "opened_at", _chat_row) if of == "chats" else (self._asked, "at", _asked_row)
        )
        found, more = await self._page(rows, member, {"department": department}, since, until, after, limit)
        return RowsPage(rows=list(map(shown, found)), next=more)

    async def questions(
        self, department: str, since: datetime, until: datetime, after: str | None, limit: int
    ) -> RowsPage:
        """Return a page of left questions with what was asked, by whom, and how to reach them.

        Those that are being erased are left out.
        """
        such = {"department": department, "erasing": None}
        found, more = await self._page(self._questions, "at", such, since, until, after, limit)
        return RowsPage(rows=list(map(_question, found)), next=more)

    async def _page(
        self, rows: Any, member: str, such: Document, since: datetime, until: datetime, after: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        span: dict[str, Any] = {"$gte": since, "$lt": until}
        wanted: dict[str, Any] = {**such, member: span}
        if after is not None:
            milliseconds, _, last = after.partition("-")
            at = _EPOCH + int(milliseconds) * _MILLISECOND
            span["$gte"] = max(since, at)
            wanted["$or"] = [{member: {"$gt": at}}, {"_id": {"$gt": last}}]
        order = [(member, ASCENDING), ("_id", ASCENDING)]
        found = await rows.find(wanted).sort(order).limit(limit + 1).max_time_ms(LONGEST).to_list(None)
        if len(found) <= limit:
            return found, None
        end = found[limit - 1]
        return found[:limit], f"{(end[member] - _EPOCH) // _MILLISECOND}-{end['_id']}"


def _chat_row(row: Document) -> dict[str, Any]:
    rating = row.get("rating") or {}
    return {
        "id": row["_id"],
        "opened_at": utc_time(row["opened_at"]),
        **{name: row.get(name) for name in (*_CHAT_MEMBERS, *_CHAT_MEASURES)},
        "helped": rating.get("helped"),
        "score": rating.get("score"),
    }


def _asked_row(row: Document) -> dict[str, Any]:
    return {"id": row["_id"], "at": utc_time(row["at"]), "department": row["department"], "source": row.get("source")}


def _question(found: Document) -> dict[str, Any]:
    done, form = found.get("done_at"), found.get("form") or {}
    return {
        "question_id": found["_id"],
        "at": utc_time(found["at"]),
        "done_at": utc_time(done) if done else None,
        **{name: found.get(name) for name in _QUESTION_MEMBERS},
        "source": found.get("source") or "chat",
        "form": {name: form.get(name) for name in ("id", "title", "url")} if form else None,
    }
