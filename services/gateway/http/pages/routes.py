"""Pages, static files and the settings of pages."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

import orjson
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from services.common.clock import utcnow
from services.common.config.departments import LOCALES, Department, Departments
from services.common.http.problems import Problem
from services.common.texts import preferred_language
from services.gateway.button_state import Buttons
from services.gateway.http.pages.accessibility_page import page as accessibility_page
from services.gateway.http.pages.citizen_page import STATEMENT
from services.gateway.http.pages.info_sheet import page as info_sheet_page
from services.gateway.http.pages.static_files import BRIEF, WIDGET, File, static_files
from services.gateway.settings import Settings

READ = ["GET", "HEAD"]
"""The methods of a page or file: monitors and checkers of links ask for the head alone (RFC 9110 §9.1)."""


def install(app: FastAPI, buttons: Buttons, departments: Departments, settings: Settings) -> None:
    """Add `/agent`, `/widget.js`, `/static/…`, `/infofiche/…`, `/toegankelijkheid`, `/api/settings`, `/` if it is."""
    static = static_files()

    def serve(path: str, file: File) -> None:
        @app.api_route(path, methods=READ, include_in_schema=False)
        async def page(request: Request) -> Response:
            return answer(request, file, BRIEF)

    if "demo/index.html" in static.files:
        serve("/", static.files["demo/index.html"])
    serve("/agent", static.files["agent/index.html"])
    serve("/widget.js", static.entries[WIDGET])
    serve("/favicon.ico", static.files["agent/icon.svg"])

    @app.api_route("/static/{name:path}", methods=READ, include_in_schema=False)
    async def file(request: Request, name: str) -> Response:
        found = static.find(name, request.url.query)
        if found is None:
            raise Problem(404, "not_found", "There is no such file.")
        return answer(request, *found)

    @app.api_route("/infofiche/{department}", methods=READ, include_in_schema=False)
    async def info_sheet(request: Request, department: str, lang: Annotated[str | None, Query()] = None) -> Response:
        found = departments.get(department)
        if found is None:
            raise Problem(404, "unknown_department", "There is no such department.")
        locale = lang if lang in LOCALES else preferred_language(request.headers.get("accept-language", ""))
        state = orjson.loads(buttons.of[found.id].shown.body)
        now = utcnow()
        notice = buttons.of[found.id].notice
        page = info_sheet_page.render(
            found,
            state,
            locale,
            now,
            office_hours=settings.office_hours,
            holidays=_has_holidays(found, departments, settings.holidays),
            calendar=departments.calendar,
            zone=ZoneInfo(settings.timezone),
            notice=notice.text.in_(locale) if notice else None,
        )
        headers = {"Cache-Control": "no-cache", "Content-Language": locale, "Vary": "Accept-Language"}
        return Response(page, headers=headers, media_type="text/html; charset=utf-8")

    @app.api_route(STATEMENT, methods=READ, include_in_schema=False)
    async def accessibility(request: Request, lang: Annotated[str | None, Query()] = None) -> Response:
        locale = lang if lang in LOCALES else preferred_language(request.headers.get("accept-language", ""))
        default = departments.get(None)
        page = accessibility_page.render(locale, departments.accessibility, default.contacts if default else ())
        headers = {"Cache-Control": "no-cache", "Content-Language": locale, "Vary": "Accept-Language"}
        return Response(page, headers=headers, media_type="text/html; charset=utf-8")

    limits = {
        "timezone": settings.timezone,
        "attachment_bytes": settings.attachment_bytes,
        "attachment_count": settings.attachment_count,
        "attachment_total": settings.attachment_total,
        "citizen_access": int(settings.citizen_access),
    }

    @app.get("/api/settings")
    async def page_settings() -> Response:
        """Return the limits and the time zone that pages need.

        They are the time zone (IANA name), the bytes of a file, the files and bytes of a chat, and the seconds of
        access after a chat's end.
        """
        return JSONResponse(limits, headers={"Cache-Control": "public, max-age=60"})


def answer(request: Request, file: File, cache_control: str) -> Response:
    """Return the response to a request for this file. Pages are asked for again at each view."""
    headers = {"ETag": file.etag, "Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    if file.media_type.startswith("text/html"):
        headers["Cache-Control"] = "no-cache"
    elif file.media_type.startswith("text/javascript"):
        # The widget loads on a page whose origin is not listed too, so that it can say why there is no button.
        headers["Access-Control-Allow-Origin"] = "*"
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if file.packed and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.media_type)
    return Response(file.body, headers=headers, media_type=file.media_type)


def _has_holidays(department: Department, departments: Departments, usual: str) -> bool:
    """Return whether the department is closed on public holidays."""
    settings = (department.calendar.holidays, departments.calendar.holidays, usual)
    return next(code for code in settings if code is not None).strip().lower() not in ("", "none")
