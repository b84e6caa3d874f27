"""Routes of attachments: upload and download."""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from gridfs.errors import NoFile

from services.common.events.types import Record
from services.common.http.problems import Problem
from services.common.http.streaming import Streamed
from services.transcripts.access import uploader_of
from services.transcripts.api.context import Admitted, Context
from services.transcripts.api.responses import DOWNLOAD_HEADERS, json_response, with_first
from services.transcripts.attachments.names import disposition
from services.transcripts.attachments.store import FREE, KEPT, File


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
        name = unquote(request.headers.get("x-file-name", ""), errors="replace")
        declared = request.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() else None
        file = await context.uploads.take(chat.chat_id, uploader_of(actor), name, request.stream().__aiter__(), size)
        return json_response(Uploaded(**file.attachment.model_dump(), sha256=file.sha256), 201)

    @routes.get("/chats/{chat_id}/attachments/{attachment_id}", response_class=StreamingResponse)
    async def download(request: Request, chat_id: str, attachment_id: str) -> Response:
        admitted = await context.admit(request, chat_id)
        file = await context.files.get(attachment_id)
        if file is None or file.chat_id != chat_id or not await _may_read(context, admitted, file):
            raise _no_such_file()
        release = await context.slot(context.file_downloads, chat_id)
        try:
            content = await with_first(context.files.content(attachment_id))
        except NoFile:
            release()
            raise _no_such_file() from None
        except BaseException:
            release()
            raise
        attachment = file.attachment
        headers = {
            **DOWNLOAD_HEADERS,
            "Content-Type": attachment.content_type,  # without a character set: that of a text file is not known
            "Content-Disposition": disposition(attachment.name),
            "Content-Length": str(attachment.size),
        }
        return Streamed(content, headers=headers, done=release)

    return routes


async def _may_read(context: Context, admitted: Admitted, file: File) -> bool:
    """Return whether the actor may read a file of this chat: one in the log, or one of their own, posted or not."""
    if file.state == KEPT and await context.posted(admitted, file.attachment.id):
        return True
    return admitted.adds and file.uploader == uploader_of(admitted.actor) and file.state in (KEPT, FREE)


def _no_such_file() -> Problem:
    return Problem(404, "unknown_attachment", "There is no such file in this conversation.")
