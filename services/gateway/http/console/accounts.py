"""Routes of the accounts that presence stores: administrators list, add, change, disable and remove them, and undo it.

A username is in no address: it may be an e-mail address, and proxies log addresses.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.common.config.departments import Departments
from services.common.internal_api import accounts as api
from services.common.internal_api.configuration import Author
from services.common.internal_api.presence import AgentView
from services.common.internal_api.transcripts import AccessNoted, ChangeOfAccount, Reader
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

PATH = "/api/accounts"
MOST_BODY = 256 * 1024  # a form that names every department of a large installation
Revision = Annotated[int, Field(ge=1, le=2**53)]
Username = Annotated[str, Field(min_length=1, max_length=100)]
_ACTS: dict[api.WishedAct, ChangeOfAccount] = {
    "add": "account_added",
    "change": "account_changed",
    "disable": "account_disabled",
    "enable": "account_enabled",
    "remove": "account_removed",
    "make_password": "account_password_made",
    "make_totp": "account_totp_made",
    "remove_totp": "account_totp_removed",
    "undo": "account_change_undone",
}


class AccountsSought(BaseModel):
    """Which accounts are wanted: with this text in the username or the name, `after` this username.

    `removed`: those that are removed, in place of the others.
    """

    model_config = ConfigDict(extra="ignore")
    search: api.Sought = ""
    after: Annotated[str, Field(max_length=100)] = ""
    removed: bool = False


class NewAccount(BaseModel):
    """A new account."""

    model_config = ConfigDict(extra="ignore")
    username: Username
    form: api.AccountForm


class ChangedAccount(NewAccount):
    """A change of revision `revision` of an account: its whole form."""

    revision: Revision


class ActOnAccount(BaseModel):
    """An act on revision `revision` of an account. `undo` needs `of`, the revision that it undoes."""

    model_config = ConfigDict(extra="ignore")
    username: Username
    revision: Revision
    act: Literal["disable", "enable", "remove", "make_password", "make_totp", "remove_totp", "undo"]
    of: Revision | None = None

    @model_validator(mode="after")
    def _undo_names_what(self) -> Self:
        if (self.act == "undo") != (self.of is not None):
            raise ValueError("give `of` with undo, and with nothing else")
        return self


class AccountNamed(BaseModel):
    """The account whose history is wanted."""

    model_config = ConfigDict(extra="ignore")
    username: Username


def install(
    app: FastAPI,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    departments: Departments,
    settings: Settings,
) -> None:
    """Add `/api/accounts…`. The access log of transcripts has every change before it is made."""
    problems = {"_401": "unauthenticated", "_403": "forbidden", "_503": "unavailable"}
    changing = problems | {"_503": "unavailable, not_logged"}
    wrong = (
        "invalid, username_wrong, name_wrong, department_missing, department_unknown, capacity_wrong, locale_wrong, "
        "second_factor_missing, own_account, last_administrator"
    )
    refusals = problems_of(
        **changing,
        **BODY,
        _404="no_such_account",
        _409="changed, account_of_later_release, configuration_in_file",
        _422=wrong,
    )

    @app.post(
        PATH + "/search",
        openapi_extra=body_of(AccountsSought),
        responses=problems_of(**problems, **BODY, _422="invalid"),
    )
    async def search(request: Request) -> Response:
        """List accounts by their usernames, a page at a time. `more`: there are others after the last one.

        `source`: `database`; or `file`, where nothing can be changed here and there is no more. `departments`: those
        that an account can serve.
        """
        await officer_of(request, presence, "administrator")
        sought = await read_json(request, AccountsSought)
        if settings.config_source == "file":
            return JSONResponse({"source": "file"})
        query = api.AccountsQuery(search=sought.search, after=sought.after, removed=sought.removed)
        found = await answered(presence.accounts(query))
        names = [{"id": d.id, "names": d.names.model_dump()} for d in departments.departments]
        shown = [_shown(one) for one in found.accounts]
        return JSONResponse({"source": "database", "accounts": shown, "more": found.more, "departments": names})

    @app.post(
        PATH,
        openapi_extra=body_of(NewAccount),
        responses=problems_of(
            **changing, **BODY, _409="username_taken, account_of_later_release, configuration_in_file", _422=wrong
        ),
    )
    async def add(request: Request) -> Response:
        """Add an account. `password` is for its first login, in which another one is chosen; it is never shown again.

        422: `field` is the one that is wrong.
        """
        who = await officer_of(request, presence, "administrator")
        given = await read_json(request, NewAccount, MOST_BODY)
        return await done(request, who, given.username, "add", form=given.form)

    @app.post(PATH + "/change", openapi_extra=body_of(ChangedAccount), responses=refusals)
    async def change(request: Request) -> Response:
        """Change an account. It applies within seconds; sessions that it no longer allows end.

        409 `changed`: there is a newer revision than `revision`, which the problem names with who made it. 422: `field`
        is the one that is wrong. `own_account`, `last_administrator`: nobody could administer any more. 503
        `not_logged`: the access log could not note it, so nothing was changed.
        """
        who = await officer_of(request, presence, "administrator")
        given = await read_json(request, ChangedAccount, MOST_BODY)
        return await done(request, who, given.username, "change", given.revision, form=given.form)

    @app.post(
        PATH + "/act",
        openapi_extra=body_of(ActOnAccount),
        responses=refusals | problems_of(_404="no_such_account, no_such_revision", _422=wrong + ", cannot_undo"),
    )
    async def act(request: Request) -> Response:
        """Disable, enable or remove an account, make a password or a second factor for it, or undo a change of it.

        `password`, `totp` (the address for an authenticator): what was made; they are never shown again. `undo` puts
        fields back as they were before a change, never a password or a second factor. 409, 422: as for a change.
        """
        who = await officer_of(request, presence, "administrator")
        given = await read_json(request, ActOnAccount)
        return await done(request, who, given.username, given.act, given.revision, of=given.of)

    @app.post(
        PATH + "/history",
        openapi_extra=body_of(AccountNamed),
        responses=problems_of(
            **problems,
            **BODY,
            _404="no_such_account",
            _409="account_of_later_release, configuration_in_file",
            _422="invalid",
        ),
    )
    async def history(request: Request) -> Response:
        """Return the changes of an account, the newest first: who, when, and the fields before and after."""
        await officer_of(request, presence, "administrator")
        given = await read_json(request, AccountNamed)
        found = await answered(presence.account_history(api.AccountQuery(username=given.username)))
        entries = [
            {**one.model_dump(mode="json"), "at": stamp(one.at), "undoable": one.undoable} for one in found.entries
        ]
        return JSONResponse({"revision": found.revision, "removed": found.removed, "entries": entries})

    async def done(
        request: Request, who: AgentView, username: str, act: api.WishedAct, base: int = 0, **more: Any
    ) -> Response:
        """Make a change that presence allows, after the access log has it.

        Presence changes only the revision that it was asked about. So nothing is changed that was not noted, and a
        password is made when nothing but its storage can fail any more.
        """
        by = Author(id=who.id, name=who.name, role="administrator")
        wish = api.AccountWish(username=username, base=base, act=act, by=by, **more)
        if fields := (await answered(presence.check_account(wish))).fields:
            reader = Reader(agent_id=who.id, role="administrator", source=address_of(request, settings))
            item = f"{username}: {', '.join(fields)}"
            await noted(transcripts.note_access(AccessNoted(act=_ACTS[act], reader=reader, item=item)))
        made = await answered(presence.change_account(wish))
        account = made.account and _shown(made.account)
        return JSONResponse({"account": account, "password": made.password, "totp": made.totp})


def _shown(one: api.AccountView) -> dict[str, Any]:
    return {**one.model_dump(mode="json"), "at": stamp(one.at)}
