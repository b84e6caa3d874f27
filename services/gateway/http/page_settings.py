"""`GET /api/settings`: the limits and the time zone that pages need, from the settings that the services use."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from services.gateway.settings import Settings


def install(app: FastAPI, settings: Settings) -> None:
    """Add `GET /api/settings`."""
    body = {
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
        return JSONResponse(body, headers={"Cache-Control": "public, max-age=60"})
