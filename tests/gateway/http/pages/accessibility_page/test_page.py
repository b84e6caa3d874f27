"""The accessibility statement: what it says of the product, and what the organisation adds."""

from collections import Counter
from datetime import date
from html.parser import HTMLParser

import pytest

from services.common.config.departments import LOCALES, Accessibility, Contact, Text
from services.gateway.http.pages.accessibility_page.page import CRITERIA, TEXTS, render
from tests.support.servers import ROOT

PHONE = (Contact(kind="phone", value="+32 2 555 01 00"),)


def in_all(words: str) -> Text:
    return Text(nl=words, fr=words, de=words, en=words)


STATEMENT = Accessibility(
    organisation=in_all("Stad <Voorbeeld>"),
    contacts=(Contact(kind="email", value="toegankelijk@example.be"),),
    enforcement=in_all("Ombudsdienst"),
    enforcement_url=in_all("https://ombudsdienst.example.be/"),
    prepared=date(2026, 12, 1),
)


class Words(HTMLParser):
    """The words of a page, and where its links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self.links = "", list[str]()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.found += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name == "href" and value]


def test_every_criterion_of_wcag_2_2_is_there_once() -> None:
    assert len({row.criterion for row in CRITERIA}) == len(CRITERIA)
    assert Counter(row.level for row in CRITERIA) == {"A": 31, "AA": 24}
    assert [row.criterion for row in CRITERIA] == sorted(
        (row.criterion for row in CRITERIA), key=lambda number: [int(part) for part in number.split(".")]
    )


def test_what_is_met_names_a_test_that_exists() -> None:
    for row in CRITERIA:
        assert (row.test is None) == (row.result == "not applicable"), row.criterion
        assert row.test is None or (ROOT / row.test).is_file(), row.criterion


@pytest.mark.parametrize("locale", LOCALES)
def test_the_statement_has_the_parts_of_the_model(locale: str) -> None:
    words = Words(render(locale, STATEMENT, PHONE))
    for title in ("about_title", "state_title", "gaps_title", "method_title", "contacts_title", "enforcement_title"):
        assert TEXTS.text(locale, title) in words.found
    for row in CRITERIA:
        if row.result == "partly":
            assert TEXTS.text(locale, f"partly.{row.criterion}") in words.found
    assert "Stad <Voorbeeld>" in words.found
    results = Counter(row.result for row in CRITERIA)
    assert (
        TEXTS.text(locale, "counts", met=results["met"], applicable=results["met"] + results["partly"]) in words.found
    )
    assert "2026" in words.found
    assert {"mailto:toegankelijk@example.be", "https://ombudsdienst.example.be/"} < set(words.links)
    assert "tel:+3225550100" not in words.links


def test_without_words_of_the_organisation_there_are_the_contact_ways_of_the_department() -> None:
    words = Words(render("nl", None, PHONE))
    assert "Deze organisatie" in words.found
    assert "tel:+3225550100" in words.links
    assert TEXTS.text("nl", "enforcement_title") not in words.found


def test_a_language_that_is_not_offered_becomes_dutch() -> None:
    assert render("it", None, ()) == render("nl", None, ())


def test_the_address_of_a_body_is_a_page() -> None:
    with pytest.raises(ValueError, match="is not the address of a page"):
        Accessibility(organisation=in_all("Stad"), enforcement_url=in_all("javascript:alert(1)"))
