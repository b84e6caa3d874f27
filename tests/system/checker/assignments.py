"""Check assignments, department queues and positions: what must not have been so at any moment of a run. No I/O.

The checker reads nothing but the published events and the participants' history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from services.common.events.places import PlacesChanged
from services.common.events.types import ChatStatus
from tests.system.checker.chat_states import ChatStates, Span, chat_states
from tests.system.checker.department_queues import SLACK, PositionShown, positions_shown, queue_violations
from tests.system.checker.violations import Violation
from tests.system.history import History, PublishedHistory, Visit, visits


class Rule(StrEnum):
    TWO_AGENTS = "two agents at a time"
    CAPACITY = "more chats than capacity"
    STATES = "states that contradict each other"
    FORGOTTEN = "a chat forgotten"
    UNSERVED = "a press served without an agent"
    QUEUE = "a department queue out of order"
    POSITION = "a position that is not true"
    SLOTS = "free slots at the end"


@dataclass(frozen=True)
class Result:
    """What was wrong at any moment, and the positions that citizens looked at."""

    violations: list[Violation]
    positions: list[PositionShown]


def check(
    published: PublishedHistory, capacities: Mapping[str, int], history: History = (), oldest: float = SLACK
) -> Result:
    """Check a run that has come to rest, with every chat closed.

    Args:
        published: What the services published.
        capacities: How many chats each agent takes at a time, by the agent's id.
        history: What the citizens did and were shown.
        oldest: Seconds for which a position that is not true any more may stay on the screen.
    """
    found, citizens = chat_states(published), visits(history)
    seen = list(positions_shown(published, found, citizens))
    violations = [
        *states_agree(found.values()),
        *one_agent_each(found.values()),
        *within_capacity(found.values(), capacities),
        *none_forgotten(found, citizens),
        *all_served(found, citizens),
        *(Violation(Rule.QUEUE, "", about, words) for about, words in queue_violations(published, found)),
        *positions_true(seen, oldest),
    ]
    return Result(violations, seen)


def states_agree(found: Iterable[ChatStates]) -> list[Violation]:
    """One `v` says one thing; turns only grow; closed is for ever."""
    wrong = []
    for chat in found:
        for first, other in chat.contradictions:
            wrong.append(
                Violation(Rule.STATES, chat.chat_id, "", f"v {first.v} is {_brief(first)} and {_brief(other)}")
            )
        for before, after in pairwise(chat.in_order):
            if after.turn < before.turn:
                words = f"turn {after.turn} after turn {before.turn}"
                wrong.append(Violation(Rule.STATES, chat.chat_id, "", words))
            if before.state is ChatStatus.CLOSED and after.state is not ChatStatus.CLOSED:
                wrong.append(Violation(Rule.STATES, chat.chat_id, "", f"{_brief(after)} after it was closed"))
    return wrong


def one_agent_each(found: Iterable[ChatStates]) -> list[Violation]:
    """No chat is with two agents at a time: by its own order, and by the moments at which it was with each."""
    wrong = []
    for chat in found:
        agents: dict[int, set[str]] = defaultdict(set)
        for state in [*chat.states.values(), *(other for _, other in chat.contradictions)]:
            if state.state is ChatStatus.ASSIGNED:
                agents[state.turn].add(str(state.agent_id))
        for turn, both in agents.items():
            if len(both) > 1:
                words = f"turn {turn} is with {', '.join(sorted(both))}"
                wrong.append(Violation(Rule.TWO_AGENTS, chat.chat_id, "", words))
        for before, after in pairwise(chat.in_order):
            with_agents = before.state is after.state is ChatStatus.ASSIGNED
            if with_agents and before.agent_id != after.agent_id and after.v == before.v + 1:
                words = f"from {before.agent_id} to {after.agent_id} without a wait in between"
                wrong.append(Violation(Rule.TWO_AGENTS, chat.chat_id, "", words))
        spans = sorted(chat.spans(claims=False), key=lambda s: s.begins)
        for one, next_ in pairwise(spans):
            if one.agent_id != next_.agent_id and next_.begins < one.ends:
                words = f"with {one.agent_id} and {next_.agent_id} for {one.ends - next_.begins:.3f} s"
                wrong.append(Violation(Rule.TWO_AGENTS, chat.chat_id, "", words))
    return wrong


def within_capacity(found: Iterable[ChatStates], capacities: Mapping[str, int]) -> list[Violation]:
    """At no moment does an agent have more chats, reserved slots included, than they can take."""
    of: dict[str, list[Span]] = defaultdict(list)
    for chat in found:
        for span in chat.spans():
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
                wrong.append(Violation(Rule.CAPACITY, "", agent_id, words))
    return wrong


def none_forgotten(found: Mapping[str, ChatStates], citizens: Sequence[Visit]) -> list[Violation]:
    """Every chat that was begun is known and over: its end has come."""
    wrong = []
    for chat_id in {*found, *(v.chat for v in citizens if v.chat)}:
        last = found[chat_id].last if chat_id in found else None
        if last is None:
            wrong.append(Violation(Rule.FORGOTTEN, chat_id, "", "no state was ever published"))
        elif last.state is not ChatStatus.CLOSED:
            wrong.append(Violation(Rule.FORGOTTEN, chat_id, "", f"still {_brief(last)} at the end"))
    return wrong


def all_served(found: Mapping[str, ChatStates], citizens: Sequence[Visit]) -> list[Violation]:
    """Every press that was answered 201 got an agent.

    A routing service that is killed publishes the state of each chat later, and no state before that one. So the agent
    of a closed chat counts too.
    """
    wrong = []
    for visit in citizens:
        chat = found.get(visit.chat)
        if chat is None or chat.assigned or (chat.last and chat.last.agent_id):
            continue
        words = f"no agent; {_brief(chat.last) if chat.last else 'no state'}"
        wrong.append(Violation(Rule.UNSERVED, visit.chat, "", words))
    return wrong


def positions_true(seen: Iterable[PositionShown], oldest: float) -> list[Violation]:
    """No citizen looked at a position that was older than that."""
    wrong = []
    for shown in seen:
        if shown.age > oldest:
            place = "did not wait" if shown.possible is None else f"was {shown.possible[0]} to {shown.possible[1]}"
            words = f"looked at {shown.position} at {shown.at:.1f}, true up to {shown.age:g} s before, and {place}"
            wrong.append(Violation(Rule.POSITION, shown.chat_id, "", words))
    return wrong


def free_slots_at_rest(published: PublishedHistory, free: Mapping[str, int]) -> list[Violation]:
    """The last event about each department's free slots, when no chat is open and every agent is available."""
    last: dict[str, PlacesChanged] = {}
    for event in (p.event for p in published):
        if isinstance(event, PlacesChanged) and (
            event.department not in last or event.revision >= last[event.department].revision
        ):
            last[event.department] = event
    wrong = []
    for department, expected in free.items():
        found = last[department].free if department in last else None
        if found != expected:
            wrong.append(Violation(Rule.SLOTS, "", department, f"{found}, not {expected}"))
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
