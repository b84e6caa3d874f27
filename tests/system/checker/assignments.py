"""Judges a history: what must never have been so at any moment. Reads nothing but the history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from services.common.events.places import PlacesChanged
from services.common.events.types import ChatStatus, CloseReason
from tests.system.soak.courses import Course, Span, courses
from tests.system.soak.history import History, Visit
from tests.system.soak.lines import SLACK, Sight, line_violations, sights


class Rule(StrEnum):
    TWO_AGENTS = "two agents at a time"
    CAPACITY = "more chats than capacity"
    STATES = "states that contradict each other"
    FORGOTTEN = "a chat forgotten"
    UNSERVED = "a press served without an agent"
    LINE = "a line out of order"
    POSITION = "a position that is not true"
    PLACES = "free places at the end"


@dataclass(frozen=True)
class Violation:
    rule: Rule
    about: str
    words: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.about}: {self.words}"


@dataclass(frozen=True)
class Judgement:
    """What was wrong at any moment, and the positions that citizens looked at."""

    violations: list[Violation]
    sights: list[Sight]


def judge(
    history: History, capacities: Mapping[str, int], visits: Sequence[Visit] = (), oldest: float = SLACK
) -> Judgement:
    """Judge a run that has come to rest, with every chat closed.

    `oldest`: for so many seconds a position that is not true any more may stay on the screen.
    """
    found = courses(history)
    seen = list(sights(history, found, visits))
    violations = [
        *states_agree(found.values()),
        *one_agent_each(found.values()),
        *within_capacity(found.values(), capacities),
        *none_forgotten(found, visits),
        *all_served(found, visits),
        *(Violation(Rule.LINE, about, words) for about, words in line_violations(history, found)),
        *positions_true(seen, oldest),
    ]
    return Judgement(violations, seen)


def states_agree(found: Iterable[Course]) -> list[Violation]:
    """One `v` says one thing; turns only grow; closed is for ever."""
    wrong = []
    for course in found:
        for first, other in course.contradictions:
            wrong.append(Violation(Rule.STATES, course.chat_id, f"v {first.v} is {_brief(first)} and {_brief(other)}"))
        for before, after in pairwise(course.in_order):
            if after.turn < before.turn:
                words = f"turn {after.turn} after turn {before.turn}"
                wrong.append(Violation(Rule.STATES, course.chat_id, words))
            if before.state is ChatStatus.CLOSED and after.state is not ChatStatus.CLOSED:
                wrong.append(Violation(Rule.STATES, course.chat_id, f"{_brief(after)} after it was closed"))
    return wrong


def one_agent_each(found: Iterable[Course]) -> list[Violation]:
    """No chat is with two agents at a time: by its own order, and by the moments at which it was with each."""
    wrong = []
    for course in found:
        agents: dict[int, set[str]] = defaultdict(set)
        for state in [*course.states.values(), *(other for _, other in course.contradictions)]:
            if state.state is ChatStatus.ASSIGNED:
                agents[state.turn].add(str(state.agent_id))
        for turn, both in agents.items():
            if len(both) > 1:
                words = f"turn {turn} is with {', '.join(sorted(both))}"
                wrong.append(Violation(Rule.TWO_AGENTS, course.chat_id, words))
        for before, after in pairwise(course.in_order):
            with_agents = before.state is after.state is ChatStatus.ASSIGNED
            if with_agents and before.agent_id != after.agent_id and after.v == before.v + 1:
                words = f"from {before.agent_id} to {after.agent_id} without a wait in between"
                wrong.append(Violation(Rule.TWO_AGENTS, course.chat_id, words))
        spans = sorted(course.spans(claims=False), key=lambda s: s.begins)
        for one, next_ in pairwise(spans):
            if one.agent_id != next_.agent_id and next_.begins < one.ends:
                words = f"with {one.agent_id} and {next_.agent_id} for {one.ends - next_.begins:.3f} s"
                wrong.append(Violation(Rule.TWO_AGENTS, course.chat_id, words))
    return wrong


def within_capacity(found: Iterable[Course], capacities: Mapping[str, int]) -> list[Violation]:
    """At no moment does an agent have more chats, places held for chats included, than they can take."""
    of: dict[str, list[Span]] = defaultdict(list)
    for course in found:
        for span in course.spans():
            of[span.agent_id].append(span)
    wrong = []
    for agent_id, spans in of.items():
        turns = sorted([(s.begins, 1, s) for s in spans] + [(s.ends, 0, s) for s in spans], key=lambda t: t[:2])
        having: list[Span] = []
        for at, comes, span in turns:
            if not comes:
                having.remove(span)
                continue
            having.append(span)
            if len(having) > capacities.get(agent_id, 0):
                until = min(s.ends for s in having)
                words = f"{len(having)} of {capacities.get(agent_id, 0)} for {until - at:.3f} s: " + ", ".join(
                    f"{s.chat_id} turn {s.turn}" for s in having
                )
                wrong.append(Violation(Rule.CAPACITY, agent_id, words))
    return wrong


def none_forgotten(found: Mapping[str, Course], visits: Sequence[Visit]) -> list[Violation]:
    """Every chat that was begun is known and over: its end has come."""
    wrong = []
    for chat_id in {*found, *(v.chat_id for v in visits if v.chat_id)}:
        last = found[chat_id].last if chat_id in found else None
        if last is None:
            wrong.append(Violation(Rule.FORGOTTEN, chat_id, "nothing was ever told of its state"))
        elif last.state is not ChatStatus.CLOSED:
            wrong.append(Violation(Rule.FORGOTTEN, chat_id, f"still {_brief(last)} at the end"))
    return wrong


def all_served(found: Mapping[str, Course], visits: Sequence[Visit]) -> list[Violation]:
    """Whoever was answered 201 got an agent, unless they went by themselves before."""
    wrong = []
    for visit in visits:
        course = found.get(visit.chat_id)
        if course is None or course.assigned:
            continue
        if visit.left_at is None or (course.last and course.last.reason is not CloseReason.CITIZEN):
            words = f"no agent; {_brief(course.last) if course.last else 'no state'}"
            wrong.append(Violation(Rule.UNSERVED, visit.chat_id, words))
    return wrong


def positions_true(seen: Iterable[Sight], oldest: float) -> list[Violation]:
    """No citizen looked at a position that was older than that."""
    wrong = []
    for sight in seen:
        if sight.age > oldest:
            place = "did not wait" if sight.possible is None else f"was {sight.possible[0]} to {sight.possible[1]}"
            words = f"looked at {sight.position} at {sight.at:.1f}, true up to {sight.age:g} s before, and {place}"
            wrong.append(Violation(Rule.POSITION, sight.chat_id, words))
    return wrong


def places_at_rest(history: History, free: Mapping[str, int]) -> list[Violation]:
    """The last that was told of each department's free places, when no chat is open and everybody is available."""
    told: dict[str, PlacesChanged] = {}
    for event in (h.event for h in history):
        if isinstance(event, PlacesChanged) and (
            event.department not in told or event.revision >= told[event.department].revision
        ):
            told[event.department] = event
    wrong = []
    for department, expected in free.items():
        found = told[department].free if department in told else None
        if found != expected:
            wrong.append(Violation(Rule.PLACES, department, f"{found}, not {expected}"))
    return wrong


def _brief(state: object) -> str:
    return " ".join(
        str(part)
        for part in (
            getattr(state, "state", ""),
            f"turn {getattr(state, 'turn', '')}",
            getattr(state, "agent_id", None) or "",
            getattr(state, "reason", None) or "",
        )
        if part
    )
