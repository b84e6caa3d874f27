"""Route with which the agent of a chat gives it a closing reason and tags."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from services.common.events.types import is_id
from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    agent_actor,
    agent_session,
    answered,
    body_of,
    problems_of,
    read_json,
)
from services.gateway.settings import Settings

OptionId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class LabelChat(BaseModel):
    """Body of `PUT /api/agent/chats/{chat_id}/label`: the ids of a closing reason and of tags of the department."""

    model_config = ConfigDict(extra="ignore", strict=True)
    reason: OptionId | None = None
    tags: list[OptionId] = Field(default_factory=list, max_length=30)


def install(app: FastAPI, presence: PresenceClient, transcripts: TranscriptsClient, settings: Settings) -> None:
    """Add this route."""

    @app.put(
        "/api/agent/chats/{chat_id}/label",
        status_code=204,
        openapi_extra=body_of(LabelChat),
        responses=problems_of(
            _401="unauthenticated",
            _403="forbidden",
            _404="no_such_chat",
            **BODY,
            _422="invalid, unknown_label",
            _503="unavailable",
        ),
    )
    async def label(request: Request, chat_id: str) -> Response:
        """Give a chat its closing reason and tags. The last request counts.

        For the agent who has the chat, or had it at its end, as long as they may read it. `unknown_label`: a word is
        not in the lists of the chat's departments (any more).
        """
        agent = (await agent_session(request, presence)).agent
        given = await read_json(request, LabelChat)
        if not is_id(chat_id):
            raise Problem(404, "no_such_chat", "There is no such chat.")
        wanted = transcripts_api.Label(chat_id=chat_id, reason=given.reason, tags=given.tags)
        await answered(transcripts.label(wanted, agent_actor(agent, address_of(request, settings))))
        return Response(status_code=204)
