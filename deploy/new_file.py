"""A file that a command of the operator writes: new, and whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def new_file(file: Path, mode: int = 0o600) -> Iterator[IO[str]]:
    """Open a file that was not there. It is removed when it is not written to its end.

    Args:
        file: Where it is made.
        mode: Who may read it, less the umask: by default its owner alone.

    Raises:
        OSError: It cannot be made or written, or it was there.
    """
    number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        file.unlink(missing_ok=True)
        raise
