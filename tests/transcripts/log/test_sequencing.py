"""Mirrors sequencing.py: plain rules, and a model of several writers with faults at every step."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.events.types import Cause, CloseReason, Entry, Party, RefusalCode
from services.transcripts.log.sequencing import (
    WAITING,
    NewEntry,
    PendingEntries,
    Refused,
    Stored,
    Tail,
    barred,
    event_id,
    next_entry,
    repeat,
    tail_after,
    unread,
)

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def message(id_: str, chat: str = "a", sender: str = "citizen") -> NewEntry:
    return NewEntry(chat, id_, Party.CITIZEN if sender == "citizen" else Party.AGENT, sender, text=id_)


def seal(chat: str = "a") -> NewEntry:
    return NewEntry(chat, "closed", Party.SYSTEM, "system", text="x", event=Cause.CLOSED, reason=CloseReason.AGENT)


def opened(chat: str = "a") -> NewEntry:
    return NewEntry(chat, "opened", Party.SYSTEM, "system", text="x", event=Cause.OPENED)


def test_a_round_holds_one_entry_of_each_chat_in_the_order_they_came() -> None:
    pending = PendingEntries()
    first, second, other = message("1"), message("2"), message("1", "b")
    for new in (first, second, other):
        pending.add(new)
    assert (len(pending), pending.heads()) == (3, [first, other])
    pending.finish(first, Refused(RefusalCode.INVALID))
    pending.finish(other, WAITING)
    assert pending.heads() == [second]
    pending.finish(second, WAITING)
    assert (len(pending), pending.heads()) == (0, [])
    assert [new.result for new in (first, second, other)] == [Refused(RefusalCode.INVALID), WAITING, WAITING]


def test_the_next_entry_has_the_next_seq_and_no_earlier_time() -> None:
    late = NOW + timedelta(seconds=5)
    assert next_entry(message("1"), Tail(6, at=NOW), late).seq == 7
    assert next_entry(message("1"), Tail(6, at=late), NOW).at == late
    assert tail_after(next_entry(seal(), Tail(6, at=NOW), late)) == Tail(7, True, late)


def test_only_the_first_entry_is_tried_without_reading_the_tail() -> None:
    assert unread([opened("a"), message("1", "b"), message("1", "c")], {"c": Tail(3)}) == ["b"]


def test_nothing_is_added_after_the_seal_before_the_opening_or_beyond_the_limit() -> None:
    assert barred(message("1"), Tail(3), 5) is None
    assert barred(message("1"), Tail(3, sealed=True), 5) == Refused(RefusalCode.CHAT_CLOSED)
    assert barred(message("1"), Tail(0), 5) is WAITING
    assert barred(opened(), Tail(0), 5) is None
    assigned = NewEntry("a", "1", Party.SYSTEM, "system", event=Cause.ASSIGNED, after=2)
    assert barred(assigned, Tail(1), 5) is WAITING, "the question comes first"
    assert barred(assigned, Tail(2), 5) is None
    assert barred(message("1"), Tail(5), 5) == Refused(RefusalCode.UNAVAILABLE)
    assert barred(seal(), Tail(5), 5) is None


def test_a_repeat_is_published_again_to_its_sender_alone() -> None:
    there = message("1").entry(4, NOW)
    assert repeat(message("1"), there) == Stored(there, repeated=True)
    assert repeat(message("1", sender="agent"), there) == Refused(RefusalCode.INVALID)
    namesake = NewEntry("a", "1", Party.AGENT, "citizen", text="1")
    assert repeat(namesake, there) == Refused(RefusalCode.INVALID), "an agent who is called as citizens are"


def test_ids_of_events() -> None:
    assert event_id("a", Cause.ASSIGNED, 1) != event_id("a", Cause.ASSIGNED, 2)
    assert event_id("a", Cause.ASSIGNED, 2) != event_id("a", Cause.TRANSFERRED, 2)
    assert event_id("a", Cause.CLOSED, 1) == event_id("a", Cause.CLOSED, 9)


# ── a model: writers that use the rules, a log with the two unique keys, faults anywhere ─────────────────────────────


class Log:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def insert(self, entry: Entry) -> bool:
        if any((e.chat_id, e.id) == (entry.chat_id, entry.id) for e in self.entries):
            return False
        if any((e.chat_id, e.seq) == (entry.chat_id, entry.seq) for e in self.entries):
            return False
        self.entries.append(entry)
        return True

    def tail(self, chat: str) -> Tail:
        own = [e for e in self.entries if e.chat_id == chat]
        return tail_after(max(own, key=lambda e: e.seq)) if own else Tail()

    def find(self, new: NewEntry) -> Entry | None:
        return next((e for e in self.entries if (e.chat_id, e.id) == (new.chat_id, new.id)), None)


class ModelWriter:
    """One step at a time, so that others come between; a fault may hit after any part of an unordered insert."""

    def __init__(self, log: Log, batch: list[NewEntry], random: Random) -> None:
        self.log, self.random = log, random
        self.batch, self.pending, self.tails = batch, PendingEntries(), dict[str, Tail]()
        for new in batch:
            self.pending.add(new)

    def step(self) -> bool:
        """One round; False when nothing is left."""
        heads = self.pending.heads()
        missing = unread(heads, self.tails)
        if missing:
            self.tails[missing[0]] = self.log.tail(missing[0])
        elif not self.complete(heads):
            self.insert(heads)
        return bool(self.pending.heads())

    def complete(self, heads: list[NewEntry]) -> bool:
        done = False
        for new in heads:
            tail = self.tails.get(new.chat_id, Tail())
            answer = barred(new, tail, 1_000) if new.chat_id in self.tails else None
            if answer is WAITING:
                self.tails.pop(new.chat_id)
            elif answer:
                there = self.log.find(new)
                self.pending.finish(new, repeat(new, there) if there else answer)
                done = True
        return done

    def insert(self, heads: list[NewEntry]) -> None:
        entries = [
            next_entry(w, self.tails.get(w.chat_id, Tail()), NOW) for w in heads if w.opens or w.chat_id in self.tails
        ]
        landing = [self.random.random() < 0.9 for _ in entries]
        fault = self.random.random() < 0.2
        for entry, lands, new in zip(
            entries, landing, [w for w in heads if w.opens or w.chat_id in self.tails], strict=True
        ):
            if fault and not lands:
                continue
            stored = self.log.insert(entry)
            if fault:
                continue
            if stored:
                self.tails[entry.chat_id] = tail_after(entry)
                self.pending.finish(new, Stored(entry, repeated=False))
            else:
                self.tails[entry.chat_id] = self.log.tail(entry.chat_id)
                if there := self.log.find(new):
                    self.pending.finish(new, repeat(new, there))
        if fault:
            self.tails.clear()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), writers=st.integers(2, 4), chats=st.integers(1, 3), messages=st.integers(1, 12))
def test_no_hole_no_double_nothing_after_the_seal_and_every_answer_true(
    seed: int, writers: int, chats: int, messages: int
) -> None:
    random, log = Random(seed), Log()
    names = [f"chat{c}" for c in range(chats)]
    for name in names:
        log.insert(opened(name).entry(1, NOW))
    batches = []
    for _ in range(writers):
        batch = [message(str(random.randrange(20)), random.choice(names)) for _ in range(messages)]
        if random.random() < 0.5:
            batch.insert(random.randrange(len(batch) + 1), seal(random.choice(names)))
        batches.append(ModelWriter(log, batch, random))
    left = list(batches)
    for _ in range(20_000):
        if not left:
            break
        writer = random.choice(left)
        if not writer.step():
            left.remove(writer)
    assert not left, "the writers never came to an end"
    check_log(log, names)
    for writer in batches:
        check_answers(log, writer)


def check_log(log: Log, names: list[str]) -> None:
    for name in names:
        own = sorted((e for e in log.entries if e.chat_id == name), key=lambda e: e.seq)
        assert [e.seq for e in own] == list(range(1, len(own) + 1))
        assert len({e.id for e in own}) == len(own)
        assert not any(e.is_seal for e in own[:-1])


def check_answers(log: Log, writer: ModelWriter) -> None:
    for new in writer.batch:
        there = log.find(new)
        assert new.result is not None
        if isinstance(new.result, Stored):
            assert there == new.result.entry
        else:
            assert there is None
