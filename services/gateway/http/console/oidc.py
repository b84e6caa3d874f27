"""Routes of agents' logins at an issuer (OpenID Connect). Presence checks everything; this is the browser's side.

A browser is sent to the issuer, which sends it back to the callback. From there it goes to the console, also when the
login failed: `/agent?login=<code>`. The console shows what to do. No address of a request becomes a redirect.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import parse_qs

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.http.dependencies import (
    JwkSet,
    address_of,
    answer_of_issuer,
    body_of,
    client_of,
    passed_on,
    problems_of,
    read_bounded,
    read_json,
    require_own_origin,
    scheme_of,
    unavailable,
)
from services.gateway.http.security.cookies import (
    choice_cookie,
    flow_cookie,
    session_token,
    set_choice,
    set_flow,
    set_session,
)
from services.gateway.settings import Settings

log = structlog.get_logger()
CONSOLE = "/agent"
FAILURES = ("oidc_cancelled", "oidc_expired", "oidc_failed", "oidc_acr", "oidc_no_role", "rate_limited")
MOST_FORM = 32 * 1024  # bytes of a logout token's form


class Choose(BaseModel):
    """Body of `POST /api/agent/oidc/choice`."""

    model_config = ConfigDict(extra="ignore", strict=True)
    choice: Annotated[str, Field(min_length=1, max_length=100)]


def install(app: FastAPI, presence: PresenceClient, settings: Settings) -> None:
    """Add the routes of logins at an issuer."""

    @app.get("/api/agent/login", responses=problems_of(_503="unavailable"))
    async def ways() -> Response:
        """Return how agents log in.

        `oidc`: whether by an issuer. `password`: whose password is accepted, `all` or `break_glass`.
        """
        try:
            return JSONResponse((await presence.login_ways()).model_dump())
        except Unavailable as error:
            raise unavailable() from error

    @app.get("/api/agent/oidc/login", status_code=303, responses={303: {"description": "to the issuer"}})
    async def log_in(request: Request) -> Response:
        """Send the browser to the issuer, with a cookie of the login that begins."""
        try:
            former = (session_token(request.cookies, request.headers.get("host", "")) or "")[:200]
            begun = await presence.begin_oidc(presence_api.OidcBegin(former=former))
        except (Unavailable, Declined) as error:
            return _to_console(_failure(error))
        response = _redirect(begun.url)
        set_flow(response, begun.flow, scheme_of(request, settings), request.headers.get("host", ""))
        return response

    @app.get("/api/agent/oidc/callback", status_code=303, responses={303: {"description": "to the console"}})
    async def callback(request: Request) -> Response:
        """Log in the agent whom the issuer sends back, and send the browser to the console.

        The address has `login=ok`; `login=choose` when the person is to choose a role; when the login failed
        `login=<code>`: `oidc_cancelled`, `oidc_expired`, `oidc_failed`, `oidc_acr`, `oidc_no_role`, `rate_limited` or
        `unavailable`.
        """
        host, scheme = request.headers.get("host", ""), scheme_of(request, settings)
        try:
            flow, address = flow_cookie(request.cookies, host), address_of(request, settings)
            answer = answer_of_issuer(request, flow, address)
            outcome = await presence.finish_oidc(answer)
        except ValidationError:
            return _to_console("oidc_failed")
        except (Unavailable, Declined) as error:
            return _to_console(_failure(error))
        if outcome.session is None:
            response = _to_console("choose")
            set_choice(response, outcome.pending or "", scheme, host)
        else:
            response = _to_console("ok")
            set_session(response, outcome.session.token or "", scheme, host)
        set_flow(response, "", scheme, host)
        return response

    @app.get("/api/agent/oidc/choices", responses=problems_of(_401="oidc_expired", _503="unavailable"))
    async def choices(request: Request) -> Response:
        """List the roles among which the person chooses."""
        require_own_origin(request)
        try:
            found = await presence.oidc_choices(choice_cookie(request.cookies, request.headers.get("host", "")))
        except (Unavailable, ValidationError) as error:
            raise unavailable() from error
        except Declined as declined:
            raise passed_on(declined) from declined
        return JSONResponse(found.model_dump())

    @app.post(
        "/api/agent/oidc/choice",
        status_code=204,
        openapi_extra=body_of(Choose),
        responses=problems_of(_401="oidc_expired", _403="forbidden", _422="invalid", _503="unavailable"),
    )
    async def choose(request: Request) -> Response:
        """Log the person in with one of their roles. The choice is made once for each login."""
        require_own_origin(request)
        given, host = await read_json(request, Choose), request.headers.get("host", "")
        pending = choice_cookie(request.cookies, host)
        try:
            chosen = presence_api.OidcChosen(
                pending=pending,
                choice=given.choice,
                address=address_of(request, settings),
                client=client_of(request),
            )
            session = await presence.choose_oidc(chosen)
        except (Unavailable, ValidationError) as error:
            raise unavailable() from error
        except Declined as declined:
            raise passed_on(declined) from declined
        response = Response(status_code=204)
        set_session(response, session.token or "", scheme_of(request, settings), host)
        set_choice(response, "", scheme_of(request, settings), host)
        return response

    @app.post(
        "/api/agent/oidc/logout",
        openapi_extra={
            "requestBody": {
                "content": {
                    "application/x-www-form-urlencoded": {
                        "schema": {
                            "type": "object",
                            "properties": {"logout_token": {"type": "string"}},
                            "required": ["logout_token"],
                        }
                    }
                }
            }
        },
        responses=problems_of(_400="invalid", _404="not_found", _503="unavailable"),
    )
    async def back_channel_logout(request: Request) -> Response:
        """End the sessions that the issuer's logout token names (OpenID Connect Back-Channel Logout 1.0).

        The issuer sends this request, not a browser. The sessions' websockets are closed with 4401, and the chats of an
        agent without another session go to the head of the queue.
        """
        try:
            await presence.log_out_oidc(await _logout_token(request))
        except (Unavailable, ValidationError) as error:
            raise unavailable() from error
        except Declined as declined:
            raise passed_on(declined) from declined
        return Response(status_code=200)

    @app.get(
        "/api/oidc-keys/{client}",
        response_class=JwkSet,
        responses=problems_of(_404="not_found", _422="invalid", _503="unavailable"),
    )
    async def client_keys(client: Literal["agents", "citizens"]) -> Response:
        """Return the public keys with which this installation authenticates at an issuer (JWK Set, RFC 7517).

        The issuer reads them here. `client`: the issuer of agents, or that of citizens.
        """
        try:
            found = await presence.client_keys(presence_api.ClientKeysQuery(client=client))
        except (Unavailable, ValidationError) as error:
            raise unavailable() from error
        except Declined as declined:
            raise passed_on(declined) from declined
        return JwkSet(found.model_dump(), headers={"Cache-Control": "public, max-age=60"})


async def _logout_token(request: Request) -> str:
    """Return the logout token of the form.

    Raises:
        Problem: 400 `invalid` when there is not exactly one, or the form is too large or too slow.
    """
    try:
        body = await read_bounded(request, MOST_FORM)
        tokens = parse_qs(body.decode("ascii"), max_num_fields=10).get("logout_token", [])
    except (Problem, ValueError):
        raise _no_token() from None
    if len(tokens) != 1 or len(tokens[0]) > 16_384:
        raise _no_token()
    return tokens[0]


def _no_token() -> Problem:
    return Problem(400, "invalid", "Send the form with one logout_token.")


def _failure(error: Unavailable | Declined) -> str:
    return error.code if isinstance(error, Declined) and error.code in FAILURES else "unavailable"


def _to_console(code: str) -> Response:
    return _redirect(f"{CONSOLE}?login={code}")


def _redirect(address: str) -> Response:
    return Response(status_code=303, headers={"Location": address})
