"""Output to the terminal that never blocks."""

import os
import queue
import sys
import threading
from collections.abc import Mapping
from typing import TextIO

from deploy.local.log_format import readable

BACKLOG = 5_000


class Terminal:
    """Shows lines in the order in which they came. `show` never blocks and never fails.

    A thread writes. When its output is not read (a full pipe, a closed terminal), lines are dropped: otherwise every
    process of the system would block on its own log. The number of dropped lines is shown once there is room again.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self.colour = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(BACKLOG)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="terminal", daemon=True)
        self._thread.start()

    def show(self, name: str, raw: str) -> None:
        """Show a line of the process `name`."""
        self.show_as_is(readable(name, raw, colour=self.colour))

    def show_as_is(self, text: str) -> None:
        """Show a text of the runner without formatting."""
        if self._dropped and not self._lines.full():
            text, self._dropped = f"({self._dropped} lines were not shown)\n{text}", 0
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def close(self, seconds: float = 1.0) -> None:
        """Write what is left, for at most so many seconds."""
        try:
            self._lines.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            try:
                self._stream.write(text + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # the output is closed: continue to empty the queue
                continue
        _flush_or_detach(self._stream)


def _flush_or_detach(stream: TextIO) -> None:
    try:
        stream.flush()
    except (OSError, ValueError):
        # The interpreter flushes once more at exit and would turn a broken pipe into exit status 120.
        if stream is sys.stdout:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
