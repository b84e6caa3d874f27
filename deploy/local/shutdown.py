"""Requests to stop: a signal, a signal that make received, or the end of the process that started the runner."""

import asyncio
import os
import signal
import time
from pathlib import Path

IMPATIENT_AFTER = 1.0
POLL_SECONDS = 0.3
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Events that say when to stop. Create it within a running event loop.

    `stop` is set by SIGINT, SIGTERM or SIGHUP, or when the parent was asked to stop or has ended. `hurry` is set by a
    second Ctrl-C. A terminal and make may both pass on the same signal, so a SIGINT counts as a second one only after
    one second.
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
        """Check whether make has received a signal, or has ended.

        Make passes SIGTERM on, but not SIGINT or SIGHUP: it then waits for this process for ever, assuming that it got
        the signal too. Make does reset its handler of that signal to the default, which can be observed.
        """
        if os.getppid() != self._parent or self._parents_handlers - handled_signals(self._parent):
            self._ask()
        else:
            asyncio.get_running_loop().call_later(POLL_SECONDS, self._look_at_parent)


def handled_signals(pid: int) -> set[int]:
    """Return the stop signals for which this process, a make, has a handler; empty for any other program."""
    process = Path(f"/proc/{pid}")
    try:
        if (process / "comm").read_text().strip() not in ("make", "gmake"):
            return set()
        status = (process / "status").read_text()
    except OSError:
        return set()
    caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")), 0)
    return {number for number in STOP_SIGNALS if caught & (1 << (number - 1))}
