"""Routes of attachments and transcripts, streamed to and from the transcript service in bounded memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote, unquote

import aiohttp
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from services.common.config.departments import Departments
from services.common.config.settings import MIB
from services.common.events.types import Party, is_id
from services.common.http.problems import Problem
from services.common.http.streaming import Streamed
from services.common.http.tokens import Actor, Keys
from services.common.internal_api import transcripts as transcripts_api
from services.common.observability.tracing import begin_trace
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    address_of,
    agent_actor,
    agent_session,
    answered,
    passed_on,
    problems_of,
    require_citizen_of,
    require_rate,
    unavailable,
)
from services.gateway.http.multipart import FilePart, NotMultipart, file_part
from services.gateway.identifying_numbers import NumberRules
from services.gateway.rate_limits import DOWNLOADS_PER_CHAT, PREVIEWS_PER_CHAT, UPLOADS_PER_CHAT, Buckets
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp

CHUNK = 64 * 1024
KEPT_OF_NAME = 200  # characters kept at each end of a file's name; transcripts keeps 100 in all
OVERHEAD = 64 * 1024  # of a multipart body beyond its file
DISCARDED = 4  # times the largest file, discarded so that a client that reads only after writing gets the refusal
DISCARDED_SECONDS = 2.0  # for which is discarded; the server discards what comes after the answer
MOST_REASON = 500  # characters of the reason that an agent gives for reading
PACE_SECONDS = 20.0  # of waiting for the client, after which an upload must have arrived at
PACE = 4 * 1024  # bytes a second on average; `services/common/runtime/http_limits.py` bounds the whole time
PASSED_HEADERS = ("Content-Type", "Content-Length", "Content-Disposition")
DOWNLOAD = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"}
"""The policy of a file that a participant made, should a browser show it (CSP level 3 §6.3.2)."""


def install(
    app: FastAPI,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    keys: Keys,
    departments: Departments,
    numbers: NumberRules,
    settings: Settings,
) -> None:
    """Add `/api/chats/{chat_id}/attachments…`, `/api/chats/{chat_id}/transcript` and `/api/chats/{chat_id}/notes`."""
    uploads, downloads = Buckets(UPLOADS_PER_CHAT), Buckets(DOWNLOADS_PER_CHAT)
    previews = Buckets(PREVIEWS_PER_CHAT)

    async def actor_of(request: Request, chat_id: str) -> Actor:
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        if "authorization" in request.headers:
            require_citizen_of(request, chat_id, keys, departments, settings)
            return Actor(party=Party.CITIZEN.value, id=chat_id)
        session = await agent_session(request, presence)
        if not is_id(chat_id):
            raise Problem(404, "no_such_chat", "There is no such chat.")
        reason = unquote(request.headers.get("x-reason", ""), errors="replace").strip()[:MOST_REASON] or None
        reason = numbers.mask_without_department(reason) if reason else None
        return agent_actor(session.agent, address_of(request, settings), reason)

    usual = {"_401": "unauthenticated", "_403": "forbidden, origin_not_allowed", "_429": "rate_limited"}

    @app.post(
        "/api/chats/{chat_id}/attachments",
        status_code=201,
        responses=problems_of(
            **usual,
            _404="no_such_chat",
            _408="too_slow",
            _409="chat_closed",
            _413="too_large",
            _415="type_not_allowed",
            _422="invalid, infected",
            _503="unavailable",
        ),
    )
    async def upload(request: Request, chat_id: str) -> Response:
        """Store one file (multipart, field `file`). It is then posted as a message by its id."""
        actor = await actor_of(request, chat_id)
        require_rate(uploads, chat_id, settings)
        return await receive(request, transcripts, f"/chats/{chat_id}/attachments", actor, numbers, settings)

    of_file = problems_of(
        **usual, _404="no_such_chat, unknown_attachment", _422="invalid, infected", _503="unavailable"
    )

    @app.get("/api/chats/{chat_id}/attachments/{attachment_id}", responses=of_file)
    async def download(request: Request, chat_id: str, attachment_id: str) -> Response:
        """Return the bytes of an attachment."""
        actor = await actor_of(request, chat_id)
        require_rate(downloads, chat_id, settings)
        if not is_id(attachment_id.lower()):
            raise Problem(404, "unknown_attachment", "There is no such attachment in this chat.")
        return await pass_download(transcripts, f"/chats/{chat_id}/attachments/{attachment_id.lower()}", actor)

    @app.get("/api/chats/{chat_id}/attachments/{attachment_id}/preview", responses=of_file)
    async def preview(
        request: Request, chat_id: str, attachment_id: str, size: Annotated[str, Query()] = "small"
    ) -> Response:
        """Return a picture (PNG) of an attachment: a picture, or the first page of a PDF. `size` is small or large.

        204: the file has none.
        """
        actor = await actor_of(request, chat_id)
        require_rate(previews, chat_id, settings)
        if not is_id(attachment_id.lower()):
            raise Problem(404, "unknown_attachment", "There is no such attachment in this chat.")
        large = "large" if size == "large" else "small"
        path = f"/chats/{chat_id}/attachments/{attachment_id.lower()}/preview?size={large}"
        return await pass_download(transcripts, path, actor)

    @app.get(
        "/api/chats/{chat_id}/transcript",
        responses=problems_of(**usual, _404="no_such_chat", _422="invalid, too_long", _503="unavailable"),
    )
    async def transcript(
        request: Request, chat_id: str, format: Annotated[str, Query()] = "txt", lang: Annotated[str, Query()] = ""
    ) -> Response:
        """Download the conversation up to now, as txt, html, pdf or json.

        For agents and supervisors it is in their language: `lang`, else `Accept-Language`.
        """
        actor = await actor_of(request, chat_id)
        require_rate(downloads, chat_id, settings)
        path = f"/chats/{chat_id}/transcript?format={quote(format[:20], safe='')}"
        if actor.party == Party.AGENT.value:
            languages = request.headers.get("accept-language", "")[:200]
            path += f"&lang={quote(lang[:20], safe='')}&languages={quote(languages, safe='')}"
        return await pass_download(transcripts, path, actor)

    @app.get(
        "/api/chats/{chat_id}/notes",
        responses=problems_of(
            _401="unauthenticated", _403="forbidden", _404="no_such_chat", _429="rate_limited", _503="unavailable"
        ),
    )
    async def notes(request: Request, chat_id: str) -> Response:
        """List the internal notes of a chat, during it and after it, for agents who may read its transcript."""
        actor = await actor_of(request, chat_id)
        if actor.party != Party.AGENT.value:
            raise Problem(403, "forbidden", "Internal notes are for agents.")
        require_rate(downloads, chat_id, settings)
        response = await answered(transcripts.stream("GET", f"/chats/{chat_id}/notes", actor))
        async with response:
            found = transcripts_api.Notes.model_validate_json(await response.read())
        shown = [{**n.model_dump(exclude={"chat_id", "at"}), "at": stamp(n.at)} for n in found.notes]
        return JSONResponse({"notes": shown})


async def receive(
    request: Request, transcripts: TranscriptsClient, path: str, actor: Actor, numbers: NumberRules, settings: Settings
) -> Response:
    """Pass the file of an upload on to this path of transcripts, as it arrives.

    Identifying numbers in its name are masked.

    Raises:
        Problem: The upload is refused.
    """
    declared = int(request.headers.get("content-length", "0") or 0)
    body = paced(request.stream())
    try:
        if declared > settings.attachment_bytes + OVERHEAD:
            raise _too_large(settings)
        part = await file_part(request.headers.get("content-type", ""), body)
        return await _store(transcripts, path, actor, part, numbers, settings)
    except NotMultipart as error:
        raise Problem(422, "invalid", "Send the file as multipart/form-data, in the field `file`.") from error
    finally:
        await discard(body, DISCARDED * settings.attachment_bytes)


def _too_large(settings: Settings) -> Problem:
    most = settings.attachment_bytes
    return Problem(
        413,
        "too_large",
        f"The file is larger than {most / MIB:g} MiB. Send a smaller one, or send it in parts.",
        limit_bytes=most,
        limit_files=settings.attachment_count,
        limit_total_bytes=settings.attachment_total,
    )


async def paced(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the same chunks. Only the time spent waiting for the client counts.

    Raises:
        Problem: 408 `too_slow` when the chunks arrive too slowly.
    """
    came, waited = 0, 0.0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PACE_SECONDS):
                chunk = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _too_slow() from None
        waited += time.monotonic() - began
        came += len(chunk)
        if waited > PACE_SECONDS and came < waited * PACE:
            raise _too_slow()
        yield chunk


