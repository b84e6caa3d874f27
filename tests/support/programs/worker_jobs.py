"""What the children do in test_worker_process.py: a job is Python, its answer is what it leaves in `answer`."""

import json
import os
import time
from collections.abc import Callable


def begin() -> Callable[[bytes], bytes]:
    kept: dict[str, object] = {"os": os, "time": time, "json": json, "answer": b""}

    def work(job: bytes) -> bytes:
        kept["answer"] = b""
        exec(job.decode(), kept)  # noqa: S102 - jobs of the tests
        answer = kept["answer"]
        assert isinstance(answer, bytes)
        return answer

    return work


def asleep() -> Callable[[bytes], bytes]:
    """Answers `ready` at once, and nothing else for an hour."""

    def work(job: bytes) -> bytes:
        if job != b"ready":
            time.sleep(3_600)
        return b""

    return work


def broken() -> Callable[[bytes], bytes]:
    raise LookupError("a child that cannot begin")
