"""Routes with which a citizen identifies in a chat, or declines: the browser's side. Presence checks everything.

The widget asks for the address of the page, with the token of the chat; the address has a ticket in place of the token.
The page leads to the citizens' issuer, which sends the browser back to the callback. From there it goes to a page that
says what became of it. No address of a request becomes a redirect.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from services.common.clock import utcnow
from services.common.config.departments import LOCALES, Departments
from services.common.events.identification import IdentificationDeclined
from services.common.events.types import Party
from services.common.http.problems import Problem
from services.common.http.tokens import Actor, Keys
from services.common.internal_api import presence as presence_api
from services.common.internal_api.transcripts import OpenIdentification
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.observability.tracing import begin_trace
from services.common.texts import preferred_language
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    address_of,
    answer_of_issuer,
    answered,
    problems_of,
    require_citizen_of,
    require_rate,
    scheme_of,
    unavailable,
)
from services.gateway.http.pages.identify_page import page as identify_page
from services.gateway.http.security.cookies import identification_cookie, set_identification
from services.gateway.rate_limits import IDENTIFICATIONS_PER_ADDRESS, IDENTIFICATIONS_PER_CHAT, Buckets
from services.gateway.settings import Settings

DONE = "/identify/done"
STATUSES = {"expired": 410, "rate_limited": 429, "unavailable": 503}
"""The status of the page when the login cannot begin."""


def install(
    app: FastAPI,
    publisher: Publisher,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    keys: Keys,
    departments: Departments,
    settings: Settings,
) -> None:
    """Add `…/identification` of a chat, and the pages below `/identify`."""
    of_chats, of_addresses = Buckets(IDENTIFICATIONS_PER_CHAT), Buckets(IDENTIFICATIONS_PER_ADDRESS)

    async def asked(request: Request, chat_id: str) -> OpenIdentification:
        """Return the request that the citizen of this chat may answer."""
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        require_citizen_of(request, chat_id, keys, departments, settings)
        require_rate(of_chats, chat_id, settings)
        citizen = Actor(party=Party.CITIZEN.value, id=chat_id)
        return await answered(transcripts.open_identification(chat_id, citizen))

    problems = {"_401": "unauthenticated", "_403": "forbidden"}
    later = {"_429": "rate_limited", "_503": "unavailable"}

    @app.post(
        "/api/chats/{chat_id}/identification",
        status_code=201,
        responses=problems_of(**problems, _404="no_request, no_such_chat", **later),
    )
    async def begin(request: Request, chat_id: str) -> Response:
        """Return the address of the page on which the citizen identifies. It can be opened once.

        `code` is shown on that page too. `expires_in`: seconds in which the page has to be opened.
        """
        found = await asked(request, chat_id)
        department = departments.get(found.department)
        if department is None or not department.identification:
            raise Problem(404, "no_request", "Nobody asks you to identify at the moment.")
        wanted = presence_api.IdentificationWanted(
            chat_id=chat_id,
            id=found.id,
            agent=found.agent,
            department=department.names.in_(found.locale),
            locale=found.locale,
            until=found.until,
        )
        made = await answered(presence.begin_identification(wanted))
        answer = {
            "url": f"{identify_page.PATH}?ticket={quote(made.ticket)}",
            "code": made.code,
            "issuer": made.issuer,
            "expires_in": max(0, int((found.until - utcnow()).total_seconds())),
        }
        return JSONResponse(answer, 201)

    @app.delete(
        "/api/chats/{chat_id}/identification",
        status_code=204,
        responses=problems_of(**problems, _404="no_such_chat", **later),
    )
    async def decline(request: Request, chat_id: str) -> Response:
        """Say that the citizen prefers not to identify. The chat goes on. A repeat is 204 too."""
        try:
            found = await asked(request, chat_id)
        except Problem as problem:
            if problem.code == "no_request":
                return Response(status_code=204)
            raise
        try:
            await publisher.publish(IdentificationDeclined(chat_id=chat_id, id=found.id))
        except Unconfirmed as error:
            raise unavailable() from error
        return Response(status_code=204)

    @app.get(identify_page.PATH, include_in_schema=False)
    async def page(request: Request, ticket: Annotated[str, Query()] = "") -> Response:
        """Show who asks, where the login is, and a code to compare. This uses the ticket up."""
        begin_trace(request.headers.get("traceparent"), public=True)
        try:
            require_rate(of_addresses, address_of(request, settings), settings)
            begun = await presence.open_identification(ticket)
        except ValidationError:
            return _outcome(request, "expired", None, 410)
        except (Unavailable, Declined, Problem) as error:
            code = _code(error)
            wait = (error.headers or {}).get("Retry-After") if isinstance(error, Problem) else None
            return _outcome(request, code, None, STATUSES[code], wait)
        headers = {"Content-Language": begun.locale}
        response = Response(identify_page.render(begun), 200, headers, "text/html; charset=utf-8")
        set_identification(response, begun.flow, scheme_of(request, settings), request.headers.get("host", ""))
        return response

    @app.get("/identify/callback", include_in_schema=False)
    async def callback(request: Request) -> Response:
        """Take the citizen whom the issuer sends back, and send the browser to the page that says what became of it."""
        begin_trace(request.headers.get("traceparent"), public=True)
        host, scheme = request.headers.get("host", ""), scheme_of(request, settings)
        outcome, locale = "expired", ""
        try:
            require_rate(of_addresses, address_of(request, settings), settings)
            answer = answer_of_issuer(request, identification_cookie(request.cookies, host))
            finished = await presence.finish_identification(answer)
            outcome, locale = finished.outcome, finished.locale
        except ValidationError:
            pass
        except (Unavailable, Declined, Problem) as error:
            outcome = _code(error)
        response = Response(status_code=303, headers={"Location": f"{DONE}?outcome={outcome}&lang={locale}"})
        set_identification(response, "", scheme, host)
        return response

    @app.get(DONE, include_in_schema=False)
    async def done(
        request: Request, outcome: Annotated[str, Query()] = "", lang: Annotated[str | None, Query()] = None
    ) -> Response:
        """Say what became of an identification. The page says nothing of who it was."""
        return _outcome(request, outcome, lang, 200)


def _code(error: Unavailable | Declined | Problem) -> str:
    """Return the key of `STATUSES` for an identification that does not go on."""
    if isinstance(error, Problem):  # of the limit for each address
        return "rate_limited"
    return "expired" if isinstance(error, Declined) and error.status in (401, 404) else "unavailable"


def _outcome(request: Request, outcome: str, lang: str | None, status: int, wait: str | None = None) -> Response:
    locale = lang if lang in LOCALES else preferred_language(request.headers.get("accept-language", ""))
    content = identify_page.render_outcome(outcome, locale)
    headers = {"Content-Language": locale, "Vary": "Accept-Language", **({"Retry-After": wait} if wait else {})}
    return Response(content, status, headers, "text/html; charset=utf-8")
