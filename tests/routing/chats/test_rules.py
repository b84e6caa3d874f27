"""services/routing/chats/rules.py, chat.py and deadlines.py: the table of transitions, when a chat is due, who asks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.common.config.departments import QueueRules
from services.common.events.chats import ChatOpened
from services.common.events.types import (
    Cause,
    ChatStatus,
    Choice,
    ChoiceRule,
    CloseReason,
    Detail,
    Form,
    Hold,
    Revocation,
)
from services.routing.chats import deadlines, rules
from services.routing.chats.chat import Chat, Limits, state_of, view_of

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
CHOICE = Choice(rule=ChoiceRule.LANGUAGE, candidates=2, speaks=True, chats=0, idle_for=3)
HELD = OPENING.model_copy(update={"held": Hold(agent_id="an", agent_name="An", choice=CHOICE)})


def waiting() -> Chat:
    return rules.opened(Chat("c"), OPENING, NOW)


def assigned() -> Chat:
    return rules.assigned(waiting(), 1, "an", "An", NOW)


def talking() -> Chat:
    return rules.accepted(assigned(), "an", NOW)


def closed() -> Chat:
    return rules.closed(waiting(), CloseReason.CITIZEN, NOW)


def test_a_new_chat_waits_in_attempt_one() -> None:
    chat = waiting()
    assert (chat.state, chat.turn, chat.v, chat.cause) == (ChatStatus.WAITING, 1, 1, Cause.OPENED)
    assert (chat.department, chat.locale, chat.name, chat.question) == ("algemeen", "fr", "An", "Waar?")
    assert not chat.head


@pytest.mark.parametrize("chat", [waiting(), assigned(), closed()])
def test_an_opening_that_is_handled_again_changes_nothing(chat: Chat) -> None:
    assert rules.opened(chat, OPENING, LATER) is chat


def test_a_close_before_the_opening_stays_and_is_published_only_with_the_opening() -> None:
    tombstone = rules.closed(Chat("c"), CloseReason.CITIZEN, NOW)
    assert tombstone.closed
    assert state_of(tombstone) is None
    assert view_of(tombstone) is None
    chat = rules.opened(tombstone, OPENING, LATER)
    assert chat.closed
    assert chat.name is None
    published = state_of(chat)
    assert published is not None
    assert (published.state, published.reason, published.department, published.v) == (
        "closed",
        "citizen",
        "algemeen",
        2,
    )


def test_a_hello_before_the_opening_is_remembered() -> None:
    assert rules.opened(rules.arrived(Chat("c")), OPENING, NOW).greeted


def test_the_first_claim_of_the_attempt_gets_the_chat() -> None:
    chat = assigned()
    assert (chat.state, chat.agent_id, chat.agent_name, chat.v) == (ChatStatus.ASSIGNED, "an", "An", 2)
    assert rules.assigned(chat, 1, "bert", "Bert", LATER) is chat


@pytest.mark.parametrize("turn", [0, 2])
def test_a_claim_of_another_attempt_changes_nothing(turn: int) -> None:
    chat = waiting()
    assert rules.assigned(chat, turn, "an", "An", NOW) is chat


def test_a_claim_after_the_close_changes_nothing() -> None:
    chat = closed()
    assert rules.assigned(chat, 1, "an", "An", LATER) is chat


def test_a_claim_of_an_unknown_chat_is_answered_closed_so_that_the_slot_becomes_free() -> None:
    chat = rules.assigned(Chat("c"), 3, "an", "An", NOW)
    published = state_of(chat)
    assert published is not None
    assert (published.state, published.turn) == (ChatStatus.CLOSED, 3)


def test_a_claim_of_attempt_one_waits_for_an_opening_that_is_late() -> None:
    stub = rules.assigned(Chat("c"), 1, "an", "An", NOW)
    assert (stub.state, state_of(stub)) == (None, None)
    assert rules.assigned(stub, 1, "an", "An", LATER) is stub
    due = NOW + LIMITS.unopened
    assert deadlines.due_at(stub, LIMITS) == due
    assert deadlines.overdue(stub, False, due - timedelta(milliseconds=1), LIMITS) is stub
    assert rules.opened(stub, HELD, LATER).agent_id == "an", "late, and nothing is lost"
    never = deadlines.overdue(stub, False, due, LIMITS)
    published = state_of(never)
    assert published is not None
    assert (published.state, published.turn, never.untold_since) == (ChatStatus.CLOSED, 1, due)


def test_a_chat_with_a_reservation_is_assigned_at_once() -> None:
    chat = rules.opened(Chat("c"), HELD, NOW)
    assert (chat.state, chat.turn, chat.v, chat.cause) == (ChatStatus.ASSIGNED, 1, 2, Cause.ASSIGNED)
    assert (chat.agent_id, chat.agent_name, chat.name, chat.head) == ("an", "An", "An", False)
    (got,) = chat.assignments
    assert (got.turn, got.agent_id, got.waited, got.choice) == (1, "an", 0, CHOICE)
    assert rules.opened(chat, HELD, LATER) is chat
    lost = rules.released(chat, 1, "an", LATER)
    assert (lost.turn, lost.head, lost.cause) == (2, True, Cause.AGENT_LEFT)
    assert rules.opened(lost, HELD, LATER) is lost, "the hold was for turn 1"


def test_a_reserved_slot_of_a_chat_that_is_closed_already_becomes_free() -> None:
    chat = rules.opened(rules.closed(Chat("c"), CloseReason.CITIZEN, NOW), HELD, LATER)
    published = state_of(chat)
    assert published is not None
    assert (published.state, published.agent_id) == (ChatStatus.CLOSED, None)


def test_an_opening_without_and_one_with_a_reservation_are_one_chat() -> None:
    chat = rules.opened(waiting(), HELD, LATER)
    assert (chat.state, chat.agent_id, chat.v) == (ChatStatus.ASSIGNED, "an", 2)
    assert rules.opened(rules.opened(Chat("c"), HELD, NOW), OPENING, LATER).agent_id == "an"


def test_assignments_are_kept_and_only_the_latest() -> None:
    chat = waiting()
    for turn in range(1, 31):
        at = NOW + timedelta(seconds=turn)
        chat = rules.accepted(rules.assigned(chat, turn, f"a{turn}", "A", at, CHOICE), f"a{turn}", at)
        chat = rules.released(chat, turn, f"a{turn}", NOW + timedelta(seconds=turn))
    assert [a.turn for a in chat.assignments] == list(range(11, 31))
    assert {a.waited for a in chat.assignments} == {1.0}


def test_inactivity_ends_only_a_chat_with_an_agent_who_accepted_it() -> None:
    assert rules.closed_for_inactivity(talking(), LATER).reason is CloseReason.INACTIVE
    for chat in (waiting(), assigned(), closed(), Chat("c")):
        assert rules.closed_for_inactivity(chat, LATER) is chat


def test_the_patience_of_a_department_goes_before_the_general_one() -> None:
    hasty = replace(LIMITS, queues={"algemeen": QueueRules(patience=20)})
    chat = rules.arrived(waiting())
    assert deadlines.due_at(chat, hasty) == NOW + timedelta(seconds=20)
    assert deadlines.overdue(chat, True, NOW + timedelta(seconds=20), hasty).reason is CloseReason.NO_AGENT
    other = replace(LIMITS, queues={"premies": QueueRules(patience=20)})
    assert deadlines.due_at(chat, other) == NOW + LIMITS.waiting


@pytest.mark.parametrize("chat", [waiting(), assigned()], ids=["waiting", "assigned"])
def test_a_release_ends_the_attempt_also_while_waiting(chat: Chat) -> None:
    after = rules.released(chat, 1, "an", LATER)
    assert (after.state, after.turn, after.v, after.head) == (ChatStatus.WAITING, 2, chat.v + 1, True)
    assert (after.agent_id, after.former_agent_id) == (None, "an")
    assert after.opened_at == chat.opened_at
    assert rules.assigned(after, 1, "an", "An", LATER) is after


def test_a_citizen_without_an_acceptance_gets_no_agent_left() -> None:
    assert rules.released(waiting(), 1, "an", LATER).cause is Cause.OPENED
    lost = rules.released(assigned(), 1, "an", LATER)
    assert lost.cause is Cause.AGENT_LEFT
    assert rules.released(lost, 2, "bert", LATER).cause is Cause.OPENED, "that he lost the first one was told"
    late = deadlines.overdue(rules.arrived(assigned()), True, NOW + LIMITS.accept, LIMITS)
    again = rules.released(late, 2, "bert", LATER)
    assert (again.cause, again.detail) == (Cause.AGENT_LEFT, Detail.NOT_ACCEPTED), "still to be told"


def test_a_release_by_another_agent_or_of_another_attempt_changes_nothing() -> None:
    chat = assigned()
    assert rules.released(chat, 1, "bert", LATER) is chat
    assert rules.released(chat, 2, "an", LATER) is chat
    gone = closed()
    assert rules.released(gone, 1, "an", LATER) is gone


def test_a_release_while_waiting_does_not_lengthen_the_wait() -> None:
    assert rules.released(waiting(), 1, "an", LATER).waiting_since == NOW
    assert rules.released(assigned(), 1, "an", LATER).waiting_since == NOW, "nobody had accepted it"
    assert rules.released(talking(), 1, "an", LATER).waiting_since == LATER


def test_who_never_accepted_a_chat_has_not_left_it() -> None:
    lost = rules.released(assigned(), 1, "an", LATER)
    assert (lost.cause, lost.detail, lost.former_agent_name) == (Cause.AGENT_LEFT, Detail.NOT_ACCEPTED, "An")
    left = rules.released(talking(), 1, "an", LATER)
    assert (left.cause, left.detail, left.former_agent_name) == (Cause.AGENT_LEFT, None, "An")


def test_agents_who_do_not_accept_do_not_lengthen_the_wait() -> None:
    chat = rules.arrived(waiting())
    for turn in (1, 2):
        chat = rules.assigned(chat, turn, "an", "An", NOW + timedelta(seconds=100 * turn))
        chat = rules.published(deadlines.overdue(chat, True, NOW + timedelta(seconds=100 * turn + 30), LIMITS))
    assert (chat.waits, chat.turn, chat.waiting_since) == (True, 3, NOW)
    assert deadlines.overdue(chat, True, NOW + LIMITS.waiting, LIMITS).reason is CloseReason.NO_AGENT


def test_a_department_may_accept_by_itself() -> None:
    at_once = rules.assigned(waiting(), 1, "an", "An", NOW, automatic={"algemeen"})
    published = state_of(at_once)
    assert published is not None
    assert (at_once.v, published.accepted, deadlines.due_at(rules.arrived(at_once), LIMITS)) == (2, True, None)
    assert not rules.assigned(waiting(), 1, "an", "An", NOW, automatic={"premies"}).accepted
    assert rules.opened(Chat("c"), HELD, NOW, {"algemeen"}).accepted


def test_an_acceptance_of_a_former_version_is_accepted_once_more_so_that_it_is_published() -> None:
    silent = replace(assigned(), accepted=True)
    for after in (rules.accepted(silent, "an", LATER), rules.accepted_silently(silent, LATER)):
        assert (after.v, after.accepted_at) == (silent.v + 1, LATER)
    assert rules.accepted_silently(silent, LATER).untold_since == LATER
    for other in (assigned(), talking(), waiting(), closed()):
        assert rules.accepted_silently(other, LATER) is other


def test_the_acceptance_of_a_former_attempt_does_not_count_for_this_one() -> None:
    """A former version gives the chat to another agent and leaves in the document what it does not know."""
    left = replace(assigned(), accepted=False, accepted_at=NOW)
    after = rules.accepted(left, "an", LATER)
    assert (after.accepted, after.accepted_at, after.v) == (True, LATER, left.v + 1)


def test_closed_is_final_and_deletes_what_the_citizen_gave() -> None:
    chat = rules.closed(assigned(), CloseReason.CITIZEN, LATER)
    assert (chat.state, chat.reason, chat.closed_at, chat.agent_id) == ("closed", "citizen", LATER, "an")
    assert (chat.name, chat.question, chat.form) == (None, None, None)
    assert rules.closed(chat, CloseReason.AGENT, LATER) is chat


def test_only_the_agent_who_has_the_chat_closes_it() -> None:
    chat = assigned()
    assert rules.closed_by_agent(chat, "bert", LATER) is chat
    assert rules.closed_by_agent(chat, None, LATER) is chat
    assert rules.closed_by_agent(waiting(), None, LATER).waits
    assert rules.closed_by_agent(chat, "an", LATER).reason == CloseReason.AGENT


def test_only_its_agent_accepts_a_chat() -> None:
    chat = assigned()
    assert rules.accepted(chat, "bert", NOW) is chat
    after = rules.accepted(chat, "an", NOW)
    assert (after.accepted, after.v, after.turn, after.cause) == (True, chat.v + 1, 1, Cause.ASSIGNED)
    assert [s.accepted for c in (waiting(), chat, after, closed()) if (s := state_of(c))] == [None, False, True, None]
    assert rules.accepted(after, "an", LATER) is after
    assert rules.accepted(chat, "an", LATER, turn=2) is chat, "what was accepted is another turn"
    assert rules.accepted(chat, "an", LATER, turn=1).accepted


def test_a_chat_without_a_hello_is_closed() -> None:
    due = NOW + LIMITS.hello
    assert deadlines.due_at(waiting(), LIMITS) == due
    assert deadlines.overdue(waiting(), False, due - timedelta(milliseconds=1), LIMITS) == waiting()
    for chat in (waiting(), assigned()):
        after = deadlines.overdue(chat, False, due, LIMITS)
        assert (after.state, after.reason, after.untold_since) == (ChatStatus.CLOSED, CloseReason.INACTIVE, due)


def test_a_chat_that_a_gateway_lists_is_taken_as_greeted() -> None:
    after = deadlines.overdue(waiting(), True, NOW + LIMITS.hello, LIMITS)
    assert after.greeted
    assert after.waits


def test_a_chat_that_waited_too_long_is_closed() -> None:
    chat = rules.arrived(waiting())
    due = NOW + LIMITS.waiting
    assert deadlines.due_at(chat, LIMITS) == due
    assert deadlines.overdue(chat, True, due, LIMITS).reason == CloseReason.NO_AGENT
    again = rules.released(chat, 1, "an", LATER)
    assert deadlines.due_at(again, LIMITS) == due, "a release while waiting is the same wait"


def test_a_chat_that_is_not_accepted_goes_back_and_the_agent_is_named() -> None:
    chat = rules.arrived(assigned())
    due = NOW + LIMITS.accept
    assert deadlines.due_at(chat, LIMITS) == due
    after = deadlines.overdue(chat, True, due, LIMITS)
    assert (after.state, after.turn, after.head) == (ChatStatus.WAITING, 2, True)
    assert (after.overdue_agent, after.overdue_turn, after.untold_since) == ("an", 1, due)
    assert (after.cause, after.detail) == (Cause.AGENT_LEFT, Detail.NOT_ACCEPTED)
    assert deadlines.due_at(after, LIMITS) == due + LIMITS.republish
    published = rules.published(after)
    assert (published.overdue_agent, published.untold_since) == (None, None)


def test_an_accepted_chat_is_never_due() -> None:
    assert deadlines.due_at(rules.accepted(rules.arrived(assigned()), "an", NOW), LIMITS) is None


def test_a_citizen_who_is_away_ends_an_open_greeted_chat_alone() -> None:
    assert rules.closed_offline(rules.arrived(assigned()), LATER).reason == CloseReason.INACTIVE
    for chat in (waiting(), closed(), Chat("c")):
        assert rules.closed_offline(chat, LATER) is chat


def test_a_closed_chat_is_not_due_and_may_be_forgotten_later() -> None:
    chat = deadlines.stamped(closed(), NOW, LIMITS)
    assert (chat.due_at, chat.expire_at, chat.rev) == (None, NOW + LIMITS.kept, 1)
    marked = deadlines.stamped(replace(closed(), untold_since=NOW), NOW, LIMITS)
    assert marked.due_at == NOW + LIMITS.republish
    assert deadlines.stamped(waiting(), NOW, LIMITS).expire_at is None


def test_a_hello_without_an_opening_is_forgotten_unless_the_opening_comes() -> None:
    stub = deadlines.stamped(rules.arrived(Chat("c")), NOW, LIMITS)
    assert stub.expire_at == NOW + LIMITS.kept
    assert deadlines.stamped(rules.opened(stub, OPENING, LATER), LATER, LIMITS).expire_at is None


def queue(*names: str, wanted: str = "", unpublished: str = "") -> list[Chat]:
    return [
        replace(
            waiting(),
            id=n,
            wanted_agent="bert" if n in wanted.split() else None,
            untold_since=NOW if n in unpublished.split() else None,
        )
        for n in names
    ]


@pytest.mark.parametrize(
    ("free", "asking"), [(-1, ["a"]), (0, ["a"]), (1, ["a"]), (2, ["a", "b"]), (9, ["a", "b", "c"])]
)
def test_the_first_of_the_queue_request_slots(free: int, asking: list[str]) -> None:
    assert [c.id for c in rules.requesting(queue("a", "b", "c"), free)] == asking


def test_who_waits_for_a_colleague_stands_in_nobodys_way() -> None:
    assert [c.id for c in rules.requesting(queue("a", "b", "c", wanted="a"), 1)] == ["a", "b"]


def test_who_has_an_untold_change_does_not_ask_yet() -> None:
    assert [c.id for c in rules.requesting(queue("a", "b", unpublished="a"), 1)] == ["b"]


def test_a_view_shows_what_is_known() -> None:
    view = view_of(waiting(), 3)
    assert view is not None
    assert (view.position, view.name, view.question, view.form) == (3, "An", "Waar?", Form(id="f-1"))
    assert view_of(Chat("c")) is None


TAKEN = Chat("c", v=2, state=ChatStatus.ASSIGNED, turn=1, agent_id="an", accepted=True, waiting_since=NOW)


def test_a_change_is_a_version_more_and_has_only_its_own_detail() -> None:
    chat = rules.changed(replace(TAKEN, detail=Detail.REFUSED), LATER, Cause.CLOSED)
    assert (chat.v, chat.cause, chat.changed_at, chat.detail) == (3, Cause.CLOSED, LATER, None)


def test_a_lost_attempt_is_followed_by_another_at_the_head() -> None:
    chat = rules.requeued(TAKEN, LATER, Cause.AGENT_LEFT, "an")
    assert (chat.state, chat.turn, chat.head, chat.waiting_since) == (ChatStatus.WAITING, 2, True, LATER)
    assert (chat.agent_id, chat.accepted, chat.former_agent_id) == (None, False, "an")
    again = rules.requeued(chat, LATER + timedelta(seconds=9), Cause.OPENED, "bert")
    assert (again.turn, again.waiting_since) == (3, LATER), "the same wait"


def test_a_mark_stays_until_it_is_taken_away() -> None:
    assert rules.requeued(rules.marked(TAKEN, NOW), LATER, Cause.AGENT_LEFT, "an").untold_since == NOW


@pytest.mark.parametrize("chat", [waiting(), assigned(), talking()])
def test_an_open_chat_is_not_erased(chat: Chat) -> None:
    assert rules.erased(chat) is chat


def test_of_an_erased_chat_only_times_and_the_department_stay() -> None:
    over = rules.closed(talking(), CloseReason.AGENT, LATER)
    assert over.agent_id
    assert over.assignments
    left = rules.erased(over)
    assert (left.state, left.v, left.department, left.opened_at, left.closed_at) == (
        *(over.state, over.v, over.department, over.opened_at, over.closed_at),
    )
    assert (left.agent_id, left.agent_name, left.name, left.question, left.assignments) == (None, None, None, None, ())
    assert rules.erased(left) == left


def test_who_left_the_citizen_without_an_answer_is_forgotten_with_the_chat() -> None:
    taken = replace(waiting(), unwanted_agent="an")
    over = rules.closed(taken, CloseReason.INACTIVE, LATER)
    assert over.unwanted_agent is None
    assert rules.erased(replace(over, unwanted_agent="an")).unwanted_agent is None, "of an earlier release"


# ── revocation of the citizen's token ────────────────────────────────────────────────────────────────────────────────


def test_who_gives_the_token_up_ends_the_chat_too() -> None:
    chat = rules.given_up(talking(), LATER)
    assert (chat.state, chat.reason, chat.revoked_by) == (ChatStatus.CLOSED, CloseReason.CITIZEN, Revocation.CITIZEN)
    assert chat.v > talking().v
    assert rules.given_up(chat, LATER) is chat


def test_a_chat_that_has_ended_keeps_cause_reason_and_time_of_its_end() -> None:
    before, after = closed(), rules.given_up(closed(), LATER)
    assert after == replace(before, v=before.v + 1, revoked_by=Revocation.CITIZEN)
    published, shown = state_of(after), view_of(after)
    assert published is not None
    assert shown is not None
    assert (published.at, published.cause, published.revoked_by) == (NOW, Cause.CLOSED, Revocation.CITIZEN)
    assert shown.revoked_by is Revocation.CITIZEN


def test_an_agent_revokes_what_they_had_and_only_when_it_has_ended() -> None:
    ended = rules.closed_by_agent(talking(), "an", LATER)
    assert rules.revoked_by_agent(ended, "an").revoked_by is Revocation.AGENT
    assert rules.revoked_by_agent(ended, "bert") is ended
    assert rules.revoked_by_agent(talking(), "an") == talking()
    handed_on = rules.assigned(rules.released(talking(), 1, "an", LATER), 2, "bert", "Bert", LATER)
    over = rules.closed_by_agent(handed_on, "bert", LATER)
    assert rules.revoked_by_agent(over, "an").revoked_by is Revocation.AGENT, "they had it"


def test_an_officer_ends_and_revokes_and_the_change_is_marked() -> None:
    for chat in (waiting(), talking(), closed()):
        after = rules.revoked_by_officer(chat, LATER)
        assert (after.closed, after.revoked_by, after.untold_since) == (True, Revocation.OFFICER, LATER)
        assert rules.revoked_by_officer(after, LATER) is after
    assert rules.revoked_by_officer(talking(), LATER).reason is CloseReason.AGENT


def test_the_first_revocation_stays_before_an_officer() -> None:
    given_up = rules.given_up(talking(), LATER)
    assert rules.revoked_by_agent(given_up, "an") is given_up
    by_officer = rules.revoked_by_officer(given_up, LATER)
    assert by_officer.revoked_by is Revocation.OFFICER
    assert rules.given_up(by_officer, LATER) is by_officer


def test_a_token_that_is_given_up_before_the_opening_is_known_stays_so() -> None:
    chat = rules.opened(rules.given_up(Chat("c"), NOW), OPENING, LATER)
    published = state_of(chat)
    assert published is not None
    assert (published.state, published.revoked_by) == (ChatStatus.CLOSED, Revocation.CITIZEN)
