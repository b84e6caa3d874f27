"""Being told to stop: by a signal, by make having got one, or by the end of the process that started us."""

import asyncio
import os
import signal
import time
from pathlib import Path

IMPATIENT_AFTER = 1.0
POLL_SECONDS = 0.3
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """`stop` is set by SIGINT, SIGTERM, SIGHUP, or when our parent was told to stop or has gone; `hurry` by a second
    Ctrl-C.

    A terminal and make may both pass on the same signal, so a SIGINT counts as a second one only a second later. To be
    made within a running event loop.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self._asked = 0.0
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ask)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            loop.add_signal_handler(signal.SIGHUP, self._ask)
        self._parent = os.getppid()
        self._parents_handlers = handled_signals(self._parent)
        loop.call_later(POLL_SECONDS, self._look_at_parent)

    def _ask(self) -> None:
        if not self.stop.is_set():
            self._asked = time.monotonic()
            self.stop.set()

    def _interrupt(self) -> None:
        if self.stop.is_set() and time.monotonic() - self._asked > IMPATIENT_AFTER:
            self.hurry.set()
        self._ask()

    def _look_at_parent(self) -> None:
        """make passes SIGTERM on, but not SIGINT or SIGHUP: it waits for us for ever, believing that we got it too.

        What it does do is to put its handler of that signal back to the default, and that can be seen.
        """
        if os.getppid() != self._parent or self._parents_handlers - handled_signals(self._parent):
            self._ask()
        else:
            asyncio.get_running_loop().call_later(POLL_SECONDS, self._look_at_parent)


def handled_signals(pid: int) -> set[int]:
    """Those of the stop signals for which this process, a make, has a handler; none for any other program."""
    process = Path(f"/proc/{pid}")
    try:
        if (process / "comm").read_text().strip() not in ("make", "gmake"):
            return set()
        status = (process / "status").read_text()
    except OSError:
        return set()
    caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")), 0)
    return {number for number in STOP_SIGNALS if caught & (1 << (number - 1))}
