"""The numbers of routing, and the one way in which a repair is counted and logged."""

from __future__ import annotations

import structlog
from prometheus_client import Counter, Gauge, Histogram

log = structlog.get_logger()

OPEN = Gauge("eloket_routing_chats", "Open chats", ["department", "state"])
WAITED = Histogram(
    "eloket_routing_waited_seconds",
    "From the beginning of a wait until an agent was found",
    buckets=(0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 120, 300, 600),
)
OPENED = Counter("eloket_routing_opened_total", "Chats opened", ["department"])
ASSIGNED = Counter("eloket_routing_assigned_total", "Turns that ended with an agent", ["department"])
REQUEUED = Counter("eloket_routing_requeued_total", "Chats that went back to the queue", ["reason"])
CLOSED = Counter("eloket_routing_closed_total", "Chats closed", ["reason"])
REPAIRED = Counter("eloket_routing_repairs_total", "What a sweep or a repeated fact had to mend", ["reason"])


def repaired(reason: str, **about: object) -> None:
    """Something was mended that no fact had brought about: counted and logged with its reason."""
    REPAIRED.labels(reason).inc()
    log.info("repaired", reason=reason, **about)
