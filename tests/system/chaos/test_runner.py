"""The order of blows, and how long it took until messages flowed."""

import itertools
import math
import random
from typing import Any, cast

from tests.system.chaos.blows import Blow, nothing
from tests.system.chaos.checker import Counts, Judgement, Rule, Violation
from tests.system.chaos.people import Company, Talk
from tests.system.chaos.play import Outcome, Struck, flow, in_order
from tests.system.chaos.report import good, report


def test_each_kind_strikes_once_and_then_at_random_the_same_with_the_same_seed() -> None:
    blows = [Blow(f"kind {n}", nothing) for n in range(6)]
    first = [b.kind for b in itertools.islice(in_order(blows, random.Random(7)), 40)]
    assert sorted(first[:6]) == [b.kind for b in blows]
    assert len(set(first[6:])) > 3
    assert first == [b.kind for b in itertools.islice(in_order(blows, random.Random(7)), 40)]
    assert list(in_order([], random.Random(7))) == []


class Screen:
    """What one side wrote and was shown, by id, and when."""

    def __init__(self, written: dict[str, float], seen: dict[str, float]) -> None:
        self.chat, self.over = "chat", False
        self.written, self.seen = written, seen


def talk(citizen: Screen, *agents: Screen) -> Talk:
    company = cast(Company, type("Anyone", (), {"sides": {"chat": list(agents)}, "rng": random.Random(1)})())
    made = Talk(company)
    made.citizen = cast(Any, citizen)
    return made


def test_messages_flow_when_what_both_wrote_since_was_shown_to_both() -> None:
    citizen = Screen({"old": 9.0, "c": 10.5}, {"old": 12.0, "c": 13.0, "a": 14.0})
    agent = Screen({"a": 11.0}, {"old": 12.0, "c": 13.5, "a": 12.0})
    assert talk(citizen, agent).flowed(10.0) == 4.0


def test_what_was_written_before_proves_nothing() -> None:
    citizen = Screen({"c": 9.0}, {"c": 12.0, "a": 12.0})
    agent = Screen({"a": 11.0}, {"c": 12.0, "a": 12.0})
    assert talk(citizen, agent).flowed(10.0) is None


def test_one_way_is_not_enough() -> None:
    citizen = Screen({"c": 11.0}, {"c": 12.0})
    agent = Screen({"a": 11.0}, {"c": 12.0, "a": 12.0})
    assert talk(citizen, agent).flowed(10.0) is None


def test_another_agent_may_have_taken_over() -> None:
    citizen = Screen({"c": 11.0}, {"c": 12.0, "a": 16.0})
    gone, new = Screen({"x": 10.1}, {}), Screen({"a": 15.0}, {"c": 14.0, "a": 15.5})
    assert talk(citizen, gone, new).flowed(10.0) == 6.0


async def test_nobody_waits_for_ever() -> None:
    silent = talk(Screen({}, {}), Screen({}, {}))
    silent.held = silent.talking = True
    silent.probe = cast(Any, nothing)  # type: ignore[method-assign]
    assert await flow([silent], -1000.0, 5.0) == math.inf


def outcome(took: float = 1.0, *violations: Violation) -> Outcome:
    struck = [Struck(Blow("routing: kill -9", nothing, goal=2.0), t) for t in (0.5, took)]
    return Outcome("kills", Judgement(list(violations), Counts(sent=100, receipts=99, chats=3)), struck, 7, 12.3)


def test_a_good_run_and_its_tables() -> None:
    text = report([outcome(), outcome(3.0)], "seed 1")
    assert "| routing: kill -9 | 4 | 0.5 | 3 | 2 | 3 of 4 | strike |" in text
    assert "| all | 4 | 6 | 200 |" in text
    assert good([outcome(), outcome(3.0)]), "a goal that is missed is a figure, not a broken promise"


def test_a_broken_rule_or_silence_for_ever_is_a_fault() -> None:
    lost = outcome(1.0, Violation(Rule.LOST, "chat", "one"), Violation(Rule.UNSEEN, "chat", "one"))
    assert not good([outcome(), lost])
    assert "2 faults" in report([lost], "")
    assert "| 3 | 100 | 0 | 99 | 0 | 0 | 7 | 0 | 1 | 0 | 0 | 0 | 12 |" in report([lost], "")
    assert not good([outcome(math.inf)])
    assert "no messages after routing: kill -9" in report([outcome(math.inf)], "")
