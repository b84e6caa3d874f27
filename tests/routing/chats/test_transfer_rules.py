"""services/routing/chats/transfer_rules.py: chats that change hands, and come back when nobody takes them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.common.config.departments import Overflow, QueueRules
from services.common.events.chats import ChatOpened
from services.common.events.types import Cause, ChatStatus, CloseReason, Detail
from services.routing.chats import deadlines, rules, transfer_rules
from services.routing.chats.chat import Chat, Limits, state_of, view_of

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LIMITS = Limits(queues={"algemeen": QueueRules(overflow=Overflow(to="premies", after=30)), "premies": QueueRules()})
OPENING = ChatOpened(chat_id="c", department="algemeen", locale="fr", opened_at=NOW - timedelta(seconds=1))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def waiting() -> Chat:
    return rules.arrived(rules.opened(Chat("c"), OPENING, NOW))


def talking() -> Chat:
    return rules.accepted(rules.assigned(waiting(), 1, "an", "An", NOW), "an", NOW)


def to_bert() -> Chat:
    """Transferred to a colleague, and published so."""
    return rules.published(transfer_rules.transferred(talking(), "an", None, "bert", at(100), LIMITS))


def at_bert() -> Chat:
    return rules.assigned(to_bert(), 2, "bert", "Bert", at(101))


def to_premies() -> Chat:
    return rules.published(transfer_rules.transferred(talking(), "an", "premies", None, at(100), LIMITS))


def shown(chat: Chat) -> tuple[bool, Detail | None]:
    view = view_of(chat)
    assert view is not None
    return view.transferred, view.returned


def test_a_transfer_puts_the_chat_at_the_head_of_the_other_department() -> None:
    after = transfer_rules.transferred(talking(), "an", "premies", None, at(100), LIMITS)
    assert (after.state, after.turn, after.department, after.head) == (ChatStatus.WAITING, 2, "premies", True)
    assert (after.cause, after.former_agent_id, after.wanted_agent) == (Cause.TRANSFERRED, "an", None)
    assert after.untold_since == at(100)


def test_a_transfer_to_a_colleague_waits_for_them_alone() -> None:
    assert (to_bert().department, to_bert().wanted_agent, to_bert().wanted_until) == ("algemeen", "bert", at(160))


@pytest.mark.parametrize("chat", [waiting(), rules.closed(waiting(), CloseReason.CITIZEN, NOW)])
def test_only_an_assigned_chat_is_transferred_and_by_its_agent(chat: Chat) -> None:
    assert transfer_rules.transferred(chat, "an", "premies", None, NOW, LIMITS) is chat
    mine = talking()
    assert transfer_rules.transferred(mine, "bert", "premies", None, NOW, LIMITS) is mine


def test_the_colleague_is_shown_that_it_came_by_a_transfer_until_they_accept_it() -> None:
    assert shown(talking()) == (False, None)
    assert shown(at_bert()) == (True, None)
    assert shown(rules.accepted(at_bert(), "bert", NOW)) == (False, None)


def test_a_refused_chat_goes_back_to_who_handed_it_on() -> None:
    back = transfer_rules.refused(at_bert(), "bert", "r1", at(105), LIMITS)
    assert (back.state, back.turn, back.department, back.head) == (ChatStatus.WAITING, 3, "algemeen", True)
    assert (back.cause, back.detail, back.former_agent_id) == (Cause.TRANSFERRED, Detail.REFUSED, "bert")
    assert (back.wanted_agent, back.wanted_until) == ("an", at(105) + LIMITS.returning)
    event = state_of(back)
    assert event is not None
    assert event.detail is Detail.REFUSED
    again = rules.assigned(back, 3, "an", "An", at(106))
    assert shown(again) == (False, Detail.REFUSED)
    assert shown(rules.accepted(again, "an", NOW)) == (False, Detail.REFUSED)


def test_a_chat_that_returns_to_another_agent_is_an_ordinary_one_for_them() -> None:
    back = transfer_rules.refused(at_bert(), "bert", "r1", at(105), LIMITS)
    waits = deadlines.overdue(back, True, at(111), LIMITS)
    assert (waits.wanted_agent, waits.department, waits.head) == (None, "algemeen", True)
    other = rules.assigned(waits, 3, "cas", "Cas", at(112))
    assert shown(other) == (False, None)
    assert transfer_rules.refused(other, "cas", "r2", at(113), LIMITS) is other


@pytest.mark.parametrize(
    "chat",
    [waiting(), talking(), to_bert(), rules.accepted(at_bert(), "bert", NOW), Chat("c")],
    ids=["waiting", "no transfer", "not his yet", "accepted", "unknown"],
)
def test_a_refusal_of_anything_else_changes_nothing(chat: Chat) -> None:
    for agent in ("an", "bert"):
        assert transfer_rules.refused(chat, agent, "r1", at(105), LIMITS) is chat


def test_a_transfer_that_is_not_accepted_comes_back() -> None:
    for chat in (to_bert(), to_premies()):
        assert deadlines.due_at(chat, LIMITS) == at(160)
        assert deadlines.overdue(chat, True, at(159), LIMITS) is chat
        back = deadlines.overdue(chat, True, at(160), LIMITS)
        assert (back.turn, back.department, back.wanted_agent) == (3, "algemeen", "an")
        assert (back.cause, back.detail, back.untold_since) == (Cause.TRANSFERRED, Detail.UNANSWERED, at(160))
        assert back.overdue_agent is None


def test_a_colleague_who_does_not_accept_in_time_is_paused_and_the_chat_comes_back() -> None:
    back = deadlines.overdue(at_bert(), True, at(131), LIMITS)
    assert (back.overdue_agent, back.overdue_turn) == ("bert", 2)
    assert (back.turn, back.wanted_agent, back.detail) == (3, "an", Detail.UNANSWERED)
    again = rules.assigned(rules.published(back), 3, "an", "An", at(132))
    late = deadlines.overdue(again, True, at(162), LIMITS)
    assert (late.cause, late.detail, late.wanted_agent) == (Cause.AGENT_LEFT, Detail.NOT_ACCEPTED, None)


def test_an_accepted_transfer_never_comes_back() -> None:
    chat = rules.accepted(at_bert(), "bert", NOW)
    assert deadlines.due_at(chat, LIMITS) is None
    lost = rules.released(chat, 2, "bert", at(200))
    assert (lost.cause, lost.wanted_agent, lost.waiting_since) == (Cause.AGENT_LEFT, None, at(200))
    assert deadlines.overdue(lost, True, at(300), LIMITS) is lost


def test_an_agent_who_gets_their_own_transfer_back_sees_that_it_was_not_accepted() -> None:
    chat = rules.assigned(to_premies(), 2, "an", "An", at(101))
    assert shown(chat) == (False, Detail.UNANSWERED)


def test_the_limit_of_waiting_counts_from_the_transfer_however_often_it_goes_to_and_fro() -> None:
    back = transfer_rules.refused(at_bert(), "bert", "r1", at(105), LIMITS)
    assert back.waiting_since == at(100)
    assert deadlines.overdue(back, True, at(700), LIMITS).reason is CloseReason.NO_AGENT
    little = replace(LIMITS, queues={"premies": QueueRules(patience=40)})
    origin = transfer_rules.transferred(talking(), "an", "premies", None, at(0), little).origin
    assert origin is not None
    assert origin.answer_by == at(20)


def test_a_request_that_is_repeated_is_known_again() -> None:
    for chat in (to_bert(), at_bert(), rules.accepted(at_bert(), "bert", NOW)):
        assert transfer_rules.is_repeated(chat, "an", None, "bert")
        assert not transfer_rules.is_repeated(chat, "an", "premies", None)
        assert not transfer_rules.is_repeated(chat, "cas", None, "bert")
    mine = rules.assigned(transfer_rules.refused(at_bert(), "bert", "r", at(105), LIMITS), 3, "an", "An", at(106))
    assert not transfer_rules.is_repeated(mine, "an", None, "bert"), "a new one"
    assert not transfer_rules.is_repeated(waiting(), "an", None, None)


def test_a_chat_that_waits_too_long_overflows_with_its_own_time() -> None:
    chat = waiting()
    assert transfer_rules.overflowed(chat, "premies", at(29), LIMITS) is chat
    moved = transfer_rules.overflowed(chat, "premies", at(30), LIMITS)
    assert (moved.department, moved.turn, moved.head) == ("premies", 2, False)
    assert (moved.opened_at, moved.waiting_since) == (chat.opened_at, chat.waiting_since)
    assert (moved.cause, moved.detail, moved.untold_since) == (Cause.TRANSFERRED, Detail.OVERFLOW, at(30))
    lost = replace(chat, head=True)
    assert transfer_rules.overflowed(lost, "premies", at(30), LIMITS).head, "who lost an agent is first there too"


def test_no_chat_overflows_elsewhere_nor_while_a_transfer_is_open_nor_twice() -> None:
    chat = waiting()
    moved = rules.published(transfer_rules.overflowed(chat, "premies", at(30), LIMITS))
    back = rules.published(deadlines.overdue(moved, True, at(40), LIMITS))
    for one, to in (
        (chat, "algemeen"),
        (moved, "algemeen"),
        (talking(), "premies"),
        (to_bert(), "premies"),
        (back, "premies"),
        (replace(chat, untold_since=NOW), "premies"),
    ):
        assert transfer_rules.overflowed(one, to, at(150), LIMITS) is one


def test_a_chat_that_overflowed_in_vain_takes_its_old_position() -> None:
    moved = rules.published(transfer_rules.overflowed(waiting(), "premies", at(30), LIMITS))
    back = deadlines.overdue(moved, True, at(30) + LIMITS.overflown, LIMITS)
    assert (back.department, back.turn, back.head, back.wanted_agent) == ("algemeen", 3, False, None)
    assert (back.opened_at, back.waiting_since, back.detail) == (OPENING.opened_at, NOW, Detail.UNANSWERED)


def test_who_found_an_agent_by_overflow_stays_there() -> None:
    moved = rules.published(transfer_rules.overflowed(waiting(), "premies", at(30), LIMITS))
    chat = rules.assigned(moved, 2, "cas", "Cas", at(31))
    assert shown(chat) == (False, None)
    late = deadlines.overdue(chat, True, at(61), LIMITS)
    assert (late.department, late.detail, late.cause) == ("premies", Detail.NOT_ACCEPTED, Cause.AGENT_LEFT)
