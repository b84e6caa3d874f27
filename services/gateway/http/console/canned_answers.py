"""Routes of canned answers: agents read those of their departments, supervisors and administrators manage them."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar
from uuid import uuid4

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.common.config.departments import Departments
from services.common.events.types import is_id
from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.presence import OfficerRole
from services.common.internal_api.transcripts import CannedAnswer, Reader
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.console.left_questions import words
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    body_of,
    login_session,
    passed_on,
    problems_of,
    read_json,
    unavailable,
)
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp

A = TypeVar("A")
VARIABLES = ("agent", "citizen", "department", "chat")
VARIABLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def known_variables(text: str) -> str:
    """Return a text that names only variables that the console fills in.

    Raises:
        ValueError: It names another one.
    """
    unknown = [name for name in VARIABLE.findall(text) if name.strip() not in VARIABLES]
    if unknown:
        raise ValueError(f"there is no variable {{{{{unknown[0]}}}}}; there are {', '.join(VARIABLES)}")
    return text


Text = Annotated[str, Field(max_length=4_000), AfterValidator(words), AfterValidator(known_variables)]


class GivenAnswer(BaseModel):
    """A canned answer: a code (small letters, digits, hyphens), a title, its departments, a text in each language."""

    model_config = ConfigDict(extra="ignore", strict=True)
    code: Annotated[str, Field(max_length=30, pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: Annotated[str, Field(max_length=100), AfterValidator(words)]
    departments: Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=1_000)]
    texts: Annotated[dict[Literal["nl", "fr", "de", "en"], Text], Field(min_length=1)]


class ChangedAnswer(GivenAnswer):
    """The new content of a canned answer, made of this `revision` of it."""

    revision: Annotated[int, Field(ge=1, le=2**53)]


@dataclass(frozen=True)
class Manager:
    """Who reads or manages canned answers: an agent, or an administrator, who has those of all departments."""

    id: str
    name: str
    departments: list[str]
    role: OfficerRole | None
    manages: bool


def install(
    app: FastAPI,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    departments: Departments,
    settings: Settings,
) -> None:
    """Add `/api/agent/canned-answers…`. The access log of transcripts has every change."""
    path = "/api/agent/canned-answers"

    async def reader_of(request: Request) -> Manager:
        """Return the agent or administrator who sent the request."""
        session = await login_session(request, presence)
        agent = session.agent
        if session.role is None:
            return Manager(agent.id, agent.name, agent.departments, None, agent.supervisor)
        if session.role == "administrator":
            every = [department.id for department in departments.departments]
            return Manager(agent.id, agent.name, every, "administrator", True)
        raise Problem(403, "forbidden", "Only an agent or an administrator may do this.")

    async def manager_of(request: Request) -> Manager:
        """Return the supervisor or administrator who sent the request."""
        agent = await reader_of(request)
        if not agent.manages:
            raise Problem(403, "forbidden", "Only a supervisor or an administrator may do this.")
        return agent

    @app.get(path, responses=problems_of(_401="unauthenticated", _403="forbidden", _503="unavailable"))
    async def listed(request: Request, if_none_match: Annotated[str, Header()] = "") -> Response:
        """List the canned answers of the agent's departments, by their codes. 304: the client has them already.

        An administrator gets those of all departments.
        """
        agent = await reader_of(request)
        known = if_none_match.removeprefix("W/").strip('"') or None
        query = transcripts_api.CannedAnswersQuery(departments=agent.departments, known=known)
        found = await _answered(transcripts.canned_answers(query))
        headers = {"ETag": f'"{found.tag}"'}
        if found.answers is None:
            return Response(status_code=304, headers=headers)
        return JSONResponse({"answers": [_shown(a) for a in found.answers]}, headers=headers)

    problems = {
        "_401": "unauthenticated",
        "_403": "forbidden",
        **BODY,
        "_422": "invalid",
        "_503": "unavailable",
    }

    @app.post(
        path,
        status_code=201,
        openapi_extra=body_of(GivenAnswer),
        responses=problems_of(**problems, _409="code_taken, too_many_answers"),
    )
    async def add(request: Request) -> Response:
        """Add a canned answer to some of the supervisor's departments. 409 `code_taken`: `current` has this code."""
        agent = await manager_of(request)
        given = await read_json(request, GivenAnswer)
        new = transcripts_api.NewCannedAnswer(id=str(uuid4()), **_content(given, agent), **by(request, agent))
        return _answer(await _answered(transcripts.add_canned_answer(new)), 201)

    @app.put(
        path + "/{answer_id}",
        openapi_extra=body_of(ChangedAnswer),
        responses=problems_of(**problems, _404="no_such_answer", _409="changed, code_taken, too_many_answers"),
    )
    async def change(request: Request, answer_id: str) -> Response:
        """Replace a canned answer. 409 `changed`: it has another revision by now, which is `current`."""
        agent = await manager_of(request)
        given = await read_json(request, ChangedAnswer)
        if not is_id(answer_id):
            raise Problem(404, "no_such_answer", "There is no such canned answer.")
        wanted = transcripts_api.CannedAnswerChange(
            id=answer_id,
            revision=given.revision,
            own=agent.departments,
            **_content(given, agent),
            **by(request, agent),
        )
        return _answer(await _answered(transcripts.change_canned_answer(wanted)), 200)

    @app.delete(
        path + "/{answer_id}",
        status_code=204,
        responses=problems_of(_401="unauthenticated", _403="forbidden", _409="changed", _503="unavailable"),
    )
    async def remove(request: Request, answer_id: str, revision: Annotated[int, Query(ge=1, le=2**53)]) -> Response:
        """Remove a canned answer. 409 `changed`: it has another revision by now. A repeat is 204 too."""
        agent = await manager_of(request)
        removal = transcripts_api.CannedAnswerRemoval(
            id=answer_id, revision=revision, own=agent.departments, by=reader(request, agent)
        )
        await _answered(transcripts.remove_canned_answer(removal))
        return Response(status_code=204)

    def reader(request: Request, agent: Manager) -> Reader:
        source = address_of(request, settings)
        return Reader(agent_id=agent.id, supervisor=agent.role is None, role=agent.role, source=source)

    def by(request: Request, agent: Manager) -> dict[str, Any]:
        return {"by": reader(request, agent), "name": agent.name}


async def _answered(asked: Awaitable[A]) -> A:
    """Return the answer of transcripts.

    Raises:
        Problem: Transcripts did not answer, or refused.
    """
    try:
        return await asked
    except Unavailable as error:
        raise unavailable() from error
    except Declined as declined:
        if current := declined.problem.get("current"):
            declined.problem["current"] = _shown(CannedAnswer.model_validate(current))
        raise passed_on(declined) from declined


def _content(given: GivenAnswer, agent: Manager) -> dict[str, Any]:
    """Return what a supervisor wrote, with its departments in order.

    Raises:
        Problem: 403 `forbidden` when one of the departments is not theirs.
    """
    departments = sorted(set(given.departments))
    if not set(departments) <= set(agent.departments):
        raise Problem(403, "forbidden", "Only a supervisor of a department can give it a canned answer.")
    return {"code": given.code, "title": given.title, "departments": departments, "texts": given.texts}


def _answer(answer: CannedAnswer, status: int) -> Response:
    return JSONResponse(_shown(answer), status)


def _shown(answer: CannedAnswer) -> dict[str, Any]:
    return {**answer.model_dump(mode="json"), "changed_at": stamp(answer.changed_at)}
