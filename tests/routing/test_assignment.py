"""services/routing/assignment.py and chat.py: the table of transitions, when a chat is due, who asks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.contracts import Cause, ChatOpened, ChatStatus, CloseReason, Form
from services.routing import assignment
from services.routing.chat import Chat, Limits, state_of, view_of

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
LIMITS = Limits()
OPENING = ChatOpened(
    chat_id="c",
    department="algemeen",
    locale="fr",
    name="An",
    question="Waar?",
    form=Form(id="f-1"),
    opened_at=NOW - timedelta(seconds=1),
)


def waiting() -> Chat:
    return assignment.opened(Chat("c"), OPENING, NOW)


def assigned() -> Chat:
    return assignment.claimed(waiting(), 1, "an", "An", NOW)


def closed() -> Chat:
    return assignment.closed(waiting(), CloseReason.CITIZEN, NOW)


def test_a_new_chat_waits_in_turn_one() -> None:
    chat = waiting()
    assert (chat.state, chat.turn, chat.v, chat.cause) == (ChatStatus.WAITING, 1, 1, Cause.OPENED)
    assert (chat.department, chat.locale, chat.name, chat.question) == ("algemeen", "fr", "An", "Waar?")
    assert not chat.head


@pytest.mark.parametrize("chat", [waiting(), assigned(), closed()])
def test_an_opening_that_is_heard_again_changes_nothing(chat: Chat) -> None:
    assert assignment.opened(chat, OPENING, LATER) is chat


def test_a_close_before_the_opening_stays_and_is_told_only_when_the_opening_is_heard() -> None:
    tombstone = assignment.closed(Chat("c"), CloseReason.CITIZEN, NOW)
    assert tombstone.closed
    assert state_of(tombstone) is None
    assert view_of(tombstone) is None
    chat = assignment.opened(tombstone, OPENING, LATER)
    assert chat.closed
    assert chat.name is None
    told = state_of(chat)
    assert told is not None
    assert (told.state, told.reason, told.department, told.v) == ("closed", "citizen", "algemeen", 2)


def test_a_hello_before_the_opening_is_remembered() -> None:
    assert assignment.opened(assignment.arrived(Chat("c")), OPENING, NOW).greeted


def test_the_first_claim_of_the_turn_gets_the_chat() -> None:
    chat = assigned()
    assert (chat.state, chat.agent_id, chat.agent_name, chat.v) == (ChatStatus.ASSIGNED, "an", "An", 2)
    assert assignment.claimed(chat, 1, "bert", "Bert", LATER) is chat


@pytest.mark.parametrize("turn", [0, 2])
def test_a_claim_of_another_turn_changes_nothing(turn: int) -> None:
    chat = waiting()
    assert assignment.claimed(chat, turn, "an", "An", NOW) is chat


def test_a_claim_after_the_close_changes_nothing() -> None:
    chat = closed()
    assert assignment.claimed(chat, 1, "an", "An", LATER) is chat


def test_a_claim_of_an_unknown_chat_is_answered_closed_so_that_the_seat_comes_free() -> None:
    chat = assignment.claimed(Chat("c"), 3, "an", "An", NOW)
    told = state_of(chat)
    assert told is not None
    assert (told.state, told.turn) == (ChatStatus.CLOSED, 3)


@pytest.mark.parametrize("chat", [waiting(), assigned()], ids=["waiting", "assigned"])
def test_a_release_ends_the_turn_also_while_waiting(chat: Chat) -> None:
    after = assignment.released(chat, 1, "an", LATER)
    assert (after.state, after.turn, after.v, after.head) == (ChatStatus.WAITING, 2, chat.v + 1, True)
    assert (after.cause, after.agent_id, after.former_agent_id) == (Cause.AGENT_LEFT, None, "an")
    assert after.opened_at == chat.opened_at
    assert assignment.claimed(after, 1, "an", "An", LATER) is after


def test_a_release_by_another_agent_or_of_another_turn_changes_nothing() -> None:
    chat = assigned()
    assert assignment.released(chat, 1, "bert", LATER) is chat
    assert assignment.released(chat, 2, "an", LATER) is chat
    gone = closed()
    assert assignment.released(gone, 1, "an", LATER) is gone


def test_a_release_while_waiting_does_not_lengthen_the_wait() -> None:
    assert assignment.released(waiting(), 1, "an", LATER).waiting_since == NOW
    assert assignment.released(assigned(), 1, "an", LATER).waiting_since == LATER


def test_closed_is_for_ever_and_forgets_what_the_citizen_told() -> None:
    chat = assignment.closed(assigned(), CloseReason.CITIZEN, LATER)
    assert (chat.state, chat.reason, chat.closed_at, chat.agent_id) == ("closed", "citizen", LATER, "an")
    assert (chat.name, chat.question, chat.form) == (None, None, None)
    assert assignment.closed(chat, CloseReason.AGENT, LATER) is chat


def test_only_the_agent_who_has_the_chat_closes_it() -> None:
    chat = assigned()
    assert assignment.closed_by_agent(chat, "bert", LATER) is chat
    assert assignment.closed_by_agent(chat, None, LATER) is chat
    assert assignment.closed_by_agent(waiting(), None, LATER).waits
    assert assignment.closed_by_agent(chat, "an", LATER).reason == CloseReason.AGENT


def test_only_its_agent_accepts_a_chat() -> None:
    chat = assigned()
    assert assignment.accepted(chat, "bert") is chat
    after = assignment.accepted(chat, "an")
    assert after.accepted
    assert after.v == chat.v, "nothing to tell"


def test_a_transfer_puts_the_chat_at_the_head_of_the_other_department() -> None:
    after = assignment.transferred(assigned(), "an", "premies", None, LATER, LIMITS)
    assert (after.state, after.turn, after.department, after.head) == (ChatStatus.WAITING, 2, "premies", True)
    assert (after.cause, after.former_agent_id, after.wanted_agent) == (Cause.TRANSFERRED, "an", None)
    assert after.untold_since == LATER


def test_a_transfer_to_a_colleague_waits_for_him_for_a_while() -> None:
    after = assignment.transferred(assignment.arrived(assigned()), "an", None, "bert", LATER, LIMITS)
    assert (after.department, after.wanted_agent) == ("algemeen", "bert")
    ended = assignment.overdue(after, True, LATER + LIMITS.named, LIMITS)
    assert (ended.wanted_agent, ended.v, ended.turn) == (None, after.v, after.turn)


@pytest.mark.parametrize("chat", [waiting(), closed()], ids=["waiting", "closed"])
def test_only_an_assigned_chat_is_transferred_and_by_its_agent(chat: Chat) -> None:
    assert assignment.transferred(chat, "an", "premies", None, LATER, LIMITS) is chat
    mine = assigned()
    assert assignment.transferred(mine, "bert", "premies", None, LATER, LIMITS) is mine


def test_a_chat_that_nobody_said_hello_to_is_closed() -> None:
    due = NOW + LIMITS.hello
    assert assignment.due_at(waiting(), LIMITS) == due
    assert assignment.overdue(waiting(), False, due - timedelta(milliseconds=1), LIMITS) == waiting()
    for chat in (waiting(), assigned()):
        after = assignment.overdue(chat, False, due, LIMITS)
        assert (after.state, after.reason, after.untold_since) == (ChatStatus.CLOSED, CloseReason.INACTIVE, due)


def test_a_chat_that_a_gateway_lists_is_taken_as_greeted() -> None:
    after = assignment.overdue(waiting(), True, NOW + LIMITS.hello, LIMITS)
    assert after.greeted
    assert after.waits


def test_a_chat_that_waited_too_long_is_closed() -> None:
    chat = assignment.arrived(waiting())
    due = NOW + LIMITS.waiting
    assert assignment.due_at(chat, LIMITS) == due
    assert assignment.overdue(chat, True, due, LIMITS).reason == CloseReason.NO_AGENT
    again = assignment.released(chat, 1, "an", LATER)
    assert assignment.due_at(again, LIMITS) == due, "a release while waiting is the same wait"


def test_a_chat_that_nobody_accepts_goes_back_and_the_agent_is_named() -> None:
    chat = assignment.arrived(assigned())
    due = NOW + LIMITS.accept
    assert assignment.due_at(chat, LIMITS) == due
    after = assignment.overdue(chat, True, due, LIMITS)
    assert (after.state, after.turn, after.head) == (ChatStatus.WAITING, 2, True)
    assert (after.overdue_agent, after.overdue_turn, after.untold_since) == ("an", 1, due)
    assert assignment.due_at(after, LIMITS) == due + LIMITS.retell
    told = assignment.told(after)
    assert (told.overdue_agent, told.untold_since) == (None, None)


def test_an_accepted_chat_is_never_due() -> None:
    assert assignment.due_at(assignment.accepted(assignment.arrived(assigned()), "an"), LIMITS) is None


def test_a_citizen_who_is_away_ends_an_open_greeted_chat_alone() -> None:
    assert assignment.away(assignment.arrived(assigned()), LATER).reason == CloseReason.INACTIVE
    for chat in (waiting(), closed(), Chat("c")):
        assert assignment.away(chat, LATER) is chat


def test_a_closed_chat_is_not_due_and_may_be_forgotten_later() -> None:
    chat = assignment.stamped(closed(), NOW, LIMITS)
    assert (chat.due_at, chat.expire_at, chat.rev) == (None, NOW + LIMITS.kept, 1)
    marked = assignment.stamped(replace(closed(), untold_since=NOW), NOW, LIMITS)
    assert marked.due_at == NOW + LIMITS.retell
    assert assignment.stamped(waiting(), NOW, LIMITS).expire_at is None


def test_a_hello_without_an_opening_is_forgotten_unless_the_opening_comes() -> None:
    stub = assignment.stamped(assignment.arrived(Chat("c")), NOW, LIMITS)
    assert stub.expire_at == NOW + LIMITS.kept
    assert assignment.stamped(assignment.opened(stub, OPENING, LATER), LATER, LIMITS).expire_at is None


def line(*names: str, wanted: str = "", untold: str = "") -> list[Chat]:
    return [
        replace(
            waiting(),
            id=n,
            wanted_agent="bert" if n in wanted.split() else None,
            untold_since=NOW if n in untold.split() else None,
        )
        for n in names
    ]


@pytest.mark.parametrize(
    ("free", "asking"), [(-1, ["a"]), (0, ["a"]), (1, ["a"]), (2, ["a", "b"]), (9, ["a", "b", "c"])]
)
def test_the_first_of_the_line_ask(free: int, asking: list[str]) -> None:
    assert [c.id for c in assignment.who_asks(line("a", "b", "c"), free)] == asking


def test_who_waits_for_a_colleague_stands_in_nobodys_way() -> None:
    assert [c.id for c in assignment.who_asks(line("a", "b", "c", wanted="a"), 1)] == ["a", "b"]


def test_who_has_an_untold_change_does_not_ask_yet() -> None:
    assert [c.id for c in assignment.who_asks(line("a", "b", untold="a"), 1)] == ["b"]


def test_a_view_shows_what_is_known() -> None:
    view = view_of(waiting(), 3)
    assert view is not None
    assert (view.position, view.name, view.question, view.form) == (3, "An", "Waar?", Form(id="f-1"))
    assert view_of(Chat("c")) is None
