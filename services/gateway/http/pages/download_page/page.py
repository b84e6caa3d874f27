"""RULES of the download page: a form for a code and a file type, which needs no script. No I/O after the import."""

from __future__ import annotations

from pathlib import Path

from services.common.texts import Catalogue, supported_language
from services.gateway.http.pages.citizen_page import common_values, load_page

TEXTS = Catalogue(Path(__file__).parent / "translations")
FORMATS = ("pdf", "html", "txt", "json")
_TEMPLATE = load_page(Path(__file__).parent)


def render(locale: str, problem: str = "", typed: str = "", chosen: str = "pdf", seconds: int = 0) -> str:
    """Return the whole page.

    Args:
        locale: The language; one that is not offered becomes Dutch.
        problem: The code of the problem with what was sent; empty: nothing was sent yet.
        typed: The code that was typed.
        chosen: The file type that was chosen.
        seconds: How long to wait before the next attempt.
    """
    locale = supported_language(locale)
    known = problem if not problem or TEXTS.has(problem) else "unavailable"
    return _TEMPLATE.render(
        **common_values(TEXTS, locale, "/gesprek"),
        problem=TEXTS.text(locale, known, seconds=seconds) if known else "",
        typed=typed,
        formats=FORMATS,
        chosen=chosen if chosen in FORMATS else "pdf",
    )
