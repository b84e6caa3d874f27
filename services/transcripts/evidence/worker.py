"""The job of a worker process that verifies files: they come from anywhere, and may need much memory or time."""

from __future__ import annotations

import json
from collections.abc import Callable

from services.common.evidence import chain
from services.common.evidence.verification import verify_file

MOST_MESSAGES = 500  # that are shown to the person who verifies


def begin() -> Callable[[bytes], bytes]:
    """Return the job function, for `Workers`."""
    return verify


def begin_job(keys: list[bytes]) -> bytearray:
    """Return the beginning of a job, with the published keys. The bytes of the file follow."""
    return bytearray(b"".join((len(keys).to_bytes(2, "big"), *keys)))


def verify(job: bytes) -> bytes:
    """Return the result of a job as JSON, with the first messages."""
    number = int.from_bytes(job[:2], "big")
    start = 2 + 32 * number
    keys = [job[at : at + 32] for at in range(2, start, 32)]
    result = verify_file(job[start:], {chain.kid_of(key): key for key in keys})
    shown = [{name: m[name] for name in ("seq", "from", "at", "removed", *chain.CONTENT) if name in m}
             for m in result.messages[:MOST_MESSAGES]]  # fmt: skip
    return json.dumps({**result.as_data(), "messages": shown}).encode()
