"""The checker sees what is planted in a history, and nothing in a history that is right."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.common.events.chats import ChatOpened, ChatState, QueueChanged
from services.common.events.event import Event
from services.common.events.places import PlaceClaimed, PlacesChanged
from services.common.events.types import Cause, ChatStatus, CloseReason, Hold
from tests.system.soak.checker import Rule, Violation, judge, places_at_rest
from tests.system.soak.history import Frame, Heard, Press, Visit

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AN, BERT = "an", "bert"
CAPACITIES = {AN: 1, BERT: 2}
Told = tuple[float, Event]


def when(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def opened(second: float, chat: str, held: str | None = None) -> Told:
    hold = Hold(agent_id=held, agent_name=held) if held else None
    event = ChatOpened(
        chat_id=chat, department="d", locale="nl", opened_at=when(second), held=hold, occurred_at=when(second)
    )
    return second, event


def state(second: float, chat: str, v: int, turn: int = 1, agent: str | None = None, over: str | None = None) -> Told:
    """Waiting, with an agent, or over (the reason)."""
    status = ChatStatus.CLOSED if over else ChatStatus.ASSIGNED if agent else ChatStatus.WAITING
    cause = {ChatStatus.CLOSED: Cause.CLOSED, ChatStatus.ASSIGNED: Cause.ASSIGNED}.get(status, Cause.OPENED)
    event = ChatState(
        chat_id=chat,
        v=v,
        state=status,
        turn=turn,
        department="d",
        cause=cause,
        agent_id=agent,
        reason=CloseReason(over) if over else None,
        at=when(second),
        occurred_at=when(second),
    )
    return second, event


def claimed(second: float, chat: str, agent: str, turn: int = 1) -> Told:
    return second, PlaceClaimed(chat_id=chat, turn=turn, agent_id=agent, agent_name=agent, occurred_at=when(second))


def line(second: float, revision: int, *order: str) -> Told:
    return second, QueueChanged(department="d", revision=revision, order=list(order), occurred_at=when(second))


def history(*told: Told) -> list[Heard]:
    """As a recorder would have heard it, its clock beginning at noon."""
    return [Heard(second, event) for second, event in told]


def visit(chat: str, *frames: tuple[float, Frame], left_at: float | None = None) -> Visit:
    return Visit([Press(0, 0.1, 201)], chat, list(frames), left_at=left_at)


def shown(second: float, dot: str, position: int | None = None) -> tuple[float, Frame]:
    return second, {
        "type": "status",
        "dot": dot,
        "position": position,
        "agent": {"name": "A"} if dot == "green" else None,
    }


def rules(told: Sequence[Heard], *visits: Visit) -> set[Rule]:
    return {v.rule for v in judged(told, *visits)}


def judged(told: Sequence[Heard], *visits: Visit) -> list[Violation]:
    return judge(told, CAPACITIES, visits).violations


# Chat b waits while An has chat a, loses nobody, and gets An after a is over; c is held by Bert and given to An later.
GOOD = (
    opened(0, "a", held=AN),
    state(0.1, "a", 2, agent=AN),
    opened(1, "b"),
    state(1.1, "b", 1),
    line(1.3, 1, "b"),
    opened(2, "c", held=BERT),
    state(2.1, "c", 2, agent=BERT),
    state(10, "a", 3, agent=AN, over="citizen"),
    claimed(10.1, "b", AN),
    state(10.2, "b", 2, agent=AN),
    line(10.4, 2),
    state(20, "c", 3, turn=2),
    line(20.2, 3, "c"),
    state(21, "b", 3, agent=AN, over="agent"),
    claimed(21.1, "c", AN, turn=2),
    state(21.2, "c", 4, turn=2, agent=AN),
    line(21.4, 4),
    state(30, "c", 5, turn=2, agent=AN, over="agent"),
)
SEEN = visit("b", shown(1.4, "grey", 1), shown(10.3, "green"))


def without(*gone: int, more: Sequence[Told] = ()) -> list[Heard]:
    """The good history less these events, with others."""
    return history(*sorted([t for i, t in enumerate(GOOD) if i not in gone] + list(more), key=lambda t: t[0]))


def test_nothing_is_wrong_with_a_good_history() -> None:
    assert judged(history(*GOOD), SEEN) == []


def test_events_told_twice_or_late_change_nothing() -> None:
    late = [Heard(heard.at + 5, heard.event) for heard in history(*GOOD)]
    again = sorted([*history(*GOOD), *late], key=lambda h: h.at)
    assert judged(again, SEEN) == []


def test_two_events_of_two_publishers_that_were_swapped_on_the_way_are_no_fault() -> None:
    """An's next chat is heard of before the end of the last one; their own times tell the order."""
    swapped = history(*GOOD)
    over, next_ = 7, 9
    swapped[over], swapped[next_] = Heard(10.2, swapped[over].event), Heard(10.0, swapped[next_].event)
    swapped.sort(key=lambda h: h.at)
    assert judged(swapped) == []


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        pytest.param(without(more=[state(2.2, "c", 2, agent=AN)]), Rule.TWO_AGENTS, id="one-turn-two-agents"),
        pytest.param(without(more=[state(5, "c", 3, turn=2, agent=AN)]), Rule.TWO_AGENTS, id="two-turns-no-wait"),
        pytest.param(without(more=[state(5, "c", 2, turn=1)]), Rule.STATES, id="one-v-two-states"),
        pytest.param(without(more=[state(31, "c", 6, turn=3)]), Rule.STATES, id="open-again"),
        pytest.param(without(more=[state(25, "c", 6, turn=1, over="agent")]), Rule.STATES, id="turn-back"),
        pytest.param(without(17), Rule.FORGOTTEN, id="never-closed"),
        pytest.param(without(13, 14, 15, 16, 17), Rule.FORGOTTEN, id="left-waiting"),
    ],
)
def test_a_planted_fault_of_a_chat_is_seen(planted: list[Heard], rule: Rule) -> None:
    assert rule in rules(planted)


