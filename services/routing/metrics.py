"""Metrics of routing, and the function that counts and logs a repair."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.common.events.types import ChatStatus, CloseReason, ReleaseReason, Revocation

log = structlog.get_logger()

OTHER = "other"  # the label of departments that are no longer in the departments file
OPEN_STATES = (ChatStatus.WAITING.value, ChatStatus.ASSIGNED.value)
OPEN = Gauge("eloket_routing_chats", "Open chats", ["department", "state"])
LONGEST = Gauge("eloket_routing_longest_wait_seconds", "How long the one who waits longest has waited", ["department"])
WAITED = Histogram(
    "eloket_routing_waited_seconds",
    "From the beginning of a wait until an agent was found",
    ["department"],
    buckets=(0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 120, 300, 600),
)
OPENED = Counter("eloket_routing_opened_total", "Chats opened", ["department"])
ASSIGNED = Counter("eloket_routing_assigned_total", "Attempts that ended with an agent", ["department"])
ABANDONED = Counter("eloket_routing_abandoned_total", "Chats closed while they waited", ["department", "reason"])
REQUEUED = Counter("eloket_routing_requeued_total", "Chats that went back to the queue", ["reason"])
CLOSED = Counter("eloket_routing_closed_total", "Chats closed", ["reason"])
REVOKED = Counter("eloket_routing_tokens_revoked_total", "Tokens of chats that were revoked", ["by"])
REPAIRED = Counter("eloket_routing_repairs_total", "What a repair job or a repeated event had to repair", ["reason"])


def begin_at_nothing(departments: Iterable[str]) -> None:
    """Export counters by department from the start, so that the first event is an increase and not a new series."""
    for department in departments:
        for counter in (OPENED, ASSIGNED, WAITED, LONGEST):
            counter.labels(department)
        for reason in CloseReason:
            if reason is not CloseReason.AGENT:
                ABANDONED.labels(department, reason.value)
    for reason in CloseReason:
        CLOSED.labels(reason.value)
    for revoker in Revocation:
        REVOKED.labels(revoker.value)
    for lost in ReleaseReason:
        REQUEUED.labels(lost.value)
    for repair in ("untold", "asked_again", "unknown_chat", "accepted"):
        REPAIRED.labels(repair)


def forget(departments: Iterable[str]) -> None:
    """Export no more gauges of these departments: they are no longer in the departments file."""
    for department in departments:
        for state in OPEN_STATES:
            OPEN.remove(department, state)
        LONGEST.remove(department)


def repaired(reason: str, **about: object) -> None:
    """Count and log a repair: a change that no event had caused."""
    REPAIRED.labels(reason).inc()
    log.info("repaired", reason=reason, **about)
