"""The job of judging a file and its answer, as bytes between the service and a worker process. No I/O.

Each is a JSON object, with its length in front, and the content of a file.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from services.transcripts.attachments.kinds import Finding, Kind, Reason, Refused, Verdict

_LENGTH = struct.Struct("!L")
MOST_NAME = 1_000  # characters of a name that are checked


def write_job(content: bytes, name: str, policy: frozenset[Finding]) -> bytes:
    """Return the job of judging a file. The arguments are those of `judging.judge`."""
    return _join({"name": name[-MOST_NAME:], "policy": sorted(policy)}, content)


def read_job(job: bytes) -> tuple[bytes, str, frozenset[Finding]]:
    """Return the content, the name and the policy of a job."""
    head, content = _split(job)
    return content, head["name"], frozenset(Finding(one) for one in head["policy"])


def verdict_answer(verdict: Verdict) -> bytes:
    """Return the answer for a file that is accepted."""
    kind = {"content_type": verdict.kind.content_type, "endings": verdict.kind.endings}
    return _join(kind, verdict.stored or b"")


def refusal_answer(refused: Refused) -> bytes:
    """Return the answer for a file that is not accepted."""
    return _join({"reason": refused.reason, "found": refused.found}, b"")


def read_answer(answer: bytes) -> Verdict:
    """Return the verdict in an answer.

    Raises:
        Refused: The file is not accepted.
    """
    head, stored = _split(answer)
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
