"""`/.well-known/security.txt`: whom a finder of a vulnerability tells (RFC 9116)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from fastapi import FastAPI
from fastapi.responses import Response

from services.common.clock import utcnow
from services.common.config.departments import LOCALES
from services.common.http.problems import Problem
from services.gateway.settings import Settings

log = structlog.get_logger()
PATH = "/.well-known/security.txt"


def text_of(settings: Settings) -> str:
    """Return the file, or an empty text when no contact is set."""
    if not settings.security_contacts:
        return ""
    lines = [f"Contact: {contact}" for contact in settings.security_contacts]
    lines += [f"Expires: {settings.security_expires}", f"Preferred-Languages: {', '.join(LOCALES)}"]
    lines += [f"Canonical: {origin}{PATH}" for origin in settings.origins if origin.startswith("https://")]
    return "".join(line + "\n" for line in lines)


def install(app: FastAPI, settings: Settings, clock: Callable[[], datetime] = utcnow) -> None:
    """Add the route. Without a contact, and after the date of expiry, it answers 404 `no_security_contact`."""
    text, expires = text_of(settings), settings.security_expires_at
    if expires is not None and expires <= clock():
        log.warning("security_contact_expired", expires=settings.security_expires)

    @app.api_route(PATH, methods=["GET", "HEAD"], include_in_schema=False)
    async def security_txt() -> Response:
        if not text or expires is None or expires <= clock():
            raise Problem(404, "no_security_contact", "No contact for reports of vulnerabilities is published here.")
        headers = {"Cache-Control": "public, max-age=3600"}
        return Response(text, headers=headers, media_type="text/plain; charset=utf-8")
