"""Internal API of transcripts: history for gateways, files and downloads that gateways pass on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import structlog
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response, StreamingResponse
from gridfs.errors import NoFile
from pymongo.errors import PyMongoError

from services.common.config.departments import Departments
from services.common.events.types import Entry, Party, Record
from services.common.http import problems
from services.common.http.problems import Problem
from services.common.http.streaming import Streamed
from services.common.http.tokens import Actor
from services.common.internal_api import transcripts as transcripts_api
from services.common.runtime.service import caller
from services.transcripts import metrics
from services.transcripts.access import Chat, Reach, Refusal, is_over, reach, uploader_of
from services.transcripts.attachments.checker import Checker
from services.transcripts.attachments.names import disposition
from services.transcripts.attachments.store import FREE, KEPT, Files
from services.transcripts.attachments.uploads import Uploads
from services.transcripts.concurrency_limits import ConcurrencyLimit, LimitReached
from services.transcripts.left_questions import Questions
from services.transcripts.log import reader
from services.transcripts.log.store import Store
from services.transcripts.rendering import perspective
from services.transcripts.rendering.html_format import HtmlParts
from services.transcripts.rendering.json_format import JsonParts
from services.transcripts.rendering.pdf import Length, PdfPress, PressBusy, TooLong
from services.transcripts.rendering.text_format import TextParts
from services.transcripts.rendering.transcript import Parts, Transcript, file_name
from services.transcripts.settings import Settings

log = structlog.get_logger()
Pages = AsyncIterator[list[Entry]]

_DOWNLOAD = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}

MOST_HISTORY = 2 * 1024 * 1024  # bytes of text in one answer with histories of several chats
LEAST_PAGE = 32 * 1024  # bytes of each of these histories, at least
DOWNLOAD_PATIENCE = 3.0  # seconds to wait for a free slot
HISTORY_PATIENCE = 4.0  # less than a gateway waits for an answer


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


class Uploaded(Record):
    """Description of an uploaded file, as the uploader gets it."""

    id: str
    name: str
    size: int
    content_type: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """An actor with access to a chat.

    Attributes:
        actor: The actor.
        chat: The chat.
        adds: Whether the actor may upload files.
        last: The last entry that the actor may read; None: all.
    """

    actor: Actor
    chat: Chat
    adds: bool
    last: Entry | None


class Context:
    """Dependencies of the routes."""

    def __init__(
        self,
        store: Store,
        files: Files,
        questions: Questions,
        press: PdfPress,
        departments: Departments,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self.store, self.files, self.questions = store, files, questions
        self.press, self.departments = press, departments
        self.settings, self.clock = settings, clock
        self.zone = ZoneInfo(settings.timezone)
        self.checker = Checker(settings.refused_findings)
        self.uploads = Uploads(store, files, settings, clock, self.checker)
        self.downloads = ConcurrencyLimit(each=2, total=40, waiting=8, patience=DOWNLOAD_PATIENCE)
        self.file_downloads = ConcurrencyLimit(each=8, total=80, waiting=20, patience=DOWNLOAD_PATIENCE)
        # After a gateway crash its citizens reconnect at once, each to their own chat; waiting requests cost little.
        self.histories = ConcurrencyLimit(each=2, total=16, waiting=8, patience=HISTORY_PATIENCE, line=500)

    async def admit(self, request: Request, chat_id: str) -> Admitted:
        """Return the actor who sent the request, and what they may do with the chat.

        Raises:
            Problem: The actor may do nothing with it.
        """
        actor, now = caller(request), self.clock()
        chat = await self.store.chat(chat_id)
        life, former = timedelta(seconds=self.settings.citizen_access), timedelta(seconds=self.settings.former_access)
        found = reach(actor, chat_id, chat, now, life, former)
        last: Entry | None = None
        if isinstance(found, Reach) and found.former:
            assert actor is not None
            last = await self._last_seen(actor, chat_id, found)
            if last is None or is_over(last.at, now, former):
                found = Refusal(403, "forbidden", "Your time to read this conversation is over.")
        if actor is not None and chat is not None and not (isinstance(found, Reach) and last is None):
            departments = actor.departments or []
            if actor.party == "agent" and await self.questions.may_read(chat_id, actor.id, departments, now):
                found, last = Reach(), None
        if isinstance(found, Refusal):
            raise Problem(found.status, found.code, found.detail)
        assert actor is not None
        assert chat is not None
        return Admitted(actor, chat, found.adds, last)

    async def _last_seen(self, actor: Actor, chat_id: str, found: Reach) -> Entry | None:
        """Return the last entry that an agent who left the chat has seen.

        That is the entry that says that they left, or else the last entry of their own.
        """
        if found.left and (entry := (await self.store.find(chat_id, [found.left])).get(found.left)):
            return entry
        own = (e for e in reversed(await self.store.entries(chat_id)) if e.sender_id == actor.id)
        return next(own, None)

    async def posted(self, admitted: Admitted, attachment_id: str) -> bool:
        """Return whether this file is in the part of the log that the actor may read."""
        if admitted.last is None:
            return True
        entries = await self.store.entries(admitted.chat.chat_id, 0, admitted.last.seq)
        return any(e.attachment and e.attachment.id == attachment_id for e in entries)

    async def place(self, places: ConcurrencyLimit, chat_id: str) -> Callable[[], None]:
        """Wait for a slot for a download. Return the function that releases it.

        Raises:
            Problem: 429 `rate_limited` when too many downloads are in progress.
        """
        try:
            return await places.take(chat_id)
        except LimitReached:
            raise Problem(
                429, "rate_limited", "Too many downloads are under way. Try again in a moment.", {"Retry-After": "5"}
            ) from None

    async def history(
        self, wanted: transcripts_api.HistoryWanted, notes: bool, most: int
    ) -> transcripts_api.ChatHistory | None:
        """Return one page of a log, or None.

        None also stands for a chat with too many waiting requests. The gateway requests it again, and other chats of
        the same request are not delayed.
        """
        try:
            release = await self.histories.take(wanted.chat_id)
        except LimitReached:
            metrics.HISTORIES_PUT_OFF.inc()
            return None
        try:
            return await reader.history(self.store, wanted, notes, most)
        finally:
            release()

    async def render(self, format_: Format, head: Transcript, pages: Pages) -> AsyncIterator[bytes]:
        """Return a download in pieces.

        Raises:
            Problem: A PDF cannot be made now, or the conversation is too long for one.
        """
        began = time.monotonic()
        match format_:
            case Format.PDF:
                pieces = _once(await self._pdf(head, pages))
            case Format.JSON:
                pieces = _pieces(JsonParts(head), pages)
            case Format.HTML:
                pieces = _pieces(HtmlParts(head, self.zone), pages)
            case Format.TXT:
                pieces = _pieces(TextParts(head, self.zone), pages)
        metrics.RENDERS.labels(format_.value).inc()
        metrics.RENDER_SECONDS.labels(format_.value).observe(time.monotonic() - began)
        return pieces

    async def _pdf(self, head: Transcript, pages: Pages) -> bytes:
        length, entries = Length(), list[Entry]()
        try:
            async for page in pages:
                for entry in page:
                    length.add(entry)
                entries += page
            return await self.press.make(replace(head, entries=entries), self.zone)
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


async def _with_first(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the same content after its first piece was made.

    An error is then raised while the response still has no status.
    """
    first = await anext(content, b"")

    async def all_() -> AsyncIterator[bytes]:
        yield first
        async for piece in content:
            yield piece

    return all_()


