"""Routes of the access log for auditors: its entries, whether it is intact, and exports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from services.common.events.types import is_id
from services.common.http.problems import Problem
from services.common.http.streaming import Streamed
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.presence import NamesQuery
from services.common.internal_api.transcripts import Reader
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.console.past_chats import DAY, days_of
from services.gateway.http.console.reports import MARK, harmless
from services.gateway.http.dependencies import address_of, answered, officer_of, problems_of, unavailable
from services.gateway.settings import Settings

A = TypeVar("A")
Entry = Mapping[str, Any]
MEMBERS = ("seq", "at", "act", "who", "role", "chat_id", "item", "department", "source", "reason")
COLUMNS = ("seq", "at", "act", "who", "name", *MEMBERS[4:], "prev", "hash")
PAGE = 1_000  # entries of an export that are asked for at a time
SEARCHES = 4  # exports that a gateway makes at a time


def install(app: FastAPI, presence: PresenceClient, transcripts: TranscriptsClient, settings: Settings) -> None:
    """Add `/api/access-log…`. The access log has each of these requests itself."""
    searches, zone = Searches(presence, transcripts), ZoneInfo(settings.timezone)
    exports = asyncio.Semaphore(SEARCHES)
    problems = {"_401": "unauthenticated", "_403": "forbidden", "_503": "unavailable"}

    async def reader(request: Request) -> Reader:
        auditor = await officer_of(request, presence, "auditor")
        return Reader(agent_id=auditor.id, role="auditor", source=address_of(request, settings))

    @app.get("/api/access-log", responses=problems_of(**problems, _422="invalid, invalid_period, search_too_large"))
    async def entries(
        request: Request,
        person: Person = "",
        chat: ChatBegin = "",
        act: Act = "",
        from_: FirstDay = "",
        until: LastDay = "",
        before: Annotated[int | None, Query(ge=1, le=2**53, description="entries before this number")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """List entries of the access log, the newest first.

        `person`: an id, or a part of a name. `chat`: the id of a chat or question, or its first characters. `more`:
        there are earlier ones, `before` the last one.
        """
        by = await reader(request)
        wanted = await searches.wanted(by, zone, person, chat, act, from_, until)
        page = await searches.page(wanted.model_copy(update={"before": before, "most": limit}))
        names = await searches.names(page.entries)
        return JSONResponse({"entries": [_shown(e, names) for e in page.entries], "more": page.more})

    @app.get("/api/access-log/verification", responses=problems_of(**problems, _429="rate_limited"))
    async def verification(request: Request) -> Response:
        """Verify the newest entries of the access log, at most 20,000, and say whether they are intact.

        `complete`: these are all entries that are stored. `problems`: what is wrong, one line each in English;
        `flaws`: the same as codes, with the first and the last entry that is named.
        """
        found = await _known(transcripts.verify_access_log(transcripts_api.AccessVerify(by=await reader(request))))
        return JSONResponse({"intact": not found.problems, **found.model_dump()})

    @app.get(
        "/api/access-log/export",
        responses=problems_of(**problems, _422="invalid, invalid_period", _429="rate_limited"),
    )
    async def export(
        request: Request,
        format: Literal["jsonl", "csv"] = "jsonl",
        person: Person = "",
        chat: ChatBegin = "",
        act: Act = "",
        from_: FirstDay = "",
        until: LastDay = "",
    ) -> Response:
        """Download entries of the access log in order.

        `jsonl`: all entries of the period, one in each line as they are stored, with which the chain can be verified.
        The other filters do not apply. `csv`: what the filters find, with names.
        """
        by = await reader(request)
        wanted = await searches.wanted(by, zone, person, chat, act, from_, until)
        if exports.locked():
            raise Problem(429, "rate_limited", "Too many exports are made now. Try again soon.", {"Retry-After": "30"})
        await exports.acquire()
        try:
            asked = transcripts_api.AccessSpanQuery(
                by=by, about=f"{format} {wanted.about}"[:500], since=wanted.since, until=wanted.until
            )
            span = await _known(transcripts.access_log_span(asked))
            pages = searches.pages(wanted, span, filtered=format == "csv")
            content = as_csv(pages, searches) if format == "csv" else as_lines(pages)
        except BaseException:
            exports.release()
            raise
        name = f"access-log-{span.after + 1}-{span.last}.{format}"
        kind = "text/csv; charset=utf-8" if format == "csv" else "application/jsonl; charset=utf-8"
        headers = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
        return Streamed(content, headers=headers, done=exports.release)


Person = Annotated[str, Query(max_length=100, pattern=r"^[^\x00-\x1f]*$")]
ChatBegin = Annotated[str, Query(pattern=r"^([0-9a-fA-F-]{4,36})?$")]
Act = Annotated[str, Query(pattern=r"^[a-z_]{0,50}$")]
FirstDay = Annotated[str, Query(alias="from", pattern=f"^$|{DAY}", description="the first day, such as 2026-11-01")]
LastDay = Annotated[str, Query(pattern=f"^$|{DAY}", description="the last day")]


class Searches:
    """Asks transcripts for entries, and presence for the names of the people in them."""

    def __init__(self, presence: PresenceClient, transcripts: TranscriptsClient) -> None:
        self._presence, self._transcripts = presence, transcripts

    async def wanted(
        self, by: Reader, zone: ZoneInfo, person: str, chat: str, act: str, first: str, last: str
    ) -> transcripts_api.AccessSearch:
        """Return the search for these filters; empty ones are none.

        Raises:
            Problem: 422 `invalid_period`, 503 `unavailable`.
        """
        given = {"person": person.strip(), "chat": chat.lower(), "act": act, "from": first, "until": last}
        since, until = _period(first, last, zone)
        return transcripts_api.AccessSearch(
            by=by,
            about=" ".join(f"{name}={value}" for name, value in given.items() if value)[:500],
            who=await self._people(given["person"]) if given["person"] else None,
            chat=given["chat"] or None,
            act=act or None,
            since=since,
            until=until,
        )

    async def _people(self, person: str) -> list[str]:
        """Return the ids of those whom a filter means: an id, a part of a name, or the login of an operator."""
        if is_id(person):
            return [person]
        return [person, *await _known(self._presence.names(NamesQuery(like=person)))]

    async def page(self, query: transcripts_api.AccessSearch) -> transcripts_api.AccessPage:
        """Return a page.

        Raises:
            Problem: 422 `search_too_large`, 503 `unavailable`.
        """
        return await _known(self._transcripts.search_access_log(query))

    async def names(self, entries: Iterable[Entry]) -> dict[str, str]:
        """Return the names of the people in these entries by id."""
        ids = sorted({e["who"] for e in entries if is_id(e.get("who"))})
        return await _known(self._presence.names(NamesQuery(ids=ids))) if ids else {}

    async def pages(
        self, wanted: transcripts_api.AccessSearch, span: transcripts_api.AccessSpan, filtered: bool
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the entries of a span in order, a page at a time; only those that the filters find when `filtered`."""
        keep = {} if filtered else {"who": None, "chat": None, "act": None, "since": None, "until": None}
        query = wanted.model_copy(update={**keep, "about": None, "most": PAGE})
        after, more = span.after, span.last > span.after
        while more:
            found = await self.page(query.model_copy(update={"after": after}))
            page = [entry for entry in found.entries if int(entry["seq"]) <= span.last]
            yield [dict(entry) for entry in page]
            more = found.more and len(page) == len(found.entries)
            after = int(found.entries[-1]["seq"]) if found.entries else after


