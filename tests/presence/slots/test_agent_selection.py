"""services/presence/slots/agent_selection.py: which agent, why, and never past those who wait."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.events.types import ButtonReason, ChoiceRule
from services.presence.button.rules import QueueState
from services.presence.slots.agent_selection import Ask, Candidate, choose, overdrawn, plan, refusal

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
ASK = Ask("c", 1, "d", "fr")
PRESS = replace(ASK, press=True)


def agent(id_: str, chats: int = 0, idle: int = 0, capacity: int = 3, speaks: str = "nl", of: str = "d") -> Candidate:
    return Candidate(
        id=id_,
        name=id_.title(),
        departments=frozenset(of.split()),
        locales=frozenset(speaks.split()),
        capacity=capacity,
        free=capacity - chats,
        idle_since=NOW - timedelta(seconds=idle),
    )


@pytest.mark.parametrize(
    ("candidates", "ask", "chosen", "rule"),
    [
        ([agent("a")], ASK, "a", ChoiceRule.ONLY_ONE),
        ([agent("a", idle=9), agent("b", chats=2, speaks="nl fr")], ASK, "b", ChoiceRule.LANGUAGE),
        ([agent("a", 1, 9, speaks="fr"), agent("b", speaks="fr"), agent("x")], ASK, "b", ChoiceRule.FEWEST_CHATS),
        ([agent("a", 1, 5), agent("b", 1, 9), agent("x", 2)], ASK, "b", ChoiceRule.LONGEST_IDLE),
        ([agent("a", 1, 5), agent("b", 0, 9)], replace(ASK, agent_id="a"), "a", ChoiceRule.NAMED),
        ([agent("a"), agent("b", 2)], replace(ASK, not_agent_id="a"), "b", ChoiceRule.ONLY_ONE),
        ([agent("a", of="e"), agent("b", of="e")], replace(ASK, agent_id="a"), "a", ChoiceRule.NAMED),
        ([agent("a", 3), agent("b", 2), agent("x", of="e")], ASK, "b", ChoiceRule.ONLY_ONE),
    ],
)
def test_the_first_rule_that_distinguishes_the_best_from_the_next_best(
    candidates: list[Candidate], ask: Ask, chosen: str, rule: ChoiceRule
) -> None:
    for order in (candidates, candidates[::-1]):
        found = choose(order, ask, NOW)
        assert found is not None
        assert (found.agent_id, found.choice.rule) == (chosen, rule)


def test_the_choice_records_the_state_of_the_agent() -> None:
    found = choose([agent("a", 1, 30, speaks="nl fr"), agent("b", 0, 99), agent("full", 3)], ASK, NOW)
    assert found is not None
    choice = found.choice
    assert (found.agent_name, choice.candidates, choice.speaks, choice.chats, choice.idle_for) == ("A", 2, True, 1, 30)
    early = choose([agent("a", idle=-5)], ASK, NOW)  # another replica's clock was ahead
    assert early is not None
    assert early.choice.idle_for == 0


def test_no_agent_gets_a_chat_twice_and_the_full_get_none() -> None:
    assert choose([replace(agent("a"), seated=frozenset({"c"})), agent("b", 3), agent("x", of="e")], ASK, NOW) is None
    assert choose([agent("a", 5)], replace(ASK, agent_id="a"), NOW) is None  # their capacity was made smaller


agents_ = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), st.integers(0, 9), st.sampled_from(["nl", "fr", "nl fr"]), st.booleans()
    ),
    max_size=6,
)


@given(agents_)
def test_the_best_is_as_good_as_a_plain_sort_says(rows: list[tuple[int, int, int, str, bool]]) -> None:
    candidates = [
        agent(str(n), chats, idle, capacity, speaks, "d" if ours else "e")
        for n, (chats, capacity, idle, speaks, ours) in enumerate(rows)
    ]
    able = [(("fr" not in s), c, -i, str(n), i) for n, (c, cap, i, s, ours) in enumerate(rows) if ours and c < cap]
    found = choose(candidates, ASK, NOW)
    if not able:
        assert found is None
        return
    able.sort()
    assert found is not None
    assert found.agent_id == able[0][3]
    assert found.choice.candidates == len(able)


@pytest.mark.parametrize(
    ("free", "line", "why"),
    [
        (1, QueueState(), None),
        (0, QueueState(), ButtonReason.BUSY),
        (1, QueueState(waiting=1), ButtonReason.BUSY),
        (2, QueueState(waiting=1), None),
        (1, QueueState(raced=frozenset({"other"})), ButtonReason.BUSY),
        (1, QueueState(raced=frozenset({"c"})), None),  # it was let in itself
        (1, QueueState(open=False), ButtonReason.CLOSED),
    ],
)
def test_a_press_is_refused_as_the_button_and_behind_those_who_wait(
    free: int, line: QueueState, why: ButtonReason | None
) -> None:
    assert refusal(PRESS, [agent("a", 3 - free), agent("x", of="e")], line) is why


def test_without_an_available_agent_a_press_is_answered_so() -> None:
    assert refusal(PRESS, [agent("x", of="e")], QueueState()) is ButtonReason.NO_AGENTS


def test_an_unknown_department_gives_nothing() -> None:
    assert plan([PRESS], [agent("a")], {}, NOW).refused == [(PRESS, ButtonReason.UNKNOWN)]


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("de")), max_size=12),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["d", "e", "d e"])), max_size=4),
    st.integers(0, 4),
    st.integers(0, 2),
)
def test_a_round_gives_each_slot_once_and_none_past_the_queue(
    asked: list[tuple[bool, str]], staff: list[tuple[int, str]], waiting: int, raced: int
) -> None:
    asks = [Ask(f"c{n}", 1, department, press=press) for n, (press, department) in enumerate(asked)]
    there = [agent(f"a{n}", 3 - free, of=of) for n, (free, of) in enumerate(staff)]
    lines = {d: QueueState(waiting=waiting, raced=frozenset(f"r{n}" for n in range(raced))) for d in "de"}
    planned = plan(asks, there, lines, NOW)
    assert len(planned.given) + len(planned.refused) == len(asks)
    for candidate in there:
        got = [ask for ask, chosen in planned.given if chosen.agent_id == candidate.id]
        assert len(got) <= candidate.free
        assert all(ask.department in candidate.departments for ask in got)
    for department in "de":
        free = sum(c.free for c in there if department in c.departments)
        taken = sum(1 for _, ch in planned.given if department in {c.id: c for c in there}[ch.agent_id].departments)
        if any(ask.press and ask.department == department for ask, _ in planned.given):
            last = max(n for n, (a, _) in enumerate(planned.given) if a.press and a.department == department)
            before = [
                ch for _, ch in planned.given[:last] if department in {c.id: c for c in there}[ch.agent_id].departments
            ]
            assert free - len(before) > waiting + raced
        assert taken <= free
    for ask, _ in planned.refused:  # nobody is refused who could have been served
        if not ask.press:
            left = [
                c.free - sum(ch.agent_id == c.id for _, ch in planned.given)
                for c in there
                if ask.department in c.departments
            ]
            assert not any(left)


def test_slots_that_were_taken_past_the_queue_are_released_the_last_first() -> None:
    one, two, other = (Ask(c, 1, d, press=True) for c, d in (("1", "d"), ("2", "d"), ("3", "e")))
    full, room = [agent("a", 3)], [agent("a", 2)]
    assert overdrawn([one, two, other], full, {}) == []
    assert overdrawn([one, two, other], full, {"d": QueueState(waiting=1)}) == [two]
    assert overdrawn([one, two, other], room, {"d": QueueState(waiting=1)}) == []
    assert overdrawn([one, two], full, {"d": QueueState(waiting=1, raced=frozenset({"x", "1"}))}) == [two, one]
    for waiting, raced in product(range(4), range(3)):
        line = QueueState(waiting=waiting, raced=frozenset(map(str, range(10, 10 + raced))))
        assert len(overdrawn([one, two], room, {"d": line})) == min(2, max(0, waiting + raced - 1))
