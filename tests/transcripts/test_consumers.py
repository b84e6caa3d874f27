"""Mirrors services/transcripts/consumers.py, on the real broker and database."""

import asyncio
from datetime import timedelta

import pytest

from services.common.events.chats import CitizenArrived
from services.common.events.event import Event
from services.common.events.messages import CitizenStayed, NotePosted, NoteStored
from services.common.messaging import consumer, topology
from services.common.messaging.connection import Publisher
from services.transcripts.consumers import note_handler, stay_handler
from services.transcripts.log.store import Store
from services.transcripts.log.writer import now_ms
from tests.transcripts.conftest import OPENED_AT, Ear, new_id, opened_event, until


async def test_notes_are_stored_once_and_told_each_time(ear: Ear, vhost_url: str, store: Store) -> None:
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


async def test_who_stays_is_remembered(ear: Ear, vhost_url: str, store: Store) -> None:
    chat, at = new_id(), OPENED_AT + timedelta(seconds=10)
    await store.open_chats([opened_event(chat)])
    await store.note_states([(chat, 1, "an")], {chat: OPENED_AT})
    handled: list[Event] = []
    handle = stay_handler(store, lambda: at if not handled else OPENED_AT)

    async def counted(event: Event) -> None:
        await handle(event)
        handled.append(event)

    consumers = consumer.Consumers(vhost_url, lambda: asyncio.sleep(0))
    consumers.add(topology.TRANSCRIPTS_SILENCES, counted)
    task = asyncio.create_task(consumers.run())
    await until(lambda: consumers.running, "the consumer")
    await ear.put(CitizenStayed(chat_id=chat), CitizenStayed(chat_id=new_id()), CitizenStayed(chat_id=chat))
    await until(lambda: len(handled) == 3, "all three")
    assert [w.stayed_at for w in await store.due_chats(at, 10)] == [at], "a clock that is behind takes nothing away"
    with pytest.raises(ValueError, match="not a citizen who stayed"):
        await stay_handler(store, now_ms)(CitizenArrived(chat_id=chat))
    await consumers.drain()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
