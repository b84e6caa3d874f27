"""The checker reports what is planted in the published events, and nothing in a correct history."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest

from services.common.events.chats import ChatOpened, ChatState, QueueChanged
from services.common.events.event import Event
from services.common.events.places import PlaceClaimed, PlacesChanged
from services.common.events.types import Cause, ChatStatus, CloseReason, Hold
from tests.system import history as participants
from tests.system.checker.assignments import Rule, check, free_slots_at_rest
from tests.system.checker.violations import Violation
from tests.system.history import CITIZEN, Disconnected, Pressed, Published, StatusShown

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AN, BERT = "an", "bert"
CAPACITIES = {AN: 1, BERT: 2}
TimedEvent = tuple[float, Event]


def when(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def opened(second: float, chat: str, held: str | None = None) -> TimedEvent:
    hold = Hold(agent_id=held, agent_name=held) if held else None
    event = ChatOpened(
        chat_id=chat, department="d", locale="nl", opened_at=when(second), held=hold, occurred_at=when(second)
    )
    return second, event


def state(
    second: float, chat: str, v: int, turn: int = 1, agent: str | None = None, over: str | None = None
) -> TimedEvent:
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


def claimed(second: float, chat: str, agent: str, turn: int = 1) -> TimedEvent:
    return second, PlaceClaimed(chat_id=chat, turn=turn, agent_id=agent, agent_name=agent, occurred_at=when(second))


def queue(second: float, revision: int, *order: str) -> TimedEvent:
    return second, QueueChanged(department="d", revision=revision, order=list(order), occurred_at=when(second))


def history(*reported: TimedEvent) -> list[Published]:
    """As a recorder would have received it, its clock beginning at noon."""
    return [Published(second, event) for second, event in reported]


Visit = list[participants.Event]


def visit(chat: str, *shown: tuple[float, str, int | None]) -> Visit:
    """A press that began this chat, and the dots and positions that the citizen was shown."""
    statuses = [
        StatusShown(chat, CITIZEN, dot, "A" if dot == "green" else "", position, at=at) for at, dot, position in shown
    ]
    return [Pressed(chat, CITIZEN, f"key of {chat}", 0, 201, at=0.1), *statuses]


def shown(second: float, dot: str, position: int | None = None) -> tuple[float, str, int | None]:
    return second, dot, position


def rules(reported: Sequence[Published], *visits: Visit) -> set[StrEnum]:
    return {v.rule for v in violations(reported, *visits)}


def violations(reported: Sequence[Published], *visits: Visit) -> list[Violation]:
    return check(reported, CAPACITIES, [event for visit in visits for event in visit]).violations


# Chat b waits while An has chat a, loses nobody, and gets An after a is over; c is held by Bert and given to An later.
GOOD = (
    opened(0, "a", held=AN),
    state(0.1, "a", 2, agent=AN),
    opened(1, "b"),
    state(1.1, "b", 1),
    queue(1.3, 1, "b"),
    opened(2, "c", held=BERT),
    state(2.1, "c", 2, agent=BERT),
    state(10, "a", 3, agent=AN, over="citizen"),
    claimed(10.1, "b", AN),
    state(10.2, "b", 2, agent=AN),
    queue(10.4, 2),
    state(20, "c", 3, turn=2),
    queue(20.2, 3, "c"),
    state(21, "b", 3, agent=AN, over="agent"),
    claimed(21.1, "c", AN, turn=2),
    state(21.2, "c", 4, turn=2, agent=AN),
    queue(21.4, 4),
    state(30, "c", 5, turn=2, agent=AN, over="agent"),
)
SEEN = visit("b", shown(1.4, "grey", 1), shown(10.3, "green"))


def without(*gone: int, more: Sequence[TimedEvent] = ()) -> list[Published]:
    """The good history less these events, with others."""
    return history(*sorted([t for i, t in enumerate(GOOD) if i not in gone] + list(more), key=lambda t: t[0]))


def test_nothing_is_wrong_with_a_good_history() -> None:
    assert violations(history(*GOOD), SEEN) == []


def test_events_published_twice_or_late_change_nothing() -> None:
    late = [Published(one.at + 5, one.event) for one in history(*GOOD)]
    again = sorted([*history(*GOOD), *late], key=lambda p: p.at)
    assert violations(again, SEEN) == []


def test_two_events_of_two_publishers_that_were_swapped_on_the_way_are_no_fault() -> None:
    """An's next chat is received before the end of the last one; their own times give the order."""
    swapped = history(*GOOD)
    over, next_ = 7, 9
    swapped[over], swapped[next_] = Published(10.2, swapped[over].event), Published(10.0, swapped[next_].event)
    swapped.sort(key=lambda p: p.at)
    assert violations(swapped) == []


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
def test_a_planted_fault_of_a_chat_is_seen(planted: list[Published], rule: Rule) -> None:
    assert rule in rules(planted)


def test_capacity_exceeded_for_a_moment_is_seen() -> None:
    early = [claimed(9.999, "b", AN), state(10.2, "b", 2, agent=AN)]
    assert rules(without(8, 9, more=early)) == {Rule.CAPACITY}


