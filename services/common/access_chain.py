"""RULES of the access log's chain of hashes, for the service that writes it and for those who verify it. No I/O.

The entries of the log have numbers without gaps. `hash` of an entry is the SHA-256 of its canonical form: JSON of all
its members but `hash`, with sorted keys, without white space, in UTF-8 (as RFC 8785 for these types: texts, integers,
null). `prev` is the hash of the entry before, so that none can be changed, removed or inserted without changing all
that follow. What was cut off at the end shows only beside a `head` that was noted elsewhere.

When the period of the log has ended its beginning is deleted. An entry with the act `access_log_pruned` says so before:
its `item` is the number and the hash of the last entry that goes, `<seq>:<hash>`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

FIRST = "0" * 64
"""`prev` of the first entry."""
PRUNED: Final = "access_log_pruned"


@dataclass(frozen=True)
class Head:
    """The last entry of a log: its number and its hash. Number 0: the log is empty."""

    seq: int = 0
    hash: str = FIRST

    def __str__(self) -> str:
        """Return `<seq>:<hash>`."""
        return f"{self.seq}:{self.hash}"


def hash_of(entry: Mapping[str, Any]) -> str:
    """Return the hash of an entry: of all its members but `hash`."""
    members = {name: value for name, value in entry.items() if name != "hash"}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def chained(head: Head, entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return these entries with their `seq`, `prev` and `hash`, as they follow `head`."""
    made = []
    for members in entries:
        entry = {**members, "seq": head.seq + 1, "prev": head.hash}
        entry["hash"] = hash_of(entry)
        head = Head(entry["seq"], entry["hash"])
        made.append(entry)
    return made


FlawCode = Literal["no_entry", "missing", "not_following", "altered", "beginning", "end", "another"]
_WORDS: Mapping[FlawCode, str] = {
    "no_entry": "after entry {first}: not an entry of the access log",
    "missing": "entries {first} to {last} are missing",
    "not_following": "entry {last} does not follow entry {first}",
    "altered": "entry {first} was altered",
    "beginning": "the entries before {first} are missing, and no entry says that they were deleted",
    "end": "entries {first} to {last} are missing at the end",
    "another": "entry {first} is another one than was noted",
}


class Flaw(NamedTuple):
    """What is wrong: a stable code, of which a page makes words, and the first and the last entry that it names."""

    code: FlawCode
    first: int
    last: int

    def __str__(self) -> str:
        """Return it in English, on one line."""
        return _WORDS[self.code].format(first=self.first, last=self.last)


class Verifier:
    """Verifies entries in the order of their numbers, a page at a time.

    Attributes:
        head: The last entry that was verified.
        first: The number of the first entry.
        flaws: What is wrong.
    """

    def __init__(self) -> None:
        self.head, self.first = Head(), 0
        self.flaws: list[Flaw] = []
        self._base: Head | None = None
        self._pruned: set[str] = set()

    def take(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Verify the next entries."""
        for entry in entries:
            seq, own = entry.get("seq"), entry.get("hash")
            if not isinstance(seq, int) or not isinstance(own, str):
                self._note("no_entry", self.head.seq)
                continue
            if not self.first:
                self.first, self._base = seq, Head(seq - 1, str(entry.get("prev")))
            elif seq != self.head.seq + 1:
                self._note("missing", self.head.seq + 1, seq - 1)
            elif entry.get("prev") != self.head.hash:
                self._note("not_following", seq - 1, seq)
            if hash_of(entry) != own:
                self._note("altered", seq)
            if entry.get("act") == PRUNED:
                self._pruned.add(str(entry.get("item")))
            self.head = Head(seq, own)

    def end(self, expected: Head | None = None, part: bool = False) -> list[Flaw]:
        """Return all that is wrong, after the last entry.

        Args:
            part: The entries are a part of the log: what came before the first one is not asked for.
            expected: A head that was noted elsewhere; the log must be at least as long. Its entry is compared when it
                is the last one.
        """
        if not part and self._base and self._base != Head() and str(self._base) not in self._pruned:
            self._note("beginning", self.first)
        if expected and self.head.seq < expected.seq:
            self._note("end", self.head.seq + 1, expected.seq)
        if expected and self.head.seq == expected.seq and self.head.hash != expected.hash:
            self._note("another", expected.seq)
        return self.flaws

    def _note(self, code: FlawCode, first: int, last: int | None = None) -> None:
        self.flaws.append(Flaw(code, first, first if last is None else last))
