"""RULES of inactivity: when a citizen is warned, when the chat is to be closed, and when to look next. No I/O.

The citizen of an assigned chat is inactive while the last word is not theirs: an agent said something, or nobody has
yet. A question that they asked before they got this agent is their word too: the agent is to answer it. They are warned
twice and then the chat is to be closed; both warnings are repeated while they hold. An agent's inactivity and a chat
that waits for an agent never end here. Nobody is closed without the warnings having stood for their time, also when no
replica could look for a while (WCAG 2.2.1: time to answer, and asking for more any number of times).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.common.events.types import Cause, Party

WARNED_FOR = (timedelta(seconds=300), timedelta(seconds=120))  # from the first, from the second warning to the end
SHARE_WARNED = (1 / 3, 2 / 15)  # the same as shares of a limit that is short
TOLD_AGAIN = timedelta(seconds=5)
MOST_ASKED_AGAIN = timedelta(seconds=60)  # the end may be long in coming: requests are not to pile up
NOT_LOOKED = timedelta(seconds=30)  # so long without a look: what happened meanwhile may not be stored yet
SHORTEST = 90.0  # seconds; with less a person has not enough time to answer the first warning


class Step(StrEnum):
    """What is to be told; the names are those of the counter."""

    WARNED_1 = "warned_1"
    WARNED_2 = "warned_2"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Limits:
    """From the beginning of the silence to the end; `first`, `second`: how long before the end each warning comes.

    A look that comes up to `late` after its time shifts nothing.
    """

    end: timedelta
    first: timedelta
    second: timedelta
    late: timedelta

    @property
    def quiet(self) -> timedelta:
        """How long a silence lasts before anything is said of it."""
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Last:
    """How a chat's log ends: who said something last (`system`: nobody did), the last thing that the chat itself said,

    and the time of the last entry.
    """

    party: Party
    event: Cause | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """The warning that was told of the silence that began at `since`; `at`: when it was looked at last."""

    since: datetime
    warning: int
    closes_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """What a chat's document says of silences. `look_at`: when to look; `stayed_at`: when he asked for more time."""

    chat_id: str
    look_at: datetime
    stayed_at: datetime | None = None
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look came to: a step to tell, what is remembered of it, and when to look again (None: never).

    `new`: this step was not told before.
    """

    again: datetime | None
    step: Step | None = None
    told: Told | None = None
    new: bool = False


def limits_of(seconds: float) -> Limits | None:
    """The times that follow from a limit; None for 0: silences are not looked at. In whole milliseconds."""
    if not seconds:
        return None
    first, second = (
        min(most.total_seconds(), seconds * share) for most, share in zip(WARNED_FOR, SHARE_WARNED, strict=True)
    )
    return Limits(_ms(seconds), _ms(first), _ms(second), _ms(min(2.0, second / 8)))


def since(last: Last, stayed_at: datetime | None) -> datetime | None:
    """When the citizen's silence began; None when it is not for him to speak."""
    if last.event is not Cause.ASSIGNED or last.party is Party.CITIZEN:
        return None
    return max(last.at, stayed_at) if stayed_at else last.at


def look(last: Last | None, chat: Watched, limits: Limits, now: datetime) -> Look:
    """What is to be done about a chat whose time to be looked at has come."""
    if last and last.event is Cause.CLOSED:
        return Look(None)
    began = since(last, chat.stayed_at) if last else None
    if began is None:  # what an agent says later cannot be due before that
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
    """The warning is told, and looked at again when the next step is due, or soon, to tell it again."""
    first = told.warning == 1
    due = told.closes_at - limits.second if first else told.closes_at
    return Look(min(due, told.at + TOLD_AGAIN), Step.WARNED_1 if first else Step.WARNED_2, told, new)


def _ms(seconds: float) -> timedelta:
    return timedelta(milliseconds=round(seconds * 1000))