def test_capacity_exceeded_by_an_assignment_alone_is_seen() -> None:
    assert Rule.CAPACITY in rules(without(8, 9, more=[state(9.9, "b", 2, agent=AN)]))


def test_capacity_exceeded_by_a_reserved_slot_is_seen() -> None:
    held = [opened(3, "e", held=AN), state(3.2, "e", 1, over="citizen")]
    assert rules(without(more=held)) == {Rule.CAPACITY}


def test_an_agent_whose_capacity_is_not_known_has_none() -> None:
    assert Rule.CAPACITY in {v.rule for v in check(history(*GOOD), {AN: 1}).violations}


def test_a_chat_that_was_begun_and_has_no_event_is_seen() -> None:
    assert rules(history(*GOOD), visit("lost")) == {Rule.FORGOTTEN}


def test_a_press_that_ended_without_an_agent_is_seen() -> None:
    closed = [opened(40, "e"), state(40.1, "e", 1), state(50, "e", 2, over="no_agent")]
    assert rules(history(*GOOD, *closed), visit("e")) == {Rule.UNSERVED}
    left = [opened(40, "e"), state(40.1, "e", 1), state(50, "e", 2, over="citizen")]
    assert rules(history(*GOOD, *left), visit("e")) == {Rule.UNSERVED}


def test_a_press_whose_assignment_was_not_published_before_its_end_was_served() -> None:
    """What a killed routing service had stored and not published; its agent had the chat."""
    chat = [opened(40, "e"), state(40.1, "e", 1), state(50, "e", 3, agent=AN, over="agent")]
    assert Rule.UNSERVED not in rules(history(*GOOD, *chat), visit("e"))


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(queue(23.5, 9, "f", "f"), id="twice"),
        pytest.param(queue(23.5, 9, "g", "f"), id="younger-first"),
        pytest.param(queue(30, 9, "f", "g", "h"), id="who-lost-their-agent-last"),
        pytest.param(queue(26, 9, "f"), id="one-is-missing"),
        pytest.param(queue(29, 9, "h", "f", "g", "a"), id="one-is-over"),
        pytest.param(queue(29, 9, "h", "f", "g", "nobody"), id="one-is-nobody"),
    ],
)
def test_a_queue_out_of_order_is_seen(order: TimedEvent) -> None:
    waiting = [
        *(opened(22, "h"), state(22, "h", 1), claimed(22.1, "h", BERT), state(22.2, "h", 2, agent=BERT)),
        *(opened(23, "f"), state(23, "f", 1), opened(23.1, "g"), state(23.1, "g", 1)),
        state(26.5, "h", 3, turn=2),
    ]
    ends = [
        state(40 + i, c, v, turn=t, over="citizen")
        for i, (c, v, t) in enumerate([("f", 2, 1), ("g", 2, 1), ("h", 4, 2)])
    ]
    good = [queue(23.5, 5, "f", "g"), queue(29, 6, "h", "f", "g")]
    assert rules(without(more=[*waiting, *good, *ends])) == set()
    assert rules(without(more=[*waiting, order, *ends])) == {Rule.QUEUE}


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
    others = [opened(1.2, "f"), state(1.2, "f", 1), state(9, "f", 2, agent=BERT)]
    others.append(state(9.5, "f", 3, agent=BERT, over="citizen"))
    first = visit("f", shown(4, "grey", 1), shown(9.1, "red"))
    second = visit("f", shown(4, "grey", 2), shown(9.1, "red"))
    reported = without(4, 10, more=[*others, queue(1.4, 1, "b", "f"), queue(10.4, 2)])
    assert rules(reported, second) == set()
    assert rules(reported, first) == {Rule.POSITION}


def test_the_age_of_a_position_is_measured() -> None:
    seen = visit("c", shown(20.4, "grey", 1), shown(24, "green"))
    fresh, old = check(history(*GOOD), CAPACITIES, seen, oldest=4.0).positions
    assert (fresh.age, old.age) == (0.25, 4.0), "the queue was left at 21.2"
    assert check(history(*GOOD), CAPACITIES, seen, oldest=4.0).violations == []


def test_a_position_that_stays_while_the_connection_is_lost_is_no_fault() -> None:
    seen = visit("c", shown(20.4, "grey", 1), shown(26, "green"))
    seen.insert(2, Disconnected("c", CITIZEN, 1, None, at=21.0))
    assert rules(history(*GOOD), seen) == set()


def test_free_slots_at_the_end_are_compared_with_the_highest_revision() -> None:
    def places(second: float, revision: int, free: int) -> TimedEvent:
        return second, PlacesChanged(department="d", free=free, revision=revision)

    assert free_slots_at_rest(history(places(1, 1, 2), places(2, 2, 3), places(3, 1, 2)), {"d": 3}) == []
    assert [v.rule for v in free_slots_at_rest(history(places(1, 1, 2)), {"d": 3})] == [Rule.SLOTS]
    assert [v.rule for v in free_slots_at_rest([], {"d": 3})] == [Rule.SLOTS]
