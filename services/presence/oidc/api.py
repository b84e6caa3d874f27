"""Internal API of logins of agents at their issuer, of identifications of citizens at theirs, and of our keys there."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from fastapi import APIRouter, Request

from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.runtime.service import caller
from services.presence.agents.session_store import Origin
from services.presence.api.routes import open_session

if TYPE_CHECKING:  # it loads the libraries of OpenID Connect, which only installations with an issuer need
    from services.presence.oidc.identifications import Identifications
    from services.presence.oidc.logins import OidcLogins

T = TypeVar("T")


def create_oidc_routes(oidc: OidcLogins | None, only_break_glass: bool) -> APIRouter:
    """Return the routes of logins at the issuer. They require a service token.

    Args:
        oidc: Logs agents in at the issuer; None: there is no issuer, and all but the ways to log in is 404.
        only_break_glass: Whether of the accounts with a password only those may log in.
    """
    routes = APIRouter()

    def logins(request: Request) -> OidcLogins:
        return _required(oidc, request, "Agents do not log in by an issuer here.")

    @routes.post(presence_api.LOGIN_WAYS)
    async def ways(request: Request) -> presence_api.LoginWays:
        caller(request)
        return presence_api.LoginWays(password="break_glass" if only_break_glass else "all", oidc=oidc is not None)

    @routes.post(presence_api.OIDC_BEGIN)
    async def begin(request: Request, wish: presence_api.OidcBegin | None = None) -> presence_api.OidcFlow:
        return await logins(request).begin(wish.former if wish is not None else "")

    @routes.post(presence_api.OIDC_FINISH)
    async def finish(request: Request, answer: presence_api.OidcAnswer) -> presence_api.OidcOutcome:
        made = await logins(request).finish(answer)
        if isinstance(made, str):
            return presence_api.OidcOutcome(pending=made)
        return presence_api.OidcOutcome(session=open_session(made.session, made.agent, made.token))

    @routes.post(presence_api.OIDC_CHOICES)
    async def choices(request: Request, sought: presence_api.OidcPending) -> presence_api.OidcChoices:
        return await logins(request).choices(sought.pending)

    @routes.post(presence_api.OIDC_CHOOSE)
    async def choose(request: Request, chosen: presence_api.OidcChosen) -> presence_api.OpenSession:
        origin = Origin.of(chosen.address, chosen.client)
        made = await logins(request).choose(chosen.pending, chosen.choice, origin)
        return open_session(made.session, made.agent, made.token)

    @routes.post(presence_api.OIDC_LOGOUT, status_code=204)
    async def logout(request: Request, sought: presence_api.OidcLogout) -> None:
        await logins(request).log_out(sought.token)

    return routes


def create_identification_routes(identifications: Identifications | None) -> APIRouter:
    """Return the routes of identifications of citizens. They require a service token.

    Args:
        identifications: Identifies citizens; None: there is no issuer for them, and everything is 404.
    """
    routes = APIRouter()

    def known(request: Request) -> Identifications:
        return _required(identifications, request, "Citizens do not identify here.")

    @routes.post(presence_api.IDENTIFY_BEGIN)
    async def begin(request: Request, wanted: presence_api.IdentificationWanted) -> presence_api.IdentificationTicket:
        return await known(request).begin(wanted)

    @routes.post(presence_api.IDENTIFY_OPEN)
    async def open_page(request: Request, shown: presence_api.TicketShown) -> presence_api.IdentificationFlow:
        return await known(request).open(shown.ticket)

    @routes.post(presence_api.IDENTIFY_FINISH)
    async def finish(request: Request, answer: presence_api.OidcAnswer) -> presence_api.IdentificationOutcome:
        return await known(request).finish(answer)

    return routes


def create_client_key_routes(oidc: OidcLogins | None, identifications: Identifications | None) -> APIRouter:
    """Return the route of the public keys with which this service authenticates at the issuers.

    It requires a service token.

    Args:
        oidc: Logs agents in at their issuer; None: there is none.
        identifications: Identifies citizens at theirs; None: there is none.
    """
    routes = APIRouter()

    @routes.post(presence_api.CLIENT_KEYS)
    async def client_keys(request: Request, query: presence_api.ClientKeysQuery) -> presence_api.ClientKeySet:
        caller(request)
        part = oidc if query.client == "agents" else identifications
        if part is None or not part.client_keys:
            raise Problem(404, "not_found", "No key authenticates at this issuer.")
        return presence_api.ClientKeySet(keys=part.client_keys)

    return routes


def _required(part: T | None, request: Request, otherwise: str) -> T:
    """Return the part of presence that answers this request of another service.

    Raises:
        Problem: 401 `unauthenticated`; 404 `not_found` where there is no issuer.
    """
    caller(request)
    if part is None:
        raise Problem(404, "not_found", otherwise)
    return part
