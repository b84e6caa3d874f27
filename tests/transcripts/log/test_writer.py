"""Mirrors services/transcripts/log/writer.py on the real database: several writers at once, faults at every step."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from pymongo.errors import AutoReconnect, WTimeoutError

from services.common.events.messages import MessagePosted
from services.common.events.types import Cause, CloseReason, Entry, Party, RefusalCode, Sender
from services.common.mongo.client import Database
from services.transcripts.log.entry_factory import message_entry, opening_entries
from services.transcripts.log.sequencing import WAITING, NewEntry, PendingEntries, Refused, Result, Stored, Tail
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer
from tests.transcripts.conftest import new_id, opened_event

LIMIT = 5_000


def text(chat_id: str, sender: str, number: int) -> NewEntry:
    party = Party.CITIZEN if sender == "citizen" else Party.AGENT
    event = MessagePosted(
        chat_id=chat_id, id=f"{sender}-{number}", sender=Sender(party=party, id=sender), text=f"{sender} {number}"
    )
    return message_entry(event)


def seal(chat_id: str) -> NewEntry:
    return NewEntry(chat_id, "closed", Party.SYSTEM, "system", text="x", event=Cause.CLOSED, reason=CloseReason.CITIZEN)


async def store_all(writer: Writer, entries: Iterable[NewEntry]) -> list[Result]:
    pending, several = PendingEntries(), list(entries)
    for one in several:
        pending.add(one)
    await writer.store(pending)
    assert not pending
    results = [one.result for one in several if one.result is not None]
    assert len(results) == len(several)
    return results


async def begun(store: Store, chat_id: str) -> None:
    await store_all(Writer(store, LIMIT), opening_entries(opened_event(chat_id, None)))


async def test_a_batch_of_one_chat_gets_the_next_seqs_in_order(store: Store) -> None:
    chat = new_id()
    outcomes = await store_all(
        Writer(store, LIMIT), [*opening_entries(opened_event(chat)), *(text(chat, "citizen", n) for n in range(5))]
    )
    assert [o.entry.seq for o in outcomes if isinstance(o, Stored)] == list(range(1, 8))
    log = await store.entries(chat)
    assert [e.seq for e in log] == list(range(1, 8))
    assert log == [o.entry for o in outcomes if isinstance(o, Stored)], "what is told equals what is read"


async def test_many_chats_share_a_round(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    inserts: list[int] = []
    real = store.insert

    async def counted(entries: Sequence[Entry], in_order: bool = False) -> set[int]:
        inserts.append(len(entries))
        return await real(entries, in_order)

    monkeypatch.setattr(store, "insert", counted)
    writer, chats = Writer(store, LIMIT), [new_id() for _ in range(20)]
    await store_all(writer, [w for c in chats for w in opening_entries(opened_event(c))])
    assert inserts == [40]


async def test_a_chats_entries_share_a_round_and_a_repeat_among_them_stops_none(store: Store) -> None:
    chats, writer = [new_id() for _ in range(3)], Writer(store, LIMIT)
    wanted = [w for c in chats for w in opening_entries(opened_event(c))]
    said = [text(c, "citizen", n) for c in chats for n in (1, 2, 2, 3)]
    outcomes = await store_all(writer, [*wanted, *said])
    for chat in chats:
        log = await store.entries(chat)
        assert [e.seq for e in log] == [1, 2, 3, 4, 5]
        assert [e.id for e in log[2:]] == [text(chat, "citizen", n).id for n in (1, 2, 3)]
    assert sum(isinstance(o, Stored) and o.repeated for o in outcomes) == 3


async def test_nothing_of_a_run_is_stored_behind_a_number_that_another_took(store: Store, database: Database) -> None:
    chat, other = new_id(), new_id()
    writer = Writer(store, LIMIT)
    await store_all(writer, [*opening_entries(opened_event(chat)), *opening_entries(opened_event(other))])
    await store_all(Writer(Store(database), LIMIT), [text(chat, "an", 0)])
    mine = [text(chat, "citizen", n) for n in range(3)]
    outcomes = await store_all(writer, [*mine, text(other, "citizen", 9)])
    assert all(isinstance(o, Stored) for o in outcomes)
    log = await store.entries(chat)
    assert [(e.seq, e.id) for e in log[2:]] == [
        (3, text(chat, "an", 0).id),
        *((4 + n, m.id) for n, m in enumerate(mine)),
    ]


async def test_known_tails_are_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chat, writer = new_id(), Writer(store, LIMIT)
    await store_all(writer, opening_entries(opened_event(chat)))

    async def never(chat_ids: Iterable[str]) -> dict[str, Tail]:
        assert not list(chat_ids), "a tail was read that this writer had stored itself"
        return {}

    monkeypatch.setattr(store, "tails", never)
    outcomes = await store_all(writer, [text(chat, "citizen", 1)])
    assert isinstance(outcomes[0], Stored)
    assert outcomes[0].entry.seq == 3


async def test_a_repeat_keeps_its_seq_and_its_first_text(store: Store) -> None:
    chat = new_id()
    await begun(store, chat)
    first = (await store_all(Writer(store, LIMIT), [text(chat, "citizen", 1)]))[0]
    again = text(chat, "citizen", 1)
    again.text = "another text"
    for writer in (Writer(store, LIMIT), Writer(store, LIMIT)):
        repeated = (await store_all(writer, [again]))[0]
        assert isinstance(first, Stored)
        assert repeated == Stored(first.entry, repeated=True)


async def test_the_id_of_another_sender_is_invalid(store: Store) -> None:
    chat = new_id()
    await begun(store, chat)
    mine, theirs = text(chat, "citizen", 1), text(chat, "an", 1)
    theirs.id = mine.id
    outcomes = await store_all(Writer(store, LIMIT), [mine, theirs])
    assert outcomes[1] == Refused(RefusalCode.INVALID)
    assert [e.sender_id for e in await store.entries(chat, 1)] == ["citizen"]


async def test_after_the_seal_only_repeats_are_answered(store: Store) -> None:
    chat, writer = new_id(), Writer(store, LIMIT)
    await begun(store, chat)
    await store_all(writer, [text(chat, "citizen", 1), seal(chat)])
    for other in (writer, Writer(store, LIMIT)):
        late, repeated = await store_all(other, [text(chat, "an", 7), text(chat, "citizen", 1)])
        assert late == Refused(RefusalCode.CHAT_CLOSED)
        assert isinstance(repeated, Stored)
        assert repeated.entry.seq == 2


async def test_a_chat_without_a_log_is_unknown_until_it_is_opened_elsewhere(store: Store) -> None:
    chat, writer = new_id(), Writer(store, LIMIT)
    assert await store_all(writer, [text(chat, "citizen", 1)]) == [WAITING]
    await begun(store, chat)
    assert isinstance((await store_all(writer, [text(chat, "citizen", 1)]))[0], Stored)


async def test_beyond_the_limit_participants_are_refused_but_the_chat_can_end(store: Store) -> None:
    chat = new_id()
    await begun(store, chat)
    outcomes = await store_all(Writer(store, 3), [*(text(chat, "citizen", n) for n in range(4)), seal(chat)])
    assert [type(o) for o in outcomes] == [Stored, Stored, Refused, Refused, Stored]
    assert outcomes[2] == Refused(RefusalCode.UNAVAILABLE)


async def test_after_an_error_no_tail_is_taken_for_known(database: Database, store: Store) -> None:
    """A backup may have been restored: what this writer once stored is not there any more."""
    chat, faulty = new_id(), FaultyStore(database, Random(1), 0.0)
    writer = Writer(faulty, LIMIT)
    await begun(store, chat)
    await store_all(writer, [text(chat, "citizen", n) for n in range(3)])
    await database["entries"].delete_many({"chat_id": chat, "seq": {"$gt": 2}})
    faulty.next = AutoReconnect("before the insert")
    await store_all(writer, [text(chat, "citizen", 3)])
    assert [e.seq for e in await store.entries(chat)] == [1, 2, 3]


class FaultyStore(Store):
    """The real store; operations fail before they are done, after, or land late although they failed."""

    def __init__(self, database: Database, random: Random, rate: float) -> None:
        super().__init__(database)
        self.random, self.rate, self.faults = random, rate, 0
        self.next: Exception | None = None
        self.late: set[asyncio.Task[set[int]]] = set()

    def fails(self) -> bool:
        failed = self.random.random() < self.rate
        self.faults += failed
        return failed

    async def tails(self, chat_ids: Iterable[str]) -> dict[str, Tail]:
        if self.fails():
            raise AutoReconnect("before the tails")
        return await super().tails(chat_ids)

    async def find(self, chat_id: str, ids: Iterable[str]) -> dict[str, Entry]:
        if self.fails():
            raise AutoReconnect("before the ids")
        return await super().find(chat_id, ids)

    async def insert(self, entries: Sequence[Entry], in_order: bool = False) -> set[int]:
        if error := self.next:
            self.next = None
            raise error
        if self.fails():
            raise AutoReconnect("before the insert")
        if self.fails():
            some = list(entries) if in_order else self.random.sample(list(entries), len(entries))
            await super().insert(some[: self.random.randint(1, len(entries))], in_order)
            raise WTimeoutError("some of it was stored")
        if self.fails():
            task = asyncio.create_task(self._late(list(entries), in_order))
            self.late.add(task)
            raise AutoReconnect("it lands late")
        taken = await super().insert(entries, in_order)
        if self.fails():
            raise AutoReconnect("after the insert")
        return taken

    async def _late(self, entries: list[Entry], in_order: bool) -> set[int]:
        await asyncio.sleep(self.random.uniform(0, 0.05))
        return await super().insert(entries, in_order)


async def sender(writers: list[Writer], chat: str, name: str, count: int, random: Random) -> list[Result]:
    """Sends one after another as a gateway does: the next after the receipt of this one, some of them doubled."""
    outcomes = []
    for number in range(count):
        targets = random.sample(writers, 2 if random.random() < 0.2 else 1)
        results = await asyncio.gather(*(store_all(w, [text(chat, name, number)]) for w in targets))
        outcomes += [r[0] for r in results]
    return outcomes


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.usefixtures("quick_retries")
async def test_three_writers_with_faults_leave_no_hole_no_double_and_no_false_answer(
    database: Database, seed: int
) -> None:
    random = Random(seed)
    stores = [FaultyStore(database, random, 0.08) for _ in range(3)]
    writers = [Writer(s, LIMIT) for s in stores]
    chats = [new_id() for _ in range(4)]
    for chat in chats:
        await asyncio.gather(*(store_all(w, opening_entries(opened_event(chat))) for w in writers[:2]))

    async def end(chat: str) -> list[Result]:
        """The chat ends in the middle of what is said in it."""
        enough, own = random.randint(20, 60), Store(database)
        while (await own.tails([chat]))[chat].seq < enough:
            await asyncio.sleep(0.01)
        return await store_all(random.choice(writers), [seal(chat)])

    talks = [sender(writers, c, name, 25, random) for c in chats for name in ("citizen", "an", "bert")]
    answers = await asyncio.gather(*talks, *(end(c) for c in chats[:2]))
    await asyncio.gather(*(t for s in stores for t in s.late))
    assert sum(s.faults for s in stores) > 30, "the test has to hurt"
    by_chat = {chat: await stores[0].entries(chat) for chat in chats}
    for chat, log in by_chat.items():
        check_log(log, sealed=chat in chats[:2])
    for outcome in (o for several in answers for o in several):
        assert not isinstance(outcome, Stored) or outcome.entry in by_chat[outcome.entry.chat_id]
    for index, several in enumerate(answers[:12]):
        ended = index // 3 < 2
        assert ended or not any(isinstance(o, Refused) for o in several), "refused in a chat that did not end"


def check_log(log: list[Entry], sealed: bool) -> None:
    assert [e.seq for e in log] == list(range(1, len(log) + 1)), "a hole or a double seq"
    assert len({e.id for e in log}) == len(log), "a double"
    assert [e.seq for e in log if e.is_seal] == ([len(log)] if sealed else []), "the seal is the last, once"
    assert log[0].event is Cause.OPENED
    for name in ("citizen", "an", "bert"):
        numbers = [int(e.id.rsplit("-", 1)[1]) for e in log if e.id.startswith(f"{name}-")]
        assert numbers == sorted(numbers), "a sender's messages were turned around"
        assert numbers == list(range(len(numbers))), "one is missing"
    assert all(a.at <= b.at for a, b in pairwise(log)), "time went back"


async def test_a_chat_is_full_of_text_and_its_end_still_fits(store: Store, database: Database) -> None:
    chat = new_id()
    long = [replace(text(chat, "citizen", n), text="😀" * 4_000) for n in range(30)]
    outcomes = await store_all(
        Writer(store, LIMIT, max_text=100_000), [*opening_entries(opened_event(chat, None)), *long]
    )
    stored = [o for o in outcomes[1:] if isinstance(o, Stored)]
    assert len(stored) == 7  # the one that goes over it is the last
    assert set(outcomes[8:]) == {Refused(RefusalCode.UNAVAILABLE)}
    for writer in (Writer(store, LIMIT, max_text=100_000), Writer(Store(database), LIMIT, max_text=100_000)):
        again = await store_all(writer, [*long, text(chat, "an", 99)])
        assert [o.entry.seq for o in again if isinstance(o, Stored)] == [o.entry.seq for o in stored]
        assert set(again[7:]) == {Refused(RefusalCode.UNAVAILABLE)}
    assert isinstance((await store_all(Writer(store, LIMIT, max_text=100_000), [seal(chat)]))[0], Stored)
    assert [e.seq for e in await store.entries(chat)] == list(range(1, 10))
