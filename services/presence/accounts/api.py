"""Internal API of the accounts in the database: lists, changes, histories."""

from __future__ import annotations

from fastapi import APIRouter, Request

from services.common.http.problems import Problem
from services.common.http.tokens import OPERATOR
from services.common.internal_api import accounts as api
from services.common.runtime.service import caller
from services.presence.accounts.changes import AccountChanges
from services.presence.authors import require_author


def create_accounts_routes(changes: AccountChanges | None) -> APIRouter:
    """Return these routes. They require a service token, and the agent token of an administrator or the operator's key.

    Args:
        changes: The accounts; None: they are in a file.
    """
    routes = APIRouter()

    def stored(request: Request) -> AccountChanges:
        caller(request)
        if changes is None:
            detail = "The accounts are in a file (CONFIG_SOURCE=file); change that file."
            raise Problem(409, "configuration_in_file", detail)
        return changes

    @routes.post(api.ACCOUNTS)
    async def listed(request: Request, query: api.AccountsQuery) -> api.Accounts:
        known = stored(request)
        caller(request).require_agent(None, role="administrator")
        return await known.listed(query)

    @routes.post(api.ACCOUNTS_CHECK)
    async def check(request: Request, wish: api.AccountWish) -> api.AccountChecked:
        known = stored(request)
        require_author(caller(request), wish.by)
        return await known.check(wish)

    @routes.post(api.ACCOUNTS_CHANGE)
    async def change(request: Request, wish: api.AccountWish) -> api.AccountChanged:
        known = stored(request)
        require_author(caller(request), wish.by)
        return await known.change(wish)

    @routes.post(api.ACCOUNTS_HISTORY)
    async def history(request: Request, query: api.AccountQuery) -> api.AccountHistory:
        known = stored(request)
        caller(request).require_agent(None, role="administrator")
        return await known.history(query.username)

    def require_operator(request: Request) -> None:
        if caller(request).service != OPERATOR:
            raise Problem(403, "forbidden", "This is for the commands of the operator alone.")

    @routes.post(api.ACCOUNTS_EXPORT)
    async def export(request: Request, query: api.ExportQuery) -> api.ExportPage:
        known = stored(request)
        require_operator(request)
        return await known.export(query)

    @routes.post(api.ACCOUNTS_IMPORT)
    async def import_accounts(request: Request, given: api.AccountsImport) -> api.AccountsImported:
        known = stored(request)
        require_operator(request)
        require_author(caller(request), given.by)
        return await known.import_accounts(given)

    return routes
