"""Writes `docs/settings.md`, the table of every setting; with `--check` only says whether it is current.

The table is generated from what the code validates and describes, so that nothing is written twice.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from services.common.config.settings import Settings
from services.docgen.pages import update

FILE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
SERVICES = ("gateway", "presence", "routing", "transcripts")
HEAD = """# Settings

Environment variables, the same in every way of running; this page is made from the code by `make docs`.
Times are in seconds and sizes in bytes unless the name says otherwise. A service that cannot work with one says which,
never its value, and exits with 78. How they belong together: [operating.md](operating.md).
"""
BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "min_length": "at least {} characters"}


def settings_of(service: str) -> type[Settings]:
    """Return the settings that this service reads from the environment."""
    create_app = importlib.import_module(f"services.{service}.app").create_app
    found: type[Settings] = get_type_hints(create_app)["settings"]
    return found


def table() -> str:
    """Return the whole file."""
    parts = [HEAD, "## All services\n", *_rows(Settings, set())]
    for service in SERVICES:
        if own := list(_rows(settings_of(service), Settings.model_fields.keys())):
            parts += [f"## {service}\n", *own]
    return "\n".join(parts).rstrip() + "\n"


def _rows(settings: type[Settings], known: Any) -> Iterator[str]:
    fields = {name: field for name, field in settings.model_fields.items() if name not in known}
    if not fields:
        return
    yield "| name | meaning | values | default |\n|---|---|---|---|"
    for name, field in fields.items():
        yield f"| `{name.upper()}` | {field.description} | {_values(field)} | {_default(field)} |"
    yield ""


def _values(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    bounds = [
        text.format(f"{value:g}" if isinstance(value, float) else value)
        for item in _constraints(field)
        for bound, text in BOUNDS.items()
        if (value := getattr(item, bound, None)) is not None
    ]
    return " ".join(bounds) or "text"


def _constraints(field: FieldInfo) -> list[Any]:
    nested = [item for kind in get_args(field.annotation) for item in getattr(kind, "__metadata__", ())]
    inner = [item for found in nested for item in getattr(found, "metadata", [])]
    return [*field.metadata, *inner]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none: it must be given"
    shown = (field.examples or [field.default])[0]
    return f"`{shown:g}`" if isinstance(shown, float) else "none" if shown in (None, "") else f"`{shown}`"


def main(arguments: list[str]) -> int:
    """Generate or check the table. Return the exit status: 1 when `--check` found that the file is not current."""
    return update(FILE, table(), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
