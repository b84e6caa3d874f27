"""Overflow: a department with free slots beyond its own queue takes chats that wait too long in another one.

It is evaluated whenever a department's free slots are published, which presence repeats every 2 s. That serves as the
timer, and the number of slots is then as fresh as possible.
"""

from __future__ import annotations

from datetime import datetime

from services.routing.chats import transfer_rules
from services.routing.chats.chat import Chat, Limits
from services.routing.context import Context
from services.routing.metrics import repaired

LOOKED_AT = 100  # of the first in a queue: chats that wait long are at the head


def sources(limits: Limits, to: str) -> list[str]:
    """Return the departments that overflow to this one."""
    return [d for d, rules in limits.queues.items() if rules.overflow and rules.overflow.to == to]


def targets(limits: Limits) -> frozenset[str]:
    """Return the departments to which another one overflows."""
    return frozenset(rules.overflow.to for rules in limits.queues.values() if rules.overflow)


def room(free: int, waiting: int) -> int:
    """Return how many chats of others a department can take without a longer wait for its own chats."""
    return max(0, free - waiting)


async def fill(context: Context, to: str) -> None:
    """Move chats that wait too long to this department, the longest waiting first, as many as it has room for.

    Each change is marked until it is published, so a crash in between loses nothing.
    """
    free = context.slot_requests.free(to)
    if free <= 0 or not (long := await _waiting_too_long(context, to)):
        return
    for chat in long[: room(free, len(await context.store.waiting_ids(to)))]:
        now = context.clock()

        def overflow(found: Chat, now: datetime = now) -> Chat:
            return transfer_rules.overflowed(found, to, now, context.limits)

        before, after = await context.store.change(chat.id, overflow)
        if after == before:
            continue
        repaired("overflow", chat_id=chat.id, department=to)
        context.chat_publisher.record(before, after, why="overflow")
        await context.chat_publisher.marked(after)
        await context.slot_requests.request(to)


async def _waiting_too_long(context: Context, to: str) -> list[Chat]:
    now = context.clock()
    queues = [await context.store.first_waiting(source, LOOKED_AT) for source in sources(context.limits, to)]
    long = [c for queue in queues for c in queue if transfer_rules.may_overflow(c, to, now, context.limits)]
    return sorted(long, key=lambda c: (not c.head, c.opened_at or now, c.id))