def test_capacity_exceeded_for_a_moment_is_seen() -> None:
    early = [claimed(9.999, "b", AN), state(10.2, "b", 2, agent=AN)]
    assert rules(without(8, 9, more=early)) == {Rule.CAPACITY}


def test_capacity_exceeded_by_an_assignment_alone_is_seen() -> None:
    assert Rule.CAPACITY in rules(without(8, 9, more=[state(9.9, "b", 2, agent=AN)]))


def test_capacity_exceeded_by_a_held_place_is_seen() -> None:
    held = [opened(3, "e", held=AN), state(3.2, "e", 1, over="citizen")]
    assert rules(without(more=held)) == {Rule.CAPACITY}


def test_an_agent_whose_capacity_is_not_known_has_none() -> None:
    assert Rule.CAPACITY in {v.rule for v in judge(history(*GOOD), {AN: 1}).violations}


def test_a_chat_that_was_begun_and_never_heard_of_is_seen() -> None:
    assert rules(history(*GOOD), visit("lost")) == {Rule.FORGOTTEN}


def test_a_press_that_ended_without_an_agent_is_seen() -> None:
    closed = [opened(40, "e"), state(40.1, "e", 1), state(50, "e", 2, over="no_agent")]
    assert rules(history(*GOOD, *closed), visit("e")) == {Rule.UNSERVED}
    left = [opened(40, "e"), state(40.1, "e", 1), state(50, "e", 2, over="citizen")]
    assert rules(history(*GOOD, *left), visit("e", left_at=49)) == set(), "they went by themselves"
    assert rules(history(*GOOD, *closed), visit("e", left_at=49)) == {Rule.UNSERVED}, "they did not go"


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(line(23.5, 9, "f", "f"), id="twice"),
        pytest.param(line(23.5, 9, "g", "f"), id="younger-first"),
        pytest.param(line(30, 9, "f", "g", "h"), id="who-lost-their-agent-last"),
        pytest.param(line(26, 9, "f"), id="one-is-missing"),
        pytest.param(line(29, 9, "h", "f", "g", "a"), id="one-is-over"),
        pytest.param(line(29, 9, "h", "f", "g", "nobody"), id="one-is-nobody"),
    ],
)
def test_a_line_out_of_order_is_seen(order: Told) -> None:
    waiting = [
        *(opened(22, "h"), state(22, "h", 1), claimed(22.1, "h", BERT), state(22.2, "h", 2, agent=BERT)),
        *(opened(23, "f"), state(23, "f", 1), opened(23.1, "g"), state(23.1, "g", 1)),
        state(26.5, "h", 3, turn=2),
    ]
    ends = [
        state(40 + i, c, v, turn=t, over="citizen")
        for i, (c, v, t) in enumerate([("f", 2, 1), ("g", 2, 1), ("h", 4, 2)])
    ]
    good = [line(23.5, 5, "f", "g"), line(29, 6, "h", "f", "g")]
    assert rules(without(more=[*waiting, *good, *ends])) == set()
    assert rules(without(more=[*waiting, order, *ends])) == {Rule.LINE}


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(visit("b", shown(1.4, "grey", 2), shown(10.3, "green")), id="never-so"),
        pytest.param(visit("c", shown(24.5, "grey", 1), shown(25, "green")), id="not-any-more"),
        pytest.param(visit("c", shown(20.4, "grey", 1), shown(26, "green")), id="stays-on-the-screen"),
    ],
)
def test_a_position_that_is_not_true_is_seen(seen: Visit) -> None:
    assert rules(history(*GOOD), seen) == {Rule.POSITION}


def test_a_position_before_others_who_surely_stand_first_is_seen() -> None:
    others = [opened(1.2, "f"), state(1.2, "f", 1), state(9, "f", 2, over="citizen")]
    first = visit("f", shown(4, "grey", 1), shown(9.1, "red"))
    second = visit("f", shown(4, "grey", 2), shown(9.1, "red"))
    second.left_at = first.left_at = 9.0
    told = without(4, 10, more=[*others, line(1.4, 1, "b", "f"), line(10.4, 2)])
    assert rules(told, second) == set()
    assert rules(told, first) == {Rule.POSITION}


def test_the_age_of_a_position_is_measured() -> None:
    seen = visit("c", shown(20.4, "grey", 1), shown(24, "green"))
    fresh, old = judge(history(*GOOD), CAPACITIES, [seen], oldest=4.0).sights
    assert (fresh.age, old.age) == (0.25, 4.0), "the line was left at 21.2"
    assert judge(history(*GOOD), CAPACITIES, [seen], oldest=4.0).violations == []


def test_a_position_that_stays_while_the_connection_is_lost_is_no_fault() -> None:
    seen = visit("c", shown(20.4, "grey", 1), shown(26, "green"))
    seen.losses.append(21.0)
    assert rules(history(*GOOD), seen) == set()


def test_free_places_at_the_end_are_compared_with_the_highest_revision() -> None:
    def places(second: float, revision: int, free: int) -> Told:
        return second, PlacesChanged(department="d", free=free, revision=revision)

    assert places_at_rest(history(places(1, 1, 2), places(2, 2, 3), places(3, 1, 2)), {"d": 3}) == []
    assert [v.rule for v in places_at_rest(history(places(1, 1, 2)), {"d": 3})] == [Rule.PLACES]
    assert [v.rule for v in places_at_rest([], {"d": 3})] == [Rule.PLACES]
