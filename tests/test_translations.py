"""Every catalogue (`translations/`) has the format of docs/texts.md, in four languages, and the keys that are used."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from services.common.config.departments import LOCALES, Contact
from services.common.events.types import Cause, CloseReason, Detail, Party
from services.gateway.http.info_sheet.page import REASONS
from tests.support.servers import ROOT

Texts = dict[str, str | dict[str, str]]
FOLDERS = sorted(path for path in (ROOT / "services").rglob("translations") if path.is_dir())
KEY = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
CATEGORIES = {"nl": {"one", "other"}, "fr": {"one", "many", "other"}, "de": {"one", "other"}, "en": {"one", "other"}}
DETAILS = {
    Cause.AGENT_LEFT: [Detail.NOT_ACCEPTED],
    Cause.TRANSFERRED: [Detail.REFUSED, Detail.UNANSWERED, Detail.OVERFLOW],
}
# The keys that code makes from parts, by the folder of the code.
MADE = {
    "services/gateway/http/info_sheet": {
        *(f"reason.{reason}" for reason in REASONS),
        *(f"contact.{kind}" for kind in get_args(Contact.model_fields["kind"].annotation)),
        *("colour.green", "colour.blue"),
    },
    "services/transcripts/rendering": {
        *(f"party.{party}" for party in Party),
        *(
            f"{reader}.{event}"
            for reader in ("to_citizen", "to_office")
            for event in (
                *(cause for cause in Cause if cause is not Cause.CLOSED),
                *(f"closed.{reason}" for reason in CloseReason),
                *(f"{cause}.{detail}" for cause, details in DETAILS.items() for detail in details),
            )
        ),
    },
}


def read(folder: Path) -> dict[str, Texts]:
    return {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(folder.iterdir())}


def used(code: Path) -> set[str]:
    """The keys that the Python modules and templates of this folder name in full."""
    keys: set[str] = set()
    for file in code.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("TEXTS.text", "TEXTS.forms"):
                keys |= set(named(node.args[1]))
    for file in code.glob("*.html"):
        keys |= set(re.findall(r"\bt\(\"([\w.]+)\"[,)]", file.read_text()))
    return keys


def named(argument: ast.expr) -> list[str]:
    """The keys that an argument can be, when it names them in full."""
    if isinstance(argument, ast.IfExp):
        return [*named(argument.body), *named(argument.orelse)]
    return [argument.value] if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else []


def forms(text: str | dict[str, str]) -> dict[str, str]:
    return {"other": text} if isinstance(text, str) else text


def placeholders(text: str | dict[str, str]) -> set[str]:
    return {name for form in forms(text).values() for name in PLACEHOLDER.findall(form)}


def faults(languages: dict[str, Texts], wanted: set[str]) -> set[str]:
    """What is wrong with a catalogue whose code uses the keys `wanted`."""
    wrong = {f"languages: {sorted(languages)}"} if set(languages) != set(LOCALES) else set()
    every = {key for texts in languages.values() for key in texts}
    wrong |= {f"unused: {key}" for key in every - wanted} | {f"missing: {key}" for key in wanted - every}
    wrong |= {f"bad key: {key}" for key in every if not KEY.fullmatch(key)}
    for language, texts in languages.items():
        wrong |= {f"missing in {language}: {key}" for key in every - texts.keys()}
        for key, text in texts.items():
            plural, first = forms(text), next(other[key] for other in languages.values() if key in other)
            if isinstance(text, dict) is not isinstance(first, dict):
                wrong.add(f"plural forms in some languages only: {key}")
            if isinstance(text, dict) and not {"one", "other"} <= plural.keys() <= CATEGORIES[language]:
                wrong.add(f"plural categories in {language}: {key}")
            if placeholders(text) != placeholders(first):
                wrong.add(f"other placeholders in {language}: {key}")
            for category, form in plural.items():
                if not form.strip() or form != form.strip():
                    wrong.add(f"empty, or space around it, in {language}: {key}")
                if re.search(r"[{}]", PLACEHOLDER.sub("", form)):
                    wrong.add(f"a brace that is no placeholder in {language}: {key}")
                if placeholders(text) - placeholders(form) - ({"n"} if category == "one" else set()):
                    wrong.add(f"a plural form without a placeholder in {language}: {key}")
    return wrong


def test_all_catalogues_are_known() -> None:
    assert {str(folder.parent.relative_to(ROOT)) for folder in FOLDERS} == MADE.keys()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.parent.relative_to(ROOT)))
def test_a_catalogue_is_complete_and_nothing_in_it_is_unused(folder: Path) -> None:
    wanted = used(folder.parent) | MADE[str(folder.parent.relative_to(ROOT))]
    assert faults(read(folder), wanted) == set()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.parent.relative_to(ROOT)))
def test_the_languages_have_their_keys_in_the_same_order_so_that_translators_can_compare(folder: Path) -> None:
    orders = {tuple(texts) for texts in read(folder).values()}
    assert len(orders) == 1


def test_a_key_occurs_once_in_a_file() -> None:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len(dict(pairs)) == len(pairs), [key for key, _ in pairs]
        return dict(pairs)

    with pytest.raises(AssertionError):
        json.loads('{"a": "x", "a": "y"}', object_pairs_hook=once)
    for file in (file for folder in FOLDERS for file in folder.iterdir()):
        json.loads(file.read_text("utf-8"), object_pairs_hook=once)


GOOD: Texts = {"a.b": "text {name}", "files": {"one": "1 file of {name}", "other": "{n} files of {name}"}}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"c": "more"}, "unused: c"),
        ({"c": "more"}, "missing in nl: c"),
        ({"c d": "more"}, "bad key: c d"),
        ({"a.b": ""}, "empty, or space around it, in fr: a.b"),
        ({"a.b": " text {name}"}, "empty, or space around it, in fr: a.b"),
        ({"a.b": "text"}, "other placeholders in fr: a.b"),
        ({"a.b": "text {nom}"}, "other placeholders in fr: a.b"),
        ({"a.b": "text {name} {"}, "a brace that is no placeholder in fr: a.b"),
        ({"a.b": "text {name} {name.x}"}, "a brace that is no placeholder in fr: a.b"),
        ({"files": "{n} files of {name}"}, "plural forms in some languages only: files"),
        ({"files": {"other": "{n} files of {name}"}}, "plural categories in fr: files"),
        ({"files": {**forms(GOOD["files"]), "few": "{n} files of {name}"}}, "plural categories in fr: files"),
        ({"files": {"one": "1 file", "other": "{n} of {name}"}}, "a plural form without a placeholder in fr: files"),
        ({"files": {"one": "{n} of {name}", "other": "{name}"}}, "a plural form without a placeholder in fr: files"),
    ],
)
def test_each_fault_is_found(change: Texts, fault: str) -> None:
    languages = {language: dict(GOOD) for language in LOCALES}
    assert faults(languages, set(GOOD)) == set()
    languages["fr"] |= change
    assert fault in faults(languages, set(GOOD))


def test_a_missing_language_or_key_is_found() -> None:
    languages = {language: dict(GOOD) for language in LOCALES}
    assert faults(languages, {*GOOD, "new"}) == {"missing: new"}
    del languages["de"]
    assert "languages: ['en', 'fr', 'nl']" in faults(languages, set(GOOD))


def test_the_keys_that_code_uses_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        'TEXTS.text(x, "one" if y else "two")\nTEXTS.forms(x, "many")\nTEXTS.text(x, f"a.{y}")'
    )
    (tmp_path / "a.html").write_text(
        '{{ t("three") }} {{ t("four.five", name=x) }} {{ t("a." ~ x) }} {{ format("six") }}'
    )
    assert used(tmp_path) == {"one", "two", "many", "three", "four.five"}
