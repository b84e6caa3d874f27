"""How a command of the operator says that it refuses."""

from __future__ import annotations

import sys


def refuse(text: str) -> int:
    """Print why a command is refused. Return its exit status, 1."""
    print(f"refused: {text}", file=sys.stderr)
    return 1