def add_routes(app: FastAPI, context: Context) -> None:
    """Add the routes of `common/internal_api`, and those of files and downloads."""
    _add_reads(app, context)
    _add_attachments(app, context)
    _add_downloads(app, context)
    _add_notes(app, context)
    _add_questions(app, context)

    @app.exception_handler(PyMongoError)
    async def away(_: Request, __: Exception) -> Response:
        return problems.document(503, "unavailable", "Please try again in a moment.", {"Retry-After": "2"})


def _add_reads(app: FastAPI, context: Context) -> None:
    @app.post(transcripts_api.HISTORY, response_model=transcripts_api.History)
    async def history(request: Request, query: transcripts_api.HistoryQuery) -> Response:
        caller(request)
        most = max(LEAST_PAGE, min(reader.PAGE_BYTES, MOST_HISTORY // max(len(query.chats), 1)))
        read = (context.history(w, query.notes, most) for w in query.chats)
        found = [h for h in await asyncio.gather(*read) if h is not None]
        return _json(transcripts_api.History.model_construct(chats=found))

    @app.post(transcripts_api.TAILS, response_model=transcripts_api.Tails)
    async def tails(request: Request, query: transcripts_api.TailsQuery) -> Response:
        caller(request)
        if query.after is not None:
            return _json(transcripts_api.Tails(tails=await context.store.grown(query.after)))
        tails = await context.store.tails(query.chat_ids)  # gateways of an earlier release send this
        return _json(transcripts_api.Tails(tails={c: t.seq for c, t in tails.items() if t.seq}))


def _add_attachments(app: FastAPI, context: Context) -> None:
    @app.post("/chats/{chat_id}/attachments", status_code=201, response_model=Uploaded)
    async def upload(request: Request, chat_id: str) -> Response:
        admitted = await context.admit(request, chat_id)
        actor, chat = admitted.actor, admitted.chat
        if not admitted.adds:
            raise Problem(403, "forbidden", "Only those who are in this conversation may add files.")
        name = unquote(request.headers.get("x-file-name", ""), errors="replace")
        declared = request.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() else None
        file = await context.uploads.take(chat.chat_id, uploader_of(actor), name, request.stream().__aiter__(), size)
        return _json(Uploaded(**file.attachment.model_dump(), sha256=file.sha256), 201)

    @app.get("/chats/{chat_id}/attachments/{attachment_id}", response_class=StreamingResponse)
    async def download(request: Request, chat_id: str, attachment_id: str) -> Response:
        admitted = await context.admit(request, chat_id)
        file = await context.files.get(attachment_id)
        own = admitted.adds and file is not None and file.uploader == uploader_of(admitted.actor)
        seen = file and ((file.state == KEPT and await context.posted(admitted, file.attachment.id)) or own)
        seen = seen and file is not None and file.state in (KEPT, FREE)
        if file is None or file.chat_id != chat_id or not seen:
            raise _no_such_file()
        release = await context.place(context.file_downloads, chat_id)
        try:
            content = await _with_first(context.files.content(attachment_id))
        except NoFile:
            release()
            raise _no_such_file() from None
        except BaseException:
            release()
            raise
        attachment = file.attachment
        headers = {
            **_DOWNLOAD,
            "Content-Type": attachment.content_type,  # without a character set: that of a text file is not known
            "Content-Disposition": disposition(attachment.name),
            "Content-Length": str(attachment.size),
        }
        return Streamed(content, headers=headers, done=release)


def _add_downloads(app: FastAPI, context: Context) -> None:
    @app.get("/chats/{chat_id}/transcript", response_class=Response)
    async def transcript(
        request: Request,
        chat_id: str,
        format_: Annotated[Format, Query(alias="format")] = Format.TXT,
        at_least: Annotated[int, Query(ge=0)] = 0,
        lang: Annotated[str, Query()] = "",
        languages: Annotated[str, Query()] = "",
    ) -> Response:
        admitted = await context.admit(request, chat_id)
        last = admitted.last.seq if admitted.last else None
        release = await context.place(context.downloads, chat_id)
        try:
            head, pages = await reader.heading(context.store, admitted.chat, context.departments, at_least, last)
            if admitted.actor.party == Party.AGENT and format_ is not Format.JSON:
                language = perspective.language_of(lang, languages, admitted.chat.locale)
                head = perspective.of_office(head, language, context.departments)
                pages = _for_office(pages, language)
            content = await _with_first(await context.render(format_, head, pages))
        except BaseException:
            release()
            raise
        name = file_name(head, format_.value, context.zone)
        headers = {**_DOWNLOAD, "Content-Disposition": disposition(name), "Content-Type": _TYPES[format_]}
        return Streamed(content, headers=headers, done=release)


def _add_notes(app: FastAPI, context: Context) -> None:
    @app.get("/chats/{chat_id}/notes", response_model=transcripts_api.Notes)
    async def notes(request: Request, chat_id: str) -> Response:
        """List the internal notes, the oldest first, for agents only."""
        admitted = await context.admit(request, chat_id)
        if admitted.actor.party != "agent":
            raise Problem(403, "forbidden", "Internal notes are for agents.")
        until, own = admitted.last.at if admitted.last else None, admitted.actor.id
        found = await context.store.notes(chat_id)
        return _json(
            transcripts_api.Notes(notes=[n for n in found if until is None or n.at <= until or n.agent_id == own])
        )


def _add_questions(app: FastAPI, context: Context) -> None:
    @app.post(transcripts_api.QUESTION_LEAVE, status_code=204)
    async def leave(request: Request, question: transcripts_api.LeftQuestion) -> Response:
        caller(request)
        if await context.store.chat(question.chat_id) is None:
            raise Problem(404, "no_such_chat", "There is no such conversation.")
        if await context.questions.leave(question, context.clock()):
            metrics.QUESTIONS.labels("left").inc()
            log.info("question_left", chat_id=question.chat_id, department=question.department)
        return Response(status_code=204)

    @app.post(transcripts_api.QUESTIONS, response_model=transcripts_api.Questions)
    async def questions(request: Request, query: transcripts_api.QuestionsQuery) -> Response:
        caller(request)
        return _json(
            transcripts_api.Questions(questions=await context.questions.to_do(query.departments, context.clock()))
        )

    @app.post(transcripts_api.QUESTION_DONE, status_code=204)
    async def done(request: Request, query: transcripts_api.QuestionDone) -> Response:
        caller(request)
        now_done = await context.questions.done(query, context.clock())
        if now_done is None:
            raise Problem(404, "no_such_question", "There is no such question in these departments.")
        if isinstance(now_done, transcripts_api.Claimed):
            raise _claimed(now_done)
        if now_done:
            metrics.QUESTIONS.labels("done").inc()
            log.info("question_done", chat_id=query.chat_id, agent_id=query.agent_id)
        return Response(status_code=204)

    @app.post(transcripts_api.QUESTION_CLAIM, response_model=transcripts_api.LeftQuestion)
    async def claim(request: Request, query: transcripts_api.QuestionClaim) -> Response:
        caller(request)
        found = await context.questions.claim(query, context.clock())
        if found is None:
            raise Problem(404, "no_such_question", "There is no such question in these departments.")
        if isinstance(found, transcripts_api.Claimed):
            raise _claimed(found)
        log.info("question_claimed", chat_id=query.chat_id, agent_id=query.agent_id)
        return _json(found)

    @app.post(transcripts_api.QUESTION_UNCLAIM, status_code=204)
    async def unclaim(request: Request, query: transcripts_api.QuestionClaim) -> Response:
        caller(request)
        free = await context.questions.unclaim(query, context.clock())
        if free is None:
            raise Problem(404, "no_such_question", "There is no such question in these departments.")
        if not free:
            raise Problem(403, "not_yours", "A colleague is dealing with this question.")
        log.info("question_released", chat_id=query.chat_id, agent_id=query.agent_id)
        return Response(status_code=204)


def _claimed(by: transcripts_api.Claimed) -> Problem:
    detail = f"{by.name} is dealing with this question. Choose another one, or ask them to release it."
    return Problem(409, "claimed", detail, claimed=by.model_dump(mode="json"))


def _no_such_file() -> Problem:
    return Problem(404, "unknown_attachment", "There is no such file in this conversation.")


def _json(answer: Record, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status, media_type="application/json")