async def as_lines(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    """Yield the entries as JSON lines."""
    async for page in pages:
        yield "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in page).encode("utf-8", "surrogatepass")


async def as_csv(pages: AsyncIterator[list[dict[str, Any]]], searches: Searches) -> AsyncIterator[bytes]:
    """Yield the entries as CSV (RFC 4180) after a line of names."""
    yield (MARK + ",".join(COLUMNS) + "\r\n").encode()
    async for page in pages:
        names = await searches.names(page)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\r\n")
        rows = ({**entry, "name": names.get(str(entry.get("who")))} for entry in page)
        writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
        yield text.getvalue().encode("utf-8", "replace")


async def _known(asked: Awaitable[A]) -> A:
    """Return the answer of another service. A replica of an earlier release does not know the question: 503.

    Raises:
        Problem: As `answered`.
    """
    try:
        return await answered(asked)
    except Problem as problem:
        if problem.status == 404:
            raise unavailable() from problem
        raise


def _shown(entry: Entry, names: Mapping[str, str]) -> dict[str, Any]:
    known = {name: entry.get(name) for name in MEMBERS}
    return {**known, "name": names.get(str(entry.get("who"))), "hash": entry.get("hash")}


def _period(first: str, last: str, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Return the beginning of the first day and the end of the last one; None: no bound.

    Raises:
        Problem: 422 `invalid_period`.
    """
    since, until = days_of(first or None, last or None)
    begin = datetime.combine(since, time(), zone) if since else None
    end = datetime.combine(until + timedelta(days=1), time(), zone) if until else None
    return begin, end
