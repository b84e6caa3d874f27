"""Internal API of the departments in the database: the newest version, previews, changes, former versions."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from services.common.http.problems import Problem
from services.common.internal_api import configuration as api
from services.common.runtime.service import caller
from services.presence.accounts.changes import AccountChanges
from services.presence.authors import require_author
from services.presence.departments.forms import forms
from services.presence.departments.text_diff import changed_lines
from services.presence.departments.versions import DepartmentVersions


def create_departments_routes(versions: DepartmentVersions | None, accounts: AccountChanges | None) -> APIRouter:
    """Return these routes. They require a service token, and the agent token of an administrator or the operator's key.

    Args:
        versions: The versions; None: the departments are in a file.
        accounts: The accounts, which know who is still an administrator; None: they are in a file.
    """
    routes = APIRouter()

    def stored(request: Request) -> DepartmentVersions:
        caller(request)
        if versions is None:
            detail = "The departments are in a file (CONFIG_SOURCE=file); change that file."
            raise Problem(409, "configuration_in_file", detail)
        return versions

    def require_administrator(request: Request) -> None:
        caller(request).require_agent(None, role="administrator")

    @routes.post(api.CONFIGURATION)
    async def newest(request: Request) -> api.Configuration:
        known = stored(request)
        require_administrator(request)
        found = await known.newest()
        return api.Configuration(**found.model_dump(), departments=await asyncio.to_thread(forms, found.text))

    @routes.post(api.CONFIGURATION_CHECK)
    async def check(request: Request, wanted: api.Check) -> api.Checked:
        known = stored(request)
        require_administrator(request)
        return await known.check(wanted)

    @routes.post(api.CONFIGURATION_STORE)
    async def store(request: Request, change: api.Change) -> api.Version:
        known = stored(request)
        require_author(caller(request), change.by)
        if accounts is not None:
            await accounts.require_administering(change.by)
        return api.Version(**(await known.change(change)).model_dump(exclude={"text"}))

    @routes.post(api.CONFIGURATION_VERSIONS)
    async def listed(request: Request, query: api.VersionsQuery) -> api.Versions:
        known = stored(request)
        require_administrator(request)
        found, more = await known.store.listed(query.before)
        return api.Versions(versions=found, more=more)

    @routes.post(api.CONFIGURATION_VERSION)
    async def version(request: Request, query: api.VersionQuery) -> api.VersionDetail:
        known = stored(request)
        require_administrator(request)
        found = await known.store.get(query.version)
        if found is None:
            raise Problem(404, "no_such_version", "There is no such version (any more).")
        before = await known.store.get(query.version - 1)
        changes = None
        if before is not None or found.act == "begun":
            changes = await asyncio.to_thread(changed_lines, before.text if before else "", found.text)
        return api.VersionDetail(**found.model_dump(), changes=changes)

    return routes
