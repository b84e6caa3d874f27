"""The order of faults, the time until messages flow, and the report."""

import itertools
import math
import random
from typing import Any, cast

from tests.system.chaos.faults import Fault, nothing
from tests.system.chaos.report import good, report
from tests.system.chaos.runner import Injected, Outcome, in_order
from tests.system.checker.messages import Counts, Result, Rule
from tests.system.checker.violations import Violation
from tests.system.workload.conversations import Conversation, Workload, recovery


def test_each_kind_is_injected_once_and_then_at_random_the_same_with_the_same_seed() -> None:
    faults = [Fault(f"kind {n}", nothing) for n in range(6)]
    first = [f.kind for f in itertools.islice(in_order(faults, random.Random(7)), 40)]
    assert sorted(first[:6]) == [f.kind for f in faults]
    assert len(set(first[6:])) > 3
    assert first == [f.kind for f in itertools.islice(in_order(faults, random.Random(7)), 40)]
    assert list(in_order([], random.Random(7))) == []


class Times:
    """When a participant sent messages and was shown them, by id."""

    def __init__(self, sent: dict[str, float], shown: dict[str, float]) -> None:
        self.chat, self.over = "chat", False
        self.sent_at, self.shown_at = sent, shown


def conversation(citizen: Times, *agents: Times) -> Conversation:
    workload = cast(Workload, type("W", (), {"agent_chats": {"chat": list(agents)}, "rng": random.Random(1)})())
    made = Conversation(workload)
    made.citizen = cast(Any, citizen)
    return made


def test_messages_flow_when_what_both_wrote_since_was_shown_to_both() -> None:
    citizen = Times({"old": 9.0, "c": 10.5}, {"old": 12.0, "c": 13.0, "a": 14.0})
    agent = Times({"a": 11.0}, {"old": 12.0, "c": 13.5, "a": 12.0})
    assert conversation(citizen, agent).recovered(10.0) == 4.0


def test_what_was_written_before_does_not_count() -> None:
    citizen = Times({"c": 9.0}, {"c": 12.0, "a": 12.0})
    agent = Times({"a": 11.0}, {"c": 12.0, "a": 12.0})
    assert conversation(citizen, agent).recovered(10.0) is None


def test_one_way_is_not_enough() -> None:
    citizen = Times({"c": 11.0}, {"c": 12.0})
    agent = Times({"a": 11.0}, {"c": 12.0, "a": 12.0})
    assert conversation(citizen, agent).recovered(10.0) is None


def test_another_agent_may_have_taken_over() -> None:
    citizen = Times({"c": 11.0}, {"c": 12.0, "a": 16.0})
    gone, new = Times({"x": 10.1}, {}), Times({"a": 15.0}, {"c": 14.0, "a": 15.5})
    assert conversation(citizen, gone, new).recovered(10.0) == 6.0


async def test_recovery_is_not_awaited_for_ever() -> None:
    silent = conversation(Times({}, {}), Times({}, {}))
    silent.held = silent.is_under_way = True
    silent.probe = cast(Any, nothing)  # type: ignore[method-assign]
    assert await recovery([silent], -1000.0, 5.0) == math.inf


def outcome(took: float = 1.0, *violations: Violation) -> Outcome:
    injected = [Injected(Fault("routing: kill -9", nothing, goal=2.0), t) for t in (0.5, took)]
    return Outcome("kills", Result(list(violations), Counts(sent=100, receipts=99, chats=3)), injected, 7, 12.3)


def test_a_good_run_and_its_tables() -> None:
    text = report([outcome(), outcome(3.0)], "seed 1")
    assert "| routing: kill -9 | 4 | 0.5 | 3 | 2 | 3 of 4 | injection |" in text
    assert "| all | 4 | 6 | 200 |" in text
    assert good([outcome(), outcome(3.0)]), "a goal that is missed is a figure, not a broken promise"


def test_a_broken_rule_or_no_recovery_is_a_fault() -> None:
    lost = outcome(1.0, Violation(Rule.LOST, "chat", "one"), Violation(Rule.UNSEEN, "chat", "one"))
    assert not good([outcome(), lost])
    assert "2 faults" in report([lost], "")
    assert "| 3 | 100 | 0 | 99 | 0 | 0 | 7 | 0 | 1 | 0 | 0 | 0 | 12 |" in report([lost], "")
    assert not good([outcome(math.inf)])
    assert "no messages after routing: kill -9" in report([outcome(math.inf)], "")
