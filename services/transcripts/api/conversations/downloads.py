"""Routes of transcripts: the download of a conversation in one of four formats."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.common.config.departments import LOCALES
from services.common.events.types import Entry, Party
from services.common.http.problems import Problem
from services.common.http.streaming import Streamed
from services.common.runtime.service import caller
from services.common.texts import preferred_language
from services.transcripts import metrics
from services.transcripts.api.context import Context
from services.transcripts.api.responses import with_first
from services.transcripts.attachments.names import disposition
from services.transcripts.log import reader
from services.transcripts.rendering import perspective
from services.transcripts.rendering.html_format import HtmlParts
from services.transcripts.rendering.json_format import JsonParts, Proof, as_json
from services.transcripts.rendering.pdf import Length, PressBusy, TooLong
from services.transcripts.rendering.text_format import TextParts
from services.transcripts.rendering.transcript import Parts, Transcript, file_name

Pages = AsyncIterator[list[Entry]]
OUTCOMES = {404: "not_found", 409: "not_ended", 429: "rate_limited"}
"""What becomes of a client's request, by the status of its refusal; for the metric."""


class Format(StrEnum):
    """Format of a transcript."""

    TXT = "txt"
    HTML = "html"
    PDF = "pdf"
    JSON = "json"


_TYPES = {
    Format.TXT: "text/plain; charset=utf-8",
    Format.HTML: "text/html; charset=utf-8",
    Format.PDF: "application/pdf",
    Format.JSON: "application/json",
}


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.get("/chats/{chat_id}/transcript", response_class=Response)
    async def transcript(
        request: Request,
        chat_id: str,
        format_: Annotated[Format, Query(alias="format")] = Format.TXT,
        at_least: Annotated[int, Query(ge=0)] = 0,
        lang: Annotated[str, Query()] = "",
        languages: Annotated[str, Query()] = "",
    ) -> Response:
        with _counting(context, request):
            return await download(request, chat_id, format_, at_least, lang, languages)

    async def download(
        request: Request, chat_id: str, format_: Format, at_least: int, lang: str, languages: str
    ) -> Response:
        admitted = await context.admit(request, chat_id)
        last = admitted.last.seq if admitted.last else None
        await context.log_read("transcript_read", admitted, format_.value)
        release = await context.slot(context.downloads, chat_id)
        try:
            head, pages = await reader.heading(context.store, admitted.chat, context.departments, at_least, last)
            proof = await context.chains.proof(admitted.chat, head.last, head.closed_at)
            head = replace(head, code=proof.code if proof else None)
            language = None
            if admitted.actor.party == Party.AGENT and format_ is not Format.JSON:
                language = lang if lang in LOCALES else preferred_language(languages[:200], admitted.chat.locale)
            content = await with_first(await _render(context, format_, head, pages, proof, language))
        except BaseException:
            release()
            raise
        name = file_name(head, format_.value, context.zone)
        headers = {"Content-Disposition": disposition(name), "Content-Type": _TYPES[format_]}
        return Streamed(content, headers=headers, done=release)

    return routes


@contextlib.contextmanager
def _counting(context: Context, request: Request) -> Iterator[None]:
    """Count what becomes of the request within, when a client of the read API has sent it."""
    actor = caller(request).acting()
    if actor is None or actor.party != "client":
        yield
        return
    outcome = "failed"
    try:
        yield
        outcome = "read"
    except Problem as problem:
        outcome = OUTCOMES.get(problem.status, outcome)
        raise
    finally:
        client = actor.id if context.integration.knows(actor.id) else "unknown"
        metrics.CLIENT_TRANSCRIPTS.labels(client, outcome).inc()


async def _render(
    context: Context, format_: Format, head: Transcript, pages: Pages, proof: Proof | None, office: str | None
) -> AsyncIterator[bytes]:
    """Return a download in pieces.

    `office`: the language in which agents and supervisors read it; None: as the citizen was shown it.

    Raises:
        Problem: A PDF cannot be made now, or the conversation is too long for one.
    """
    began = time.monotonic()
    shown = perspective.of_office(head, office, context.departments) if office else head
    if office and format_ is not Format.PDF:
        pages = _for_office(pages, office)
    match format_:
        case Format.PDF:
            pieces = _once(await _pdf(context, head, pages, proof, office))
        case Format.JSON:
            pieces = _pieces(JsonParts(head, proof), pages)
        case Format.HTML:
            pieces = _pieces(HtmlParts(shown, context.zone), pages)
        case Format.TXT:
            pieces = _pieces(TextParts(shown, context.zone), pages)
    metrics.RENDERS.labels(format_.value).inc()
    metrics.RENDER_SECONDS.labels(format_.value).observe(time.monotonic() - began)
    return pieces


async def _pdf(context: Context, head: Transcript, pages: Pages, proof: Proof | None, office: str | None) -> bytes:
    """Return the PDF. Its pages are for the reader who asks; its data are those that are signed."""
    length, entries = Length(), list[Entry]()
    try:
        async for page in pages:
            for entry in page:
                length.add(entry)
            entries += page
        whole = replace(head, entries=entries)
        shown = perspective.of_office(whole, office, context.departments) if office else whole
        return await context.press.make(shown, context.zone, lambda: as_json(whole, proof))
    except PressBusy:
        raise Problem(503, "unavailable", "Too many ask for a PDF now.", {"Retry-After": "2"}) from None
    except TooLong:
        raise Problem(
            422, "too_long", "This conversation is too long for a PDF. Choose html or txt: these have all of it."
        ) from None


async def _for_office(pages: Pages, locale: str) -> Pages:
    async for page in pages:
        yield [perspective.for_office(entry, locale) for entry in page]


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _pieces(parts: Parts, pages: Pages) -> AsyncIterator[bytes]:
    """Yield the rendering of one page at a time, made in a thread.

    A page is read only after the piece before was taken.
    """
    before = parts.before()
    async for page in pages:
        yield await asyncio.to_thread(lambda: (before + parts.some(page)).encode("utf-8", "replace"))  # noqa: B023
        before = ""
    yield (before + parts.after()).encode("utf-8", "replace")
