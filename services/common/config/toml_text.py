"""Changes of a TOML text that leave everything else in it as it is, comments too. No I/O.

The standard library reads TOML and does not write it. A change is made in the lines of one table of an array of tables,
and the result is parsed: it must be the document that was there, with that change and no other.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

_TABLE = re.compile(r"^\s*\[")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_MEMBER = re.compile(rf"^\s*{_PART}(?:\s*\.\s*{_PART})*\s*=")


class CannotEdit(Exception):
    """The text is written in a way that this module does not change safely."""


class NoSuchTable(CannotEdit):
    """The text has no such table."""


def added(text: str, array: str, table: Mapping[str, Any]) -> str:
    """Return the text with one more table in an array, at its end.

    Args:
        text: A valid TOML document.
        array: The name of the array, such as `accounts`.
        table: The members of the table.

    Raises:
        CannotEdit: The result would not be the document with this table.
    """
    before = text.rstrip("\n")
    lines = [f"[[{array}]]", *(_line(name, value) for name, value in table.items())]
    after = "\n".join([*([before, ""] if before else []), *lines, ""])
    expected = tomllib.loads(text)
    expected[array] = [*expected.get(array, []), dict(table)]
    return _checked(after, expected)


def document(array: str, tables: Sequence[Mapping[str, Any]], *comments: str) -> str:
    """Return a document with these tables, in their order, below lines of comment.

    Raises:
        CannotEdit: The result would not be a document with these tables.
    """
    parts = ["".join(f"# {line}\n" for line in comments)] if comments else []
    parts += ["\n".join([f"[[{array}]]", *(_line(k, v) for k, v in table.items()), ""]) for table in tables]
    return _checked("\n".join(parts), {array: [dict(table) for table in tables]} if tables else {})


def changed(text: str, array: str, key: str, value: str, changes: Mapping[str, Any]) -> str:
    """Return the text with changes of one table of an array.

    Args:
        text: A valid TOML document.
        array: The name of the array, such as `accounts`.
        key: The member by which its tables are known, such as `username`.
        value: That of the table to change.
        changes: The members to set; None: to remove.

    Raises:
        CannotEdit: There is no such table, or the result would not be the document with these changes.
    """
    expected = tomllib.loads(text)
    tables: list[dict[str, Any]] = expected.get(array, [])
    found = [number for number, table in enumerate(tables) if table.get(key) == value]
    if not found:
        raise NoSuchTable(f"there is no '{value}' in {array}")
    if len(found) > 1:
        raise CannotEdit(f"'{value}' is there twice in {array}")
    header = re.compile(rf"^\s*\[\[\s*{re.escape(array)}\s*\]\]\s*(#.*)?$")
    lines = text.split("\n")
    headers = [number for number, line in enumerate(lines) if header.match(line)]
    if len(headers) != len(tables):
        raise CannotEdit(f"the {array} are not all written as tables [[{array}]]; change the text itself")
    for name, new in changes.items():
        _set(lines, array, headers[found[0]], name, new)
        if new is None:
            tables[found[0]].pop(name, None)
        else:
            tables[found[0]][name] = new
    return _checked("\n".join(lines), expected)


def _set(lines: list[str], array: str, header: int, name: str, value: Any) -> None:
    """Set or remove a member of the table that begins at `header`."""
    _remove_tables(lines, array, header, name)
    end = next((n for n in range(header + 1, len(lines)) if _TABLE.match(lines[n])), len(lines))
    wanted = re.compile(rf"^\s*(\"?){re.escape(name)}\1\s*[=.]")
    places = [n for n in range(header + 1, end) if wanted.match(lines[n])]
    for first in reversed(places):
        lines[first : _end_of(lines, first, end)] = []
    if value is None:
        return
    if not places:
        filled = [n for n in range(header, end) if not _is_blank_or_comment(lines[n])]
        places = [filled[-1] + 1]
    lines[places[0] : places[0]] = _line(name, value).split("\n")


def _remove_tables(lines: list[str], array: str, header: int, name: str) -> None:
    """Remove the tables `[array.name]`, `[[array.name]]` and those within them, of the table that begins at `header`.

    Comments directly above the next table stay: they are about that one.
    """
    within = re.compile(rf"^\s*\[\[?\s*{re.escape(array)}\s*\.")
    wanted = re.compile(rf"^\s*\[\[?\s*{re.escape(array)}\s*\.\s*(\"?){re.escape(name)}\1\s*[.\]]")
    number = next((n for n in range(header + 1, len(lines)) if _TABLE.match(lines[n])), len(lines))
    while number < len(lines) and within.match(lines[number]):
        end = next((n for n in range(number + 1, len(lines)) if _TABLE.match(lines[n])), len(lines))
        if not wanted.match(lines[number]):
            number = end
            continue
        while end > number + 1 and _is_blank_or_comment(lines[end - 1]):
            end -= 1
        del lines[number:end]
        while number < len(lines) and not _TABLE.match(lines[number]):
            number += 1


def _end_of(lines: list[str], first: int, end: int) -> int:
    """Return the line after the member that begins at `first`: its value may have several lines.

    It is looked for only before a line that begins with a key, so that a long list is not parsed line by line.
    """
    for last in (*(n for n in range(first + 1, end) if _MEMBER.match(lines[n])), end):
        if _is_whole(lines[first:last]):
            least = last
            while least > first + 1 and _is_blank_or_comment(lines[least - 1]):
                least -= 1
            ends = range(least, last)  # a text may have lines that look like comments
            return least + bisect_left(ends, True, key=lambda n: _is_whole(lines[first:n]))
    raise CannotEdit("a value is not understood; change the text itself")


def _is_whole(lines: list[str]) -> bool:
    try:
        tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _is_blank_or_comment(line: str) -> bool:
    """Return whether a line is empty or a comment, which is about what comes after it."""
    return not line.strip() or line.lstrip().startswith("#")


def _line(name: str, value: Any) -> str:
    return f"{_key(name)} = {_value(value, 1)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # a basic string of TOML is one of JSON


def _value(value: Any, depth: int = 0) -> str:
    """Return a value in TOML. An array of tables at the first level has a line for each."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, Sequence):
        if depth and value and all(isinstance(one, Mapping) for one in value):
            return "[\n" + "".join(f"  {_value(one)},\n" for one in value) + "]"
        return f"[{', '.join(_value(one) for one in value)}]"
    raise CannotEdit(f"a {type(value).__name__} has no form in TOML")


def _checked(text: str, expected: Mapping[str, Any]) -> str:
    try:
        same = tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise CannotEdit("this cannot be changed without changing something else; change the text itself")
    return text
