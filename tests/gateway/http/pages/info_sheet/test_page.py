"""The info sheet: what it says for each reason, in each language, and that the configuration is never markup."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.common.config.departments import LOCALES, Contact, Department, Text
from services.common.config.opening_hours import Calendar, parse_hours
from services.gateway.http.pages.contacts import contact_address
from services.gateway.http.pages.info_sheet.page import TEXTS, ZONE, render, spans_in_words, when
from services.gateway.http.pages.static_files import static_files

SUNDAY = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)  # 17:00 in Brussels


def department(**more: Any) -> Department:
    names = Text(nl="Algemene vragen", fr="Questions générales", de="Allgemeine Fragen", en="General questions")
    return Department(**{"id": "algemeen", "names": names, "hours": "Mon-Fri 09:00-12:00,13:00-17:00"} | more)


def button(colour: str = "blue", reason: str = "closed", opens_at: str | None = None) -> dict[str, Any]:
    return {"department": "algemeen", "colour": colour, "reason": reason, "opens_at": opens_at, "revision": 42}


class Page(HTMLParser):
    """The tags and texts of a page; `open` holds what was not closed."""

    VOID = ("meta", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for one, attrs in self.tags if one == tag]


def text(page: str) -> str:
    return " ".join(Page(page).words.split())


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("reason", ["closed", "busy", "no_agents", "unknown"])
def test_a_blue_button_says_why(locale: str, reason: str) -> None:
    shown = text(render(department(), button(reason=reason), locale, SUNDAY))
    assert TEXTS.text(locale, "colour.blue") in shown
    assert TEXTS.text(locale, f"reason.{reason}") in shown
    assert TEXTS.text(locale, "colour.green") not in shown


def test_a_green_button_says_so() -> None:
    page = render(department(), button("green", "available"), "nl", SUNDAY)
    assert "De chatknop is nu groen." in text(page)
    assert "gesloten." not in text(page).split("Openingsuren")[0]
    state = next(attrs for attrs in Page(page).attributes("div") if attrs.get("id") == "state")
    assert (state["data-colour"], state["data-reason"], state["data-revision"]) == ("green", "available", "42")


@pytest.mark.parametrize("odd", [{}, {"colour": "green"}, {"colour": "blue", "reason": "available"}, {"reason": "<b>"}])
def test_what_is_not_understood_is_blue_and_unknown(odd: dict[str, Any]) -> None:
    page = render(department(), odd, "nl", SUNDAY)
    assert TEXTS.text("nl", "reason.unknown") in text(page)
    assert 'data-colour="blue"' in page


@pytest.mark.parametrize(
    ("locale", "opens", "words"),
    [
        ("nl", "2026-11-23T08:00:00.000Z", "De chat gaat weer open morgen om 09:00."),
        ("fr", "2026-11-23T08:00:00Z", "Le chat rouvre demain à 09:00."),
        ("de", "2026-11-24T08:00:00Z", "Der Chat öffnet wieder am Dienstag, 24. November um 09:00 Uhr."),
        ("en", "2026-11-22T16:30:00Z", "The chat opens again today at 17:30."),
        ("nl", "2027-06-01T07:00:00Z", "De chat gaat weer open op dinsdag 1 juni om 09:00."),
    ],
)
def test_the_next_opening_is_in_brussels_time(locale: str, opens: str, words: str) -> None:
    assert words in text(render(department(), button(opens_at=opens), locale, SUNDAY))


def test_tomorrow_is_counted_by_the_clock_of_brussels() -> None:
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # Monday 00:30 in Brussels
    assert when(datetime(2026, 11, 23, 8, tzinfo=UTC), "nl", late.astimezone(ZONE)) == "vandaag om 09:00"


@pytest.mark.parametrize("opens", [None, "", "soon", "2026-11-23T08:00:00", 7])
def test_without_a_usable_opening_time_the_page_names_none(opens: Any) -> None:
    assert "gaat weer open" not in text(render(department(), button(opens_at=opens), "nl", SUNDAY))


def test_hours_come_from_the_configuration() -> None:
    shown = text(render(department(), button(), "nl", SUNDAY))
    assert "maandag09:00 – 12:00 en 13:00 – 17:00dinsdag" in shown
    assert "zaterdaggeslotenzondaggesloten" in shown


def test_a_department_without_hours_has_the_office_hours() -> None:
    shown = text(render(department(hours=None), button(), "en", SUNDAY, office_hours="Sat 10:00-24:00"))
    assert "Mondayclosed" in shown
    assert "Saturday10:00 – 24:00" in shown


def test_three_spans_read_as_a_list() -> None:
    week = parse_hours("Mon 08:00-09:00,10:00-11:00,12:00-13:00")
    assert week is not None
    assert spans_in_words(week[0], "nl") == "08:00 – 09:00, 10:00 – 11:00 en 12:00 – 13:00"


def test_always_open_needs_neither_table_nor_holidays() -> None:
    page = render(
        department(hours="always", closed_on=(date(2026, 12, 24),)), button("green", "available"), "nl", SUNDAY
    )
    assert TEXTS.text("nl", "always") in text(page)
    assert "<table" not in page
    assert TEXTS.text("nl", "holidays") not in text(page)
    assert "24 december" not in text(page)


def test_coming_closing_days_are_shown_and_past_ones_are_not() -> None:
    days = (date(2026, 12, 24), date(2026, 11, 22), date(2026, 11, 21))
    shown = text(render(department(closed_on=days), button(), "nl", SUNDAY))
    assert "Ook gesloten op:zondag 22 november 2026donderdag 24 december 2026" in shown
    assert "21 november" not in shown
    assert TEXTS.text("nl", "holidays") in shown
    assert TEXTS.text("nl", "holidays") not in text(render(department(), button(), "nl", SUNDAY, holidays=False))


@pytest.mark.parametrize(
    ("kind", "value", "address"),
    [
        ("phone", "+32 2 555 01 00", "tel:+3225550100"),
        ("email", "loket@example.be", "mailto:loket@example.be"),
        ("email", "a@b.be?cc=c@d.be", None),
        ("web", "https://www.example.be/x", "https://www.example.be/x"),
        ("web", "javascript:alert(1)", None),
        ("web", "https:", None),
        ("visit", "Stadsplein 1, 1000 Brussel", None),
    ],
)
def test_where_a_contact_leads(kind: Any, value: str, address: str | None) -> None:
    assert contact_address(Contact(kind=kind, value=value)) == address


def test_contacts_are_shown_with_their_note_in_the_language_of_the_page() -> None:
    note = Text(nl="elke werkdag", fr="chaque jour ouvrable", de="an jedem Werktag", en="every working day")
    contacts = (Contact(kind="phone", value="+32 2 555", note=note), Contact(kind="visit", value="Stadsplein 1"))
    shown = text(render(department(contacts=contacts), button(), "fr", SUNDAY))
    assert "Téléphone+32 2 555chaque jour ouvrable" in shown
    assert "Sur placeStadsplein 1" in shown
    assert TEXTS.text("fr", "contacts_title") not in text(render(department(), button(), "fr", SUNDAY))


def test_the_page_offers_the_four_languages_and_marks_its_own() -> None:
    page = Page(render(department(), button(), "de", SUNDAY))
    links = [attrs for attrs in page.attributes("a") if "hreflang" in attrs]
    assert [attrs["href"] for attrs in links] == [f"/infofiche/algemeen?lang={one}" for one in ("nl", "fr", "de", "en")]
    assert [attrs["hreflang"] for attrs in links if attrs.get("aria-current")] == ["de"]
    assert page.attributes("html") == [{"lang": "de"}]
    assert Page(render(department(), button(), "tlh", SUNDAY)).attributes("html") == [{"lang": "nl"}]


def test_nothing_of_the_configuration_becomes_markup() -> None:
    evil = """</p><script>"'&"""
    words = Text(nl=evil, fr=evil, de=evil, en=evil)
    contacts = tuple(Contact(kind=kind, value=evil, note=words) for kind in ("phone", "email", "web", "visit", "post"))
    page = render(department(names=words, contacts=contacts), button(), "nl", SUNDAY)
    parsed = Page(page)
    assert parsed.open == []
    assert parsed.attributes("script") == [{"type": "module", "src": "/static/infofiche/live.js"}]
    assert parsed.words.count(evil) == 12  # title, heading, five values, five notes


