"""RULES of the download page: a form for a code and a file type, which needs no script. No I/O after the import."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from services.common.config.departments import LOCALES
from services.common.templates import load_template
from services.common.texts import Catalogue, supported_language

TEXTS = Catalogue(Path(__file__).parent / "translations")
FORMATS = ("pdf", "html", "txt", "json")
_TEMPLATE = load_template(Path(__file__).parent / "page.html")


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
        t=partial(TEXTS.text, locale),
        locale=locale,
        languages=[(one, TEXTS.text(one, "language_name")) for one in LOCALES],
        problem=TEXTS.text(locale, known, seconds=seconds) if known else "",
        typed=typed,
        formats=FORMATS,
        chosen=chosen if chosen in FORMATS else "pdf",
    )
