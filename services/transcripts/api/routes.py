"""All routes of the internal API of transcripts. Each requires a service token."""

from __future__ import annotations

from fastapi import APIRouter

from services.transcripts.api import (
    access_log,
    after_chat,
    attachments,
    canned_answers,
    downloads,
    erasures,
    history,
    left_questions,
    outbox,
    past_chats,
    reports,
    supervision,
    verification,
)
from services.transcripts.api.context import Context


def create_routes(context: Context) -> APIRouter:
    """Return the routes of `common/internal_api` that transcripts answers, and those of files and downloads."""
    routes = APIRouter()
    subjects = (
        history,
        attachments,
        downloads,
        left_questions,
        after_chat,
        erasures,
        access_log,
        canned_answers,
        reports,
        verification,
        outbox,
        supervision,
        past_chats,
    )
    for subject in subjects:
        routes.include_router(subject.create_routes(context))
    return routes
