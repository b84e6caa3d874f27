"""The base class of all events. No I/O.

An event is an immutable statement in the past tense with an `event_id`, the time it occurred and its `type`. The `type`
is also the beginning of its routing key (`messaging/topology.py`). Events change only by adding optional members: one
golden sample of each is kept in `tests/golden/` and never edited.
"""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from pydantic import Field

from services.common.clock import utcnow
from services.common.events.types import Record


class Event(Record):
    """Something that has happened, as a service publishes it."""

    type: str
    event_id: str = Field(default_factory=lambda: str(uuid4()))
    occurred_at: datetime = Field(default_factory=utcnow)
