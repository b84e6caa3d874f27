"""Jobs of the checker's worker processes, and their verdicts, as bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from services.transcripts.attachments.judging import Verdict, judge
from services.transcripts.attachments.kinds import Finding, Kind, Reason, Refused

_LENGTH = struct.Struct("!L")
MOST_NAME = 1_000  # characters of a name that are checked


def begin() -> Callable[[bytes], bytes]:
    """Return the function that a process applies to each job (`services.common.runtime.worker_process`)."""
    return answer


def job(content: bytes, name: str, policy: frozenset[Finding]) -> bytes:
    """Return the job of checking a file."""
    return _join({"name": name[-MOST_NAME:], "policy": sorted(policy)}, content)


def answer(asked: bytes) -> bytes:
    """Check the file of a job. Return the verdict as bytes."""
    head, content = _split(asked)
    del asked
    try:
        verdict = judge(content, head["name"], frozenset(Finding(f) for f in head["policy"]))
    except Refused as refused:
        return _join({"reason": refused.reason, "found": refused.found}, b"")
    kind = {"content_type": verdict.kind.content_type, "endings": verdict.kind.endings}
    return _join(kind, verdict.stored or b"")


def verdict_of(answered: bytes) -> Verdict:
    """Return the verdict in an answer.

    Raises:
        Refused: The file is not accepted.
    """
    head, stored = _split(answered)
    if "reason" in head:
        raise Refused(Reason(head["reason"]), head["found"])
    return Verdict(Kind(head["content_type"], tuple(head["endings"])), stored or None)


def _join(head: dict[str, Any], content: bytes) -> bytes:
    encoded = json.dumps(head).encode()
    return _LENGTH.pack(len(encoded)) + encoded + content


def _split(message: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = _LENGTH.unpack_from(message)
    at = _LENGTH.size + length
    return json.loads(message[_LENGTH.size : at]), message[at:]
