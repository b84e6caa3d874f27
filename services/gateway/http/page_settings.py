"""`GET /api/settings`: the limits and the time zone that pages need, from the settings that the services use."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from services.gateway.settings import Settings


def install(app: FastAPI, settings: Settings) -> None:
    """`GET /api/settings`."""
    body = {
        "timezone": settings.timezone,
        "attachment_bytes": settings.attachment_bytes,
        "attachment_count": settings.attachment_count,
        "attachment_total": settings.attachment_total,
        "citizen_access": int(settings.citizen_access),
    }

    @app.get("/api/settings")
    async def page_settings() -> Response:
        """The time zone (IANA name), bytes of a file, files and bytes of a chat, seconds of access after its end."""
        return JSONResponse(body, headers={"Cache-Control": "public, max-age=60"})
