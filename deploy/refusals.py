"""How a command of the operator says that it refuses, and why."""

from __future__ import annotations

import sys


def refuse(text: str) -> int:
    """Print why a command is refused. Return its exit status, 1."""
    print(f"refused: {text}", file=sys.stderr)
    return 1


def of_file(error: OSError) -> str:
    """Return which file could not be read or written, where that is known, and why."""
    why = error.strerror or str(error)
    return f"{error.filename}: {why}" if error.filename else why
