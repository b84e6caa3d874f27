"""Metrics of messages: the seconds until the other party has one, and those without a receipt at each scrape."""

from __future__ import annotations

from prometheus_client import Gauge, Histogram

from services.common.clock import utcnow
from services.common.events.types import Entry, Party
from services.gateway.participants.sessions import Session
from services.gateway.sending.send_queue import SendQueue

SECONDS = Histogram(
    "eloket_gateway_delivery_seconds",
    "From when its sender's gateway took a message until it was put into an outbox of the other party",
    ["to"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
FRAMES = Gauge("eloket_gateway_unreceipted", "Frames of browsers that are here, with neither receipt nor refusal yet")
OLDEST = Gauge("eloket_gateway_unreceipted_oldest_seconds", "How long the oldest of them has waited")
_TO = {Party.CITIZEN: SECONDS.labels("agent"), Party.AGENT: SECONDS.labels("citizen")}  # by the sender's party


def delivered(entry: Entry, shown: bytes) -> None:
    """Observe the delivery of an entry to the other party.

    Only a live event has the time when the message was posted. An entry that is read again, after a gap or by a
    repetition, does not count.

    Args:
        entry: The entry.
        shown: The frame that was sent; empty when no connection of the other party follows the chat here.
    """
    if shown and entry.posted_at:
        _TO[entry.party].observe(max(0.0, (utcnow() - entry.posted_at).total_seconds()))


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
