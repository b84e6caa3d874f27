"""Retries while a dependency (the database or the broker) does not answer.

A message whose handler waits for a dependency is kept and retried with backoff, 0.05 to 2 s with jitter. It is not
requeued, because the delivery limit is for messages whose handler fails.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from pymongo.errors import PyMongoError

from services.common.messaging.publisher import Unconfirmed

log = structlog.get_logger()

T = TypeVar("T")

OUTAGE_PATIENCE = 600.0  # seconds
PROBE_INTERVAL = 5.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts in an outage
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0  # seconds before a message whose handler failed is requeued
DEPENDENCY_ERRORS = (PyMongoError, Unconfirmed)


class DependencyOutage(Exception):
    """The database or broker has not answered for `OUTAGE_PATIENCE` seconds: stop consuming until it does."""


async def retry_with_backoff(work: Callable[[], Awaitable[T]], patience: float | None = None) -> T:
    """Return the result of `work`, which is retried while the database or broker does not answer.

    Raises:
        DependencyOutage: That lasts `patience` seconds (None: `OUTAGE_PATIENCE`).
    """
    began, pause = time.monotonic(), FIRST_PAUSE
    limit = OUTAGE_PATIENCE if patience is None else patience
    while True:
        try:
            return await work()
        except DEPENDENCY_ERRORS as error:
            if time.monotonic() - began > limit:
                raise DependencyOutage from error
            log.warning("retried_with_backoff", error=type(error).__name__)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            pause = min(pause * 2, LONGEST_PAUSE)


async def until_probe_succeeds(probe: Callable[[], Awaitable[object]]) -> None:
    """Return when the dependency answers again after a long outage. Probes every 5 s."""
    while True:
        try:
            await probe()
            return
        except (TimeoutError, *DEPENDENCY_ERRORS) as error:
            log.warning("probe_failed", error=type(error).__name__)
            await asyncio.sleep(PROBE_INTERVAL)
