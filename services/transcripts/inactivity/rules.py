"""RULES of inactivity: when a citizen is warned, when the chat is closed, and when to check it next. No I/O.

The citizen of an assigned chat is inactive while the last message is not theirs: an agent wrote it, or there is none
yet. A question that they asked before they were connected with this agent counts as their message, because the agent is
to answer it. A citizen is warned twice, and then the chat is closed; both warnings are repeated while they hold. An
agent's inactivity never closes a chat, and neither does waiting for an agent. No chat is closed before the warnings
have held for their full time, even when no replica could check for a while (WCAG 2.2.1: time to answer, and more time
on request any number of times).

A chat is in one of these states. A check publishes what is due, and sets the time of the next check:

| state | a check at the time | publishes | next check |
| --- | --- | --- | --- |
| `SEALED` | any | nothing | never |
| `NOT_AWAITED` | any | nothing | after the time before a first warning |
| `QUIET` | any | nothing | when the first warning is due |
| `DUE` | any | the first warning | as in `WARNED_1` |
| `WARNED_1` | before the second warning is due | the first warning again | after 5 s, or when the second one is due |
| | later | the second warning | as in `WARNED_2` |
| `WARNED_2` | more than 30 s after the last check | the second warning, with its full time again | as below |
| | before the closing is due | the second warning again | after 5 s, or when the closing is due |
| | later | the request to close the chat | after 5 s |
| `CLOSING` | more than 90 s after the last check | the second warning, with its full time again | as in `WARNED_2` |
| | earlier | the request to close the chat again | after 5 s, growing to 60 s |

A message of the citizen ends their inactivity (`NOT_AWAITED`). A message of the agent, or a citizen who keeps the chat
open, starts a new one (`QUIET`): a warning counts only for the inactivity for which it was published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from services.common.events.types import Cause, Party

WARNED_FOR = (timedelta(seconds=300), timedelta(seconds=120))  # from the first and from the second warning to the end
SHARE_WARNED = (1 / 3, 2 / 15)  # the same, as shares of a short limit
REPEAT_AFTER = timedelta(seconds=5)
LONGEST_REPEAT = timedelta(seconds=60)  # between requests to close: the end may take long, they must not accumulate
UNCHECKED = timedelta(seconds=30)  # without a check for so long, recent messages may not be stored yet
SHORTEST = 90.0  # seconds; with less, a citizen has not enough time to answer the first warning


class State(Enum):
    """Inactivity of the citizen of a chat."""

    SEALED = "sealed"  # the log has ended
    NOT_AWAITED = "not_awaited"  # the citizen wrote last, or no agent is connected
    QUIET = "quiet"  # inactive, not yet for so long that a warning is due
    DUE = "due"  # the first warning is due
    WARNED_1 = "warned_1"
    WARNED_2 = "warned_2"
    CLOSING = "closing"  # the closing was requested


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
class Inactivity:
    """One inactivity of a citizen. It is stored, under these names, once a warning was published.

    Attributes:
        since: When it began.
        warning: The last warning that was published, 1 or 2; 0: none.
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
        check_at: When to check it.
        stayed_at: When the citizen last kept the chat open.
        inactivity: What was published last.
    """

    chat_id: str
    check_at: datetime
    stayed_at: datetime | None = None
    inactivity: Inactivity | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check.

    Attributes:
        next_at: When to check again (None: never).
        step: What to publish.
        inactivity: What to remember of it.
        new: Whether this step was not published before.
    """

    next_at: datetime | None
    step: Step | None = None
    inactivity: Inactivity | None = None
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


def check(last: Last | None, chat: Watched, limits: Limits, now: datetime) -> Check:
    """Return what to do about a chat that is due for a check.

    Args:
        last: How its log ends; None without a log.
        chat: What its document says.
        limits: The times of the limit.
        now: The present.
    """
    inactivity = _inactivity(last, chat, limits)
    state = state_of(last, inactivity, limits, now)
    if state is State.SEALED:
        return Check(None)
    if inactivity is None:  # a later message of an agent cannot be due before that
        return Check(now + limits.quiet)
    return _CHECKS[state](inactivity, limits, now)


