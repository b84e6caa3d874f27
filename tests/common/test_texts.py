"""Catalogues of texts: languages, placeholders and plural forms."""

import json
from pathlib import Path

import pytest

from services.common.config.departments import LOCALES
from services.common.texts import Catalogue, preferred_language, supported_language


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    for language in LOCALES:
        texts = {
            "hello": f"hello {language}",
            "to": f"{{name}} in {language}",
            "files": {"one": "{n} file", "other": f"{{n}} files in {language}"},
        }
        (tmp_path / f"{language}.json").write_text(json.dumps(texts), "utf-8")
    return Catalogue(tmp_path)


@pytest.mark.parametrize("language", LOCALES)
def test_a_text_is_in_the_language_that_is_asked_for(catalogue: Catalogue, language: str) -> None:
    assert catalogue.text(language, "hello") == f"hello {language}"
    assert catalogue.forms(language, "files")["other"] == f"{{n}} files in {language}"


@pytest.mark.parametrize("language", ["pt", "", "NL", "../nl"])
def test_a_language_that_is_not_offered_reads_dutch(catalogue: Catalogue, language: str) -> None:
    assert supported_language(language) == "nl"
    assert catalogue.text(language, "hello") == "hello nl"


@pytest.mark.parametrize("value", ["An", "", "{name}", "{x}", "{0}", "{", "}}", "%s", "\\1", 7])
def test_a_value_is_filled_in_as_it_is(catalogue: Catalogue, value: object) -> None:
    assert catalogue.text("en", "to", name=value) == f"{value} in en"


def test_without_values_the_placeholders_remain(catalogue: Catalogue) -> None:
    assert catalogue.text("en", "to") == "{name} in en"


def test_what_a_catalogue_does_not_have_is_an_error(catalogue: Catalogue) -> None:
    assert catalogue.has("hello")
    assert not catalogue.has("unknown")
    with pytest.raises(KeyError):
        catalogue.text("en", "unknown")
    with pytest.raises(KeyError):
        catalogue.text("en", "to", other="An")


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', '{"a": null}', '{"a": {"one": {}}}', "{"])
def test_a_file_that_is_not_a_catalogue_is_refused_at_the_start(
    catalogue: Catalogue, tmp_path: Path, content: str
) -> None:
    (tmp_path / "fr.json").write_text(content)
    with pytest.raises(ValueError, match="validation error"):
        Catalogue(tmp_path)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "fr"),
        ("fr-BE,fr;q=0.9,en;q=0.8", "fr"),
        ("es, de;q=0.5, en;q=0.7", "en"),
        ("nl;q=0.1, fr; q=0.2", "fr"),
        ("EN-gb", "en"),
        ("*", "fr"),
        ("nl;q=0", "fr"),
        ("nl;q=0, en;q=0.1", "en"),
        ("de;q=nonsense, nl;q=0.1", "nl"),
        ("de;q=nan", "fr"),
        ("nl, de", "nl"),
        (",;q=,=;" * 100, "fr"),
    ],
)
def test_the_preferred_language_is_the_heaviest_one_that_is_offered(header: str, language: str) -> None:
    assert preferred_language(header, "fr") == language


def test_without_a_preferred_language_it_is_dutch() -> None:
    assert preferred_language("es") == "nl"
