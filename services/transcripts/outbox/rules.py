"""RULES of the outbox: which notices follow from an event, when a delivery is tried again, and when never. No I/O.

A notice says what happened to a chat, a left question, a rating or a button. It holds no message text, no name and no
contact data. Its id depends on what it says alone, so that an event that is handled twice makes one notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import orjson

from services.common.config.integrations import EventType
from services.common.events.agents import ButtonChanged, DepartmentButton
from services.common.events.chats import ChatOpened, ChatState
from services.common.events.types import ChatStatus, derived_id

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3_600.0  # seconds between two attempts, before jitter
OPENS_AFTER = 5  # failures in a row after which a target's circuit opens
FIRST_REST, LONGEST_REST = 15.0, 300.0  # seconds for which it stays open, before jitter


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened, as other systems are notified.

    Attributes:
        id: The same each time that the same is said.
        type: The type.
        department: The department.
        at: When it happened.
        data: What is said of it.
        chat_id: The number of the chat or of the left question; None for a button. What is erased by this number is
            erased here too.
    """

    id: str
    type: EventType
    department: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    chat_id: str | None = None


def notice_of_opening(event: ChatOpened) -> Notice:
    """Return the notice of a chat that was opened."""
    data = {
        "chat_id": event.chat_id,
        "department": event.department,
        "locale": event.locale,
        "form_id": event.form.id if event.form else None,
    }
    id_ = derived_id("notice", event.chat_id, "opened")
    return Notice(id_, "chat.opened", event.department, event.opened_at, data, event.chat_id)


def notices_of_state(event: ChatState, label: Mapping[str, Any] = MappingProxyType({})) -> list[Notice]:
    """Return the notices that follow from a state, which may have been published before.

    `label`: the closing reason and the tags that the chat has already.

    An assigned chat that counts as accepted at once is both assigned and accepted. The first state of an attempt may
    never be handled before the second, so each of them implies the assignment.
    """
    if not event.department:  # the end of a chat that was never opened
        return []
    data: dict[str, Any] = {"chat_id": event.chat_id, "department": event.department}
    if event.state is ChatStatus.CLOSED:
        data |= {"reason": event.reason.value if event.reason else None, **_labelled(label)}
        id_ = derived_id("notice", event.chat_id, "closed")
        return [Notice(id_, "chat.closed", event.department, event.at, data, event.chat_id)]
    if event.state is not ChatStatus.ASSIGNED:
        return []
    data["attempt"] = event.turn
    id_ = derived_id("notice", event.chat_id, "assigned", event.turn)
    found = [Notice(id_, "chat.assigned", event.department, event.at, data, event.chat_id)]
    if event.accepted is not False:
        id_ = derived_id("notice", event.chat_id, "accepted", event.turn)
        found.append(Notice(id_, "chat.accepted", event.department, event.at, data, event.chat_id))
    return found


def notice_of_question(question: Mapping[str, Any]) -> Notice:
    """Return the notice of a stored left question, without what was asked and without contact data."""
    source = question.get("source") or "chat"
    data = {
        "question_id": question["_id"],
        "department": question["department"],
        "source": source,
        "number": question.get("number"),
    }
    id_ = derived_id("notice", question["_id"], "question")
    return Notice(id_, "question.left", question["department"], question["at"], data, question["_id"])


def notice_of_rating(rating: Mapping[str, Any]) -> Notice:
    """Return the notice of a stored rating. A citizen who rates again makes another one."""
    data = {
        "chat_id": rating["_id"],
        "department": rating["department"],
        "helped": rating.get("helped"),
        "score": rating.get("score"),
    }
    id_ = derived_id("notice", rating["_id"], "rating", rating["at"].isoformat())
    return Notice(id_, "rating.given", rating["department"], rating["at"], data, rating["_id"])


def notice_of_label(chat: Mapping[str, Any]) -> Notice:
    """Return the notice of the label of a chat. An agent who changes it makes another one."""
    label = chat["label"]
    data = {"chat_id": chat["_id"], "department": chat["department"], **_labelled(label)}
    id_ = derived_id("notice", chat["_id"], "label", label["at"].isoformat())
    return Notice(id_, "chat.labelled", chat["department"], label["at"], data, chat["_id"])


