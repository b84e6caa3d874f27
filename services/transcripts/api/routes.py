"""All routes of the internal API of transcripts. Each requires a service token."""

from __future__ import annotations

from fastapi import APIRouter

from services.transcripts.api import access_log, configuration, erasures, integration, outbox
from services.transcripts.api.context import Context
from services.transcripts.api.conversations import (
    after_chat,
    attachments,
    downloads,
    history,
    identifications,
    verification,
)
from services.transcripts.api.office import canned_answers, labels, left_questions, past_chats, reports, supervision


def create_routes(context: Context) -> APIRouter:
    """Return the routes of `common/internal_api` that transcripts answers, and those of files and downloads."""
    routes = APIRouter()
    subjects = (
        history,
        attachments,
        downloads,
        left_questions,
        after_chat,
        identifications,
        labels,
        erasures,
        access_log,
        canned_answers,
        configuration,
        reports,
        verification,
        outbox,
        supervision,
        past_chats,
        integration,
    )
    for subject in subjects:
        routes.include_router(subject.create_routes(context))
    return routes
