"""RULES of a chat's log in this gateway: entries are passed on in the order of their sequence numbers. No I/O.

Entries ahead of the cursor are held (at most `MOST_HELD`) until the gap has been read from transcripts. Entries behind
it were shown already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.common.events.types import Entry

MOST_HELD = 64


@dataclass(slots=True)
class LogCursor:
    """How far this gateway has passed on a chat's log.

    Attributes:
        last: Sequence number of the last entry that was passed on; None until the log has been read for the first
            time.
        heard: The highest sequence number that is known to exist.
    """

    last: int | None = None
    heard: int = 0
    _held: dict[int, Entry] = field(default_factory=dict)

    def take(self, entry: Entry) -> list[Entry]:
        """Take an entry of a live event. Return the entries that can be passed on now, in order.

        The list is empty when the entry is behind the cursor, or ahead of it.
        """
        self.heard = max(self.heard, entry.seq)
        if self.last is not None and entry.seq <= self.last:
            return []
        if len(self._held) < MOST_HELD or entry.seq - 1 == self.last:
            self._held.setdefault(entry.seq, entry)
        return self._release()

    def read(self, entries: Iterable[Entry]) -> list[Entry]:
        """Take entries that were read from transcripts. Return the entries that can be passed on now, in order."""
        passed: list[Entry] = []
        for entry in entries:
            self.heard = max(self.heard, entry.seq)
            if self.last is not None and entry.seq == self.last + 1:
                self.last = entry.seq
                self._held.pop(entry.seq, None)
                passed.append(entry)
        return passed + self._release()

    def begin(self, last: int) -> list[Entry]:
        """Set the cursor after the log was read up to `last` for the first time.

        Return the held entries that follow.
        """
        if self.last is None:
            self.last = last
            self.heard = max(self.heard, last)
        self._held = {seq: e for seq, e in self._held.items() if seq > self.last}
        return self._release()

    @property
    def behind(self) -> bool:
        """True while an entry is known to exist that was not passed on."""
        return self.last is not None and self.heard > self.last

    def _release(self) -> list[Entry]:
        passed: list[Entry] = []
        while self.last is not None and (entry := self._held.pop(self.last + 1, None)):
            self.last = entry.seq
            passed.append(entry)
        return passed