def _labelled(label: Mapping[str, Any]) -> dict[str, Any]:
    return {"closing_reason": label.get("reason"), "tags": list(label.get("tags") or ())}


def buttons_of(event: ButtonChanged) -> list[DepartmentButton]:
    """Return the buttons of an event, which may be a digest of many departments."""
    own = event.model_dump(include=set(DepartmentButton.model_fields))
    return [DepartmentButton.model_validate(own), *(event.others or ())]


def notice_of_button(button: DepartmentButton, at: datetime) -> Notice:
    """Return the notice of a button that has changed."""
    data = {
        "department": button.department,
        "colour": button.colour.value,
        "reason": button.reason.value,
        "opens_at": button.opens_at,
    }
    id_ = derived_id("notice", button.department, "button", button.revision)
    return Notice(id_, "button.changed", button.department, at, data)


def body_of(type_: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    """Return the body of a request. It is the same in every attempt (Standard Webhooks 1.0.0, payload structure)."""
    return orjson.dumps({"type": type_, "timestamp": at, "data": data}, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)


class Verdict(StrEnum):
    """What came of an attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"  # it is tried again
    HOPELESS = "hopeless"  # it is a dead letter at once


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt.

    Attributes:
        verdict: What came of it.
        cause: A code for operators: `status_500`, `timeout`, `refused_address`. Never text of the receiver.
        retry_after: Seconds for which the receiver asked to wait.
    """

    verdict: Verdict
    cause: str = ""
    retry_after: float = 0.0


def judged(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """Return the outcome of an answer with this status. A redirect is not followed and counts as a failure.

    Args:
        status: The status.
        retry_after: The value of `Retry-After` (RFC 9110 §10.2.3).
        now: The present.
    """
    if 200 <= status < 300:
        return Outcome(Verdict.DELIVERED)
    cause = f"status_{status}"
    if status == 410:  # the receiver wants nothing any more (Standard Webhooks 1.0.0, "Delivery success and failure")
        return Outcome(Verdict.HOPELESS, cause)
    return Outcome(Verdict.FAILED, cause, _seconds(retry_after, now) if status in (429, 503) else 0.0)


def _seconds(retry_after: str | None, now: datetime) -> float:
    if not retry_after or len(retry_after) > 40:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), LONGEST_PAUSE)
    try:
        wait = (parsedate_to_datetime(retry_after) - now).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return min(max(wait, 0.0), LONGEST_PAUSE)


def pause_after(attempts: int, spread: float, retry_after: float = 0.0) -> timedelta:
    """Return how long to wait after so many attempts.

    Args:
        attempts: How many there were, at least 1.
        spread: A random number from 0 to 1, so that many deliveries that failed together are not tried together.
        retry_after: Seconds for which the receiver asked to wait; the pause is not shorter.
    """
    pause = min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE)
    return timedelta(seconds=max(pause * (0.5 + spread), retry_after))


class Circuit:
    """Whether a target is tried at present. After several failures in a row it rests, then one attempt decides.

    Times are seconds of a clock that never goes back.
    """

    def __init__(self) -> None:
        self._failures, self._until = 0, 0.0

    @property
    def is_open(self) -> bool:
        """Whether the target rests, or one attempt is to decide."""
        return self._failures >= OPENS_AFTER

    def rests_for(self, now: float) -> float:
        """Return for how many seconds the target is not tried; 0: it may be tried now."""
        return max(0.0, self._until - now) if self.is_open else 0.0

    def delivered(self) -> bool:
        """Note a delivery. Return whether the circuit was open."""
        was_open, self._failures = self.is_open, 0
        return was_open

    def failed(self, now: float, spread: float) -> bool:
        """Note a failure. Return whether this one opens the circuit.

        Args:
            now: The present.
            spread: A random number from 0 to 1.
        """
        self._failures += 1
        if not self.is_open:
            return False
        rest = min(FIRST_REST * 2.0 ** min(self._failures - OPENS_AFTER, 20), LONGEST_REST)
        self._until = now + rest * (0.5 + spread)
        return self._failures == OPENS_AFTER
