"""Known vulnerabilities of the packages that the images hold, and the time in which each is remedied. No I/O."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

PERIODS = {"critical": 7, "high": 30, "moderate": 90, "low": 90}
"""Days from the publication of a vulnerability to a release without it (SECURITY.md)."""
UNKNOWN = "high"  # the severity of a vulnerability whose report names none
_ORDER = tuple(PERIODS)
_WORDS = {"medium": "moderate", **{word: word for word in PERIODS}}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
MOST_TEXT = 100  # characters of a text of a report that are shown


class NotUnderstood(ValueError):
    """A report, or the list of what does not affect the project, is not as documented. The text says what is wrong."""


@dataclass(frozen=True)
class Report:
    """What the database says of one vulnerability.

    Attributes:
        id: Its number there, as `GHSA-…`.
        aliases: Its numbers in other databases.
        severity: A key of `PERIODS`; None: the report names none.
        published: The day on which it was published.
        summary: One line about it.
    """

    id: str
    aliases: tuple[str, ...]
    severity: str | None
    published: date
    summary: str


@dataclass(frozen=True)
class Vulnerability:
    """A vulnerability of a pinned package.

    Attributes:
        package: The name of the package.
        version: Its pinned version.
        ids: All its numbers, the first one that was found first.
        severity: A key of `PERIODS`.
        published: The day on which it was first published.
        summary: One line about it.
        reason: Why it does not affect the project; empty: it may.
    """

    package: str
    version: str
    ids: tuple[str, ...]
    severity: str
    published: date
    summary: str
    reason: str = ""

    @property
    def due(self) -> date:
        """The last day of the period in which it is remedied."""
        return self.published + timedelta(days=PERIODS[self.severity])

    def is_overdue(self, today: date) -> bool:
        """Return whether that day is past, and it may affect the project."""
        return not self.reason and today > self.due


def report_of(document: Mapping[str, Any]) -> Report | None:
    """Return what a document of the OSV schema says; None when it was withdrawn.

    Raises:
        NotUnderstood: A member that is needed is missing, or is something else.
    """
    if document.get("withdrawn"):
        return None
    id_, published, aliases = document.get("id"), document.get("published"), document.get("aliases") or []
    if not isinstance(id_, str) or not isinstance(published, str) or not _DAY.match(published):
        raise NotUnderstood("a report has no id, or no day of its publication")
    if not isinstance(aliases, list) or not all(isinstance(one, str) for one in aliases):
        raise NotUnderstood(f"{_shown(id_)}: its aliases are no list of numbers")
    try:
        day = date.fromisoformat(published[:10])
    except ValueError as error:
        raise NotUnderstood(f"{_shown(id_)}: {_shown(published)} is no day") from error
    specific = document.get("database_specific")
    said = specific.get("severity") if isinstance(specific, dict) else None
    severity = _WORDS.get(said.lower()) if isinstance(said, str) else None
    return Report(id_, tuple(aliases), severity, day, str(document.get("summary") or ""))


def grouped(package: str, version: str, reports: Iterable[Report]) -> list[Vulnerability]:
    """Return the vulnerabilities of a package: reports of the same one, by their numbers, are together.

    The highest of their severities and the earliest of their days count.
    """
    groups: list[list[Report]] = []
    for report in reports:
        numbers = {report.id, *report.aliases}
        same = [group for group in groups if any(numbers & {one.id, *one.aliases} for one in group)]
        groups = [group for group in groups if group not in same]
        groups.append([one for group in same for one in group] + [report])
    return [_together(package, version, group) for group in groups]


def _together(package: str, version: str, group: Sequence[Report]) -> Vulnerability:
    known = [one.severity for one in group if one.severity]
    return Vulnerability(
        package,
        version,
        tuple(dict.fromkeys(number for one in group for number in (one.id, *one.aliases))),
        min(known, key=_ORDER.index) if known else UNKNOWN,
        min(one.published for one in group),
        next((one.summary for one in group if one.summary), ""),
    )


def not_affected(text: str) -> dict[str, str]:
    """Return the reasons of a list of vulnerabilities that do not affect the project, by their numbers.

    Raises:
        NotUnderstood: It is no such list.
    """
    try:
        rows = tomllib.loads(text).get("not_affected", [])
    except tomllib.TOMLDecodeError as error:
        raise NotUnderstood(str(error)) from error
    found: dict[str, str] = {}
    for row in rows if isinstance(rows, list) else [None]:
        given = row if isinstance(row, dict) else {}
        if set(given) != {"id", "reason"} or not all(isinstance(one, str) and one.strip() for one in given.values()):
            raise NotUnderstood("each [[not_affected]] has an id and a reason, and nothing else")
        found[given["id"]] = given["reason"]
    return found


def with_reasons(found: Iterable[Vulnerability], reasons: Mapping[str, str]) -> list[Vulnerability]:
    """Return these vulnerabilities with the reasons why they do not affect the project, those due first first."""
    made = [
        Vulnerability(**{**vars(one), "reason": next((reasons[id_] for id_ in one.ids if id_ in reasons), "")})
        for one in found
    ]
    return sorted(made, key=lambda one: (bool(one.reason), one.due, one.package))


def table(found: Sequence[Vulnerability], today: date) -> str:
    """Return one line for each vulnerability, and its summary or the reason below it."""
    lines = []
    for one in found:
        state = "not affected" if one.reason else "OVERDUE" if one.is_overdue(today) else "open"
        lines.append(
            f"{state:<12}  {one.severity:<8}  until {one.due}  {one.package} {one.version}  {_shown(one.ids[0])}"
        )
        if words := one.reason or one.summary:
            lines.append(f"{'':<12}  {_shown(words)}")
    return "\n".join(lines)


def _shown(text: str) -> str:
    """Return a text of others as it may stand in a terminal: printable, and not long."""
    return "".join(char if char.isprintable() else "?" for char in text[:MOST_TEXT])
