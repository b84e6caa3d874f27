"""Mirrors services/transcripts/consumers.py and recording.py, on the real broker and database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from pymongo.errors import AutoReconnect

from services import consuming, topology
from services.broker import Publisher
from services.contracts import (
    Cause,
    ChatState,
    ChatStatus,
    CitizenArrived,
    CitizenStayed,
    CloseReason,
    Detail,
    Entry,
    Fact,
    Hold,
    MessagePosted,
    NotePosted,
    NoteStored,
    Party,
    RefusalCode,
    Sender,
    encode,
)
from services.database import Database
from services.transcripts import consumers as module
from services.transcripts.consumers import MessageConsumer, note_handler, stay_handler
from services.transcripts.files import UPLOADING, File, Files
from services.transcripts.recording import Heard, Recorder
from services.transcripts.rounds import opened_id
from services.transcripts.silences import Watched
from services.transcripts.store import Store
from services.transcripts.system_texts import event_text
from services.transcripts.writer import Writer, now_ms
from tests.transcripts.conftest import OPENED_AT, Ear, attachment, entry, new_id, opened_fact, until


def posted(chat: str, id_: str | None = None, sender: str = "citizen", text: str | None = "Dag", **more: str):
    who = Sender(party=Party.CITIZEN if sender == "citizen" else Party.AGENT, id=sender, name="X")
    return MessagePosted(chat_id=chat, id=id_ or new_id(), sender=who, text=text, **more)


def state(chat: str, v: int, cause: Cause, turn: int = 1, agent: str | None = None, **more: object) -> ChatState:
    status = ChatStatus.CLOSED if cause is Cause.CLOSED else ChatStatus.ASSIGNED if agent else ChatStatus.WAITING
    return ChatState.model_validate(
        {
            "chat_id": chat,
            "v": v,
            "state": status,
            "turn": turn,
            "department": "algemeen",
            "cause": cause,
            "agent_id": agent,
            "agent_name": agent and agent.title(),
            "at": OPENED_AT,
            **more,
        }
    )


@dataclass
class Bench:
    store: Store
    files: Files
    recorder: Recorder
    consumer: MessageConsumer
    task: "asyncio.Task[None]"


QUIET = timedelta(seconds=600)
Start = Callable[[], "contextlib.AbstractAsyncContextManager[Bench]"]


@pytest.fixture
def start(vhost_url: str, database: Database, store: Store, files: Files) -> Start:
    """Starts one replica's consumer."""

    @contextlib.asynccontextmanager
    async def run() -> AsyncIterator[Bench]:
        publisher = Publisher(vhost_url, "transcripts")
        telling = asyncio.create_task(publisher.run())
        await publisher.link.up.wait()
        own = Store(database)
        recorder = Recorder(own, files, publisher, Writer(own, 5_000), QUIET)

        async def probe() -> None:
            await database.command("ping")

        consumer = MessageConsumer(vhost_url, recorder, probe)
        task = asyncio.create_task(consumer.run())
        await until(lambda: consumer.running or task.done(), "the consumer")
        try:
            yield Bench(own, files, recorder, consumer, task)
        finally:
            for one in (task, telling):
                one.cancel()
            await asyncio.gather(task, telling, return_exceptions=True)

    return run


async def test_a_conversation_is_stored_and_told_in_order(start: Start, ear: Ear):
    chat = new_id()
    async with start() as bench:
        await ear.put(
            opened_fact(chat),
            state(chat, 1, Cause.OPENED),
            state(chat, 2, Cause.ASSIGNED, agent="bert"),
            posted(chat, sender="bert", text="Goedemiddag"),
            posted(chat, text="Dank u"),
            state(chat, 3, Cause.CLOSED, reason=CloseReason.AGENT),
        )
        await until(lambda: len(ear.stored(chat)) == 6, "six entries")
        told = ear.stored(chat)
        assert [e.seq for e in told] == [1, 2, 3, 4, 5, 6]
        assert [e.event for e in told] == [Cause.OPENED, None, Cause.ASSIGNED, None, None, Cause.CLOSED]
        assert told[1].text == "Waar vind ik het formulier?"
        assert told[1].name == "An Peeters"
        assert told[2].text == "U bent nu verbonden met Bert."
        assert told[5].reason is CloseReason.AGENT
        assert told == await bench.store.entries(chat)
        kept = await bench.store.chat(chat)
        assert kept is not None
        assert (kept.participants, kept.closed_at, kept.locale) == ({"bert"}, told[5].at, "nl")
        assert await ear.waiting() == 0


