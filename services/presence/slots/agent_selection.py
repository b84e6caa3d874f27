"""RULES of agent selection: which agent gets a chat, why, and whether a press may have a slot at once.

Among the agents who could take it: first those who speak the citizen's language, then those with the fewest chats, then
the one who is idle longest. A press never gets a slot that a waiting chat is about to get.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.common.events.types import ButtonReason, Choice, ChoiceRule
from services.presence.button.rules import Crew, QueueState, light


@dataclass(frozen=True)
class Candidate:
    """An agent who is online and available, perhaps at capacity. `seated`: the chats of their slots, ending or not."""

    id: str
    name: str
    departments: frozenset[str]
    locales: frozenset[str]
    capacity: int
    free: int
    idle_since: datetime
    seated: frozenset[str] = frozenset()

    @property
    def chats(self) -> int:
        """The number of slots in use."""
        return self.capacity - self.free


@dataclass(frozen=True)
class Ask:
    """An attempt of a chat that needs an agent.

    Attributes:
        chat_id: The chat.
        turn: The attempt.
        department: The department.
        locale: The citizen's language.
        agent_id: Only this agent will do.
        not_agent_id: Any agent but this one.
        press: The chat is not open yet.
        green: The button was green when the citizen pressed.
        form: Seconds for which an open form reserves the slot; 0: no form.
    """

    chat_id: str
    turn: int
    department: str
    locale: str = "nl"
    agent_id: str | None = None
    not_agent_id: str | None = None
    press: bool = False
    green: bool = False
    form: float = 0.0


@dataclass(frozen=True)
class Chosen:
    """The agent for a chat, why they were chosen, and the departments that they serve."""

    agent_id: str
    agent_name: str
    choice: Choice
    departments: frozenset[str] = frozenset()


def choose(candidates: Iterable[Candidate], ask: Ask, now: datetime) -> Chosen | None:
    """Return the best of the agents who could take the chat, or None when there is none."""
    able = [c for c in candidates if _is_able(c, ask)]
    if not able:
        return None
    best = min(able, key=lambda c: _rank(c, ask.locale))
    others = [c for c in able if c is not best]
    nearest = min(others, key=lambda c: _rank(c, ask.locale), default=None)
    choice = Choice(
        rule=ChoiceRule.NAMED if ask.agent_id else _difference(best, nearest, ask.locale),
        candidates=len(able),
        speaks=ask.locale in best.locales,
        chats=best.chats,
        idle_for=round(max(0.0, (now - best.idle_since).total_seconds()), 3),
    )
    return Chosen(best.id, best.name, choice, best.departments)


def _is_able(candidate: Candidate, ask: Ask) -> bool:
    if candidate.free <= 0 or ask.chat_id in candidate.seated or candidate.id == ask.not_agent_id:
        return False
    return candidate.id == ask.agent_id if ask.agent_id else ask.department in candidate.departments


def _rank(candidate: Candidate, locale: str) -> tuple[bool, int, datetime, str]:
    return (locale not in candidate.locales, candidate.chats, candidate.idle_since, candidate.id)


def _difference(best: Candidate, nearest: Candidate | None, locale: str) -> ChoiceRule:
    if nearest is None:
        return ChoiceRule.ONLY_ONE
    if (locale in best.locales) != (locale in nearest.locales):
        return ChoiceRule.LANGUAGE
    return ChoiceRule.FEWEST_CHATS if best.chats != nearest.chats else ChoiceRule.LONGEST_IDLE


def refusal(ask: Ask, candidates: Iterable[Candidate], queue: QueueState) -> ButtonReason | None:
    """Return why a press gets no slot now, or None when it may have one.

    The answer is the button's, as if the press were last in the queue. A press on a button that was green counts as
    within the opening hours for some seconds after their end.
    """
    ours = [max(c.free, 0) for c in candidates if ask.department in c.departments]
    opened = queue.open or (ask.green and queue.closed_lately)
    shown = light(opened, None, Crew(len(ours), len(ours), sum(ours)), queue.ahead_of(ask.chat_id))
    return None if shown.reason is ButtonReason.AVAILABLE else shown.reason


@dataclass
class Plan:
    """The agents for a round of requests, in their order. Each slot is given once."""

    given: list[tuple[Ask, Chosen]] = field(default_factory=list)
    refused: list[tuple[Ask, ButtonReason]] = field(default_factory=list)


def plan(asks: Sequence[Ask], candidates: Iterable[Candidate], queues: Mapping[str, QueueState], now: datetime) -> Plan:
    """Return what to reserve for these requests, given the available agents and the queues.

    An unknown department gets nothing.
    """
    there = {c.id: c for c in candidates}
    serving: defaultdict[str, list[str]] = defaultdict(list)
    for candidate in there.values():
        for department in candidate.departments:
            serving[department].append(candidate.id)
    result = Plan()
    for ask in asks:
        queue = queues.get(ask.department)
        ids = [ask.agent_id] if ask.agent_id else serving[ask.department]
        able = [there[id_] for id_ in ids if id_ in there]
        why = None
        if ask.press:
            why = refusal(ask, able, queue) if queue else ButtonReason.UNKNOWN
        chosen = None if why else choose(able, ask, now)
        if chosen is None:
            result.refused.append((ask, why or ButtonReason.BUSY))
            continue
        taken = there[chosen.agent_id]
        there[chosen.agent_id] = replace(taken, free=taken.free - 1, seated=taken.seated | {ask.chat_id})
        result.given.append((ask, chosen))
    return result


def overdrawn(given: Sequence[Ask], candidates: Iterable[Candidate], queues: Mapping[str, QueueState]) -> list[Ask]:
    """Return the presses that must give back the slot that they just got, the last one first.

    Other chats were waiting before them. `candidates` and `queues` are as they are now, with all these slots taken.
    Presses that are evaluated at the same time may both give back; then both wait in the queue.
    """
    there = list(candidates)
    back: list[Ask] = []
    for department in {ask.department for ask in given}:
        ours = [ask for ask in given if ask.department == department]
        queue = queues.get(department, QueueState())
        free = sum(max(c.free, 0) for c in there if department in c.departments)
        ahead = queue.waiting + len(queue.raced - {ask.chat_id for ask in ours})
        back += ours[::-1][: max(0, ahead - free)]
    return back
