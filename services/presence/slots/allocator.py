"""Allocator of slots: simultaneous requests share one read of their departments' agents, and are served in order.

A process makes one round after the other, each with one read, one plan (agent_selection.py) and many reservations at a
time. Replicas race harmlessly, because a reservation is one compare-and-set on the agent. A press gets the same agent
each time it asks. Its reservation is withdrawn when another replica made one for the same chat meanwhile, or when chats
were waiting before it.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from services.common.events.types import ButtonReason, Hold
from services.common.internal_api.presence import Held, HoldQuery, Reserved, ReserveQuery
from services.presence.button.rules import QueueState
from services.presence.context import Context
from services.presence.opening_hours import Schedule
from services.presence.slots.agent_selection import Ask, Chosen, overdrawn, plan
from services.presence.slots.rules import Agent, Slot, Wish, weigh

log = structlog.get_logger()

ROUND = 64  # requests in one round
TRIES = 8  # rounds in which one request may lose its agent to others
APART = (0.01, 0.06)  # seconds after which a press that gave its slot back asks again, at random
HOLDS = Counter("eloket_holds_total", "Presses that requested a slot", ["outcome"])


@dataclass(frozen=True)
class Outcome:
    """The result of a request.

    Attributes:
        again: These agents have the attempt already.
        found: The agent who was found.
        reason: Why there is none; None when the attempt is over.
        may_wait: The press is in the queue now.
    """

    again: tuple[tuple[Agent, Slot], ...] = ()
    found: Chosen | None = None
    reason: ButtonReason | None = None
    may_wait: bool = False


@dataclass(eq=False)
class _Waiting:
    """A request that waits for its round."""

    ask: Ask
    answer: asyncio.Future[Outcome]
    tries: int = field(default=0)


class Allocator:
    """Finds agents for chats, for requests of routing and for presses.

    Args:
        context: Dependencies of the service.
        schedules: Opening hours of the known departments.
        longest: How many chats may wait in the queue of each department.
    """

    def __init__(self, context: Context, schedules: Mapping[str, Schedule], longest: Mapping[str, int]) -> None:
        self._context, self._schedules, self._longest = context, schedules, longest
        self._asked: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def seek(self, ask: Ask) -> Outcome:
        """Return the agent who has a slot for this attempt of the chat now, or why there is none.

        Raises:
            PyMongoError: The database does not answer.
        """
        waiting = _Waiting(ask, asyncio.get_running_loop().create_future())
        self._put(waiting)
        return await waiting.answer

    async def look(self, ask: Ask) -> Outcome:
        """Return what this press has already, without giving it anything.

        Raises:
            PyMongoError: The database does not answer.
        """
        wish = weigh(ask.chat_id, ask.turn, await self._context.stores.agents.holders(ask.chat_id))
        queue = (await self._queues([ask])).get(ask.department)
        if not wish.open:
            return Outcome(again=await self._kept(ask, wish))
        return Outcome(reason=ButtonReason.BUSY, may_wait=queue is not None and ask.chat_id in queue.raced)

    def _put(self, waiting: _Waiting) -> None:
        self._asked.append(waiting)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._asked:
            requests = self._next_round()
            try:
                await self._round(requests)
            except Exception as error:  # every waiting request gets the error; the next round is another try
                for waiting in requests:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)

    def _next_round(self) -> list[_Waiting]:
        """Return the first requests, each chat once. A second request for a chat sees the result in the next round."""
        requests: dict[str, _Waiting] = {}
        others: list[_Waiting] = []
        while self._asked and len(requests) < ROUND:
            waiting = self._asked.popleft()
            if waiting.ask.chat_id in requests:
                others.append(waiting)
            else:
                requests[waiting.ask.chat_id] = waiting
        self._asked.extendleft(reversed(others))
        return list(requests.values())

    async def _round(self, requests: Sequence[_Waiting]) -> None:
        now, stores = self._context.clock(), self._context.stores
        holders, candidates, queues = await asyncio.gather(
            stores.agents.holders(*(w.ask.chat_id for w in requests)),
            stores.agents.candidates(*_concerned(w.ask for w in requests)),
            self._queues([w.ask for w in requests]),
        )
        seeking = await self._still_seeking(requests, holders)
        if not seeking:
            return
        by_chat = {w.ask.chat_id: w for w in seeking}
        asks = [w.ask for w in seeking]
        planned = plan(asks, candidates, queues, now)
        await self._refuse([(by_chat[ask.chat_id], reason) for ask, reason in planned.refused], queues, now)
        reserved = await asyncio.gather(*(self._reserve(ask, chosen) for ask, chosen in planned.given))
        pressed: list[tuple[Ask, Chosen]] = []
        claimed: list[tuple[Ask, Chosen]] = []
        for (ask, chosen), got in zip(planned.given, reserved, strict=True):
            if not got:
                self._again(by_chat[ask.chat_id])
            elif ask.press:
                pressed.append((ask, chosen))
            else:
                claimed.append((ask, chosen))
        await self._leave_queues([ask for ask, _ in claimed])
        for ask, chosen in claimed:
            self._found(by_chat[ask.chat_id], chosen)
        await self._keep_or_withdraw(pressed, any(queues[a.department].ahead_of("") for a, _ in pressed), by_chat)

    async def _still_seeking(self, requests: Sequence[_Waiting], holders: Sequence[Agent]) -> list[_Waiting]:
        """Return the requests whose chats have no slot yet; answer the others."""
        seeking = []
        for waiting in requests:
            wish = weigh(waiting.ask.chat_id, waiting.ask.turn, holders)
            if wish.open:
                if not waiting.answer.done():  # a caller still waits for it
                    seeking.append(waiting)
            elif (kept := await self._kept(waiting.ask, wish)) or not wish.again:
                _answer(waiting, Outcome(again=kept))
            else:
                self._again(waiting)
        return seeking

    async def _kept(self, ask: Ask, wish: Wish) -> tuple[tuple[Agent, Slot], ...]:
        """Return those agents with a slot of this attempt whose slot is certain: only these may be announced.

        A slot that a press has just taken may be given back until it is marked as announced. That of an open form is
        never announced: it ends by itself.
        """
        if ask.form:
            return wish.again
        sure = tuple((agent, slot) for agent, slot in wish.again if slot.sure)
        for agent, slot in () if sure else sorted(wish.again, key=lambda pair: pair[0].id):
            now = self._context.clock()
            if await self._context.stores.agents.mark_announced(agent.id, ask.chat_id, ask.turn, now):
                return ((agent, slot),)
        return sure

    async def _queues(self, asks: Sequence[Ask]) -> dict[str, QueueState]:
        pressed = {ask.department for ask in asks if ask.press}
        return (
            await self._context.stores.queues.read(self._schedules, pressed, self._context.clock()) if pressed else {}
        )

    async def _refuse(
        self, refused: Sequence[tuple[_Waiting, ButtonReason]], queues: Mapping[str, QueueState], now: datetime
    ) -> None:
        """Let presses that find all agents busy into the queue while it is short; answer the others with the reason.

        A press on a button that was green waits also when all agents who are logged in have just paused. An open form
        never waits.
        """
        late: dict[str, list[_Waiting]] = defaultdict(list)
        paused = {w.ask.department for w, reason in refused if w.ask.green and reason is ButtonReason.NO_AGENTS}
        staffed = await self._staffed(paused) if paused else set()
        for waiting, reason in refused:
            queue = queues.get(waiting.ask.department)
            waits = reason is ButtonReason.BUSY or (waiting.ask.green and waiting.ask.department in staffed)
            if not waiting.ask.press or waiting.ask.form or not queue or not waits:
                _answer(waiting, Outcome(reason=reason))
            elif waiting.ask.chat_id in queue.raced:  # it is in the queue already
                _answer(waiting, Outcome(reason=reason, may_wait=True))
            else:
                late[waiting.ask.department].append(waiting)
        for department, presses in late.items():
            queue, longest = queues[department], self._longest.get(department, 0)
            room = max(0, longest - queue.ahead_of(""))
            for waiting in presses[room:]:
                _answer(waiting, Outcome(reason=ButtonReason.BUSY))
            chat_ids = [waiting.ask.chat_id for waiting in presses[:room]]
            joined = chat_ids and await self._context.stores.queues.join(department, queue, chat_ids, longest, now)
            for waiting in presses[:room]:
                if joined:
                    _answer(waiting, Outcome(reason=ButtonReason.BUSY, may_wait=True))
                else:
                    self._again(waiting)

    async def _leave_queues(self, claims: Sequence[Ask]) -> None:
        """Count chats that have just got their first agent no longer among those that were let into a queue."""
        by_department: defaultdict[str, list[str]] = defaultdict(list)
        for ask in claims:
            if ask.turn == 1:
                by_department[ask.department].append(ask.chat_id)
        leave = self._context.stores.queues.leave
        await asyncio.gather(*(leave(department, chat_ids) for department, chat_ids in by_department.items()))

    async def _staffed(self, departments: set[str]) -> set[str]:
        """Return those of these departments in which an agent who takes chats is logged in, paused or not."""
        crew = await self._context.stores.agents.crew(departments)
        return {department for _, serving, _, _ in crew for department in serving}

    async def _reserve(self, ask: Ask, chosen: Chosen) -> bool:
        now, stores = self._context.clock(), self._context.stores
        until = now + timedelta(seconds=ask.form) if ask.form else None
        return await stores.agents.reserve(chosen.agent_id, ask.chat_id, ask.turn, now, chosen.choice, ask.press, until)

    async def _keep_or_withdraw(
        self, pressed: Sequence[tuple[Ask, Chosen]], waiting_before: bool, by_chat: Mapping[str, _Waiting]
    ) -> None:
        """Keep new reservations of presses, unless another replica made one too, or chats were waiting before.

        When two replicas reserve a slot for one chat, the later one always sees the other here. The one that sees
        another withdraws its own and asks again, unless that was announced meanwhile: then it stays.
        """
        if not pressed:
            return
        holders = await self._context.stores.agents.holders(*(ask.chat_id for ask, _ in pressed))
        behind: list[Ask] = []
        if waiting_before:
            asks = [ask for ask, _ in pressed]
            candidates = await self._context.stores.agents.candidates(*_concerned(asks))
            behind = overdrawn(asks, candidates, await self._queues(asks))
        for ask, chosen in pressed:
            waiting = by_chat[ask.chat_id]
            double = len(weigh(ask.chat_id, ask.turn, holders).again) > 1 and waiting.tries < TRIES
            if not double and ask not in behind and not waiting.answer.cancelled():
                self._found(waiting, chosen)
                continue
            if await self._context.stores.agents.withdraw(
                chosen.agent_id, ask.chat_id, ask.turn, self._context.clock()
            ):
                self._context.wake(chosen.departments)
                log.info("slot_released", chat_id=ask.chat_id, agent_id=chosen.agent_id, double=double)
                self._again(waiting, random.uniform(*APART) if double else 0.0)  # noqa: S311 - jitter, no secret
            else:
                self._found(waiting, chosen)

    def _found(self, waiting: _Waiting, chosen: Chosen) -> None:
        self._context.wake(chosen.departments)
        ask = waiting.ask
        log.info(
            "slot_reserved" if ask.press else "place_claimed",
            chat_id=ask.chat_id,
            turn=ask.turn,
            agent_id=chosen.agent_id,
            rule=chosen.choice.rule.value,
        )
        _answer(waiting, Outcome(found=chosen))

    def _again(self, waiting: _Waiting, after: float = 0.0) -> None:
        """Ask again, because the agent was lost to others; at most `TRIES` times."""
        waiting.tries += 1
        if waiting.answer.done():
            return
        if waiting.tries > TRIES:  # a press on a green button then waits as any other chat, counted from its opening
            waits = waiting.ask.green and self._longest.get(waiting.ask.department, 0) > 0
            _answer(waiting, Outcome(reason=ButtonReason.BUSY, may_wait=waits))
        elif after:
            asyncio.get_running_loop().call_later(after, self._put, waiting)
        else:
            self._asked.appendleft(waiting)


def _concerned(asks: Iterable[Ask]) -> tuple[set[str], set[str]]:
    """Return the departments and the single agents who could take these chats."""
    known = list(asks)
    return {a.department for a in known if not a.agent_id}, {a.agent_id for a in known if a.agent_id}


def _answer(waiting: _Waiting, outcome: Outcome) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result(outcome)


async def reserve(allocator: Allocator, query: HoldQuery) -> Held:
    """Return the agent who reserves a slot for this press, the same each time; or whether it may wait; or why not.

    Raises:
        PyMongoError: The database does not answer.
    """
    ask = Ask(query.chat_id, 1, query.department, query.locale, press=True, green=query.green)
    answer = _answer_of(await (allocator.look(ask) if query.again else allocator.seek(ask)))
    HOLDS.labels("held" if answer.hold else "may_wait" if answer.may_wait else answer.reason.value).inc()
    return answer


async def reserve_for_form(allocator: Allocator, query: ReserveQuery) -> Reserved:
    """Reserve a slot for an open form, the same each time it asks; or say why there is none.

    Raises:
        PyMongoError: The database does not answer.
    """
    ask = Ask(query.chat_id, 1, query.department, query.locale, press=True, form=query.seconds)
    outcome = await allocator.seek(ask)
    reason = outcome.reason or (None if outcome.found or outcome.again else ButtonReason.BUSY)
    HOLDS.labels("form" if reason is None else f"form_{reason.value}").inc()
    return Reserved(reason=reason) if reason else Reserved(seconds=query.seconds)


def _answer_of(outcome: Outcome) -> Held:
    if found := outcome.found:
        return Held(hold=Hold(agent_id=found.agent_id, agent_name=found.agent_name, choice=found.choice))
    if outcome.again:
        agent, slot = min(outcome.again, key=lambda pair: pair[0].id)
        return Held(hold=Hold(agent_id=agent.id, agent_name=agent.name, choice=slot.choice))
    if outcome.reason is None:  # routing knows this chat already
        return Held(may_wait=True)
    return Held(may_wait=outcome.may_wait, reason=outcome.reason)
