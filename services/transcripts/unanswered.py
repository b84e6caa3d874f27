"""RULES of citizens who wait for an answer: since when, by the last entries of a log. No I/O.

A citizen waits from their first message after the last one of the agent, and not before the present agent had the chat:
waiting for an agent is another thing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from services.common.events.types import Cause, Entry, Party

LOOKED_BACK = 40  # entries; a citizen who has written more since the last answer waits since the first of these


def unanswered_since(latest: Iterable[Entry]) -> datetime | None:
    """Return since when the citizen has been waiting for an answer; None while they do not.

    Args:
        latest: The last entries of the log, the last one first.
    """
    since: datetime | None = None
    entries = iter(latest)
    for entry in entries:
        if entry.party is Party.AGENT or entry.is_seal:
            return since
        if entry.party is Party.CITIZEN:
            since = entry.at
        elif entry.event is Cause.ASSIGNED:
            return _with_agent(since, entry.at, entries)
        else:
            return None  # no agent is connected
    return since


def _with_agent(since: datetime | None, assigned: datetime, before: Iterable[Entry]) -> datetime | None:
    """Return when the wait for the present agent began: what the citizen had written before counts from then on."""
    if since is not None:
        return max(since, assigned)
    asked = next((entry for entry in before if entry.party is not Party.SYSTEM), None)
    return assigned if asked is not None and asked.party is Party.CITIZEN else None
