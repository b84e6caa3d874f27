"""RULES of the estimated wait: position p waits about p times H / S.

H is the mean handling time (from the assignment to the close) of the last chats of a department that ended with an
agent who had accepted them. S is the number of slots of its available agents, used or not: on average one of S slots
becomes free every H / S seconds. The estimate is unknown with too few such chats or without slots.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.routing.chats.chat import Chat

REMEMBERED = 20  # chats
FEWEST = 3


def handled(before: Chat, after: Chat) -> float | None:
    """Return the seconds for which an agent handled the chat that this change has ended.

    None for every other change.
    """
    if not (after.closed and before.assigned and before.accepted and before.assigned_at and after.closed_at):
        return None
    return max(0.0, (after.closed_at - before.assigned_at).total_seconds())


def seconds_each(times: Sequence[float], slots: int | None) -> float | None:
    """Return the seconds in which the queue moves up by one, given the handling times of the latest chats."""
    latest = times[-REMEMBERED:]
    if len(latest) < FEWEST or not slots or slots < 0:
        return None
    return sum(latest) / len(latest) / slots


def wait(position: int | None, seconds_each: float | None) -> float | None:
    """Return the estimated wait at this position, in seconds."""
    return None if position is None or seconds_each is None else position * seconds_each
