"""What the pages for citizens have in common: head, style and the choice of a language (`citizen_page.html`)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Template

from services.common.config.departments import LOCALES
from services.common.templates import load_template
from services.common.texts import Catalogue
from services.gateway.http.pages.static_files import static_files

STATEMENT = "/toegankelijkheid"
"""The path of the accessibility statement, to which every page refers."""


def load_page(folder: Path) -> Template:
    """Return the template `page.html` of this folder, which extends `citizen_page.html`."""
    return load_template(folder / "page.html", Path(__file__).parent)


def common_values(texts: Catalogue, locale: str, path: str) -> dict[str, Any]:
    """Return the values that `citizen_page.html` needs.

    Args:
        texts: The catalogue of the page.
        locale: The language of the page.
        path: The path of the page, which each language follows as `?lang=`.
    """
    return {
        "t": partial(texts.text, locale),
        "locale": locale,
        "languages": [(one, texts.text(one, "language_name")) for one in LOCALES],
        "path": path,
        "statement": STATEMENT,
        "digest": static_files().digest,
    }
