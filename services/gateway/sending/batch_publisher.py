"""Publisher of messages in batches: those of one event-loop iteration, or of the time while the broker confirms.

A message waits for others only within the iteration in which it came, while fewer than `UNDER_WAY` broker messages are
unconfirmed. Under load a quorum queue then writes once for many events (docs/performance.md).
"""

from __future__ import annotations

import asyncio

from services.common.events.messages import MessagePosted, MessagesPosted
from services.common.messaging import topology
from services.common.messaging.connection import Publisher, Unconfirmed
from services.common.observability.tracing import traceparent
from services.gateway.background_tasks import Tasks

UNDER_WAY = 2

Posted = tuple[MessagePosted, str, asyncio.Future[None]]


class BatchPublisher:
    """Publishes `message.posted` for all connections of this gateway."""

    def __init__(self, publisher: Publisher, tasks: Tasks) -> None:
        self._publisher, self._tasks = publisher, tasks
        self._waiting: list[Posted] = []
        self._under_way = 0

    async def publish(self, event: MessagePosted) -> None:
        """Publish like `Publisher.publish`: return after the confirm.

        Raises:
            Unconfirmed: The broker did not confirm the event.
        """
        mine = (event, traceparent(), asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        if self._under_way < UNDER_WAY:
            self._under_way += 1
            try:
                await asyncio.sleep(0)  # lets the other messages of this iteration join
                if self._waiting == [mine]:
                    self._waiting.clear()
                    await self._publisher.publish(event)
                    return
            finally:
                self._hand_on()
        await mine[2]

    def _hand_on(self) -> None:
        """Let the waiting messages use the slot of a broker message that was confirmed."""
        if self._waiting:
            self._tasks.start(self._send_waiting())
        else:
            self._under_way -= 1

    async def _send_waiting(self) -> None:
        try:
            while several := self._waiting[: topology.MOST_TOGETHER]:
                del self._waiting[: topology.MOST_TOGETHER]
                await self._send_some(several)
        finally:
            self._under_way -= 1

    async def _send_some(self, several: list[Posted]) -> None:
        event, trace, _ = several[0]
        together = MessagesPosted(posted=[f for f, _, _ in several], traces=[t for _, t, _ in several])
        try:
            await self._publisher.publish_all([(together if len(several) > 1 else event, trace)])
        except Unconfirmed as error:
            for _, _, confirmed in several:
                if not confirmed.done():  # the publisher still waits
                    confirmed.set_exception(Unconfirmed(str(error)))
        except BaseException:
            for _, _, confirmed in several:
                confirmed.cancel()
            raise
        else:
            for _, _, confirmed in several:
                if not confirmed.done():
                    confirmed.set_result(None)
