"""Mirrors services/transcripts/log/recorder.py, on the real broker and database: what becomes of events."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from services.common.events.codec import encode
from services.common.events.types import Cause, CloseReason, Detail, Hold, Party, RefusalCode
from services.transcripts.attachments.store import UPLOADING, File
from services.transcripts.inactivity.rules import Watched
from services.transcripts.log import delivery
from services.transcripts.log.sequencing import opened_id
from services.transcripts.rendering.texts import event_text
from tests.support.conditions import until
from tests.transcripts.conftest import (
    OPENED_AT,
    EventObserver,
    Start,
    as_kept,
    attachment,
    entry,
    new_id,
    opened_event,
    posted,
    state,
)


async def test_a_conversation_is_stored_and_published_in_order(start: Start, observer: EventObserver) -> None:
    chat = new_id()
    async with start() as bench:
        await observer.put(
            opened_event(chat),
            state(chat, 1, Cause.OPENED),
            state(chat, 2, Cause.ASSIGNED, agent="bert"),
            posted(chat, sender="bert", text="Goedemiddag"),
            posted(chat, text="Dank u"),
            state(chat, 3, Cause.CLOSED, reason=CloseReason.AGENT),
        )
        await until(lambda: len(observer.stored(chat)) == 6, "six entries")
        published = observer.stored(chat)
        assert [e.seq for e in published] == [1, 2, 3, 4, 5, 6]
        assert [e.event for e in published] == [Cause.OPENED, None, Cause.ASSIGNED, None, None, Cause.CLOSED]
        assert published[1].text == "Waar vind ik het formulier?"
        assert published[1].name == "An Peeters"
        assert published[2].text == "U bent nu verbonden met Bert."
        assert published[5].reason is CloseReason.AGENT
        assert as_kept(published) == await bench.store.entries(chat)
        assert [e.posted_at is not None for e in published] == [False, False, False, True, True, False]
        kept = await bench.store.chat(chat)
        assert kept is not None
        assert (kept.participants, kept.closed_at, kept.locale) == (frozenset({"bert"}), published[5].at, "nl")
        assert await observer.waiting() == 0


async def test_the_log_has_the_connection_when_an_agent_has_accepted_and_has_it_once(
    start: Start, observer: EventObserver
) -> None:
    chat = new_id()
    offered = state(chat, 2, Cause.ASSIGNED, agent="bert", accepted=False)
    accepted = state(chat, 3, Cause.ASSIGNED, agent="bert", accepted=True)
    async with start() as bench:
        await observer.put(opened_event(chat, None), offered, posted(chat), offered, posted(chat))
        await until(lambda: len(observer.stored(chat)) == 3, "two messages")
        assert [e.event for e in observer.stored(chat)] == [Cause.OPENED, None, None]
        kept = await bench.store.chat(chat)
        assert kept is not None
        assert (kept.participants, kept.watched, kept.turn) == (frozenset({"bert"}), False, 1)
        await observer.put(accepted, accepted, posted(chat, sender="bert", turn=1), offered)
        await until(lambda: len(observer.stored(chat)) == 5, "the agent's message")
        log = await bench.store.entries(chat)
    assert [e.event for e in log] == [Cause.OPENED, None, None, Cause.ASSIGNED, None]
    assert log[3].about is not None
    assert (log[3].about.turn, log[3].about.agent_id, log[3].about.agent) == (1, "bert", "Bert")


async def test_an_agent_who_accepts_by_saying_something_is_introduced_before_it(
    start: Start, observer: EventObserver
) -> None:
    chat, known = new_id(), new_id()
    async with start() as bench:
        first = posted(chat, known, sender="bert", turn=1)
        await observer.put(opened_event(chat, None), first, first, posted(chat, sender="bert", turn=1))
        await observer.put(state(chat, 2, Cause.ASSIGNED, agent="bert", accepted=False))
        await observer.put(state(chat, 3, Cause.ASSIGNED, agent="bert", accepted=True), posted(chat))
        await until(lambda: any(e.party is Party.CITIZEN for e in observer.stored(chat)), "the last message")
        log = await bench.store.entries(chat)
    assert [(e.event, e.sender_id) for e in log] == [
        (Cause.OPENED, "system"),
        (Cause.ASSIGNED, "system"),
        (None, "bert"),
        (None, "bert"),
        (None, "citizen"),
    ]
    assert log[1].text == "U bent nu verbonden met X."


async def test_a_first_message_waits_until_its_chat_is_known_and_is_introduced_then_too(
    start: Start, observer: EventObserver
) -> None:
    chat = new_id()
    async with start() as bench:
        await observer.put(posted(chat, sender="bert", turn=1))
        await until(lambda: bench.consumer.waiting_for_chat, "it to wait for its chat")
        await observer.put(opened_event(chat, None))
        await until(lambda: len(observer.stored(chat)) == 3, "the conversation")
        assert [e.event for e in await bench.store.entries(chat)] == [Cause.OPENED, Cause.ASSIGNED, None]


async def test_inactivity_counts_also_when_the_message_that_accepts_comes_before_the_state(
    start: Start, observer: EventObserver
) -> None:
    chat = new_id()
    async with start() as bench:
        await observer.put(opened_event(chat, None), state(chat, 2, Cause.ASSIGNED, agent="bert", accepted=False))
        await observer.put(posted(chat, sender="bert", turn=1))
        await until(lambda: len(observer.stored(chat)) == 3, "the message that accepts")
        last = posted(chat)
        await observer.put(state(chat, 3, Cause.ASSIGNED, agent="bert", accepted=True), last)
        await until(lambda: last.id in {e.id for e in observer.stored(chat)}, "the last message")
        kept = await bench.store.chat(chat)
        log = await bench.store.entries(chat)
    assert kept is not None
    assert (kept.v, kept.watched) == (3, True)
    assert [e.event for e in log] == [Cause.OPENED, Cause.ASSIGNED, None, None]


async def test_who_lost_the_chat_before_accepting_it_says_nothing_in_it_any_more(
    start: Start, observer: EventObserver
) -> None:
    chat, mine = new_id(), new_id()
    lost = state(chat, 3, Cause.AGENT_LEFT, 2, detail=Detail.NOT_ACCEPTED, former_agent_id="bert")
    async with start() as bench:
        await observer.put(opened_event(chat, None), state(chat, 2, Cause.ASSIGNED, agent="bert", accepted=False), lost)
        await observer.put(posted(chat, mine, sender="bert", turn=1))
        await until(observer.refused, "a refusal")
        assert [(r.id, r.code) for r in observer.refused()] == [(mine, RefusalCode.NOT_YOURS)]
        assert [e.event for e in await bench.store.entries(chat)] == [Cause.OPENED, Cause.AGENT_LEFT]


async def test_a_message_that_was_in_time_is_answered_again_when_the_attempt_is_over(
    start: Start, observer: EventObserver
) -> None:
    chat = new_id()
    first = posted(chat, sender="bert", turn=1)
    late = posted(chat, sender="bert", turn=1)
    async with start() as bench:
        await observer.put(opened_event(chat, None), first, state(chat, 3, Cause.AGENT_LEFT, 2, former_agent_id="bert"))
        await until(lambda: len(observer.stored(chat)) == 4, "the agent has left")
        await bench.acknowledged()
        await observer.caught_up()
    published = len(observer.stored(chat))
    async with start() as bench:  # a process that remembers nothing
        await observer.put(first, late)
        await until(lambda: late.id in {e.id for e in observer.stored(chat)}, "a late one")
        assert first.id in {e.id for e in observer.stored(chat)[published:]}, "a repeat is answered"
        assert not observer.refused()
        log = await bench.store.entries(chat)
    assert [e.event for e in log] == [Cause.OPENED, Cause.ASSIGNED, None, Cause.AGENT_LEFT, None]


async def test_what_comes_after_the_end_is_refused_and_a_repeat_is_answered(
    start: Start, observer: EventObserver
) -> None:
    chat, known = new_id(), new_id()
    async with start():
        await observer.put(opened_event(chat, None), posted(chat, known), state(chat, 2, Cause.CLOSED))
        late = posted(chat)
        await observer.put(late, posted(chat, known))
        await until(lambda: observer.refused() and len(observer.stored(chat)) == 4, "a refusal and a repeat")
        assert [(r.id, r.sender_id, r.code) for r in observer.refused()] == [
            (late.id, "citizen", RefusalCode.CHAT_CLOSED)
        ]
        assert [e.seq for e in observer.stored(chat) if e.id == known] == [2, 2]


async def test_a_chat_that_begins_with_an_agent_has_its_opening_first(start: Start, observer: EventObserver) -> None:
    held = {"held": Hold(agent_id="bert", agent_name="Bert")}
    one, other, far = new_id(), new_id(), new_id()
    async with start() as bench:
        await observer.put(
            opened_event(one).model_copy(update=held),
            state(one, 1, Cause.ASSIGNED, agent="bert"),
            state(other, 1, Cause.ASSIGNED, agent="bert"),
            posted(other, sender="bert", text="Goedemiddag"),
            opened_event(other).model_copy(update=held),
        )
        await until(lambda: len(observer.stored(one)) == 3 and len(observer.stored(other)) == 4, "both")
        await observer.put(state(far, 1, Cause.ASSIGNED, agent="bert"))
        await until(lambda: bench.consumer.waiting_for_chat, "the state to wait for its chat")
        await observer.put(opened_event(far).model_copy(update=held))
        await until(lambda: len(observer.stored(far)) == 3, "the chat that was heard of last")
    begun = [(Cause.OPENED, None), (None, "Waar vind ik het formulier?"), (Cause.ASSIGNED, None)]
    for chat in (one, other, far):
        published = observer.stored(chat)
        assert [(e.event, None if e.event else e.text) for e in published[:3]] == begun
        assert [e.seq for e in published] == list(range(1, len(published) + 1))
        assert published[2].text == "U bent nu verbonden met Bert."


async def test_what_happens_waits_for_a_question_that_another_replica_is_storing(
    start: Start, observer: EventObserver
) -> None:
    chat, opening = new_id(), opened_event(new_id())
    opening = opening.model_copy(update={"chat_id": chat})
    async with start() as bench:
        await bench.store.open_chats([opening])
        await bench.store.insert([entry(chat, 1, Party.SYSTEM, id=opened_id(chat), event=Cause.OPENED)])
        await observer.put(state(chat, 1, Cause.ASSIGNED, agent="bert"))
        await until(lambda: bench.consumer.waiting_for_chat, "it to wait")
        await observer.put(opening)
        await until(lambda: len(observer.stored(chat)) == 2, "the rest")
        log = await bench.store.entries(chat)
    assert [e.event for e in log] == [Cause.OPENED, None, Cause.ASSIGNED]
    assert observer.stored(chat) == log[1:]


async def test_why_a_chat_went_elsewhere_is_said_in_true_words(start: Start, observer: EventObserver) -> None:
    chat = new_id()
    async with start():
        await observer.put(
            opened_event(chat, None),
            state(chat, 2, Cause.TRANSFERRED, 2, detail=Detail.OVERFLOW),
            state(chat, 3, Cause.ASSIGNED, 2, agent="bert"),
            state(chat, 4, Cause.TRANSFERRED, 3),
            state(chat, 5, Cause.TRANSFERRED, 4, detail=Detail.REFUSED),
        )
        await until(lambda: len(observer.stored(chat)) == 5, "the journey")
        published = observer.stored(chat)[1:]
    assert [e.event for e in published] == [Cause.TRANSFERRED, Cause.ASSIGNED, Cause.TRANSFERRED, Cause.TRANSFERRED]
    texts = [event_text("nl", Cause.TRANSFERRED, detail=d) for d in (Detail.OVERFLOW, None, Detail.REFUSED)]
    assert [e.text for e in published if e.event is Cause.TRANSFERRED] == texts


async def test_inactivity_counts_from_when_an_agent_has_the_chat_and_costs_messages_nothing(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, far = new_id(), OPENED_AT + timedelta(days=3_650)
    async with start() as bench:

        async def watched() -> list[Watched]:
            return await bench.store.due_chats(far, 10)

        await observer.put(opened_event(chat, None), state(chat, 1, Cause.AGENT_LEFT, 2))
        await until(lambda: len(observer.stored(chat)) == 2, "a wait")
        assert await watched() == []
        await observer.put(state(chat, 2, Cause.ASSIGNED, 2, agent="bert"))
        await until(lambda: len(observer.stored(chat)) == 3, "an agent")
        (first,) = await watched()
        assert (first.chat_id, first.stayed_at, first.inactivity) == (chat, None, None)
        await bench.acknowledged()

        async def never(*_: object) -> None:
            raise AssertionError("the database was asked for a chat")

        async def nothing(several: Sequence[object]) -> None:
            assert not several, "a chat was written"

        for name in ("chats", "chat", "note_states", "note_participations", "answered", "set_next_check", "last"):
            monkeypatch.setattr(bench.store, name, never)
        for name in ("open_chats", "close_chats"):
            monkeypatch.setattr(bench.store, name, nothing)
        await observer.put(*(posted(chat, sender=s) for s in ("citizen", "bert") for _ in range(5)))
        await until(lambda: len(observer.stored(chat)) == 13, "ten messages")
        assert await observer.waiting() == 0


async def test_a_repeated_assignment_does_not_postpone_the_check(start: Start, observer: EventObserver) -> None:
    chat, far = new_id(), OPENED_AT + timedelta(days=3_650)
    async with start() as bench:
        await observer.put(opened_event(chat, None), state(chat, 2, Cause.ASSIGNED, agent="bert"))
        await until(lambda: len(observer.stored(chat)) == 2, "an agent")
        (first,) = await bench.store.due_chats(far, 10)
        async with start():  # remembers nothing of what it published
            bench.task.cancel()
            await until(bench.task.done, "the end of the first")
            last = posted(chat)
            await observer.put(state(chat, 2, Cause.ASSIGNED, agent="bert"), last)
            await until(lambda: last.id in {e.id for e in observer.stored(chat)}, "the message")
            assert await bench.store.due_chats(far, 10) == [first]
            await bench.store.set_next_check(first, None, None)
            await observer.put(
                state(chat, 3, Cause.ASSIGNED, 2, agent="an"), state(chat, 4, Cause.CLOSED), posted(chat)
            )
            await until(observer.refused, "the end")
            assert await bench.store.due_chats(far, 10) == [], "what is over is not looked at"


async def test_a_repeated_state_costs_nothing_and_is_stored_once(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = new_id()
    async with start() as bench:
        await observer.put(opened_event(chat, None), state(chat, 2, Cause.ASSIGNED, agent="bert"))
        await until(lambda: len(observer.stored(chat)) == 2, "the assignment")
        await bench.acknowledged()  # only then it is remembered as published

        async def never(_: object) -> None:
            raise AssertionError("the database was asked")

        monkeypatch.setattr(bench.store, "chats", never)
        for _ in range(5):
            await observer.put(state(chat, 2, Cause.ASSIGNED, agent="bert"))
        await observer.put(posted(chat))
        await until(lambda: len(observer.stored(chat)) == 3, "the message")
        assert [e.seq for e in observer.stored(chat)] == [1, 2, 3]


async def test_a_revocation_after_the_end_is_kept_and_makes_no_entry(start: Start, observer: EventObserver) -> None:
    chat = new_id()
    async with start() as bench:
        await observer.put(opened_event(chat, None), state(chat, 2, Cause.CLOSED))
        await until(lambda: len(observer.stored(chat)) == 2, "the end")
        await bench.acknowledged()  # the state of the end is known as published
        for v, by in ((3, "citizen"), (4, "officer"), (3, "citizen")):
            await observer.put(state(chat, v, Cause.CLOSED, revoked_by=by))
        other = new_id()
        await observer.put(opened_event(other, None))
        await until(lambda: observer.stored(other), "what came after it")
        kept = await bench.store.chat(chat)
        assert kept is not None
        assert kept.revoked_by == "officer", "an older state changes nothing"
        assert [e.event for e in observer.stored(chat)] == [Cause.OPENED, Cause.CLOSED]
        assert len(await bench.store.entries(chat)) == 2


async def test_an_overtaken_state_makes_no_entry_but_its_agent_is_remembered(
    start: Start, observer: EventObserver
) -> None:
    chat = new_id()
    async with start() as bench:
        await observer.put(opened_event(chat, None), state(chat, 4, Cause.ASSIGNED, 2, agent="bert"))
        await until(lambda: len(observer.stored(chat)) == 2, "the assignment")
        await observer.put(state(chat, 2, Cause.ASSIGNED, 1, agent="an"), posted(chat))
        await until(lambda: len(observer.stored(chat)) == 3, "the message")
        assert [e.text for e in observer.stored(chat)][1:] == ["U bent nu verbonden met Bert.", "Dag"]
        kept = await bench.store.chat(chat)
        assert kept is not None
        assert kept.participants == {"an", "bert"}


async def test_system_messages_are_in_the_language_of_the_chat(start: Start, observer: EventObserver) -> None:
    chat = new_id()
    async with start():
        await observer.put(opened_event(chat, None, "fr"), state(chat, 2, Cause.CLOSED, reason=CloseReason.CITIZEN))
        await until(lambda: len(observer.stored(chat)) == 2, "the end")
        assert observer.stored(chat)[1].text == "Vous avez mis fin à la conversation."


async def test_a_message_waits_for_its_chat_and_is_refused_when_it_stays_unknown(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, never = new_id(), new_id()
    async with start() as bench:
        await observer.put(posted(never), posted(early))
        await until(lambda: bench.consumer.waiting_for_chat == 2, "both to wait for their chats")
        await observer.put(opened_event(early, None))
        await until(lambda: len(observer.stored(early)) == 2, "one to be stored")
        assert [e.event for e in observer.stored(early)] == [Cause.OPENED, None]
        assert not observer.refused()
        monkeypatch.setattr(delivery, "PATIENCE", 0.0)
        await until(observer.refused, "the other to be refused")
        assert [(r.chat_id, r.code) for r in observer.refused()] == [(never, RefusalCode.UNAVAILABLE)]


async def test_a_state_of_a_chat_that_was_never_opened_goes_to_the_dead_letters(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STATE_PATIENCE", 0.3)
    chat = new_id()
    event = state(chat, 2, Cause.CLOSED)
    async with start():
        await observer.put(event)
        assert await observer.letters(1) == [encode(event)]


async def test_the_end_of_a_chat_that_routing_itself_never_knew_is_nothing_to_keep(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A held place whose chat was never opened ends so; it happens whenever a gateway dies at the wrong moment."""
    monkeypatch.setattr(delivery, "STATE_PATIENCE", 0.3)
    nameless, lost = new_id(), new_id()
    async with start():
        await observer.put(state(nameless, 1, Cause.CLOSED).model_copy(update={"department": ""}))
        await observer.put(event := state(lost, 2, Cause.CLOSED))
        assert await observer.letters(1) == [encode(event)]


async def test_an_attachment_is_kept_by_its_uploader_in_its_chat_alone(start: Start, observer: EventObserver) -> None:
    chat, other, now = new_id(), new_id(), datetime.now(OPENED_AT.tzinfo)
    async with start() as bench:
        await observer.put(opened_event(chat, None), opened_event(other, None))
        await until(lambda: len(observer.stored()) == 2, "the chats")
        mine = File(attachment(new_id()), chat, "citizen", UPLOADING, "0")
        await bench.files.begin(mine, now)
        assert await bench.files.finish(mine, 20, 10**8, now)
        id_ = mine.attachment.id
        bad = [posted(chat, None, "bert", None, attachment_id=id_), posted(other, text=None, attachment_id=id_)]
        good = posted(chat, text=None, attachment_id=id_)
        await observer.put(*bad, good)
        await until(lambda: len(observer.refused()) == 2 and len(observer.stored()) == 3, "two refusals and an entry")
        assert {(r.id, r.code) for r in observer.refused()} == {(b.id, RefusalCode.UNKNOWN_ATTACHMENT) for b in bad}
        assert observer.stored(chat)[-1].attachment == mine.attachment
        assert observer.stored(chat)[-1].text is None
