"""Route of what pages show of a department: its name and its privacy notice, in one language."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from services.common.config.departments import LOCALES, Departments
from services.common.http.problems import Problem
from services.common.texts import preferred_language
from services.gateway.http.dependencies import problems_of


def install(app: FastAPI, departments: Departments) -> None:
    """Add `GET /api/departments/{department}`."""

    @app.get("/api/departments/{department}", responses=problems_of(_404="unknown_department"))
    async def about(request: Request, department: str, lang: Annotated[str | None, Query()] = None) -> Response:
        """Return the name and the privacy notice of a department, in `lang` or else by `Accept-Language`."""
        found = departments.get(department)
        if found is None:
            raise Problem(404, "unknown_department", "There is no such department.")
        locale = lang if lang in LOCALES else preferred_language(request.headers.get("accept-language", ""))
        privacy = departments.privacy_of(found)
        told = (
            {"text": privacy.text.in_(locale), "url": privacy.url.in_(locale) if privacy.url else None}
            if privacy
            else None
        )
        answer = {"id": found.id, "name": found.names.in_(locale), "language": locale, "privacy": told}
        return JSONResponse(answer, headers={"Cache-Control": "public, max-age=60", "Vary": "Accept-Language"})
