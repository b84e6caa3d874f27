"""Background tasks of the websockets: each is referenced until it ends, and its failure is logged."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from services.gateway.websocket.connection import Connection

log = structlog.get_logger()


class Tasks:
    """A set of running tasks that are not awaited one by one."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """True when no task is running."""
        return not self._tasks

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task. Return it, so that the caller can cancel it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def start_for(self, connection: Connection, work: Coroutine[Any, Any, None]) -> bool:
        """Start a task for a frame of this connection.

        The limit is needed because frames arrive as fast as the network delivers them, and nothing else bounds the work
        that they start.

        Returns:
            False, with the coroutine closed, when `MOST_TASKS` tasks of this connection are running.
        """
        if not connection.begin_task():
            work.close()
            return False
        self.start(work).add_done_callback(connection.end_task)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("work_failed", exc_info=error)

    async def settle(self, patience: float) -> None:
        """Wait for the running tasks to end; cancel those that are left.

        Args:
            patience: The longest wait, in seconds.
        """
        if not self._tasks:
            return
        _, left = await asyncio.wait(set(self._tasks), timeout=patience)
        for task in left:
            task.cancel()
