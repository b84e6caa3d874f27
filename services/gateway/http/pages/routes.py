"""Pages, static files and the settings of pages. Files are held in memory and compressed once."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
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
from services.gateway.settings import Settings

WEB = Path(__file__).parents[2] / "web"
FOLDERS = {
    "agent": "console",
    "demo": "demo",
    "former": "former",
    "identify": "identify",
    "infofiche": "info_sheet",
    "loket-chat": "widget",
    "shared": "shared",
}
"""What is served below `/static/`: the folder of the URL, and that in `web`. URLs keep their names of version 1.

Beside these folders are the tools that check them. They are not served.
"""
CATALOGUES = {
    "agent/texts": ("console/translations",),
    "demo/texts": ("demo/translations",),
    "loket-chat/text": ("widget/translations/panel", "widget/translations/conversation"),
    "loket-chat/text/blue": ("widget/translations/blue",),
    "loket-chat/text/button": ("widget/translations/button",),
    "loket-chat/text/reason": ("widget/translations/reason",),
    "loket-chat/text/after": ("widget/translations/after",),
    "loket-chat/text/files": ("widget/translations/files",),
    "loket-chat/text/form": ("widget/translations/form",),
    "loket-chat/text/given": ("widget/translations/given",),
    "loket-chat/text/identify": ("widget/translations/identify",),
    "loket-chat/text/inactive": ("widget/translations/inactive",),
    "loket-chat/text/launcher": ("widget/translations/button", "widget/translations/launcher"),
    "loket-chat/text/numbers": ("widget/translations/numbers",),
    "loket-chat/text/panel": ("widget/translations/panel",),
    "loket-chat/text/previews": ("widget/translations/previews",),
    "loket-chat/text/privacy": ("widget/translations/privacy",),
    "loket-chat/text/name": ("widget/translations/name",),
    "loket-chat/text/masked": ("widget/translations/masked",),
    "loket-chat/text/settings": ("widget/translations/settings",),
    "loket-chat/text/waiting": ("widget/translations/waiting",),
}
"""The catalogues below `/static/`: the folder of the URL, and those in `web` whose `nl.json` make module `nl.js`.

What the first moment needs has a module of its own; the module that comes after it has these texts too, as before.
"""
FORMER = {
    "agent/bar.js": "agent/toolbar.js",
    "agent/block.js": "agent/block-dialog.js",
    "agent/desk.js": "agent/desk-state.js",
    "agent/entry.js": "agent/chat-state.js",
    "agent/keeping.js": "agent/storage.js",
    "agent/log.js": "agent/message-list.js",
    "agent/news.js": "agent/new-chats.js",
    "agent/overview.js": "agent/side-page.js",
    "agent/questions.js": "agent/left-questions.js",
    "agent/signals.js": "agent/notifications.js",
    "agent/stage.js": "agent/app.js",
    "agent/texts.js": "former/console-texts.js",
    "agent/times.js": "agent/format.js",
    "agent/transfer.js": "agent/transfer-dialog.js",
    "agent/work.js": "agent/controller.js",
    "lib/close-codes.js": "former/close-codes.js",
    "lib/connection.js": "shared/connection.js",
    "lib/conversation.js": "shared/conversation.js",
    "loket-chat/aside.js": "loket-chat/lazy-panels.js",
    "loket-chat/button.js": "shared/button-status.js",
    "loket-chat/dom.js": "former/dom.js",
    "loket-chat/dressed.js": "former/dressed.js",
    "loket-chat/inactive.js": "loket-chat/inactivity-warning.js",
    "loket-chat/log.js": "former/log.js",
    "loket-chat/question.js": "loket-chat/leave-question.js",
    "loket-chat/session.js": "former/session.js",
    "loket-chat/start.js": "former/start.js",
    "loket-chat/waiting.js": "loket-chat/queue-info.js",
    "shared/close-codes.js": "former/close-codes.js",
}
"""Former names of files, and their present ones. A page that is open during an update loads the rest of its modules by
the former names, so these keep their answers. A module and its former name are in folders of the same depth, because
its relative imports start from the URL. Where former pages import other names, a module of `former` has them.
"""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".wav": "audio/wav",
}
COMMENTS = re.compile(rb"^[ \t]*(?://.*|/\*(?:[^*]|\*(?!/))*\*/[ \t]*)$|[ \t]+// .*$|/\*\* @[^*\n]*\*/ ?", re.MULTILINE)
"""The comments of a module: those that have whole lines, those at the end of a line, and types within one.

