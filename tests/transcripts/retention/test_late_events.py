"""Events that arrive after their chat was erased: over the real broker they bring nothing back and block nothing."""

import pytest

from services.common.events.messages import NotePosted
from services.common.events.types import Cause, RefusalCode
from services.transcripts.consumers import Handlers
from services.transcripts.log import delivery, writer
from services.transcripts.log.writer import now_ms
from services.transcripts.statistics.store import Statistics
from tests.support.conditions import until
from tests.support.publishers import publishing
from tests.transcripts.conftest import EventObserver, Start, new_id, opened_event, posted, state
from tests.transcripts.retention.conftest import NOW, Archive


async def test_late_events_of_an_erased_chat_have_no_effect_and_are_no_dead_letters(
    archive: Archive, start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PATIENCE", 0.5)
    monkeypatch.setattr(delivery, "STATE_PATIENCE", 1.0)
    chat, other = await archive.chat(word="kwetterbes"), new_id()
    assert await archive.erasures.erase(chat, "operator", NOW) is None
    late = posted(chat, text="kwetterbes")
    again = opened_event(chat, "kwetterbes").model_copy(update={"name": "kwetterbes"})
    async with start() as bench:
        await observer.put(again, late, state(chat, 9, Cause.ASSIGNED, agent="an"), state(chat, 10, Cause.CLOSED))
        await observer.put(opened_event(other, "kwebbelvraag"))
        await until(lambda: len(observer.stored(other)) == 2, "the other chat")
        await until(lambda: observer.refused(), "the answer to the late message")
        await until(lambda: not bench.consumer.in_hand, "the end of all deliveries")
        await observer.caught_up()
    assert [(r.id, r.code) for r in observer.refused()] == [(late.id, RefusalCode.CHAT_CLOSED)]
    assert observer.stored(chat) == []
    assert await archive.words("kwetterbes") == []
    assert await archive.places(chat) == {}
    assert await observer.waiting() == await observer.waiting("transcripts.dead-letters") == 0


async def test_a_late_note_of_an_erased_chat_is_not_stored(
    archive: Archive, vhost_url: str, observer: EventObserver
) -> None:
    chat = await archive.chat()
    await archive.erasures.erase(chat, "operator", NOW)
    note = NotePosted(chat_id=chat, id=new_id(), agent_id="an", agent_name="An", text="kwetterbes")
    async with publishing(vhost_url, "transcripts") as publisher:
        await Handlers(archive.store, publisher, now_ms, Statistics(archive.database)).note_posted(note)
        await observer.caught_up()
    assert observer.seen == []
    assert await archive.words("kwetterbes") == []


async def test_a_writer_does_not_use_the_end_of_a_log_that_it_read_before_the_erasure(
    archive: Archive, start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has stored the last message but one; another writer has stored the seal, of which it does not know."""
    monkeypatch.setattr(delivery, "PATIENCE", 0.5)
    chat = new_id()
    async with start() as bench:
        await observer.put(opened_event(chat), posted(chat))
        await until(lambda: len(observer.stored(chat)) == 3, "the message")
        await bench.acknowledged()
        closed = {"$set": {"closed_at": opened_event(chat).opened_at}}
        await archive.database["chats"].update_one({"_id": chat}, closed)
        assert await archive.erasures.erase(chat, "operator", NOW) is None
        monkeypatch.setattr(writer, "TAILS_KEPT", 0.0)  # the time until an erasure is allowed is longer than it
        await observer.put(posted(chat, text="kwetterbes"))
        await until(lambda: observer.refused(), "the answer to the late message")
    assert await archive.places(chat) == {}
