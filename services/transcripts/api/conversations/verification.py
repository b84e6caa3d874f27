"""Routes of transcripts as evidence: the public keys, and the verification of a file or of a code."""

from __future__ import annotations

import json
from typing import Any

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.evidence import chain
from services.common.evidence.verification import MOST_BYTES, Result, Verdict, Why
from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.transcripts import SignedTranscript, VerifiedFile
from services.common.runtime.service import caller
from services.common.runtime.worker_process import JobFailed, NotStarted, WorkersBusy
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response
from services.transcripts.evidence.worker import begin_job

log = structlog.get_logger()


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()
    keys = transcripts_api.PublicKeys(
        keys=[transcripts_api.PublicKey.model_validate(chain.jwk(key)) for key in context.public_keys]
    )

    @routes.post(transcripts_api.TRANSCRIPT_KEYS, response_model=transcripts_api.PublicKeys)
    async def public_keys(request: Request) -> Response:
        caller(request)
        return json_response(keys)

    @routes.post(transcripts_api.VERIFY_FILE, response_model=VerifiedFile)
    async def verify_file(request: Request) -> Response:
        """Verify the file in the body. Nothing of it is kept or logged."""
        caller(request)
        release = await context.slot(context.verifications, "files")
        try:
            job = await _job(request, context.public_keys)
            found = json.loads(await context.verifier.run(job))
        except WorkersBusy:
            raise Problem(
                429, "rate_limited", "Too many files are being verified. Try again in a moment.", {"Retry-After": "5"}
            ) from None
        except NotStarted:
            raise Problem(503, "unavailable", "Files cannot be verified now.", {"Retry-After": "30"}) from None
        except JobFailed as failed:  # no transcript of ours needs so much
            log.warning("transcript_not_verified", reason=failed.reason)
            return json_response(_unreadable())
        finally:
            release()
        return json_response(_result(found))

    @routes.post(transcripts_api.VERIFY_CODE, response_model=SignedTranscript)
    async def verify_code(request: Request, given: transcripts_api.CodeGiven) -> Response:
        caller(request)
        found = await context.chains.of_code(given.code)
        if found is None:
            raise Problem(404, "unknown_code", "There is no signed conversation with this code.")
        statement = found.statement
        return json_response(
            SignedTranscript(
                chat_id=found.chat_id,
                department=found.department,
                opened_at=found.opened_at,
                closed_at=statement["closed_at"],
                signed_at=statement["signed_at"],
                entries=statement["entries"],
                kid=statement["kid"],
            )
        )

    return routes


async def _job(request: Request, keys: list[bytes]) -> bytes:
    """Return the job of verifying the file in the body, of which one copy is held.

    Raises:
        Problem: 413 `too_large`.
    """
    job = begin_job(keys)
    most = len(job) + MOST_BYTES
    async for chunk in request.stream():
        job += chunk
        if len(job) > most:
            raise Problem(413, "too_large", f"A file has at most {MOST_BYTES} bytes.", limit_bytes=MOST_BYTES)
    return bytes(job)


def _result(found: dict[str, Any]) -> VerifiedFile:
    messages = [
        transcripts_api.VerifiedMessage(
            seq=m["seq"],
            party=m["from"],
            at=m["at"],
            name=m.get("name"),
            text=m.get("text"),
            file=(m.get("attachment") or {}).get("name"),
            removed="removed" in m,
        )
        for m in found["messages"]
    ]
    return VerifiedFile.model_validate({**found, "messages": messages})


def _unreadable() -> VerifiedFile:
    result = Result()
    result.add(Why.NOT_A_TRANSCRIPT)
    assert result.verdict is Verdict.UNREADABLE
    return _result({**result.as_data(), "messages": []})
