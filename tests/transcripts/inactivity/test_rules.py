"""Rules of inactivity: plain cases, and thousands of conversations whose checks come late, doubled or not at all."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.events.types import Cause, Party
from services.transcripts.inactivity.rules import (
    LONGEST_REPEAT,
    REPEAT_AFTER,
    SHORTEST,
    UNCHECKED,
    Check,
    Inactivity,
    Last,
    Limits,
    State,
    Step,
    Watched,
    check,
    limits_of,
    since,
    state_of,
)

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def times(limit: float) -> Limits:
    made = limits_of(limit)
    assert made is not None
    return made


USUAL = times(900)
GOT_AGENT = Last(Party.SYSTEM, Cause.ASSIGNED, START)


def watched(published: Inactivity | None = None, stayed: float | None = None) -> Watched:
    return Watched("c", START, None if stayed is None else START + seconds(stayed), published)


def at(
    number: float, published: Inactivity | None = None, last: Last = GOT_AGENT, stayed: float | None = None
) -> Check:
    return check(last, watched(published, stayed), USUAL, START + seconds(number))


def warned(warning: int, looked: float, closes: float = 900, began: float = 0) -> Inactivity:
    return Inactivity(START + seconds(began), warning, START + seconds(closes), START + seconds(looked))


# ── the times ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limit", "first", "second"), [(900, 600, 780), (3_600, 3_300, 3_480), (150, 100, 130), (3, 2, 2.6)]
)
def test_warnings_come_at_their_times(limit: float, first: float, second: float) -> None:
    made = times(limit)
    assert (made.end - made.first, made.end - made.second) == (seconds(first), seconds(second))
    assert made.quiet == seconds(first)


def test_zero_means_never() -> None:
    assert limits_of(0) is None


def test_from_the_shortest_sensible_limit_on_there_is_time_to_answer() -> None:
    shortest = times(SHORTEST)
    assert shortest.first - shortest.late >= seconds(20), "WCAG 2.2.1"


# ── who is silent ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_for_the_citizen_to_speak_after_the_agent_came_or_spoke() -> None:
    assert since(GOT_AGENT, None) == START
    assert since(Last(Party.AGENT, Cause.ASSIGNED, START), None) == START
    assert since(GOT_AGENT, START + seconds(5)) == START + seconds(5)
    assert since(GOT_AGENT, START - seconds(5)) == START, "he stayed before that"


@pytest.mark.parametrize(
    "last",
    [
        Last(Party.CITIZEN, Cause.ASSIGNED, START),
        Last(Party.CITIZEN, None, START),
        Last(Party.SYSTEM, Cause.OPENED, START),
        Last(Party.SYSTEM, Cause.AGENT_LEFT, START),
        Last(Party.SYSTEM, Cause.TRANSFERRED, START),
        Last(Party.AGENT, Cause.AGENT_LEFT, START),  # what he said was stored after he had left
    ],
)
def test_an_agents_inactivity_and_a_wait_never_end_a_chat(last: Last) -> None:
    assert since(last, None) is None
    found = at(100_000, warned(2, 880), last)
    assert found == Check(START + seconds(100_600)), "nothing can be due before somebody has spoken and been silent"


def test_a_chat_that_is_over_is_looked_at_no_more() -> None:
    assert at(5, last=Last(Party.SYSTEM, Cause.CLOSED, START)) == Check(None)


def test_a_chat_without_a_log_yet_is_looked_at_later() -> None:
    assert check(None, watched(), USUAL, START) == Check(START + seconds(600))


@pytest.mark.parametrize(
    ("state", "seconds_after", "inactivity"),
    [
        (State.NOT_AWAITED, 100_000, None),
        (State.QUIET, 599.9, Inactivity(START, 0, START + seconds(900), START)),
        (State.DUE, 600, Inactivity(START, 0, START + seconds(900), START)),
        (State.QUIET, 599.9, Inactivity(START, 1, START + seconds(900), START)),  # the limit was raised meanwhile
        (State.WARNED_1, 600, Inactivity(START, 1, START + seconds(900), START + seconds(600))),
        (State.WARNED_2, 899, Inactivity(START, 2, START + seconds(900), START + seconds(895))),
        (State.WARNED_2, 5_000, Inactivity(START, 2, START + seconds(900), START + seconds(895))),
        (State.CLOSING, 905, Inactivity(START, 2, START + seconds(900), START + seconds(900))),
    ],
)
def test_states(state: State, seconds_after: float, inactivity: Inactivity | None) -> None:
    assert state_of(GOT_AGENT, inactivity, USUAL, START + seconds(seconds_after)) is state
    ended = Last(Party.SYSTEM, Cause.CLOSED, START)
    assert state_of(ended, inactivity, USUAL, START + seconds(seconds_after)) is State.SEALED


# ── what is done ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_before_the_first_warning_only_the_next_look_is_set() -> None:
    assert at(599) == Check(START + seconds(600))
    assert at(599, stayed=30) == Check(START + seconds(630))


def test_two_warnings_and_the_end_each_at_its_time() -> None:
    first = at(600)
    assert (first.step, first.inactivity, first.new) == (Step.WARNED_1, warned(1, 600), True)
    assert first.next_at == START + seconds(600) + REPEAT_AFTER
    again = at(605, first.inactivity)
    assert (again.step, again.inactivity, again.new) == (Step.WARNED_1, warned(1, 605), False)
    second = at(780, warned(1, 777))
    assert (second.step, second.inactivity, second.new) == (Step.WARNED_2, warned(2, 780), True)
    assert at(897, warned(2, 895)).next_at == START + seconds(900), "the end is not late"
    end = at(900, warned(2, 897))
    assert (end.step, end.new) == (Step.CLOSED, True)
    assert at(905, end.inactivity).step is Step.CLOSED, "asked again until the log is sealed"
    assert not at(905, end.inactivity).new


def test_the_end_is_asked_for_again_less_and_less_often() -> None:
    """Who is to close the chat may be away for an hour."""
    published, now, asked = warned(2, 897), 900.0, list[float]()
    while now < 900 + 3_600:
        found = at(now, published)
        assert (found.step, found.new) == (Step.CLOSED, not asked)
        asked.append(now - 900)
        assert found.inactivity is not None
        assert found.next_at is not None
        published, now = found.inactivity, (found.next_at - START).total_seconds()
    assert asked[:7] == [0, 5, 10, 20, 40, 80, 140]
    assert len(asked) < 70


@pytest.mark.parametrize(
    ("last", "stayed"), [(GOT_AGENT, 400), (Last(Party.AGENT, Cause.ASSIGNED, START + seconds(400)), None)]
)
def test_an_inactivity_that_began_later_begins_with_the_first_warning(last: Last, stayed: float | None) -> None:
    found = at(1_000, warned(2, 880), last, stayed)
    assert (found.step, found.inactivity) == (Step.WARNED_1, warned(1, 1_000, 1_300, 400))


def test_a_look_that_comes_a_moment_late_shifts_nothing() -> None:
    assert at(601.9).inactivity == warned(1, 601.9)
    assert at(781.9, warned(1, 777)).inactivity == warned(2, 781.9)


def test_a_warning_that_comes_late_gives_all_the_time_it_promises() -> None:
    assert at(5_000).inactivity == warned(1, 5_000, 5_298)
    assert at(890, warned(1, 885)).inactivity == warned(2, 890, 1_008)


def test_no_chat_is_closed_while_it_could_not_be_read() -> None:
    back = at(5_000, warned(2, 800))
    assert (back.step, back.new) == (Step.WARNED_2, False)
    assert back.inactivity == warned(2, 5_000, 5_118)


# ── whole conversations ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Conversation:
    """A chat, and those who look at it: at most a second late while they are there."""

    limits: Limits
    now: datetime = START
    last: Last = GOT_AGENT
    doc: Watched = field(default_factory=lambda: Watched("c", START))
    published: list[tuple[datetime, Step, Inactivity]] = field(default_factory=list)
    looks: list[datetime] = field(default_factory=list)

    def say(self, party: Party, event: Cause | None = None) -> None:
        self.last = Last(party, event or self.last.event, self.now)

    def stay(self) -> None:
        self.doc = Watched("c", self.doc.check_at, self.now, self.doc.inactivity)

    def be_looked_at(self, length: timedelta, lag: timedelta) -> None:
        before, end = len(self.published), self.now + length
        while max(self.doc.check_at, self.now) + lag <= end:
            self.now = max(self.doc.check_at, self.now) + lag
            self.look()
            if [step for _, step, _ in self.published[before:]].count(Step.CLOSED) == 2:
                break  # it goes on like that
        self.now = max(self.now, end)

    def look(self) -> None:
        found = check(self.last, self.doc, self.limits, self.now)
        assert found.next_at is not None
        assert found.next_at > self.now, "it goes on"
        self.looks.append(self.now)
        self.doc = Watched("c", found.next_at, self.doc.stayed_at, found.inactivity or self.doc.inactivity)
        if found.step and found.inactivity:
            self.published.append((self.now, found.step, found.inactivity))
            self.is_fair(found.step, found.inactivity)

    def is_fair(self, step: Step, published: Inactivity) -> None:
        """A person who is warned or closed was silent so long, and was warned for so long."""
        began = since(self.last, self.doc.stayed_at)
        assert published.since == began
        assert self.now >= began + self.limits.quiet
        if step is not Step.CLOSED:
            return
        assert self.now >= began + self.limits.end
        of_this = [(w, s) for w, s, t in self.published if t.since == began]
        first = min(w for w, s in of_this if s is Step.WARNED_1)
        second = min(w for w, s in of_this if s is Step.WARNED_2)
        assert self.now - first >= self.limits.first - self.limits.late
        assert self.now - second >= self.limits.second - self.limits.late
        answerable = self.now - (self.limits.second - self.limits.late)
        gaps = [after - before for before, after in pairwise(self.looks) if after > answerable]
        again = [s for _, s in of_this].count(Step.CLOSED) > 1
        most = UNCHECKED + LONGEST_REPEAT if again else UNCHECKED
        assert all(gap <= most for gap in gaps), "what he said meanwhile had time to be stored"


LENGTHS = st.integers(1, 1_200)
DEEDS = st.one_of(
    st.tuples(st.just("looked at"), LENGTHS),
    st.tuples(st.just("not looked at"), LENGTHS),
    st.tuples(st.sampled_from(["citizen", "agent", "stay", "left", "assigned"]), st.just(0)),
)


@settings(max_examples=300)
@given(
    limit=st.sampled_from([3.0, 90.0, 900.0, 2_000.0]),
    deeds=st.lists(DEEDS, max_size=15),
    lag=st.floats(0, 1),
)
def test_whatever_happens_no_active_citizen_is_closed_and_inactive_ones_are(
    limit: float, deeds: list[tuple[str, int]], lag: float
) -> None:
    chat = Conversation(times(limit))
    for deed, length in deeds:
        match deed:
            case "looked at":
                chat.be_looked_at(seconds(length), seconds(lag))
            case "not looked at":
                chat.now += seconds(length)
            case "citizen" | "agent":
                chat.say(Party(deed))
            case "left":
                chat.say(Party.SYSTEM, Cause.AGENT_LEFT)
            case "assigned":
                chat.say(Party.SYSTEM, Cause.ASSIGNED)
            case _:
                chat.stay()
    before = len(chat.published)
    speaks = since(chat.last, chat.doc.stayed_at)
    chat.be_looked_at(seconds(limit * 2 + 60), seconds(lag))
    steps = [step for _, step, _ in chat.published[before:]]
    assert (Step.CLOSED in steps) is (speaks is not None)
    assert bool(steps) is (speaks is not None)
