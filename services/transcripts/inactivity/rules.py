"""RULES of inactivity: when a citizen is warned, when the chat is closed, and when to check it next. No I/O.

The citizen of an assigned chat is inactive while the last message is not theirs: an agent wrote it, or there is none
yet. A question that they asked before they were connected with this agent counts as their message, because the agent is
to answer it. A citizen is warned twice, and then the chat is closed; both warnings are repeated while they hold. An
agent's inactivity never closes a chat, and neither does waiting for an agent. No chat is closed before the warnings
have held for their full time, even when no replica could check for a while (WCAG 2.2.1: time to answer, and more time
on request any number of times).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.common.events.types import Cause, Party

WARNED_FOR = (timedelta(seconds=300), timedelta(seconds=120))  # from the first and from the second warning to the end
SHARE_WARNED = (1 / 3, 2 / 15)  # the same, as shares of a short limit
TOLD_AGAIN = timedelta(seconds=5)
MOST_ASKED_AGAIN = timedelta(seconds=60)  # the end may take long: requests must not accumulate
NOT_LOOKED = timedelta(seconds=30)  # without a check for so long, recent messages may not be stored yet
SHORTEST = 90.0  # seconds; with less, a citizen has not enough time to answer the first warning


class Step(StrEnum):
    """What is published. The names are those of the counter."""

    WARNED_1 = "warned_1"
    WARNED_2 = "warned_2"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of one inactivity limit.

    Attributes:
        end: From the beginning of the inactivity to the closing.
        first: From the first warning to the closing.
        second: From the second warning to the closing.
        late: A check that is late by no more than this shifts nothing.
    """

    end: timedelta
    first: timedelta
    second: timedelta
    late: timedelta

    @property
    def quiet(self) -> timedelta:
        """How long the inactivity lasts before the first warning."""
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Last:
    """How a chat's log ends.

    Attributes:
        party: Who wrote the last message (`system`: no message yet).
        event: The last system event.
        at: The time of the last entry.
    """

    party: Party
    event: Cause | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """A warning that was published.

    Attributes:
        since: When the inactivity began.
        warning: 1 or 2.
        closes_at: When the chat will be closed.
        at: When the chat was last checked.
    """

    since: datetime
    warning: int
    closes_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """What a chat's document says of inactivity.

    Attributes:
        chat_id: The chat.
        look_at: When to check it.
        stayed_at: When the citizen last kept the chat open.
        told: The last warning.
    """

    chat_id: str
    look_at: datetime
    stayed_at: datetime | None = None
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The result of a check.

    Attributes:
        again: When to check again (None: never).
        step: What to publish.
        told: What to remember of it.
        new: Whether this step was not published before.
    """

    again: datetime | None
    step: Step | None = None
    told: Told | None = None
    new: bool = False


def limits_of(seconds: float) -> Limits | None:
    """Return the times that follow from a limit, in whole milliseconds; None for 0, which switches inactivity off."""
    if not seconds:
        return None
    first, second = (
        min(most.total_seconds(), seconds * share) for most, share in zip(WARNED_FOR, SHARE_WARNED, strict=True)
    )
    return Limits(_ms(seconds), _ms(first), _ms(second), _ms(min(2.0, second / 8)))


def since(last: Last, stayed_at: datetime | None) -> datetime | None:
    """Return when the citizen's inactivity began; None when the citizen is not expected to write."""
    if last.event is not Cause.ASSIGNED or last.party is Party.CITIZEN:
        return None
    return max(last.at, stayed_at) if stayed_at else last.at


def look(last: Last | None, chat: Watched, limits: Limits, now: datetime) -> Look:
    """Return what to do about a chat that is due for a check."""
    if last and last.event is Cause.CLOSED:
        return Look(None)
    began = since(last, chat.stayed_at) if last else None
    if began is None:  # a later message of an agent cannot be due before that
        return Look(now + limits.quiet)
    if now < began + limits.quiet:
        return Look(began + limits.quiet)
    told = chat.told if chat.told and chat.told.since == began else None
    if told is None:
        closes_at = max(began + limits.end, now + limits.first - limits.late)
        return _warn(Told(began, 1, closes_at, now), limits, new=True)
    if now < told.closes_at - limits.second and told.warning == 1:
        return _warn(Told(began, 1, told.closes_at, now), limits)
    asked = told.at >= told.closes_at
    if told.warning == 1 or now - told.at > (NOT_LOOKED + MOST_ASKED_AGAIN if asked else NOT_LOOKED):
        closes_at = max(told.closes_at, now + limits.second - limits.late)
        return _warn(Told(began, 2, closes_at, now), limits, new=told.warning == 1)
    if now < told.closes_at:
        return _warn(Told(began, 2, told.closes_at, now), limits)
    again = min(max(now - told.closes_at, TOLD_AGAIN), MOST_ASKED_AGAIN)
    return Look(now + again, Step.CLOSED, Told(began, 2, told.closes_at, now), new=not asked)


def _warn(told: Told, limits: Limits, new: bool = False) -> Look:
    """Return a result that publishes the warning, and checks again when the next step or the repetition is due."""
    first = told.warning == 1
    due = told.closes_at - limits.second if first else told.closes_at
    return Look(min(due, told.at + TOLD_AGAIN), Step.WARNED_1 if first else Step.WARNED_2, told, new)


def _ms(seconds: float) -> timedelta:
    return timedelta(milliseconds=round(seconds * 1000))
