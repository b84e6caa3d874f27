"""Routes of attachments of chats, and of questions that were left without a chat: upload and download."""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from gridfs.errors import NoFile

from services.common.events.types import Record
from services.common.http.problems import Problem
from services.common.http.streaming import Streamed
from services.common.http.tokens import Actor
from services.common.runtime.service import caller
from services.transcripts.access.rules import uploader_of
from services.transcripts.access_log.store import Access
from services.transcripts.api.context import Admitted, Context, role_of
from services.transcripts.api.responses import json_response, with_first
from services.transcripts.attachments.names import disposition
from services.transcripts.attachments.store import ASKER, FREE, KEPT, LEFT, File


class Uploaded(Record):
    """Description of an uploaded file, as the uploader gets it."""

    id: str
    name: str
    size: int
    content_type: str
    sha256: str


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post("/chats/{chat_id}/attachments", status_code=201, response_model=Uploaded)
    async def upload(request: Request, chat_id: str) -> Response:
        admitted = await context.admit(request, chat_id)
        actor, chat = admitted.actor, admitted.chat
        if not admitted.adds:
            raise Problem(403, "forbidden", "Only those who are in this conversation may add files.")
        return await _take(context, request, chat.chat_id, uploader_of(actor))

    @routes.get("/chats/{chat_id}/attachments/{attachment_id}", response_class=StreamingResponse)
    async def download(request: Request, chat_id: str, attachment_id: str) -> Response:
        file = await _read_by(context, request, chat_id, attachment_id)
        return await _send(context, file)

    @routes.get("/chats/{chat_id}/attachments/{attachment_id}/preview", response_class=Response)
    async def preview(request: Request, chat_id: str, attachment_id: str, size: str = "small") -> Response:
        return await _send_preview(context, await _read_by(context, request, chat_id, attachment_id), size)

    @routes.post("/questions/{question_id}/attachments", status_code=201, response_model=Uploaded)
    async def add(request: Request, question_id: str) -> Response:
        actor = caller(request).actor
        if actor is None or actor.party != ASKER or actor.id != question_id:
            raise Problem(403, "forbidden", "Only the one who left this question may add files.")
        return await _take(context, request, question_id, ASKER)

    @routes.get("/questions/{question_id}/attachments/{attachment_id}", response_class=StreamingResponse)
    async def read(request: Request, question_id: str, attachment_id: str) -> Response:
        return await _send(context, await _read_of_question(context, request, question_id, attachment_id))

    @routes.get("/questions/{question_id}/attachments/{attachment_id}/preview", response_class=Response)
    async def preview_of_question(
        request: Request, question_id: str, attachment_id: str, size: str = "small"
    ) -> Response:
        file = await _read_of_question(context, request, question_id, attachment_id)
        return await _send_preview(context, file, size)

    return routes


async def _take(context: Context, request: Request, owner_id: str, uploader: str) -> Response:
    name = unquote(request.headers.get("x-file-name", ""), errors="replace")
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdecimal() else None
    file = await context.uploads.take(owner_id, uploader, name, request.stream().__aiter__(), size)
    return json_response(Uploaded(**file.attachment.model_dump(), sha256=file.sha256), 201)


async def _require_clean(context: Context, file: File) -> None:
    """Refuse a file in which malware was found, at its upload or since.

    Raises:
        Problem: 422 `infected`, 415 `type_not_allowed` for a file that cannot be scanned, 503 `unavailable` when it has
            to be scanned again and there is no verdict now, 404 `unknown_attachment`.
    """
    try:
        await context.rescans.require_clean(file)
    except NoFile:
        raise _no_such_file() from None


async def _send(context: Context, file: File) -> Response:
    attachment = file.attachment
    release = await context.slot(context.file_downloads, file.chat_id)
    try:
        content = await with_first(context.files.content(attachment.id))
    except NoFile:
        release()
        raise _no_such_file() from None
    except BaseException:
        release()
        raise
    headers = {
        "Content-Type": attachment.content_type,  # without a character set: that of a text file is not known
        "Content-Disposition": disposition(attachment.name),
        "Content-Length": str(attachment.size),
    }
    return Streamed(content, headers=headers, done=release)


async def _send_preview(context: Context, file: File, size: str) -> Response:
    release = await context.slot(context.preview_downloads, file.chat_id)
    try:
        drawn = await context.previews.of(file, size == "large")
    except NoFile:
        raise _no_such_file() from None
    finally:
        release()
    if drawn is None:
        return Response(status_code=204)
    return Response(drawn, media_type="image/png")


async def _read_of_question(context: Context, request: Request, question_id: str, attachment_id: str) -> File:
    """Return a file of a question that its reader is about to be sent, and log the reading.

    Raises:
        Problem: 404 `unknown_attachment` when there is none; as `_require_reader` and `_require_clean`.
    """
    actor = caller(request).acting()
    department = await _require_reader(context, actor, question_id)
    file = await context.files.get(attachment_id)
    if actor is None or file is None or file.chat_id != question_id or file.state != LEFT:
        raise _no_such_file()
    await _require_clean(context, file)
    role = role_of(actor.party, actor.supervisor)
    read = Access("file_read", actor.id, role, question_id, attachment_id, department, actor.source, actor.reason)
    await context.access_log.record(read)
    return file


async def _require_reader(context: Context, actor: Actor | None, question_id: str) -> str:
    """Return the department of this question, whose files the actor may read: they deal or dealt with it, or supervise.

    Raises:
        Problem: 401 `unauthenticated`, 403 `forbidden`, 404 `no_such_question`.
    """
    if actor is None:
        raise Problem(401, "unauthenticated", "Say who asks.")
    now, departments = context.clock(), actor.departments or []
    question = await context.questions.get(question_id, now)
    if question is None or question.department not in departments:
        raise Problem(404, "no_such_question", "There is no such question in these departments.")
    if actor.supervisor or await context.questions.may_read(question_id, actor.id, departments, now):
        return question.department
    raise Problem(403, "forbidden", "Claim the question to read its files.")


async def _read_by(context: Context, request: Request, chat_id: str, attachment_id: str) -> File:
    """Return a file that its reader is about to be sent, and log the reading.

    Raises:
        Problem: 404 `unknown_attachment` when the reader may not read it; as `_require_clean`.
    """
    admitted = await context.admit(request, chat_id)
    file = await context.files.get(attachment_id)
    if file is None or file.chat_id != chat_id or not await _may_read(context, admitted, file):
        raise _no_such_file()
    await _require_clean(context, file)
    await context.log_read("file_read", admitted, attachment_id)
    return file


async def _may_read(context: Context, admitted: Admitted, file: File) -> bool:
    """Return whether the actor may read a file of this chat: one in the log, or one of their own, posted or not."""
    if file.state == KEPT and await context.posted(admitted, file.attachment.id):
        return True
    return admitted.adds and file.uploader == uploader_of(admitted.actor) and file.state in (KEPT, FREE)


def _no_such_file() -> Problem:
    return Problem(404, "unknown_attachment", "There is no such file in this conversation.")
