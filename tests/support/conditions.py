"""Waiting for a condition, in place of a sleep."""

import asyncio
import time
from collections.abc import Callable

from tests.support.servers import PATIENCE


async def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Return as soon as the condition holds. Raises `AssertionError` when it does not within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        await asyncio.sleep(0.01)