def state_of(last: Last | None, inactivity: Inactivity | None, limits: Limits, now: datetime) -> State:
    """Return the state of a chat.

    Args:
        last: How its log ends; None without a log.
        inactivity: The inactivity of its citizen; None while they are not expected to write.
        limits: The times of the limit.
        now: The present.
    """
    if last and last.event is Cause.CLOSED:
        return State.SEALED
    if inactivity is None:
        return State.NOT_AWAITED
    if now < inactivity.since + limits.quiet:
        return State.QUIET
    if inactivity.warning == 0:
        return State.DUE
    if inactivity.warning == 1:
        return State.WARNED_1
    return State.CLOSING if inactivity.at >= inactivity.closes_at else State.WARNED_2


def _inactivity(last: Last | None, chat: Watched, limits: Limits) -> Inactivity | None:
    began = since(last, chat.stayed_at) if last else None
    if began is None:
        return None
    if chat.inactivity and chat.inactivity.since == began:
        return chat.inactivity
    return Inactivity(began, 0, began + limits.end, began)


# ── a check in each state ────────────────────────────────────────────────────────────────────────────────────────────


def _check_quiet(inactivity: Inactivity, limits: Limits, now: datetime) -> Check:
    return Check(inactivity.since + limits.quiet)


def _check_due(inactivity: Inactivity, limits: Limits, now: datetime) -> Check:
    closes_at = max(inactivity.closes_at, now + limits.first - limits.late)
    return _warn(Inactivity(inactivity.since, 1, closes_at, now), limits, new=True)


def _check_warned_1(inactivity: Inactivity, limits: Limits, now: datetime) -> Check:
    if now < inactivity.closes_at - limits.second:
        return _warn(replace(inactivity, at=now), limits)
    return _warn_again(inactivity, limits, now, new=True)


def _check_warned_2(inactivity: Inactivity, limits: Limits, now: datetime) -> Check:
    if now - inactivity.at > UNCHECKED:
        return _warn_again(inactivity, limits, now)
    if now < inactivity.closes_at:
        return _warn(replace(inactivity, at=now), limits)
    return _close(inactivity, now, new=True)


def _check_closing(inactivity: Inactivity, limits: Limits, now: datetime) -> Check:
    if now - inactivity.at > UNCHECKED + LONGEST_REPEAT:
        return _warn_again(inactivity, limits, now)
    if now < inactivity.closes_at:  # the clock went back
        return _warn(replace(inactivity, at=now), limits)
    return _close(inactivity, now)


_CHECKS: dict[State, Callable[[Inactivity, Limits, datetime], Check]] = {
    State.QUIET: _check_quiet,
    State.DUE: _check_due,
    State.WARNED_1: _check_warned_1,
    State.WARNED_2: _check_warned_2,
    State.CLOSING: _check_closing,
}


def _warn_again(inactivity: Inactivity, limits: Limits, now: datetime, new: bool = False) -> Check:
    """Return a result that publishes the second warning, and gives it its full time from now on."""
    closes_at = max(inactivity.closes_at, now + limits.second - limits.late)
    return _warn(Inactivity(inactivity.since, 2, closes_at, now), limits, new)


def _warn(inactivity: Inactivity, limits: Limits, new: bool = False) -> Check:
    """Return a result that publishes the warning, and checks again when the next step or the repetition is due."""
    first = inactivity.warning == 1
    due = inactivity.closes_at - limits.second if first else inactivity.closes_at
    step = Step.WARNED_1 if first else Step.WARNED_2
    return Check(min(due, inactivity.at + REPEAT_AFTER), step, inactivity, new)


def _close(inactivity: Inactivity, now: datetime, new: bool = False) -> Check:
    """Return a result that requests the closing, and does so again after as long as it has been due."""
    again = min(max(now - inactivity.closes_at, REPEAT_AFTER), LONGEST_REPEAT)
    return Check(now + again, Step.CLOSED, replace(inactivity, at=now), new)


def _ms(seconds: float) -> timedelta:
    return timedelta(milliseconds=round(seconds * 1000))