async def test_what_comes_after_the_end_is_refused_and_a_repeat_is_answered(start: Start, ear: Ear):
    chat, known = new_id(), new_id()
    async with start():
        await ear.put(opened_fact(chat, None), posted(chat, known), state(chat, 2, Cause.CLOSED))
        late = posted(chat)
        await ear.put(late, posted(chat, known))
        await until(lambda: ear.refused() and len(ear.stored(chat)) == 4, "a refusal and a repeat")
        assert [(r.id, r.sender_id, r.code) for r in ear.refused()] == [(late.id, "citizen", RefusalCode.CHAT_CLOSED)]
        assert [e.seq for e in ear.stored(chat) if e.id == known] == [2, 2]


async def test_a_chat_that_begins_with_an_agent_has_its_opening_first(start: Start, ear: Ear):
    held = {"held": Hold(agent_id="bert", agent_name="Bert")}
    one, other, far = new_id(), new_id(), new_id()
    async with start() as bench:
        await ear.put(
            opened_fact(one).model_copy(update=held),
            state(one, 1, Cause.ASSIGNED, agent="bert"),
            state(other, 1, Cause.ASSIGNED, agent="bert"),
            posted(other, sender="bert", text="Goedemiddag"),
            opened_fact(other).model_copy(update=held),
        )
        await until(lambda: len(ear.stored(one)) == 3 and len(ear.stored(other)) == 4, "both")
        await ear.put(state(far, 1, Cause.ASSIGNED, agent="bert"))
        await until(lambda: bench.consumer._waiting, "the state to wait for its chat")
        await ear.put(opened_fact(far).model_copy(update=held))
        await until(lambda: len(ear.stored(far)) == 3, "the chat that was heard of last")
    begun = [(Cause.OPENED, None), (None, "Waar vind ik het formulier?"), (Cause.ASSIGNED, None)]
    for chat in (one, other, far):
        told = ear.stored(chat)
        assert [(e.event, None if e.event else e.text) for e in told[:3]] == begun
        assert [e.seq for e in told] == list(range(1, len(told) + 1))
        assert told[2].text == "U bent nu verbonden met Bert."


async def test_what_happens_waits_for_a_question_that_another_replica_is_storing(start: Start, ear: Ear):
    chat, opening = new_id(), opened_fact(new_id())
    opening = opening.model_copy(update={"chat_id": chat})
    async with start() as bench:
        await bench.store.open_chats([opening])
        await bench.store.insert([entry(chat, 1, Party.SYSTEM, id=opened_id(chat), event=Cause.OPENED)])
        await ear.put(state(chat, 1, Cause.ASSIGNED, agent="bert"))
        await until(lambda: bench.consumer._waiting, "it to wait")
        await ear.put(opening)
        await until(lambda: len(ear.stored(chat)) == 2, "the rest")
        log = await bench.store.entries(chat)
    assert [e.event for e in log] == [Cause.OPENED, None, Cause.ASSIGNED]
    assert ear.stored(chat) == log[1:]


async def test_why_a_chat_went_elsewhere_is_said_in_true_words(start: Start, ear: Ear):
    chat = new_id()
    async with start():
        await ear.put(
            opened_fact(chat, None),
            state(chat, 2, Cause.TRANSFERRED, 2, detail=Detail.OVERFLOW),
            state(chat, 3, Cause.ASSIGNED, 2, agent="bert"),
            state(chat, 4, Cause.TRANSFERRED, 3),
            state(chat, 5, Cause.TRANSFERRED, 4, detail=Detail.REFUSED),
        )
        await until(lambda: len(ear.stored(chat)) == 5, "the journey")
        told = ear.stored(chat)[1:]
    assert [e.event for e in told] == [Cause.TRANSFERRED, Cause.ASSIGNED, Cause.TRANSFERRED, Cause.TRANSFERRED]
    texts = [event_text("nl", Cause.TRANSFERRED, detail=d) for d in (Detail.OVERFLOW, None, Detail.REFUSED)]
    assert [e.text for e in told if e.event is Cause.TRANSFERRED] == texts


