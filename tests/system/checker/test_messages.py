"""The checker reports what is planted in a history, and nothing in a correct history."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

import pytest

from tests.system.checker.messages import (
    ALWAYS,
    LOG_RULES,
    RULES,
    Counts,
    Result,
    Rule,
    all_answered,
    check,
    kept_agent,
)
from tests.system.history import (
    CITIZEN,
    Closed,
    CloseRequested,
    Connected,
    Downloaded,
    Event,
    Fetched,
    Message,
    Pressed,
    Refused,
    Sent,
    Shown,
    StatusShown,
    Unassigned,
    Uploaded,
    digest,
)

CHAT, AN, BERT = "chat", "an", "bert"
Plant = Callable[[list[Event]], list[Event]]


def said(seq: int, id_: str, party: str, text: str = "", event: str = "", attachment: str = "") -> Message:
    content = digest(text or id_)
    return Message(seq, id_, party, content, digest([id_, party, content]), event, attachment)


LOG = (
    said(1, "opened", "system", event="opened"),
    said(2, "assigned", "system", event="assigned"),
    said(3, "c1", CITIZEN),
    said(4, "a1", "agent"),
    said(5, "c2", CITIZEN),
    said(6, "c3", CITIZEN, "file", attachment="file"),
    said(7, "a2", "agent"),
    said(8, "closed", "system", event="closed"),
)


def shown(who: str, at: float, *messages: Message, connection: int = 1) -> list[Event]:
    return [Shown(CHAT, who, connection, m, at=at) for m in messages]


def right() -> list[Event]:
    """A chat in which all is well: three messages of the citizen, two of the agent, an attachment, a download."""
    return [
        Connected(CHAT, CITIZEN, 1, at=1),
        StatusShown(CHAT, CITIZEN, "grey", "", at=1),
        StatusShown(CHAT, CITIZEN, "green", "An", at=2),
        Sent(CHAT, CITIZEN, "c1", digest("c1"), at=3),
        *shown(CITIZEN, 4, *LOG[:3]),
        *shown(AN, 4, *LOG[:3], connection=2),
        Sent(CHAT, AN, "a1", digest("a1"), at=5),
        *shown(AN, 6, LOG[3], connection=2),
        Downloaded(CHAT, CITIZEN, 7, LOG[:4], False, at=7.5),
        *shown(CITIZEN, 8, LOG[3]),
        Sent(CHAT, CITIZEN, "c2", digest("c2"), at=9),
        Uploaded(CHAT, CITIZEN, "file", "bytes", at=9),
        Sent(CHAT, CITIZEN, "c3", digest("file"), at=9),
        Sent(CHAT, AN, "a2", digest("a2"), at=9),
        Sent(CHAT, AN, "a3", digest("a3"), at=9.5),
        *shown(CITIZEN, 10, *LOG[4:7]),
        *shown(AN, 10, *LOG[4:7], connection=2),
        Fetched(CHAT, AN, "file", "bytes", at=11),
        CloseRequested(CHAT, CITIZEN, at=12),
        *shown(CITIZEN, 13, LOG[7]),
        *shown(AN, 13, LOG[7], connection=2),
        Closed(CHAT, CITIZEN, "citizen", at=13),
        StatusShown(CHAT, CITIZEN, "red", "", at=13),
        Refused(CHAT, AN, "a3", "chat_closed", at=14),
        Downloaded(CHAT, CITIZEN, 20, LOG, True, final=True, at=21),
    ]


def broken(result: Result) -> set[StrEnum]:
    return {v.rule for v in result.violations}


def test_nothing_is_seen_in_a_history_that_is_right() -> None:
    result = check(right())
    assert result.violations == []
    assert result.counts == Counts(6, 1, 5, 1, 0, 1, 2)


# ── what is planted ──────────────────────────────────────────────────────────────────────────────────────────────────


def stored(log: Sequence[Message]) -> Plant:
    """The transcript says this; what was shown stays."""

    def plant(events: list[Event]) -> list[Event]:
        return [replace(e, messages=tuple(log)) if isinstance(e, Downloaded) and e.final else e for e in events]

    return plant


def everywhere(log: Sequence[Message]) -> Plant:
    """Shown, downloaded and stored in this way from c1 on."""

    def plant(events: list[Event]) -> list[Event]:
        kept = [e for e in events if not isinstance(e, Shown | Downloaded)]
        ends = [*shown(CITIZEN, 10, *log), *shown(AN, 10, *log), Downloaded(CHAT, CITIZEN, 20, tuple(log), True, True)]
        return [*kept, *ends]

    return plant


def without(kind: type, **members: object) -> Plant:
    def plant(events: list[Event]) -> list[Event]:
        fits = [e for e in events if isinstance(e, kind) and all(getattr(e, k) == v for k, v in members.items())]
        assert fits
        return [e for e in events if e not in fits]

    return plant


def besides(*more: Event) -> Plant:
    return lambda events: [*events[:-1], *more, events[-1]]


def numbered(*messages: Message) -> list[Message]:
    return [replace(m, seq=seq) for seq, m in enumerate(messages, 1)]


def unseen_by_the_agent(events: list[Event]) -> list[Event]:
    return [e for e in events if not (isinstance(e, Shown) and e.who == AN and e.message.id == "c2")]


def acknowledged_before_it_was_stored(events: list[Event]) -> list[Event]:
    """The writer died with c3 in its hands, the receipt given; what came next took its `seq`."""
    log = [*LOG[:5], replace(LOG[6], seq=6), replace(LOG[7], seq=7)]
    return stored(log)(events)


PLANTED: dict[str, tuple[Plant, set[Rule]]] = {
    "dropped": (stored(numbered(*LOG[:4], *LOG[5:])), {Rule.LOST, Rule.DISAGREE, Rule.DOUBLED, Rule.LATE}),
    "dropped, a hole left": (stored([*LOG[:4], *LOG[5:]]), {Rule.LOST, Rule.HOLE}),
    "acknowledged before it was stored": (
        acknowledged_before_it_was_stored,
        {Rule.LOST, Rule.DISAGREE, Rule.DOUBLED, Rule.LATE},
    ),
    "a swapped pair": (everywhere(numbered(*LOG[:2], LOG[4], LOG[3], LOG[2], *LOG[5:])), {Rule.REORDERED}),
    "one id under two seqs": (everywhere(numbered(*LOG[:5], LOG[2], *LOG[5:])), {Rule.DOUBLED}),
    "stored twice under two ids": (
        everywhere(numbered(*LOG[:3], said(4, "other", CITIZEN, "c1"), *LOG[3:])),
        {Rule.DOUBLED, Rule.STRANGE},
    ),
    "never sent": (everywhere(numbered(*LOG[:3], said(4, "x", "agent"), *LOG[3:])), {Rule.STRANGE}),
    "another text": (everywhere([*LOG[:2], said(3, "c1", CITIZEN, "else"), *LOG[3:]]), {Rule.CHANGED}),
    "another sender": (everywhere([*LOG[:2], said(3, "c1", "agent"), *LOG[3:]]), {Rule.CHANGED}),
    "the other side never saw it": (unseen_by_the_agent, {Rule.UNSEEN, Rule.HOLE}),
    "shown, not stored": (
        besides(*shown(AN, 15, said(9, "x", "system"), connection=2)),
        {Rule.UNKEPT, Rule.LATE},
    ),
    "two contents": (besides(*shown(AN, 15, said(3, "c1", CITIZEN, "else"), connection=3)), {Rule.DISAGREE}),
    "stored after the end": (everywhere(numbered(*LOG[:6], LOG[7], LOG[6])), {Rule.LATE, Rule.UNENDED}),
    "refused, and stored": (besides(Refused(CHAT, AN, "a2", "not_yours", at=16)), {Rule.REFUSED}),
    "other bytes": (besides(Fetched(CHAT, AN, "file", "others", at=16)), {Rule.BYTES}),
    "bytes that cannot be had": (besides(Fetched(CHAT, AN, "file", "", at=16)), {Rule.BYTES}),
    "bytes that were not fetched": (without(Fetched), {Rule.BYTES}),
    "no end on the screen": (without(Closed), {Rule.UNENDED}),
    "no transcript": (without(Downloaded, final=True), {Rule.UNENDED, Rule.LOST, Rule.UNKEPT}),
    "an end that was not requested": (without(CloseRequested), {Rule.DOT}),
    "an agent who is not introduced": (everywhere(numbered(LOG[0], *LOG[2:])), {Rule.INTRODUCED}),
    "green without an agent": (besides(StatusShown(CHAT, CITIZEN, "green", "", at=3)), {Rule.DOT}),
    "green after the end": (besides(StatusShown(CHAT, CITIZEN, "green", "An", at=19)), {Rule.DOT}),
    "an opening that is not the first": (everywhere(numbered(LOG[1], LOG[0], *LOG[2:])), {Rule.OPENING}),
    "two openings": (
        everywhere(numbered(LOG[0], said(2, "again", "system", event="opened"), *LOG[1:])),
        {Rule.OPENING},
    ),
    "a time that goes back": (stored([*LOG[:4], replace(LOG[4], at=-1.0), *LOG[5:]]), {Rule.TIME}),
    "a download that lacks a receipt": (
        besides(Downloaded(CHAT, CITIZEN, 10.5, LOG[:6], False, at=11)),
        {Rule.DOWNLOAD},
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_seen(what: str) -> None:
    plant, rules = PLANTED[what]
    assert broken(check(plant(right()))) == rules


def test_every_rule_is_planted_at_least_once() -> None:
    assert {rule for _, rules in PLANTED.values() for rule in rules} == set(ALWAYS)


def test_a_message_that_is_doubled_counts_once() -> None:
    result = check(everywhere(numbered(*LOG[:5], LOG[2], *LOG[5:]))(right()))
    assert result.broken(Rule.DOUBLED) == 1
    assert result.broken(Rule.LOST, Rule.UNSEEN) == 0


def test_the_question_of_a_press_is_the_first_message_of_the_citizen() -> None:
    """It has an id of the gateway."""
    pressed = besides(Pressed(CHAT, CITIZEN, "key", 0, 201, digest("question"), at=0.5))
    asked = everywhere(numbered(LOG[0], said(2, "of the gateway", CITIZEN, "question"), *LOG[1:]))
    assert check(asked(pressed(right()))).violations == []
    assert broken(check(pressed(right()))) == {Rule.LOST}
    assert broken(check(asked(right()))) == {Rule.STRANGE}


def test_what_never_had_a_receipt_may_be_missing() -> None:
    never = besides(Sent(CHAT, CITIZEN, "c4", digest("c4"), at=12))(right())
    assert check(never).violations == []
    assert check(never).counts.unanswered == 1


def test_an_agent_who_lost_the_chat_need_not_see_the_rest() -> None:
    """An had it until seq 4; Bert took over, and was shown everything."""
    events = [
        e if e.who != AN or e.at <= 6 or isinstance(e, Sent | Refused | Fetched) else replace(e, who=BERT)
        for e in right()
    ]
    handed_over = [*events, Unassigned(CHAT, AN, at=6.5), *shown(BERT, 9, *LOG[:4])]
    assert check(handed_over).violations == []
    stayed = [e for e in handed_over if not isinstance(e, Unassigned)]
    assert broken(check(stayed)) == {Rule.UNSEEN}


def test_a_receipt_after_the_question_may_be_missing_from_a_download() -> None:
    asked_before = besides(Downloaded(CHAT, CITIZEN, 9.9, LOG[:4], False, at=11))
    assert check(asked_before(right())).violations == []


def test_a_former_participant_reads_up_to_the_entry_that_says_that_they_left() -> None:
    """The citizen reads all of it, and so does an agent who has the chat."""
    log = tuple(numbered(*LOG[:4], said(5, "left", "system", event="agent_left"), *LOG[4:]))
    chat = everywhere(log)(right())
    assert check([*chat, Downloaded(CHAT, BERT, 20, log[:5], True, at=21)]).violations == []
    assert broken(check([*chat, Downloaded(CHAT, BERT, 20, log[:4], True, at=21)])) == {Rule.DOWNLOAD}
    assert broken(check([*chat, Downloaded(CHAT, CITIZEN, 20, log[:5], True, at=21)])) == {Rule.DOWNLOAD}


def test_every_chat_is_checked_by_itself() -> None:
    other = [replace(e, chat="other") for e in right()]
    assert check([*right(), *other]).violations == []
    assert check([*right(), *other]).counts.chats == 2
    planted = check([*right(), *stored([*LOG[:4], *LOG[5:]])(other)])
    assert {v.chat for v in planted.violations} == {"other"}


def test_a_message_without_an_answer_is_seen_where_the_rule_holds() -> None:
    rules = (*RULES, all_answered)
    assert check(right(), rules).violations == []
    never = besides(Sent(CHAT, CITIZEN, "c4", digest("c4"), at=12))(right())
    assert broken(check(never, rules)) == {Rule.UNANSWERED}


def test_a_chat_that_was_passed_on_is_seen_where_the_rule_holds() -> None:
    rules = (*RULES, kept_agent)
    assert check(right(), rules).violations == []
    left = numbered(*LOG[:3], said(4, "left", "system", event="agent_left"), *LOG[3:])
    assert broken(check(everywhere(left)(right()), rules)) == {Rule.PASSED_ON}


@pytest.mark.parametrize("what", ["dropped", "a swapped pair", "one id under two seqs", "a time that goes back"])
def test_the_rules_of_a_log_see_what_is_planted_there(what: str) -> None:
    plant, rules = PLANTED[what]
    assert broken(check(plant(right()), LOG_RULES)) == rules
