"""Routes of transcripts as evidence: the public keys, and the page on which anybody verifies a transcript.

What is verified is passed on as it arrives. Nothing of it is kept or logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from services.common.config.departments import LOCALES, Departments
from services.common.evidence.verification import MOST_BYTES
from services.common.http.problems import Problem
from services.common.internal_api.transcripts import CodeGiven, SignedTranscript, VerifiedFile
from services.common.observability.tracing import begin_trace
from services.common.texts import preferred_language
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    JwkSet,
    address_of,
    problems_of,
    read_bounded,
    require_origin,
    require_rate,
    unavailable,
)
from services.gateway.http.files import OVERHEAD, discard, paced
from services.gateway.http.multipart import NotMultipart, file_part
from services.gateway.http.pages.verify_page import page as verify_page
from services.gateway.rate_limits import VERIFICATIONS_PER_ADDRESS, Buckets
from services.gateway.settings import Settings

MOST_PASTED = 3 * 1024 * 1024  # bytes of the form: 1 MiB of text, of which most characters need one byte, some nine
MOST_CODE = 40  # characters; a code with its hyphens has fewer


def install(app: FastAPI, transcripts: TranscriptsClient, departments: Departments, settings: Settings) -> None:
    """Add `/verify` and `/api/transcript-keys`."""
    buckets, zone = Buckets(VERIFICATIONS_PER_ADDRESS), ZoneInfo(settings.timezone)

    @app.get("/api/transcript-keys", response_class=JwkSet, responses=problems_of(_503="unavailable"))
    async def public_keys(request: Request) -> Response:
        """Return the public keys with which signatures of transcripts are verified (JWK Set, RFC 7517 and 8037)."""
        try:
            found = await transcripts.public_keys()
        except Unavailable as error:
            raise unavailable() from error
        headers = {"Cache-Control": "public, max-age=60", "Access-Control-Allow-Origin": "*"}
        return JwkSet(found.model_dump(), headers=headers)

    @app.get(verify_page.PATH, include_in_schema=False)
    async def form(request: Request, lang: Annotated[str | None, Query()] = None) -> Response:
        return answer(request, lang)

    @app.post(verify_page.PATH, include_in_schema=False)
    async def verify(request: Request, lang: Annotated[str | None, Query()] = None) -> Response:
        begin_trace(request.headers.get("traceparent"), public=True)
        typed = ""
        try:
            require_origin(request, departments.origins(), settings)
            require_rate(buckets, address_of(request, settings), settings)
            if request.headers.get("content-type", "").startswith("multipart/form-data"):
                return answer(request, lang, await _uploaded(request, transcripts))
            sent = await _fields(request)
            typed, pasted = sent.get("code", "")[: MOST_CODE + 1], sent.get("pasted", "")
            if pasted.strip():
                return answer(request, lang, await transcripts.verify_file(_once(pasted.encode())))
            if not typed.strip():
                raise Problem(422, "invalid", "Send a file, its content, or a code.")
            if len(typed) > MOST_CODE:
                raise Problem(404, "unknown_code", "There is no such code.")
            return answer(request, lang, await transcripts.verify_code(CodeGiven(code=typed)))
        except Unavailable:
            return answer(request, lang, problem="unavailable", typed=typed, status=503)
        except Declined as declined:
            wait = int(declined.retry_after or 0)
            return answer(request, lang, problem=declined.code, typed=typed, seconds=wait, status=declined.status)
        except Problem as problem:
            wait = int((problem.headers or {}).get("Retry-After", "0"))
            return answer(request, lang, problem=problem.code, typed=typed, seconds=wait, status=problem.status)

    def answer(
        request: Request,
        lang: str | None,
        found: VerifiedFile | SignedTranscript | None = None,
        problem: str = "",
        typed: str = "",
        seconds: int = 0,
        status: int = 200,
    ) -> Response:
        locale = lang if lang in LOCALES else preferred_language(request.headers.get("accept-language", ""))
        content = verify_page.render(locale, zone, departments, found, problem, typed, seconds)
        headers = {"Content-Language": locale, "Vary": "Accept-Language"}
        return Response(content, status, headers, "text/html; charset=utf-8")


async def _uploaded(request: Request, transcripts: TranscriptsClient) -> VerifiedFile:
    """Pass the file of a form on to transcripts, as it arrives.

    Raises:
        Problem: 408 `too_slow`, 413 `too_large`, 422 `invalid`.
    """
    body = paced(request.stream())
    broken: Exception | None = None
    try:
        if int(request.headers.get("content-length", "0") or 0) > MOST_BYTES + OVERHEAD:
            raise _too_large()
        part = await file_part(request.headers.get("content-type", ""), body)

        async def content() -> AsyncIterator[bytes]:
            nonlocal broken
            size = 0
            try:
                async for chunk in part.chunks:
                    size += len(chunk)
                    if size > MOST_BYTES:
                        raise _too_large()
                    yield chunk
            except (NotMultipart, Problem) as error:
                broken = error
                raise

        try:
            return await transcripts.verify_file(content())
        except Unavailable:
            if broken:
                raise broken from None
            raise
    except NotMultipart as error:
        raise Problem(422, "invalid", "Send the file as multipart/form-data, in the field `file`.") from error
    finally:
        await discard(body, MOST_BYTES)


def _too_large() -> Problem:
    return Problem(413, "too_large", "The file is too large.", limit_bytes=MOST_BYTES)


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a form (`application/x-www-form-urlencoded`).

    Raises:
        Problem: 408 `timeout`, 413 `too_large`, 422 `invalid`.
    """
    try:
        body = await read_bounded(request, MOST_PASTED)
    except Problem:
        await discard(request.stream(), MOST_BYTES)
        raise
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="strict")
    except ValueError:
        raise Problem(422, "invalid", "The form cannot be read.") from None
    return {name: values[-1] for name, values in fields.items()}


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