async def test_silence_counts_from_when_an_agent_has_the_chat_and_costs_messages_nothing(
    start: Start, ear: Ear, monkeypatch
):
    chat, far = new_id(), OPENED_AT + timedelta(days=3_650)
    async with start() as bench:

        async def watched() -> list[Watched]:
            return await bench.store.due_silences(far, 10)

        await ear.put(opened_fact(chat, None), state(chat, 1, Cause.AGENT_LEFT, 2))
        await until(lambda: len(ear.stored(chat)) == 2, "a wait")
        assert await watched() == []
        await ear.put(state(chat, 2, Cause.ASSIGNED, 2, agent="bert"))
        await until(lambda: len(ear.stored(chat)) == 3, "an agent")
        (first,) = await watched()
        assert (first.chat_id, first.stayed_at, first.told) == (chat, None, None)
        monkeypatch.setattr(bench.store, "_chats", None)  # whoever reads or writes it fails
        await ear.put(*(posted(chat, sender=s) for s in ("citizen", "bert") for _ in range(5)))
        await until(lambda: len(ear.stored(chat)) == 13, "ten messages")
        assert await ear.waiting() == 0


async def test_an_agent_who_is_told_again_does_not_put_off_the_look(start: Start, ear: Ear):
    chat, far = new_id(), OPENED_AT + timedelta(days=3_650)
    async with start() as bench:
        await ear.put(opened_fact(chat, None), state(chat, 2, Cause.ASSIGNED, agent="bert"))
        await until(lambda: len(ear.stored(chat)) == 2, "an agent")
        (first,) = await bench.store.due_silences(far, 10)
        async with start():  # remembers nothing of what it told
            bench.task.cancel()
            last = posted(chat)
            await ear.put(state(chat, 2, Cause.ASSIGNED, agent="bert"), last)
            await until(lambda: last.id in {e.id for e in ear.stored(chat)}, "the message")
            assert await bench.store.due_silences(far, 10) == [first]
            await bench.store.look_again(first, None, None)
            await ear.put(state(chat, 3, Cause.ASSIGNED, 2, agent="an"), state(chat, 4, Cause.CLOSED), posted(chat))
            await until(ear.refused, "the end")
            assert await bench.store.due_silences(far, 10) == [], "what is over is not looked at"


async def test_who_stays_is_remembered(ear: Ear, vhost_url: str, store: Store):
    chat, at = new_id(), OPENED_AT + timedelta(seconds=10)
    await store.open_chats([opened_fact(chat)])
    await store.note_states([(chat, 1, "an")], {chat: OPENED_AT})
    handled: list[Fact] = []
    handle = stay_handler(store, lambda: at if not handled else OPENED_AT)

    async def counted(fact: Fact) -> None:
        await handle(fact)
        handled.append(fact)

    consumers = consuming.Consumers(vhost_url, lambda: asyncio.sleep(0))
    consumers.add(topology.TRANSCRIPTS_SILENCES, counted)
    task = asyncio.create_task(consumers.run())
    await until(lambda: consumers.running, "the consumer")
    await ear.put(CitizenStayed(chat_id=chat), CitizenStayed(chat_id=new_id()), CitizenStayed(chat_id=chat))
    await until(lambda: len(handled) == 3, "all three")
    assert [w.stayed_at for w in await store.due_silences(at, 10)] == [at], "a clock that is behind takes nothing away"
    with pytest.raises(ValueError, match="not a citizen who stayed"):
        await stay_handler(store, now_ms)(CitizenArrived(chat_id=chat))
    await consumers.drain()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_state_told_again_costs_nothing_and_is_stored_once(start: Start, ear: Ear, monkeypatch):
    chat = new_id()
    async with start() as bench:
        await ear.put(opened_fact(chat, None), state(chat, 2, Cause.ASSIGNED, agent="bert"))
        await until(lambda: len(ear.stored(chat)) == 2, "the assignment")

        async def never(_: object) -> None:
            raise AssertionError("the database was asked")

        monkeypatch.setattr(bench.store, "chats", never)
        for _ in range(5):
            await ear.put(state(chat, 2, Cause.ASSIGNED, agent="bert"))
        await ear.put(posted(chat))
        await until(lambda: len(ear.stored(chat)) == 3, "the message")
        assert [e.seq for e in ear.stored(chat)] == [1, 2, 3]


async def test_an_overtaken_state_makes_no_entry_but_its_agent_is_remembered(start: Start, ear: Ear):
    chat = new_id()
    async with start() as bench:
        await ear.put(opened_fact(chat, None), state(chat, 4, Cause.ASSIGNED, 2, agent="bert"))
        await until(lambda: len(ear.stored(chat)) == 2, "the assignment")
        await ear.put(state(chat, 2, Cause.ASSIGNED, 1, agent="an"), posted(chat))
        await until(lambda: len(ear.stored(chat)) == 3, "the message")
        assert [e.text for e in ear.stored(chat)][1:] == ["U bent nu verbonden met Bert.", "Dag"]
        kept = await bench.store.chat(chat)
        assert kept is not None
        assert kept.participants == {"an", "bert"}


