"""RULES of citizens who wait for an answer: since when, by the last entries of a log. No I/O.

A citizen waits from their first message after the last one of the agent, and not before the present agent had the chat:
waiting for an agent is another thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from services.common.events.types import Cause, Entry, Party

AGAIN = timedelta(seconds=15)  # between two events about the same wait
LOOKED_BACK = 40  # entries; a citizen who has written more since the last answer waits since the first of these


def unanswered_since(latest: Iterable[Entry]) -> datetime | None:
    """Return since when the citizen has been waiting for an answer; None while they do not.

    Args:
        latest: The last entries of the log, the last one first.
    """
    since: datetime | None = None
    entries = iter(latest)
    for entry in entries:
        if entry.party is Party.AGENT:
            return since
        if entry.party is Party.CITIZEN:
            since = entry.at
        elif entry.event is Cause.ASSIGNED:
            return _with_agent(since, entry.at, entries)
        elif entry.identification is None:
            return None  # no agent is connected, or the chat has ended
    return since


def _with_agent(since: datetime | None, assigned: datetime, before: Iterable[Entry]) -> datetime | None:
    """Return when the wait for the present agent began: what the citizen had written before counts from then on."""
    if since is not None:
        return max(since, assigned)
    asked = next((entry for entry in before if entry.party is not Party.SYSTEM), None)
    return assigned if asked is not None and asked.party is Party.CITIZEN else None


def look(latest: Sequence[Entry], after: timedelta, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Return since when the citizen has waited too long, and when to look again.

    The first is None when they have not, the second when the chat is not looked at any more. A wait that begins after
    this look lasts too long at the earliest after `after`, so nothing is missed until then.

    Args:
        latest: The last entries of the log, the last one first.
        after: How long a citizen may wait.
        now: The present.
    """
    if latest and latest[0].is_seal:
        return None, None
    since = unanswered_since(latest)
    if since is None:
        return None, now + after
    return (since, now + AGAIN) if since + after <= now else (None, since + after)
