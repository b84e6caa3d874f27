"""Codes of what is wrong with the departments: every check has one, and no type of error is without."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from services.common.config.departments import load_departments
from services.common.config.faults import CODES, MOST_VALUE, Fault, fault_of, shown, wrong
from services.common.config.stored_text import candidate
from services.common.config.toml_file import ConfigurationError
from tests.common.config.test_departments import GOOD, NAMES
from tests.support.servers import ROOT

TEXT = 'text = { nl = "N", fr = "F", de = "D", en = "E" }'
LONG = NAMES.replace("names", "name", 1).replace("General", "G" * 61)
AT_DEPARTMENT = {"department": "algemeen"}


def fault_in(text: str) -> dict[str, Any]:
    """What is refused of this text, as an API has it."""
    with pytest.raises(ConfigurationError) as caught:
        load_departments(candidate(text))
    assert caught.value.fault is not None, str(caught.value)
    try:
        return shown(caught.value.fault, tomllib.loads(text))
    except (ValueError, RecursionError):
        return shown(caught.value.fault, {})


def own(field: str, value: str, more: str = "") -> str:
    return f"{GOOD}{field} = {value}\n{more}"


def option(id_: str, name: str = "x") -> str:
    return f'{{ id = "{id_}", names = {{ nl = "{name}", fr = "x", de = "x", en = "x" }} }}'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"{GOOD}hours\n", {"code": "toml_syntax", "line": GOOD.count("\n") + 1}),
        (GOOD + 'a = "', {"code": "toml_end"}),
        (GOOD + 'id = "x"\n', {"code": "toml_twice", "line": GOOD.count("\n") + 1}),
        ("a = 1\na = 2", {"code": "toml_twice", "line": 2}),
        ("a = " + "9" * 5_000, {"code": "toml_number"}),
        ("a = " + "[" * 5_000, {"code": "toml_deep"}),
        ("a" + ".a" * 40 + " = 1", {"code": "toml_long_key", "line": 1, "most": 32}),
        (GOOD.replace(', en = "General"', ""), {"code": "missing", **AT_DEPARTMENT, "field": "names.en"}),
        (own("colour", '"red"'), {"code": "unknown_field", **AT_DEPARTMENT, "field": "colour", "value": "red"}),
        (
            GOOD.replace('fr = "Général"', 'fr = ""'),
            {"code": "empty", **AT_DEPARTMENT, "field": "names.fr", "value": ""},
        ),
        ('default = "x"\ndepartments = []', {"code": "empty", "field": "departments"}),
        (GOOD.replace('id = "algemeen"', 'id = "A B"'), {"code": "id_form", "field": "id", "department": "A B"}),
        (own("busy", '"wait"'), {"code": "choice", "field": "busy", "value": "wait", "expected": "info_sheet, queue"}),
        (own("answer_within", "0"), {"code": "at_least", "field": "answer_within", "value": "0", "least": 1}),
        (own("answer_within", "31"), {"code": "at_most", "field": "answer_within", "value": "31", "most": 30}),
        (own("queue.patience", "0"), {"code": "above", "field": "queue.patience", "least": 0}),
        (own("answer_within", '"two"'), {"code": "number", "field": "answer_within", "value": "two"}),
        (own("hours", "9"), {"code": "text", "field": "hours", "value": "9"}),
        (own("questions", '"maybe"'), {"code": "yes_or_no", "field": "questions"}),
        (own("contacts", "1"), {"code": "list", "field": "contacts"}),
        (own("queue", "1"), {"code": "table", "field": "queue"}),
        (own("closed_on", '["soon"]'), {"code": "date", "field": "closed_on.0", "value": "soon"}),
        (
            f'{GOOD}[[departments.notices]]\nstart = "soon"\nend = 2026-12-02T08:00:00Z\n{TEXT}',
            {"code": "moment", "field": "notices.0.start", "value": "soon"},
        ),
        (
            f"{GOOD}[[departments.notices]]\nstart = 2026-12-01T09:00:00\nend = 2026-12-02T08:00:00Z\n{TEXT}",
            {"code": "time_zone", "field": "notices.0.start"},
        ),
        (own("calendar.closed", str(["12-26"] * 401)), {"code": "too_many", "most": 400}),
        (own("calendar.holidays", f'"{"B" * 21}"'), {"code": "too_long", "most": 20}),
        (own("hours", '";"'), {"code": "hours_none", "field": "hours"}),
        (own("hours", '"Maandag 09:00-10:00"'), {"code": "hours_day", "value": "Maandag"}),
        (own("hours", '"Mon 9-17"'), {"code": "hours_span", "value": "9-17"}),
        (own("hours", '"Mon 09:00-25:00"'), {"code": "hours_beyond", "value": "09:00-25:00"}),
        (own("hours", '"Mon 09:00-09:00"'), {"code": "hours_same", "value": "09:00-09:00"}),
        (own("hours", '"Mon 09:00-12:00,11:00-13:00"'), {"code": "hours_overlap", "value": "Mon"}),
        (own("calendar.closed", '["soon"]'), {"code": "day", "field": "calendar.closed.0", "value": "soon"}),
        (own("calendar.hours", '{ soon = "09:00-10:00" }'), {"code": "day", "field": "calendar.hours.soon"}),
        (own("calendar.hours", '{ 12-24 = "noon" }'), {"code": "day_hours", "value": "noon"}),
        (
            own("calendar", '{ closed = ["12-24"], hours = { 12-24 = "09:00-10:00" } }'),
            {"code": "closed_with_hours", "field": "calendar", "value": "12-24"},
        ),
        (own("origins", '["*"]'), {"code": "origin", "field": "origins.0", "value": "*"}),
        (
            f"{GOOD}[departments.privacy]\n{TEXT}\nurl = {{ nl = 'x', fr = 'x', de = 'x', en = 'x' }}",
            {"code": "page", "field": "privacy", "value": "x"},
        ),
        (own("tags", f"[{option('a', 'x' * 61)}]"), {"code": "option_long", "value": "a", "most": 60}),
        (own("tags", f"[{option('a')}, {option('a')}]"), {"code": "option_twice", "field": "tags", "value": "a"}),
        (
            f"{GOOD}[[departments.notices]]\nstart = 2026-12-03T09:00:00Z\nend = 2026-12-02T08:00:00Z\n{TEXT}",
            {"code": "notice_order", "field": "notices.0"},
        ),
        (
            f"{GOOD}[[departments.notices]]\nstart = 2026-12-01T09:00:00Z\nend = 2026-12-02T08:00:00Z\n"
            + TEXT.replace("D", "D" * 301),
            {"code": "notice_long", "size": 301, "most": 300},
        ),
        (own("numbers", '{ own = ["BE68"] }'), {"code": "own_number", "field": "numbers.own.0", "value": "BE68"}),
        (f'{GOOD}[identification]\n{LONG}\nlevels = {{ a = "high" }}', {"code": "issuer_long", "most": 60}),
        (
            own("retention", "{ conversation = 10, files = 20 }"),
            {"code": "part_longer", "value": "files", "days": 20, "most": 10},
        ),
        (own("questions", "true"), {"code": "needs_answer_within", **AT_DEPARTMENT}),
        (own("busy", '"queue"', "queue.longest = 0\n"), {"code": "needs_queue", **AT_DEPARTMENT}),
        (own("closing_required", "true"), {"code": "needs_closing_reasons", **AT_DEPARTMENT}),
        (own("identification", "true"), {"code": "needs_identification", "value": "algemeen"}),
        (f'{GOOD}[[departments]]\nid = "algemeen"\n{NAMES}\n', {"code": "department_twice", "value": "algemeen"}),
        (GOOD.replace('default = "algemeen"', 'default = "x"'), {"code": "default_unknown", "value": "x"}),
        (own("queue.overflow", '{ to = "x" }'), {"code": "overflow_unknown", "name": "algemeen", "value": "x"}),
    ],
)
def test_what_is_wrong_has_a_code_and_its_place(text: str, fault: dict[str, Any]) -> None:
    found = fault_in(text)
    assert fault.items() <= found.items(), found


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("answer_within", "[]", "number"),
        ("answer_within", "1.5", "number"),
        ("answer_within", "inf", "number"),
        ("queue.patience", '"x"', "number"),
        ("queue.patience", "[]", "number"),
        ("questions", "[]", "yes_or_no"),
        ("numbers.own", "1", "list"),
        ("calendar.hours", "1", "table"),
        ("closed_on", "[1.5]", "date"),
        ("closed_on", "[2026-12-24T10:00:00Z]", "date"),
        ("closed_on", "[true]", "date"),
    ],
)
def test_a_value_of_another_type_says_what_belongs_there(field: str, value: str, code: str) -> None:
    assert fault_in(own(field, value))["code"] == code


def test_a_text_that_is_too_large_has_a_code() -> None:
    with pytest.raises(ConfigurationError) as caught:
        candidate("#" * 400_001)
    assert caught.value.fault == Fault("too_large", {"size": 400_001, "most": 400_000})


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Yield each error that a module raises in a check of the departments, with the name of its class or function."""
    for name in ("departments.py", "opening_hours.py", "retention.py"):
        tree = ast.parse((ROOT / "services/common/config" / name).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                yield node.exc.func.id, node.exc


def test_every_check_of_the_departments_names_its_code() -> None:
    made = list(raised())
    assert len(made) > 20
    assert {name for name, _ in made} == {"wrong"}
    codes = [ast.literal_eval(call.args[0]) for _, call in made]
    assert set(codes) <= set(CODES)
    assert len(set(codes)) == len(codes), "one code for each kind"


def test_a_type_of_error_that_is_not_known_is_a_wrong_value() -> None:
    error: Any = {"type": "url_parsing", "loc": ("default",), "msg": "", "input": "", "ctx": {"error": "x"}}
    assert fault_of(error) == Fault("wrong", {}, ("default",))


def test_a_value_is_named_in_short_and_a_department_without_id_by_its_number() -> None:
    error = wrong("page", "'{value}' is no page", value="x" * 500)
    assert str(error) == f"'{'x' * MOST_VALUE}' is no page"
    found = shown(Fault("missing", {}, ("departments", 1, "id")), {"departments": [{}, {"names": "y" * 500}]})
    assert found == {"code": "missing", "department": "#2", "field": "id"}
    found = shown(Fault("table", {}, ("departments", 1, "names")), {"departments": [{}, {"names": "y" * 500}]})
    assert found["value"] == "y" * MOST_VALUE
