"""The HTTP side of transcripts: history and tails for gateways, files and downloads that gateways pass through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
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

from services import internal, problems
from services.chassis import caller
from services.contracts import Party, Record
from services.departments import Departments
from services.problems import Problem
from services.tokens import Actor
from services.transcripts import conversations, counting, perspective, rendering
from services.transcripts.access import Chat, refusal, uploader_of
from services.transcripts.attachments.names import disposition
from services.transcripts.checking import Checker
from services.transcripts.files import FREE, KEPT, Files
from services.transcripts.pdf import PdfPress, PressBusy
from services.transcripts.questions import Questions
from services.transcripts.settings import Settings
from services.transcripts.store import Store
from services.transcripts.uploads import Uploads

log = structlog.get_logger()

_DOWNLOAD = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


class Format(StrEnum):
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
    """What an uploader is told of the file."""

    id: str
    name: str
    size: int
    content_type: str
    sha256: str


class Desk:
    """What the routes need."""

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

    async def admit(self, request: Request, chat_id: str) -> tuple[Actor, Chat]:
        """Who asks, and the chat; raises `Problem` when this actor may not."""
        actor = caller(request)
        chat = await self.store.chat(chat_id)
        refused = refusal(actor, chat_id, chat, self.clock(), timedelta(seconds=self.settings.citizen_access))
        if refused:
            raise Problem(refused.status, refused.code, refused.detail)
        assert actor is not None
        assert chat is not None
        return actor, chat

    async def render(self, format_: Format, transcript: rendering.Transcript) -> bytes:
        began = time.monotonic()
        match format_:
            case Format.PDF:
                made = await self._pdf(transcript)
            case Format.JSON:
                made = await asyncio.to_thread(rendering.as_json, transcript)
            case Format.HTML:
                made = await asyncio.to_thread(rendering.as_html, transcript, self.zone)
            case Format.TXT:
                made = await asyncio.to_thread(rendering.as_text, transcript, self.zone)
        counting.RENDERS.labels(format_.value).inc()
        counting.RENDER_SECONDS.labels(format_.value).observe(time.monotonic() - began)
        return made

    async def _pdf(self, transcript: rendering.Transcript) -> bytes:
        try:
            return await self.press.make(transcript, self.zone)
        except PressBusy:
            raise Problem(503, "unavailable", "Too many ask for a PDF now.", {"Retry-After": "2"}) from None


def add_routes(app: FastAPI, desk: Desk) -> None:
    """The application answers under the paths of `services/internal.py` and for files and downloads."""
    _add_reads(app, desk)
    _add_attachments(app, desk)
    _add_downloads(app, desk)
    _add_questions(app, desk)

    @app.exception_handler(PyMongoError)
    async def away(_: Request, __: Exception) -> Response:
        return problems.document(503, "unavailable", "Please try again in a moment.", {"Retry-After": "2"})


def _add_reads(app: FastAPI, desk: Desk) -> None:
    @app.post(internal.HISTORY, response_model=internal.History)
    async def history(request: Request, query: internal.HistoryQuery) -> Response:
        caller(request)
        read = (conversations.history(desk.store, w, query.notes) for w in query.chats)
        found = [h for h in await asyncio.gather(*read) if h is not None]
        return _json(internal.History.model_construct(chats=found))

    @app.post(internal.TAILS, response_model=internal.Tails)
    async def tails(request: Request, query: internal.TailsQuery) -> Response:
        caller(request)
        if query.after is not None:
            return _json(internal.Tails(tails=await desk.store.grown(query.after)))
        tails = await desk.store.tails(query.chat_ids)  # gateways of a former version ask so
        return _json(internal.Tails(tails={c: t.seq for c, t in tails.items() if t.seq}))


def _add_attachments(app: FastAPI, desk: Desk) -> None:
    @app.post("/chats/{chat_id}/attachments", status_code=201, response_model=Uploaded)
    async def upload(request: Request, chat_id: str) -> Response:
        actor, chat = await desk.admit(request, chat_id)
        name = unquote(request.headers.get("x-file-name", ""), errors="replace")
        declared = request.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() else None
        file = await desk.uploads.take(chat.chat_id, uploader_of(actor), name, request.stream().__aiter__(), size)
        return _json(Uploaded(**file.attachment.model_dump(), sha256=file.sha256), 201)

    @app.get("/chats/{chat_id}/attachments/{attachment_id}", response_class=StreamingResponse)
    async def download(request: Request, chat_id: str, attachment_id: str) -> Response:
        actor, _ = await desk.admit(request, chat_id)
        file = await desk.files.get(attachment_id)
        seen = file and (file.state == KEPT or (file.state == FREE and file.uploader == uploader_of(actor)))
        if file is None or file.chat_id != chat_id or not seen:
            raise _no_such_file()
        content = desk.files.content(attachment_id)
        try:
            first = await anext(content, b"")  # an error shows now, while there still is a status to say it with
        except NoFile:
            raise _no_such_file() from None

        async def chunks() -> AsyncIterator[bytes]:
            yield first
            async for chunk in content:
                yield chunk

        attachment = file.attachment
        headers = {
            **_DOWNLOAD,
            "Content-Type": attachment.content_type,  # without a character set: that of a text is not ours to guess
            "Content-Disposition": disposition(attachment.name),
            "Content-Length": str(attachment.size),
        }
        return StreamingResponse(chunks(), headers=headers)


def _add_downloads(app: FastAPI, desk: Desk) -> None:
    @app.get("/chats/{chat_id}/transcript", response_class=Response)
    async def transcript(
        request: Request,
        chat_id: str,
        format_: Annotated[Format, Query(alias="format")] = Format.TXT,
        at_least: Annotated[int, Query(ge=0)] = 0,
        lang: Annotated[str, Query()] = "",
        languages: Annotated[str, Query()] = "",
    ) -> Response:
        actor, chat = await desk.admit(request, chat_id)
        conversation = await conversations.transcript(desk.store, chat, desk.departments, at_least)
        if actor.party == Party.AGENT and format_ is not Format.JSON:
            language = perspective.language_of(lang, languages, chat.locale)
            conversation = perspective.of_office(conversation, language, desk.departments)
        content = await desk.render(format_, conversation)
        name = rendering.file_name(conversation, format_.value, desk.zone)
        headers = {**_DOWNLOAD, "Content-Disposition": disposition(name), "Content-Type": _TYPES[format_]}
        return Response(content, headers=headers)


def _add_questions(app: FastAPI, desk: Desk) -> None:
    @app.post(internal.QUESTION_LEAVE, status_code=204)
    async def leave(request: Request, question: internal.LeftQuestion) -> Response:
        caller(request)
        if await desk.store.chat(question.chat_id) is None:
            raise Problem(404, "no_such_chat", "There is no such conversation.")
        if await desk.questions.leave(question, desk.clock()):
            counting.QUESTIONS.labels("left").inc()
            log.info("question_left", chat_id=question.chat_id, department=question.department)
        return Response(status_code=204)

    @app.post(internal.QUESTIONS, response_model=internal.Questions)
    async def questions(request: Request, query: internal.QuestionsQuery) -> Response:
        caller(request)
        return _json(internal.Questions(questions=await desk.questions.to_do(query.departments)))

    @app.post(internal.QUESTION_DONE, status_code=204)
    async def done(request: Request, query: internal.QuestionDone) -> Response:
        caller(request)
        now_done = await desk.questions.done(query, desk.clock())
        if now_done is None:
            raise Problem(404, "no_such_question", "There is no such question in these departments.")
        if now_done:
            counting.QUESTIONS.labels("done").inc()
            log.info("question_done", chat_id=query.chat_id, agent_id=query.agent_id)
        return Response(status_code=204)


def _no_such_file() -> Problem:
    return Problem(404, "unknown_attachment", "There is no such file in this conversation.")


def _json(answer: Record, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status, media_type="application/json")
