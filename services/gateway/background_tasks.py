"""Background tasks beside the websockets: kept until they end; what fails in them is logged."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from services.gateway.websocket.connection import Connection

log = structlog.get_logger()
MOST_IN_HAND = 32  # pieces of work that one connection's frames began, beside its messages


class Tasks:
    """A set of tasks that nobody awaits one by one."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begins the work now; the task comes back so that it can be cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def start_for(self, connection: Connection, work: Coroutine[Any, Any, None]) -> bool:
        """Begins what a frame of this connection asks for; False, and not begun, when it has too much in hand.

        Frames come in as fast as the network brings them, and nothing but this bounds what they begin.
        """
        if connection.in_hand >= MOST_IN_HAND:
            work.close()
            return False
        connection.in_hand += 1
        self.start(work).add_done_callback(connection.put_down)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("work_failed", exc_info=error)

    async def settle(self, patience: float) -> None:
        """Waits for what is in hand, at most so many seconds; what is left is cancelled."""
        if not self._tasks:
            return
        _, left = await asyncio.wait(set(self._tasks), timeout=patience)
        for task in left:
            task.cancel()
