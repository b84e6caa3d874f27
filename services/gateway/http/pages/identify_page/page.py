"""RULES of the pages on which a citizen identifies: before the login and after it. No I/O after the import.

Neither needs a script; the page after the login has one that closes its window where the browser allows it.
"""

from __future__ import annotations

from pathlib import Path

from services.common.internal_api.presence import IdentificationFlow
from services.common.texts import Catalogue, supported_language
from services.gateway.http.pages.citizen_page import common_values, load_page

PATH = "/identify"
TEXTS = Catalogue(Path(__file__).parent / "translations")
OUTCOMES = ("identified", "cancelled", "failed", "expired", "rate_limited", "unavailable")
_TEMPLATE = load_page(Path(__file__).parent)


def render(begun: IdentificationFlow) -> str:
    """Return the page before the login: who asks, that it is voluntary, and a code to compare with the conversation."""
    locale = supported_language(begun.locale)
    return _TEMPLATE.render(
        **common_values(TEXTS, locale, PATH),
        title=TEXTS.text(locale, "title"),
        begun=begun,
        closes=False,
        intro=TEXTS.text(locale, "intro", agent=begun.agent, department=begun.department),
        go_on=TEXTS.text(locale, "go_on", issuer=begun.issuer),
        kept=TEXTS.text(locale, "kept", issuer=begun.issuer),
    )


def render_outcome(outcome: str, locale: str) -> str:
    """Return the page after the login. An outcome that is not known is shown as `expired`.

    Only a page that says that it succeeded closes its window: the others say what to do next.
    """
    locale, known = supported_language(locale), outcome if outcome in OUTCOMES else "expired"
    return _TEMPLATE.render(
        **common_values(TEXTS, locale, PATH),
        title=TEXTS.text(locale, f"title.{known}"),
        begun=None,
        closes=known == "identified",
        said=TEXTS.text(locale, f"outcome.{known}"),
    )
