"""HTML templates. Only gateway and transcripts have Jinja2; the other services do not import this module."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def load_template(file: Path, *folders: Path) -> Template:
    """Return the compiled template of this file, which is not read again.

    Every value is escaped, and a value that was not passed is an error. A line with nothing but a statement (`{% %}`)
    leaves no line in the output.

    Args:
        file: The template.
        folders: Other folders than that of the file, with templates that it extends.
    """
    environment = Environment(
        loader=FileSystemLoader([file.parent, *folders]),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(file.name)
