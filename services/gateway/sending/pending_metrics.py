"""Metrics of messages that have no receipt yet, counted at each scrape."""

from __future__ import annotations

from prometheus_client import Gauge

from services.common.clock import utcnow
from services.gateway.participants.sessions import Session
from services.gateway.sending.send_queue import SendQueue

FRAMES = Gauge("eloket_gateway_unreceipted", "Frames of browsers that are here, with neither receipt nor refusal yet")
OLDEST = Gauge("eloket_gateway_unreceipted_oldest_seconds", "How long the oldest of them has waited")


class Pending:
    """The send queues that are being processed.

    Queues of browsers that have disconnected do not count: their messages are published all the same, but no browser
    waits for the receipt, and this gateway may not receive it any more.
    """

    def __init__(self) -> None:
        self._send_queues: dict[int, tuple[SendQueue, Session]] = {}
        FRAMES.set_function(self.frames)
        OLDEST.set_function(self.oldest)

    def begin(self, queue: SendQueue, session: Session) -> None:
        """Add a queue that has a message of this session."""
        self._send_queues[id(queue)] = queue, session

    def end(self, queue: SendQueue) -> None:
        """Remove a queue that is not processed any more."""
        self._send_queues.pop(id(queue), None)

    def frames(self) -> int:
        """Return the number of frames that wait for their receipt."""
        return sum(len(queue.items) for queue in self._waited_for())

    def oldest(self) -> float:
        """Return the seconds since the oldest of these frames was taken; 0 when there is none."""
        heads = [head.event.occurred_at for queue in self._waited_for() if (head := queue.head)]
        return max(0.0, (utcnow() - min(heads)).total_seconds()) if heads else 0.0

    def _waited_for(self) -> list[SendQueue]:
        return [queue for queue, session in self._send_queues.values() if not session.connection.gone]
