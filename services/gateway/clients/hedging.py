"""Hedged requests: a request that is not answered in time is sent again, and the first answer counts.

Behind one address there may be several replicas. A replica that was killed leaves dead connections in the pool: a
broken request is repeated over a new connection. A replica that hangs accepts connections and never answers, and a
network failure may leave connections that swallow everything: a slow request is repeated over a new connection, then
over one of the pool, and so on. Only connections that answered go back to the pool, so the pool soon has good ones
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import aiohttp
from prometheus_client import Counter

A = TypeVar("A")
TRIES = 6  # of one request, all within its total time
SLOW = 1.25  # seconds without an answer; a history may take 1 by design
SLOW_AGAIN = 0.6  # the next try may have gone to the same replica
MOST_SLOW = 20  # requests at a time that are repeated for being slow: the load of a slow service is not doubled
BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)

AGAIN = Counter("eloket_gateway_asked_again_total", "Questions to another service asked again", ["service", "why"])
for _service in ("presence", "routing", "transcripts"):  # exported from the start: the first is an increase
    AGAIN.labels(_service, "broken")
    AGAIN.labels(_service, "slow")


def patience(slow: bool) -> float:
    """Return the seconds that a try may take before another one starts.

    Args:
        slow: Whether another try was already started because the answer was slow.
    """
    return SLOW_AGAIN if slow else SLOW


class SlowRequests:
    """The number of requests that are being repeated because no answer came, at most `MOST_SLOW`."""

    def __init__(self) -> None:
        self.count = 0

    def enter(self) -> bool:
        """Count one more request. Return False when there are too many, and it may not be repeated."""
        if self.count >= MOST_SLOW:
            return False
        self.count += 1
        return True

    def leave(self) -> None:
        """Count a request that has ended."""
        self.count -= 1


class HedgedRequest(Generic[A]):
    """One request, with at most `TRIES` tries. It is `slow` from its first repetition for want of an answer."""

    def __init__(
        self,
        send: Callable[[bool], Coroutine[Any, Any, A]],
        service: str,
        slow_requests: SlowRequests | None,
    ) -> None:
        """Prepare the request.

        Args:
            send: Sends it once and returns the answer; its argument is whether to use a new connection.
            service: The service, for metrics.
            slow_requests: The count of slow requests; None when the request is repeated only after a broken
                connection, because it changes something.
        """
        self._send, self._service, self._slow_requests = send, service, slow_requests
        self._running: set[asyncio.Task[A]] = set()
        self._tries = 0
        self._slow = False

    async def answer(self) -> A:
        """Return the first answer.

        Raises:
            aiohttp.ClientError: The last try failed, or a try failed in another way than by a broken connection.
        """
        self._start(fresh=False)
        try:
            while True:
                ended = await self._wait()
                broken = [task for task in ended if isinstance(task.exception(), BROKEN)]
                if answered := ended.difference(broken):
                    return answered.pop().result()
                if self._tries < TRIES:
                    self._repeat(after_break=bool(broken))
                elif not self._running:
                    return broken[0].result()
        finally:
            await self._end()

    async def _wait(self) -> set[asyncio.Task[A]]:
        """Return the tries that have ended; none when the patience for an answer is over."""
        hedged = self._slow_requests is not None and self._tries < TRIES
        limit = patience(self._slow) if hedged else None
        ended, self._running = await asyncio.wait(self._running, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        return ended

    def _repeat(self, after_break: bool) -> None:
        """Start another try: at once after a broken connection, or for want of an answer if that is allowed."""
        if after_break:
            AGAIN.labels(self._service, "broken").inc()
            self._start(fresh=True)
        elif self._may_be_slow():
            AGAIN.labels(self._service, "slow").inc()
            self._start(fresh=self._tries % 2 == 1)

    def _may_be_slow(self) -> bool:
        if not self._slow and self._slow_requests:
            self._slow = self._slow_requests.enter()
        return self._slow

    def _start(self, fresh: bool) -> None:
        self._tries += 1
        self._running.add(asyncio.create_task(self._send(fresh)))

    async def _end(self) -> None:
        """Cancel the tries whose answer is not needed any more."""
        if self._slow and self._slow_requests:
            self._slow_requests.leave()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
