"""RULES of the form of a department: what it shows of the text, and the text after a change. No I/O."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from typing import Any

from services.common.config import toml_text
from services.common.internal_api.configuration import ContactForm, DepartmentForm

Table = Mapping[str, Any]
PLAIN = ("start", "accept", "busy", "questions", "answer_within", "wrap_up")
"""Members of the form that are members of the department, with the same meaning."""


def forms(text: str) -> dict[str, DepartmentForm]:
    """Return the forms of the departments of a valid text, by id, in its order."""
    return {table["id"]: form_of(table) for table in tomllib.loads(text)["departments"]}


def form_of(department: Table) -> DepartmentForm:
    """Return the form of a department, as the TOML text has it."""
    calendar, queue = department.get("calendar", {}), department.get("queue", {})
    closed = [*department.get("closed_on", []), *calendar.get("closed", [])]
    return DepartmentForm(
        names=department["names"],
        hours=department.get("hours"),
        closed=[_day(one) for one in closed],
        day_hours=calendar.get("hours", {}),
        contacts=[ContactForm.model_validate(dict(one)) for one in department.get("contacts", [])],
        origins=list(department.get("origins", [])),
        **{name: queue[name] for name in ("longest", "patience") if name in queue},
        **{name: department[name] for name in PLAIN if name in department},
    )


def with_form(text: str, id_: str, form: DepartmentForm) -> str:
    """Return the text with what a form changes of a department. All else stays as it is, comments too.

    Args:
        text: A valid text.
        id_: The department.
        form: Its form.

    Raises:
        CannotEdit: There is no such department, or it is written in a way that is not changed safely.
    """
    tables = {table["id"]: table for table in tomllib.loads(text)["departments"]}
    changes = _changes(tables[id_], form) if id_ in tables else {"id": id_}
    return toml_text.changed(text, "departments", "id", id_, changes)


def _changes(department: Table, form: DepartmentForm) -> dict[str, Any]:
    """Return the members to set in the table of the department; None: to remove."""
    before, changes = form_of(department), dict[str, Any]()
    for name in ("hours", *PLAIN):
        if getattr(form, name) != getattr(before, name):
            changes[name] = _number(getattr(form, name))
    if form.names != before.names:
        changes["names"] = dict(form.names)
    if form.contacts != before.contacts:
        changes["contacts"] = [one.model_dump(exclude_none=True) for one in form.contacts] or None
    if form.origins is not None and form.origins != before.origins:
        changes["origins"] = list(form.origins) or None
    if form.closed != before.closed or form.day_hours != before.day_hours:
        kept = {k: v for k, v in department.get("calendar", {}).items() if k not in ("closed", "hours")}
        given = {"closed": list(form.closed), "hours": dict(form.day_hours)}
        changes["calendar"] = kept | {name: value for name, value in given.items() if value} or None
        if "closed_on" in department:
            changes["closed_on"] = None
    if (form.longest, form.patience) != (before.longest, before.patience):
        queue = dict(department.get("queue", {})) | {"longest": form.longest, "patience": _number(form.patience)}
        changes["queue"] = {name: value for name, value in queue.items() if value is not None}
    return changes


def _number(value: Any) -> Any:
    """Return a whole number without its fraction, which the form has and people do not write."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _day(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
