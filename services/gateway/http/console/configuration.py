"""Routes of the departments that presence stores: administrators read, check, change, restore and export them."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.common.config.toml_file import MOST_STORED
from services.common.internal_api import configuration as api
from services.common.internal_api.presence import AgentView
from services.common.internal_api.transcripts import AccessNoted, ChangeOfDepartments, Reader
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    answered,
    body_of,
    noted,
    officer_of,
    problems_of,
    read_json,
)
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp

PATH = "/api/configuration"
MOST_BODY = 2 * MOST_STORED + 64 * 1024  # a text in JSON: each of its characters may be escaped
Number = Annotated[int, Field(ge=1, le=2**53)]


class WantedDepartments(BaseModel):
    """What is to become a version, made of version `version`: a `text`, a `department`'s `form`, or one to `restore`.

    `text`: all departments in TOML, as in the departments file.
    """

    model_config = ConfigDict(extra="ignore")
    version: Number
    text: Annotated[str, Field(max_length=MOST_STORED)] | None = None
    department: Annotated[str, Field(max_length=100)] | None = None
    form: api.DepartmentForm | None = None
    restore: Number | None = None

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if [self.text, self.form, self.restore].count(None) != 2 or (self.form is None) != (self.department is None):
            raise ValueError("give a text, or a department with its form, or a version to restore")
        return self

    @property
    def act(self) -> ChangeOfDepartments:
        """What the access log calls it."""
        if self.text is not None:
            return "departments_imported"
        return "departments_changed" if self.restore is None else "departments_restored"

    def wanted(self) -> api.Wanted:
        """Return it as presence gets it."""
        return api.Wanted(
            base=self.version, text=self.text, department=self.department, form=self.form, restore=self.restore
        )


class CheckedDepartments(WantedDepartments):
    """What is to be checked. `of`: the department whose `year` is wanted."""

    of: Annotated[str, Field(max_length=100)] | None = None
    year: Annotated[int, Field(ge=1971, le=2199)]


def install(
    app: FastAPI,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    settings: Settings,
) -> None:
    """Add `/api/configuration…`. The access log of transcripts has every change."""
    problems = {"_401": "unauthenticated", "_403": "forbidden", "_503": "unavailable"}
    reading = problems_of(**problems, _409="configuration_in_file")
    refusals = problems_of(
        **problems,
        _404="no_such_version",
        _409="changed, configuration_in_file",
        **BODY,
        _422="invalid, invalid_configuration",
    )

    async def administrator(request: Request) -> AgentView:
        return await officer_of(request, presence, "administrator")

    @app.get(PATH, responses=problems_of(**problems))
    async def newest(request: Request) -> Response:
        """Return the departments: the newest version with its `text`, and the `form` of each department.

        `source`: `database`; or `file`, where nothing can be changed here and there is no more.
        """
        await administrator(request)
        if settings.config_source == "file":
            return JSONResponse({"source": "file", "timezone": settings.timezone})
        found = await answered(presence.configuration())
        forms = [{"id": id_, **form.model_dump(mode="json")} for id_, form in found.departments.items()]
        shown = {**_shown(found), "text": found.text, "departments": forms}
        return JSONResponse({"source": "database", "timezone": settings.timezone, **shown})

    @app.get(PATH + "/export", responses=reading)
    async def export(request: Request) -> Response:
        """Download the newest version as a departments file (TOML)."""
        await administrator(request)
        found = await answered(presence.configuration())
        headers = {"Content-Disposition": f'attachment; filename="departments-{found.version}.toml"'}
        return Response(found.text, media_type="application/toml; charset=utf-8", headers=headers)

    @app.post(PATH + "/check", openapi_extra=body_of(CheckedDepartments), responses=refusals)
    async def check(request: Request) -> Response:
        """Say what would be: the `text`, each department's button as it would be now, and the year of one department.

        Nothing is stored. 422 `invalid_configuration`: `detail` says what is wrong and where; `fault` has the same as
        a `code`, the `department`, the `field`, the `value` that is there, and what else the words about it name.
        """
        await administrator(request)
        given = await read_json(request, CheckedDepartments, MOST_BODY)
        found = await _checked(given.wanted(), given.of, given.year)
        buttons = [{**b.model_dump(mode="json"), "opens_at": b.opens_at and stamp(b.opens_at)} for b in found.buttons]
        return JSONResponse({**found.model_dump(mode="json", exclude={"buttons"}), "buttons": buttons})

    @app.post(
        PATH,
        openapi_extra=body_of(WantedDepartments),
        responses=refusals | problems_of(_503="unavailable, not_logged"),
    )
    async def store(request: Request) -> Response:
        """Store a new version. All services use it within seconds.

        409 `changed`: there is a newer version than `version`, which the problem names with who made it. 422
        `invalid_configuration`: `detail` and `fault` say what is wrong and where, as of the check; nothing has changed.
        503 `not_logged`: the access log could not note it, so nothing was changed.
        """
        who = await administrator(request)
        given = await read_json(request, WantedDepartments, MOST_BODY)
        wanted = given.wanted()
        if not (await _checked(wanted)).same:
            await note(request, who, given)
        author = api.Author(id=who.id, name=who.name, role="administrator")
        return JSONResponse(_shown(await answered(presence.store_configuration(api.Change(wanted=wanted, by=author)))))

    @app.get(PATH + "/versions", responses=reading)
    async def versions(
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=2**53, description="versions before this one")] = None,
    ) -> Response:
        """List versions, the newest first: who made them, when, and how. `more`: there are earlier ones."""
        await administrator(request)
        found = await answered(presence.configuration_versions(api.VersionsQuery(before=before)))
        return JSONResponse({"versions": [_shown(one) for one in found.versions], "more": found.more})

    @app.get(PATH + "/versions/{version}", responses=problems_of(**problems, _404="no_such_version"))
    async def version(request: Request, version: int) -> Response:
        """Return a version with its `text` and what it has changed, line by line.

        `changes`: null when the version before it is not stored any more.
        """
        await administrator(request)
        number = min(max(version, 0), 2**53)
        found = await answered(presence.configuration_version(api.VersionQuery(version=number)))
        changes = [line.model_dump() for line in found.changes] if found.changes is not None else None
        return JSONResponse({**_shown(found), "text": found.text, "changes": changes})

    async def _checked(wanted: api.Wanted, of: str | None = None, year: int = 2000) -> api.Checked:
        """Return what presence says of it, after transcripts has looked at it too.

        Raises:
            Problem: One of them refuses it.
        """
        found = await answered(presence.check_configuration(api.Check(wanted=wanted, department=of, year=year)))
        await answered(transcripts.check_names(api.NamesCheck(departments=found.departments)))
        return found

    async def note(request: Request, who: AgentView, given: WantedDepartments) -> None:
        """Note a change in the access log before it is made, so that none is missing there."""
        reader = Reader(agent_id=who.id, role="administrator", source=address_of(request, settings))
        named = [given.department] if given.department is not None else []
        item = f"{given.version}:{given.version + 1}"
        await noted(transcripts.note_access(AccessNoted(act=given.act, reader=reader, item=item, departments=named)))


def _shown(one: api.Version) -> dict[str, Any]:
    return {"version": one.version, "at": stamp(one.at), "by": one.by.model_dump(), "act": one.act, "about": one.about}
