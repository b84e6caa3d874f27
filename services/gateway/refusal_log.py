"""Log lines of refusals: failed authorizations, and requests and frames that a limit or a check has stopped.

A flood of one kind is not to fill the disk or to hide the other kinds: of each kind one line a second is written after
the first ones, and the next line says how many were left out. The lines have ids, and no text that a client has sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from services.common.events.types import is_id
from services.gateway.rate_limits import Buckets, Limit

log = structlog.get_logger()

LINES = Limit(20, 1)  # of each kind
FORBIDDEN, LIMITED, INVALID = "access_refused", "limit_reached", "input_refused"
FRAMES = {
    "not_yours": FORBIDDEN,
    "forbidden": FORBIDDEN,
    "rate_limited": LIMITED,
    "invalid": INVALID,
}
"""What the code of a refused frame is."""


class RefusalLog:
    """Writes the lines, not more of a kind than `LINES`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without lines. `clock`: seconds of a monotonic clock."""
        self._clock = clock
        self._lines = Buckets(LINES)
        self._left_out: dict[str, int] = {}

    def note(self, event: str, **about: str | int | None) -> None:
        """Write a line, or count one that is left out."""
        if self._lines.retry_after(event, self._clock()):
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        known = {name: value for name, value in about.items() if value is not None}
        if left_out := self._left_out.pop(event, 0):
            known["left_out"] = left_out
        log.warning(event, **known)

    def frame(self, code: str, participant: str | None, chat_id: str | None) -> None:
        """Note a frame that was refused with this code, if that is a matter of security."""
        if event := FRAMES.get(code):
            self.note(event, frame=code, participant=participant, of_chat=chat_id if is_id(chat_id or "") else None)

    def closed(self, event: str, code: int, participant: str | None) -> None:
        """Note a connection that was closed with this code because of what its client has sent."""
        self.note(event, close=code, participant=participant)


REFUSALS = RefusalLog()
"""That of this process."""
