"""Timers. They run in every replica, because repetition is harmless. A change is marked until it is published.

A timer must not judge what has already happened but was not handled yet. After trouble (a start, a dependency outage, a
process that was suspended, a backlog) timers therefore wait until routing has been well for `settle` seconds.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import structlog

from services.common.batches import gather_limited
from services.common.events.types import ChatStatus
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.observability.tracing import begin_trace
from services.routing.chats import deadlines, rules
from services.routing.chats.chat import Chat, Limits
from services.routing.chats.citizen_presence import CitizenPresence
from services.routing.chats.store import Contended
from services.routing.context import Context
from services.routing.metrics import LONGEST, OPEN, OPEN_STATES, OTHER, repaired

log = structlog.get_logger()
T = TypeVar("T")

TIMERS_EVERY, ASK_EVERY, ACCEPTED_EVERY, AWAY_EVERY, QUEUES_EVERY, COUNT_EVERY = 1.0, 2.0, 2.0, 5.0, 10.0, 15.0
STOOD_STILL = 5.0  # seconds between two checks, above which this process itself was suspended
BACKLOG = 20  # events that may wait without counting as trouble
MOST = 1_000  # chats in one round
AT_ONCE = 20  # chats handled, and queues published, at a time


async def _for_each(items: Collection[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Await `work` for at most `MOST` of the items, `AT_ONCE` at a time.

    They are in random order, so that replicas that begin together work on different ones.
    """
    chosen = random.sample(list(items), min(len(items), MOST))
    await gather_limited(AT_ONCE, [partial(work, item) for item in chosen])


class RepairJob(Protocol):
    """A repair job. Its name is the name in the log."""

    __name__: str

    def __call__(self) -> Awaitable[None]:
        """Do one round."""


class Calm:
    """Whether timers may act: nothing was wrong for `settle` seconds. Times are of a monotonic clock."""

    def __init__(self, settle: float, now: float) -> None:
        self._settle, self._looked_at, self._trouble_at = settle, now, now

    def look(self, well: bool, now: float) -> bool:
        """Record whether all is well; to be called regularly. Return whether there was no trouble for long enough."""
        if not well or now - self._looked_at > STOOD_STILL:
            self._trouble_at = now
        self._looked_at = now
        return self.lasts(now)

    def lasts(self, now: float) -> bool:
        """Return whether the last trouble was long enough ago."""
        return now - self._trouble_at >= self._settle

    def trouble(self, now: float) -> None:
        """Record that something was wrong just now."""
        self._trouble_at = now


