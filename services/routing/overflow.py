"""A department that has places beyond its own line takes over who waits too long in another one.

Looked at whenever a department's free places are told, which presence repeats every 2 s: that is the timer, and the
number of places is then as fresh as it can be.
"""

from __future__ import annotations

from services.routing import transfers
from services.routing.chat import Chat, Limits
from services.routing.counting import repaired
from services.routing.desk import Desk

LOOKED_AT = 100  # of the first in a line: who waits long stands in front


def sources(limits: Limits, to: str) -> list[str]:
    """The departments that overflow to this one."""
    return [d for d, line in limits.queues.items() if line.overflow and line.overflow.to == to]


def room(free: int, waiting: int) -> int:
    """How many of others a department can take: nobody of its own line waits the longer for it."""
    return max(0, free - waiting)


async def fill(desk: Desk, to: str) -> None:
    """As many as the department has room for have come over from lines that overflow to it, the longest waiting first.

    Each change is marked until it is told: a crash between loses nothing.
    """
    free = desk.queue.free(to)
    if free <= 0 or not (long := await _waiting_too_long(desk, to)):
        return
    for chat in long[: room(free, len(await desk.store.order(to)))]:
        now = desk.clock()
        before, after = await desk.store.change(chat.id, lambda c: transfers.overflowed(c, to, now, desk.limits))  # noqa: B023
        if after == before:
            continue
        repaired("overflow", chat_id=chat.id, department=to)
        desk.telling.record(before, after, why="overflow")
        await desk.telling.marked(after)
        await desk.queue.ask(to)


async def _waiting_too_long(desk: Desk, to: str) -> list[Chat]:
    now = desk.clock()
    lines = [await desk.store.line(source, LOOKED_AT) for source in sources(desk.limits, to)]
    long = [c for line in lines for c in line if transfers.may_overflow(c, to, now, desk.limits)]
    return sorted(long, key=lambda c: (not c.head, c.opened_at or now, c.id))