async def test_system_messages_are_in_the_language_of_the_chat(start: Start, ear: Ear):
    chat = new_id()
    async with start():
        await ear.put(opened_fact(chat, None, "fr"), state(chat, 2, Cause.CLOSED, reason=CloseReason.CITIZEN))
        await until(lambda: len(ear.stored(chat)) == 2, "the end")
        assert ear.stored(chat)[1].text == "Vous avez mis fin à la conversation."


async def test_a_message_waits_for_its_chat_and_is_refused_when_it_stays_unknown(start: Start, ear: Ear, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.8)
    early, never = new_id(), new_id()
    async with start():
        await ear.put(posted(never), posted(early))
        await asyncio.sleep(0.2)
        await ear.put(opened_fact(early, None))
        await until(lambda: ear.refused() and len(ear.stored(early)) == 2, "one stored, one refused")
        assert [e.event for e in ear.stored(early)] == [Cause.OPENED, None]
        assert [(r.chat_id, r.code) for r in ear.refused()] == [(never, RefusalCode.UNAVAILABLE)]


async def test_a_state_of_a_chat_that_was_never_opened_goes_to_the_dead_letters(start: Start, ear: Ear, monkeypatch):
    monkeypatch.setattr(module, "STATE_PATIENCE", 0.3)
    chat = new_id()
    fact = state(chat, 2, Cause.CLOSED)
    async with start():
        await ear.put(fact)
        assert await ear.letters(1) == [encode(fact)]


async def test_the_end_of_a_chat_that_routing_itself_never_knew_is_nothing_to_keep(start: Start, ear: Ear, monkeypatch):
    """A held place whose chat was never opened ends so; it happens whenever a gateway dies at the wrong moment."""
    monkeypatch.setattr(module, "STATE_PATIENCE", 0.3)
    nameless, lost = new_id(), new_id()
    async with start():
        await ear.put(state(nameless, 1, Cause.CLOSED).model_copy(update={"department": ""}))
        await ear.put(fact := state(lost, 2, Cause.CLOSED))
        assert await ear.letters(1) == [encode(fact)]


async def test_poison_goes_to_the_dead_letters_alone(start: Start, ear: Ear):
    chat = new_id()
    good = [posted(chat) for _ in range(5)]
    poison = [
        b"not json",
        b'{"type":"unheard.of"}',
        encode(CitizenArrived(chat_id=chat)),
        encode(posted("not-an-id")),
        encode(posted(chat, "x:y")),
        encode(posted(chat, text="x" * 300_000)),
        encode(posted(chat)).replace(b'"Dag"', b'"\\ud800"'),
    ]
    await ear.put(opened_fact(chat, None))
    for index, body in enumerate(poison):
        await ear.raw(body)
        if index < len(good):
            await ear.put(good[index])
    async with start():
        await until(lambda: len(ear.stored(chat)) == 6, "the good ones")
        assert sorted(await ear.letters(7)) == sorted(poison)
        assert [e.id for e in ear.stored(chat)[1:]] == [g.id for g in good]
        assert await ear.waiting() == 0


async def test_an_unexpected_error_hurts_one_message_alone(start: Start, ear: Ear, monkeypatch):
    chat = new_id()
    cursed = posted(chat)
    async with start() as bench:
        real, tries = bench.recorder.record, list[int]()

        async def record(batch: Sequence[Heard]) -> None:
            if any(isinstance(h.fact, MessagePosted) and h.fact.id == cursed.id for h in batch):
                tries.append(len(batch))
                if len(tries) < 4:
                    raise RuntimeError("it hurts")
            await real(batch)

        monkeypatch.setattr(bench.recorder, "record", record)
        await ear.put(opened_fact(chat, None), *(posted(chat) for _ in range(6)), cursed, posted(chat))
        await until(lambda: len(ear.stored(chat)) == 9, "all of them")
        assert ear.stored(chat)[-1].id == cursed.id, "the others went before"
        assert not bench.task.done()


async def test_the_start_is_slow_and_then_batches_form_by_themselves(start: Start, ear: Ear, monkeypatch):
    chats = [new_id() for _ in range(300)]
    await ear.put(*(opened_fact(c, None) for c in chats))
    sizes: list[int] = []
    real = Recorder.record

    async def record(self: Recorder, batch: Sequence[Heard]) -> None:
        sizes.append(len(batch))
        await real(self, batch)

    monkeypatch.setattr(Recorder, "record", record)
    async with start():
        await until(lambda: len(ear.stored()) == 300, "all chats")
    assert sizes[:5] == [1] * 5
    assert 20 < max(sizes) <= module.PREFETCH