No text in a module has ` // ` or `/** @`, which a test holds.
"""
INDENTATION = re.compile(rb"\n\s+")
"""Empty lines, and white space at the beginning of a line."""
TEMPLATE = re.compile(rb"`[^`]*`")
"""A text between backquotes. One of several lines is a style sheet, which a test holds."""
AROUND = re.compile(rb"\s*([{};,>])\s*|(?<=:)\s+")
"""White space that means nothing in a style sheet."""


@dataclass(frozen=True)
class File:
    """A static file as it is served.

    Attributes:
        body: The bytes.
        packed: The gzip form, where that is smaller.
        etag: The entity tag.
        media_type: The value of `Content-Type`.
    """

    body: bytes
    packed: bytes | None
    etag: str
    media_type: str

    @classmethod
    def read(cls, *paths: Path) -> File:
        """Read and compress the file at this path. Catalogues become one module; modules become compact."""
        suffix = paths[0].suffix
        if suffix == ".json":
            body, suffix = as_module(*(path.read_bytes() for path in paths)), ".js"
        elif suffix == ".js":
            body = compact(paths[0].read_bytes())
        else:
            body = paths[0].read_bytes()
        packed = gzip.compress(body, 9, mtime=0)
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        return cls(body, packed if len(packed) < len(body) else None, etag, TYPES[suffix])

    def answer(self, request: Request) -> Response:
        """Return the response to a request for this file."""
        headers = {"ETag": self.etag, "Cache-Control": "public, max-age=60", "Vary": "Accept-Encoding"}
        if self.media_type.startswith("text/html"):
            headers["Cache-Control"] = "no-cache"
        elif self.media_type.startswith("text/javascript"):
            # The widget loads on a page whose origin is not listed too, so that it can say why there is no button.
            headers["Access-Control-Allow-Origin"] = "*"
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if self.packed and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.body, headers=headers, media_type=self.media_type)


def as_module(*catalogues: bytes) -> bytes:
    """Return the ES module that exports the texts of these catalogues (docs/texts.md) by their keys.

    The plural forms of a text have keys of their own, `key.one` and `key.other`, as pages of version 1.1 read them.
    """
    texts: dict[str, str] = {}
    for key, text in (item for catalogue in catalogues for item in orjson.loads(catalogue).items()):
        texts |= {f"{key}.{form}": words for form, words in text.items()} if isinstance(text, dict) else {key: text}
    return b"export default " + orjson.dumps(texts) + b";\n"


def compact(module: bytes) -> bytes:
    """Return a module without its comments, empty lines and indentation, and its style sheets without white space.

    The only texts of several lines in a module are style sheets, in which these mean nothing.
    """
    plain = INDENTATION.sub(b"\n", COMMENTS.sub(b"", module)).lstrip()
    return TEMPLATE.sub(lambda text: compact_sheet(text[0]) if b"\n" in text[0] else text[0], plain)


def compact_sheet(sheet: bytes) -> bytes:
    """Return a style sheet without the white space around its punctuation."""
    return AROUND.sub(lambda found: found[1] or b"", sheet)


def install(app: FastAPI, buttons: Buttons, departments: Departments, settings: Settings) -> None:
    """Add `/`, `/agent`, `/widget.js`, `/static/…`, `/infofiche/…`, `/toegankelijkheid` and `/api/settings`."""
    files = static_files()

    def serve(path: str, name: str) -> None:
        @app.get(path, include_in_schema=False)
        async def page(request: Request) -> Response:
            return files[name].answer(request)

    serve("/", "demo/index.html")
    serve("/agent", "agent/index.html")
    serve("/widget.js", "loket-chat/widget.js")

    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        if name not in files:
            raise Problem(404, "not_found", "There is no such file.")
        return files[name].answer(request)

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon(request: Request) -> Response:
        return files["agent/icon.svg"].answer(request)

    @app.get("/infofiche/{department}", include_in_schema=False)
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

    @app.get(STATEMENT, include_in_schema=False)
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


def served() -> dict[str, tuple[Path, ...]]:
    """Return the files of which each file below `/static/` is made, by its name in the URL."""
    files: dict[str, tuple[Path, ...]] = {}
    for folder, place in FOLDERS.items():
        for path in sorted((WEB / place).rglob("*")):
            if path.suffix in TYPES:
                files[f"{folder}/{path.relative_to(WEB / place)}"] = (path,)
    for folder, places in CATALOGUES.items():
        for language in LOCALES:
            files[f"{folder}/{language}.js"] = tuple(WEB / place / f"{language}.json" for place in places)
    return files


@cache
def static_files() -> Mapping[str, File]:
    """Read what is served below `/static/`, by its present and former names in the URL. A process reads it once."""
    files = {name: File.read(*paths) for name, paths in served().items()}
    return files | {name: files[present] for name, present in FORMER.items()}


def _has_holidays(department: Department, departments: Departments, usual: str) -> bool:
    """Return whether the department is closed on public holidays."""
    settings = (department.calendar.holidays, departments.calendar.holidays, usual)
    return next(code for code in settings if code is not None).strip().lower() not in ("", "none")