@pytest.mark.parametrize("locale", LOCALES)
def test_the_page_fits_a_strict_content_security_policy(locale: str) -> None:
    page = Page(render(department(), button(), locale, SUNDAY))
    assert page.open == []
    assert not [attrs for _, attrs in page.tags if "style" in attrs or any(key.startswith("on") for key in attrs)]
    assert "style" not in [tag for tag, _ in page.tags]
    assert not re.search(r'(src|href)="https?:', render(department(), button(), locale, SUNDAY))


def test_all_hours_are_in_the_time_zone_of_the_installation() -> None:
    now = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
    shown = button(opens_at="2026-11-23T08:00:00Z")
    page = render(department(), shown, "nl", now, zone=ZoneInfo("Atlantic/Azores"))
    for words in ("vandaag om 07:00", "Toestand van 05:00", "tijdzone Atlantic/Azores"):
        assert words in page
    assert "Belgische tijd" in render(department(), shown, "nl", now)


def test_days_of_the_calendars_are_named_with_their_hours_for_the_year_to_come() -> None:
    own = Calendar.model_validate({"hours": {"12-24": "09:00-12:00"}})
    of_all = Calendar.model_validate({"closed": ["11-02", "easter+1", "12-24"]})
    for locale, closed, changed in (
        ("nl", "Ook gesloten op:", "Andere uren op:"),
        ("fr", "Également fermé le :", "Autres heures le :"),
        ("de", "Außerdem geschlossen am:", "Andere Zeiten am:"),
        ("en", "Also closed on:", "Other hours on:"),
    ):
        shown = text(render(department(calendar=own), button(), locale, SUNDAY, calendar=of_all))
        assert closed in shown
        assert changed in shown
        assert "09:00 – 12:00" in shown.split(changed)[1]
    shown = text(render(department(calendar=own), button(), "nl", SUNDAY, calendar=of_all))
    assert "24 december" not in shown.split("Andere uren op:")[0], "what the department says comes first"
    assert "Andere uren" not in text(render(department(hours="always"), button(), "nl", SUNDAY, calendar=of_all))


def test_the_whole_page() -> None:
    note = Text(nl="elke werkdag", fr="-", de="-", en="-")
    contacts = (
        Contact(kind="phone", value="+32 2 555 01 00", note=note),
        Contact(kind="visit", value="Stads'plein <1>"),
    )
    closed_on = (date(2026, 12, 24),)
    shown = department(contacts=contacts, closed_on=closed_on, hours="Mon-Fri 09:00-12:00,13:00-17:00; Sun 10:00-24:00")
    page = render(shown, button(opens_at="2026-11-23T08:00:00Z"), "nl", SUNDAY)
    assert page.replace(static_files().digest, "0123abcd") == (Path(__file__).parent / "whole_page.html").read_text(
        "utf-8"
    )