async def test_a_bad_day_is_waited_out_in_place(start: Start, ear: Ear, monkeypatch):
    chat = new_id()
    async with start() as bench:
        real, failures = bench.store.insert, 4

        async def insert(entries: Sequence[Entry]) -> set[int]:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise AutoReconnect("away")
            return await real(entries)

        monkeypatch.setattr(bench.store, "insert", insert)
        await ear.put(opened_fact(chat), posted(chat))
        await until(lambda: len(ear.stored(chat)) == 3, "all of it")
        assert await ear.waiting("transcripts.dead-letters") == 0


async def test_after_a_long_bad_day_the_channel_is_closed_until_a_probe_succeeds(start: Start, ear: Ear, monkeypatch):
    monkeypatch.setattr(module, "PROBE_PAUSE", 0.05)
    chat, probes, away = new_id(), list[float](), True
    async with start() as bench:
        real = bench.store.insert

        async def insert(entries: Sequence[Entry]) -> set[int]:
            if away:
                raise AutoReconnect("away")
            return await real(entries)

        async def probe() -> None:
            probes.append(0.0)
            if away:
                raise AutoReconnect("away")

        async def impatient(work):  # type: ignore[no-untyped-def]
            return await consuming.retry_in_place(work, 0.2)

        monkeypatch.setattr(bench.store, "insert", insert)
        monkeypatch.setattr(bench.consumer, "_probe", probe)
        monkeypatch.setattr("services.transcripts.writer.retry_in_place", impatient)
        await ear.put(opened_fact(chat))
        await until(lambda: len(probes) > 3, "probes")
        assert not bench.consumer.running
        assert await ear.waiting() == 1, "the message went back to the queue"
        away = False
        await until(lambda: len(ear.stored(chat)) == 2, "all of it")
        assert bench.consumer.running


async def test_three_replicas_share_the_work_without_a_hole(start: Start, ear: Ear):
    chats = [new_id() for _ in range(5)]
    async with start() as bench, start(), start():
        await ear.put(*(opened_fact(c, None) for c in chats))
        for n in range(20):
            await ear.put(*(posted(c, sender=s) for c in chats for s in ("citizen", f"agent{n % 2}")))
        await until(lambda: len(ear.stored()) >= 205, "everything")
        for chat in chats:
            log = await bench.store.entries(chat)
            assert [e.seq for e in log] == list(range(1, 42))
            assert {e.id for e in ear.stored(chat)} == {e.id for e in log}


async def test_an_attachment_is_kept_by_its_uploader_in_its_chat_alone(start: Start, ear: Ear):
    chat, other, now = new_id(), new_id(), datetime.now(OPENED_AT.tzinfo)
    async with start() as bench:
        await ear.put(opened_fact(chat, None), opened_fact(other, None))
        await until(lambda: len(ear.stored()) == 2, "the chats")
        mine = File(attachment(new_id()), chat, "citizen", UPLOADING, "0")
        await bench.files.begin(mine, now)
        assert await bench.files.finish(mine, 20, 10**8, now)
        id_ = mine.attachment.id
        bad = [posted(chat, None, "bert", None, attachment_id=id_), posted(other, text=None, attachment_id=id_)]
        good = posted(chat, text=None, attachment_id=id_)
        await ear.put(*bad, good)
        await until(lambda: len(ear.refused()) == 2 and len(ear.stored()) == 3, "two refusals and an entry")
        assert {(r.id, r.code) for r in ear.refused()} == {(b.id, RefusalCode.UNKNOWN_ATTACHMENT) for b in bad}
        assert ear.stored(chat)[-1].attachment == mine.attachment
        assert ear.stored(chat)[-1].text is None


async def test_notes_are_stored_once_and_told_each_time(ear: Ear, vhost_url: str, store: Store):
    publisher = Publisher(vhost_url, "transcripts")
    telling = asyncio.create_task(publisher.run())
    await publisher.link.up.wait()
    handle, chat = note_handler(store, publisher, now_ms), new_id()
    note = NotePosted(chat_id=chat, id=new_id(), agent_id="an", agent_name="An", text="let op")
    await handle(note)
    await handle(note.model_copy(update={"text": "anders"}))
    await until(lambda: len(ear.heard) == 2, "both tellings")
    told = [f.note for f in ear.heard if isinstance(f, NoteStored)]
    assert told[0] == told[1] == (await store.notes(chat))[0]
    assert told[0].text == "let op"
    with pytest.raises(ValueError, match="not an internal note"):
        await handle(CitizenArrived(chat_id=chat))
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
