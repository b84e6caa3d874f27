"""Errors that mean that the broker does not answer, and the handling of unknown errors in loops.

aio-pika, aiormq and uvloop also report a lost connection with a bare `RuntimeError`. `given_up_is_failure` turns those
into `ConnectionError` by their texts. Any other `RuntimeError` is a programming error and never counts as a lost
connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator

import structlog
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from pamqp.exceptions import PAMQPException

log = structlog.get_logger()

BROKER_ERRORS = (TimeoutError, OSError, StopAsyncIteration, PAMQPException, AMQPError, ChannelInvalidStateError)
MOST_IN_A_ROW = 5
WITHIN = 300.0  # seconds
# aio-pika 10: connection.py, channel.py, robust_connection.py; aiormq 7: connection.py; uvloop: handles/handle.pyx.
_LOST = re.compile(
    r"^Connection (was not opened|is not ready)$"
    r"|^Can't initialize closed channel$"
    r"|^No active transport for connection "
    r"|^<(Robust)?Connection: .* connection closed$"
    r"|^Connect method called but connection "
    r"|^<Connection: .* closed$"
    r"|^unable to perform operation on <.*>; the handler is closed$",
    re.DOTALL,
)


@contextlib.contextmanager
def given_up_is_failure() -> Iterator[None]:
    """Raise `ConnectionError` where a library reports a lost connection in its own way.

    The library cancels every call that waits on a connection that it gives up, in whichever task it is; or it raises a
    `RuntimeError` with one of the known texts. A cancellation that was requested passes, and so does any other error. A
    requested cancellation that the library swallowed, by raising another error or by returning, is raised here.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except asyncio.CancelledError:
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection was given up") from None
    except Exception as error:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from error
        if not _says_lost(error):
            raise
        raise ConnectionError("the connection is closed") from error
    if task and task.cancelling() > before:
        raise asyncio.CancelledError


def _says_lost(error: Exception) -> bool:
    if not isinstance(error, RuntimeError) or isinstance(error, ChannelInvalidStateError):
        return False
    return bool(error.args and _LOST.search(str(error.args[0])))


class UnknownErrors:
    """Unexpected errors of one loop that continues after them: logged with traceback, and limited in number.

    Five in a row within 300 s are too many: an error that occurs each time is in the program and not in the broker, and
    the service ends (exit 70) instead of trying for ever.
    """

    def __init__(self, where: str) -> None:
        """Start with no errors.

        Args:
            where: The loop's name in the log.
        """
        self._where = where
        self._times: list[float] = []
        self._last: Exception | None = None
        self._too_many = asyncio.Event()

    def note(self, error: Exception, began: float | None = None) -> None:
        """Record one more error, and log it with its traceback.

        Args:
            error: The error.
            began: When the failed call started, on the monotonic clock. Of several calls that were in progress at
                once one counts, because one event that fails all of them is not a row of errors.
        """
        now = time.monotonic()
        if began is None or not self._times or began >= self._times[-1]:
            self._times = [*(at for at in self._times if now - at < WITHIN), now]
        log.error("unknown_error", where=self._where, in_a_row=len(self._times), exc_info=error)
        self._last = error
        if len(self._times) >= MOST_IN_A_ROW:
            self._too_many.set()

    def clear(self) -> None:
        """Record a success: the next error is the first in a row."""
        if self._times:
            self._times.clear()

    def check(self) -> None:
        """Raise the last error when there were too many."""
        if self._too_many.is_set():
            assert self._last is not None
            raise self._last

    async def watch(self) -> None:
        """Wait until there are too many, then raise the last of them."""
        await self._too_many.wait()
        self.check()
