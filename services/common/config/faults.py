"""RULES of what is wrong with the departments: a stable code with values, of which a page makes words. No I/O.

Each check of the departments names its code where it refuses (`wrong`). The types of errors that pydantic and the
parser of TOML have of their own become codes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, LiteralString, get_args

from pydantic_core import ErrorDetails, PydanticCustomError

MOST_VALUE = 80  # characters of what was given, in a fault
Value = str | int | float
Code = Literal[
    # the text
    "too_large",
    "toml_syntax",
    "toml_end",
    "toml_twice",
    "toml_number",
    "toml_deep",
    "toml_long_key",
    # a value of any field
    "missing",
    "unknown_field",
    "empty",
    "too_long",
    "too_many",
    "id_form",
    "choice",
    "at_least",
    "at_most",
    "above",
    "number",
    "text",
    "yes_or_no",
    "list",
    "table",
    "date",
    "moment",
    "time_zone",
    "wrong",
    # opening hours and calendars
    "hours_none",
    "hours_day",
    "hours_span",
    "hours_beyond",
    "hours_same",
    "hours_overlap",
    "day",
    "day_hours",
    "closed_with_hours",
    "holidays_country",
    "holidays_region",
    # other fields
    "origin",
    "page",
    "option_long",
    "option_twice",
    "notice_order",
    "notice_long",
    "own_number",
    "issuer_long",
    "part_longer",
    # fields that need each other
    "needs_answer_within",
    "needs_queue",
    "needs_closing_reasons",
    "needs_identification",
    "department_twice",
    "default_unknown",
    "overflow_unknown",
    # what else knows the departments
    "served",
    "integrated",
    "identification_setting",
    "server",
    # a change by a form
    "no_department",
    "not_by_form",
    "nothing_wanted",
]
CODES: tuple[Code, ...] = get_args(Code)


@dataclass(frozen=True)
class Fault:
    """What is wrong.

    Attributes:
        code: The stable code.
        values: What the words about it name.
        place: The keys and indices of the place in the document; empty: the document, or none.
    """

    code: Code
    values: Mapping[str, Value] = field(default_factory=dict)
    place: tuple[str | int, ...] = ()


def wrong(code: Code, message: LiteralString, **values: Value) -> PydanticCustomError:
    """Return the error that a validator raises.

    Args:
        code: The code.
        message: The English sentence, with the values in braces.
        values: The values.
    """
    short = {name: value[:MOST_VALUE] if isinstance(value, str) else value for name, value in values.items()}
    return PydanticCustomError(code, message, short)


_CODES: Mapping[str, Code] = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "too_short": "empty",
    "string_too_short": "empty",
    "too_long": "too_many",
    "string_too_long": "too_long",
    "string_pattern_mismatch": "id_form",
    "literal_error": "choice",
    "greater_than_equal": "at_least",
    "greater_than": "above",
    "less_than_equal": "at_most",
    "int_type": "number",
    "int_parsing": "number",
    "int_from_float": "number",
    "float_type": "number",
    "float_parsing": "number",
    "finite_number": "number",
    "string_type": "text",
    "bool_type": "yes_or_no",
    "bool_parsing": "yes_or_no",
    "list_type": "list",
    "tuple_type": "list",
    "set_type": "list",
    "frozen_set_type": "list",
    "dict_type": "table",
    "model_type": "table",
    "date_type": "date",
    "date_parsing": "date",
    "date_from_datetime_parsing": "date",
    "date_from_datetime_inexact": "date",
    "datetime_type": "moment",
    "datetime_parsing": "moment",
    "datetime_from_date_parsing": "moment",
    "timezone_aware": "time_zone",
}
_LIMITS = {"ge": "least", "gt": "least", "le": "most", "max_length": "most"}
_LINE = re.compile(r"\(at line (\d+), column \d+\)$")
_TWICE = ("Cannot declare", "Cannot overwrite", "Cannot mutate", "Duplicate inline")


def fault_of(error: ErrorDetails) -> Fault:
    """Return the fault of an error of a validation."""
    place = tuple(step for step in error["loc"] if step != "[key]")
    values: dict[str, Any] = dict(error.get("ctx", {}))
    own = next((code for code in CODES if code == error["type"]), None)
    if own is not None and error["type"] not in _CODES:
        return Fault(own, values, place)
    limits = {_LIMITS[name]: value for name, value in values.items() if name in _LIMITS}
    if "expected" in values:
        limits["expected"] = ", ".join(re.findall("'([^']*)'", values["expected"]))
    return Fault(_CODES.get(error["type"], "wrong"), limits, place)


def toml_fault(problem: str, text: str) -> Fault:
    """Return the fault of a text that is not TOML.

    Args:
        problem: What the parser says. It names the line, or the end of the document.
        text: The text.
    """
    line = _LINE.search(problem)
    at_end = problem.endswith("(at end of document)")
    if line is None and not at_end:
        return Fault("toml_number")
    number = int(line[1]) if line else text.rstrip("\n").count("\n") + 1
    if problem.startswith(_TWICE):
        return Fault("toml_twice", {"line": number})
    return Fault("toml_end") if at_end else Fault("toml_syntax", {"line": number})


def shown(fault: Fault, document: Mapping[str, Any]) -> dict[str, Value]:
    """Return a fault as an API has it: `code`, its values, `department`, `field`, and the `value` that was given.

    Args:
        fault: The fault.
        document: The departments as TOML has them, or as much as could be read.
    """
    found: Any = document
    for step in fault.place:
        found = _within(found, step)
    place: Sequence[str | int] = fault.place
    members: dict[str, Value] = {}
    if len(place) > 1 and place[0] == "departments":
        id_ = _within(_within(document.get("departments"), place[1]), "id")
        members["department"] = id_ if isinstance(id_, str) else f"#{int(place[1]) + 1}"
        place = place[2:]
    if place:
        members["field"] = ".".join(str(step) for step in place)
    if isinstance(found, str | int | float) and place:
        members["value"] = str(found)[:MOST_VALUE]
    return {"code": fault.code, **members, **fault.values}


def _within(found: Any, step: str | int) -> Any:
    """Return what is at this key or index; None: nothing."""
    if isinstance(found, Mapping):
        return found.get(str(step))
    if isinstance(found, Sequence) and not isinstance(found, str) and isinstance(step, int) and step < len(found):
        return found[step]
    return None
