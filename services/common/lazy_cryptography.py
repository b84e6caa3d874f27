"""The import of the package `cryptography` where it is needed.

Entry points of services prevent it (`services/common/runtime/without_cryptography.py`), because PyJWT would load all of
it in each process.
"""

from __future__ import annotations

import sys


def allow_cryptography() -> None:
    """Let `cryptography` be imported from now on. PyJWT, which is loaded by then, goes on without it."""
    if sys.modules.get("cryptography", sys) is None:
        del sys.modules["cryptography"]
