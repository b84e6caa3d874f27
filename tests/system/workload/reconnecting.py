"""How long a client waits before it connects again, and before it repeats a request over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

FAILED = (aiohttp.ClientError, OSError, TimeoutError)
"""What a request or a connection may fail with."""
ANSWER = 10.0  # seconds for an answer over HTTP
PATIENCE = 120.0  # seconds for which a request over HTTP is repeated
FIRST_DELAY, LONG_DELAY, LONGEST_DELAY, RESTART_JITTER = 0.5, 3.0, 20.0, 1.0  # as in gateway/web/shared/connection.js
MANY = 30
SERVICE_RESTART = 1012  # close code of a gateway that drains

Delay = Callable[[int, int | None], float]
"""Seconds before the next connection, from the number of connections in a row that brought nothing and the last close
code.
"""


def soon(tries: int, code: int | None) -> float:
    """Nearly at once."""
    return random.uniform(0.05, 0.3)


def with_backoff(tries: int, code: int | None) -> float:
    """Longer after each connection that brought nothing: hundreds of clients that do not wait keep a gateway busy."""
    return random.uniform(0.1, 0.5) * float(min(2**tries, 16))


def as_browsers(tries: int, code: int | None) -> float:
    """As the widget and the console wait."""
    if tries == 0 and code == SERVICE_RESTART:
        return random.uniform(0, RESTART_JITTER)
    return random.uniform(0, min(LONG_DELAY if tries < MANY else LONGEST_DELAY, FIRST_DELAY * 2**tries))


@dataclass(frozen=True)
class Reconnecting:
    """When a client takes its connection for dead, in seconds, and how long it waits before the next one.

    `opening`: for a connection to open. `silence`: without a frame to a citizen. `agent_silence`: without a frame or a
    ping to an agent.
    """

    delay: Delay
    opening: float = 6.0
    silence: float = 12.0
    agent_silence: float = 5.5


SOON = Reconnecting(soon)
WITH_BACKOFF = Reconnecting(with_backoff, 60.0, 60.0, 60.0)
"""For runs in which no connection is half-open: a busy machine ends no connection."""
AS_BROWSERS = Reconnecting(as_browsers, 60.0, 60.0, 60.0)
"""The delays of the widget and the console, for the same runs."""


async def until_done(
    attempt: Callable[[], Awaitable[bool]], stop: Callable[[], bool] = lambda: False, patience: float = PATIENCE
) -> bool:
    """Repeat `attempt`, which returns whether it is done, until it is or for `patience` seconds.

    Returns:
        Whether it was done. It is not when `stop` holds before.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end and not stop():
        with contextlib.suppress(*FAILED):
            async with asyncio.timeout(ANSWER):
                if await attempt():
                    return True
        await asyncio.sleep(random.uniform(0.2, 0.8))
    return False
