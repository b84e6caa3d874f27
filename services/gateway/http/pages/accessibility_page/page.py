"""RULES of the accessibility statement of the pages for citizens (Directive (EU) 2016/2102, article 7).

It has the parts of the model in the annex of Implementing Decision (EU) 2018/1523. `criteria.json` says of each success
criterion of WCAG 2.2, levels A and AA, how far it is met and which test shows it. No I/O after the import.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from babel.dates import format_date
from pydantic import BaseModel, ConfigDict

from services.common.config.departments import Accessibility, Contact
from services.common.texts import Catalogue, supported_language
from services.gateway.http.pages.citizen_page import STATEMENT, common_values, load_page
from services.gateway.http.pages.contacts import contact_rows

FOLDER = Path(__file__).parent
TEXTS = Catalogue(FOLDER / "translations")
ASSESSED = date(2026, 11, 29)
"""The day on which `criteria.json` was last compared with the pages."""
STANDARD = "https://www.w3.org/TR/WCAG22/"
_TEMPLATE = load_page(FOLDER)
_BABEL = {"nl": "nl_BE", "fr": "fr_BE", "de": "de_BE", "en": "en_GB"}


class Criterion(BaseModel):
    """What is known of one success criterion.

    Attributes:
        criterion: Its number.
        level: Its level.
        name: Its name.
        result: How far it is met.
        remark: Why, in one line.
        test: The file of the test that shows it; None: nothing can be tested.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    criterion: str
    level: Literal["A", "AA"]
    name: str
    result: Literal["met", "partly", "not applicable"]
    remark: str
    test: str | None = None


CRITERIA = tuple(Criterion(**row) for row in json.loads((FOLDER / "criteria.json").read_text("utf-8")))


def render(locale: str, statement: Accessibility | None, contacts: Sequence[Contact]) -> str:
    """Return the whole page.

    Args:
        locale: The language; one that is not offered becomes Dutch.
        statement: What the organisation says; None: it says nothing.
        contacts: Ways to reach the organisation, used where the statement has none.
    """
    locale = supported_language(locale)
    partly = [row.criterion for row in CRITERIA if row.result == "partly"]
    prepared = statement.prepared if statement and statement.prepared else ASSESSED
    return _TEMPLATE.render(
        **common_values(TEXTS, locale, STATEMENT),
        organisation=statement.organisation.in_(locale) if statement else TEXTS.text(locale, "this_organisation"),
        state="partly" if partly else "full",
        met=sum(row.result == "met" for row in CRITERIA),
        applicable=sum(row.result != "not applicable" for row in CRITERIA),
        partly=[(number, TEXTS.text(locale, f"partly.{number}")) for number in partly],
        standard=STANDARD,
        assessed=_day(ASSESSED, locale),
        prepared=_day(prepared, locale),
        contacts=contact_rows(statement.contacts if statement and statement.contacts else contacts, locale),
        enforcement=statement.enforcement.in_(locale) if statement and statement.enforcement else None,
        enforcement_url=statement.enforcement_url.in_(locale) if statement and statement.enforcement_url else None,
    )


def _day(day: date, locale: str) -> str:
    return format_date(day, "d MMMM y", locale=_BABEL[locale])
