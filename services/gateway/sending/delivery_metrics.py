"""Metrics of delivery: seconds from the sender's gateway to the browser of the other party."""

from __future__ import annotations

from prometheus_client import Histogram

from services.common.clock import utcnow
from services.common.events.types import Entry, Party

SECONDS = Histogram(
    "eloket_gateway_delivery_seconds",
    "From when its sender's gateway took a message until it was put into an outbox of the other party",
    ["to"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
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
