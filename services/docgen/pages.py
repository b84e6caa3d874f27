"""Generated pages of the documentation: written, or only compared with what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def update(file: Path, made: str, arguments: Sequence[str]) -> int:
    """Write a generated page where it changes; with `--check` among the arguments only say whether it is current.

    Returns:
        The exit status: 1 when `--check` found that the page is not current.
    """
    if file.exists() and file.read_text("utf-8") == made:
        return 0
    if "--check" in arguments:
        print(f"{file}: is not current; run `make docs`")
        return 1
    file.write_text(made, "utf-8")
    print(f"{file}: written")
    return 0