def _too_slow() -> Problem:
    return Problem(408, "too_slow", "The file came too slowly. Try again over a better connection.")


async def _store(
    transcripts: TranscriptsClient,
    path: str,
    actor: Actor,
    part: FilePart,
    numbers: NumberRules,
    settings: Settings,
) -> Response:
    sent = 0
    broken: Exception | None = None

    async def bytes_of() -> AsyncIterator[bytes]:
        nonlocal sent, broken
        try:
            async for chunk in part.chunks:
                sent += len(chunk)
                if sent > settings.attachment_bytes:
                    raise _too_large(settings)
                yield chunk
        except (NotMultipart, Problem) as error:
            broken = error
            raise

    name = numbers.mask_without_department(_short(part.name))
    headers = {"X-File-Name": quote(name, safe=""), "Content-Type": "application/octet-stream"}
    try:
        response = await transcripts.stream("POST", path, actor, headers, bytes_of())
    except Unavailable as error:
        raise broken or unavailable() from error
    except Declined as declined:
        raise passed_on(declined) from declined
    async with response:
        return Response(await response.read(), 201, media_type="application/json")


def _short(name: str) -> str:
    """Return a file's name without its middle when it is longer than transcripts keeps, so that it fits in a header."""
    return name if len(name) <= 2 * KEPT_OF_NAME else name[:KEPT_OF_NAME] + name[-KEPT_OF_NAME:]


async def pass_download(transcripts: TranscriptsClient, path: str, actor: Actor) -> Response:
    """Pass a download of transcripts on, as it arrives.

    Raises:
        Problem: The download is refused.
    """
    response = await answered(transcripts.stream("GET", path, actor))
    passed = {name: response.headers[name] for name in PASSED_HEADERS if name in response.headers}
    headers = {**passed, **DOWNLOAD}
    return Streamed(_chunks(response), response.status, headers, response.close)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in response.content.iter_chunked(CHUNK):
        yield chunk


async def discard(body: AsyncIterator[bytes], left: int) -> None:
    """Read the rest of a body that was refused, up to `left` bytes, so that the client reads the answer."""
    try:
        async with asyncio.timeout(DISCARDED_SECONDS):
            async for chunk in body:
                left -= len(chunk)
                if left < 0:
                    return
    except Exception:  # the browser has disconnected, or the stream was read to its end
        return
