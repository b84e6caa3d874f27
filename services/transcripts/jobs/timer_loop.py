"""The loop of timers that run in every replica, because a repetition of what they do is harmless."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.observability.tracing import begin_trace

log = structlog.get_logger()

CHECK_EVERY = 1.0  # seconds


async def check_for_ever(job: str, check_due: Callable[[], Awaitable[None]]) -> None:
    """Check until cancelled. A round that fails because of an outage is repeated.

    Args:
        job: The name of the job in the log.
        check_due: Checks once what is due.
    """
    while True:
        await asyncio.sleep(CHECK_EVERY * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        begin_trace()
        try:
            await check_due()
        except DEPENDENCY_ERRORS as error:
            log.warning("repair_job_failed", job=job, error=type(error).__name__)
        except Exception:
            log.exception("repair_job_failed", job=job)