@dataclass(frozen=True)
class Timers:
    """The timers and repair jobs. `well`: whether consumers and publisher are working."""

    context: Context
    citizens: CitizenPresence
    limits: Limits
    calm: Calm
    well: Callable[[], bool]
    departments: Collection[str]
    monotonic: Callable[[], float] = time.monotonic

    async def every(self, seconds: float, job: RepairJob) -> None:
        """Run `job` at about this interval, in seconds, until cancelled.

        After an outage the next round does the work.
        """
        while True:
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret
            begin_trace()
            try:
                await job()
            except (*DEPENDENCY_ERRORS, Contended) as error:
                self.calm.trouble(self.monotonic())
                log.warning("repair_job_failed", job=job.__name__, error=type(error).__name__)
            except Exception:
                self.calm.trouble(self.monotonic())
                log.exception("repair_job_failed", job=job.__name__)

    async def timers(self) -> None:
        """Handle deadlines of chats, and changes that may be unpublished."""
        backlog = await self.citizens.backlog()
        judging = self.calm.look(self.well() and 0 <= backlog <= BACKLOG, self.monotonic())
        present = self.citizens.present()

        async def handle(chat: Chat) -> None:
            begin_trace(chat_id=chat.id)
            if judging:
                await self._judge(chat, chat.id in present)
            elif chat.untold_since:
                await self._publish_again(chat)

        await _for_each(await self.context.store.due(self.context.clock(), MOST), handle)

    async def _judge(self, chat: Chat, online: bool) -> None:
        now = self.context.clock()
        before, after = await self.context.store.change(
            chat.id, lambda c: deadlines.overdue(c, online, now, self.limits), known=chat
        )
        deadline = deadlines.reached(before, online, now, self.limits)
        if after == before or deadline is None:
            await self._publish_again(after)
            return
        why = deadline.reason
        repaired(why, turn=before.turn, agent_id=before.agent_id)
        self.context.chat_publisher.record(before, after, why)
        await self.context.record_handling_time(before, after)
        if after.untold_since:
            await self.context.chat_publisher.marked(after)
        if after.waits and after.department and before.waits:
            await self.context.slot_requests.request(after.department)

    async def _publish_again(self, chat: Chat) -> None:
        if chat.untold_since and chat.untold_since + self.limits.republish <= self.context.clock():
            repaired("untold", state=chat.state, turn=chat.turn)
            await self.context.chat_publisher.marked(chat)

    async def accepted(self) -> None:
        """Publish acceptances that an earlier release has stored without publishing them, during a rolling update."""
        now = self.context.clock()

        async def publish(chat: Chat) -> None:
            begin_trace(chat_id=chat.id)
            before, after = await self.context.store.change(
                chat.id, lambda c: rules.accepted_silently(c, now), known=chat
            )
            if after != before:
                repaired("accepted", turn=before.turn, agent_id=before.agent_id)
                self.context.chat_publisher.record(before, after, why="silently")
                await self.context.chat_publisher.marked(after)

        await _for_each(await self.context.store.accepted_silently(MOST), publish)

    async def away(self) -> None:
        """Close chats whose citizen no gateway has listed for too long."""
        absent = self.citizens.absent(await self.context.store.greeted_open())
        if not self.calm.lasts(self.monotonic()):
            return
        now = self.context.clock()

        async def close(chat_id: str) -> None:
            begin_trace(chat_id=chat_id)
            before, after = await self.context.store.change(chat_id, lambda c: rules.closed_offline(c, now))
            if after != before:
                repaired("away", turn=before.turn, agent_id=before.agent_id)
                self.context.chat_publisher.record(before, after, why="away")
                await self.context.record_handling_time(before, after)
                await self.context.chat_publisher.marked(after)

        await _for_each(absent, close)

    async def ask(self) -> None:
        """Let the first waiting chats of each department request slots again: a lost event costs two seconds."""
        await _for_each(await self.context.store.waiting_departments(), self.context.slot_requests.request)

    async def judge_waits_again(self, departments: Iterable[str]) -> None:
        """Store again when the waiting chats of these departments are due, because the rules of their queues changed.

        It may be repeated.

        Raises:
            PyMongoError: The database does not answer.
        """
        for department in departments:
            ids = await self.context.store.waiting_ids(department)
            await gather_limited(AT_ONCE, [partial(self._judge_wait_again, chat_id) for chat_id in ids])

    async def _judge_wait_again(self, chat_id: str) -> None:
        await self.context.store.change(chat_id, lambda c: deadlines.judged_again(c, self.limits))

    async def queues(self) -> None:
        """Publish every queue again, changed or not."""
        await self.context.announcer.repeat(list(self.departments), self.citizens.listener.all_read_digests())

    async def count(self) -> None:
        """Set the gauges of open chats and of the longest wait."""
        found, now = await self.context.store.open_counts(), self.context.clock()
        counts = dict.fromkeys(((d, s) for d in (*self.departments, OTHER) for s in OPEN_STATES), 0)
        longest = dict.fromkeys((*self.departments, OTHER), 0.0)
        for (department, state), (n, since) in found.items():
            label = self.context.chat_publisher.label(department)
            counts[label, state] += n
            if state == ChatStatus.WAITING and since:
                longest[label] = max(longest[label], (now - since).total_seconds())
        for labels, n in counts.items():
            OPEN.labels(*labels).set(n)
        for label, seconds in longest.items():
            LONGEST.labels(label).set(seconds)
