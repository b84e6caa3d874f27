"""Mirrors services/transcripts/consumers.py, on the real broker and database."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from faststream.rabbit import RabbitBroker, RabbitRouter, TestRabbitBroker
from pydantic import ValidationError

from services.common.config.integrations import Integrations
from services.common.events.agents import PauseEnded, WrapUpEnded
from services.common.events.chats import CitizenArrived
from services.common.events.event import Event
from services.common.events.messages import CitizenStayed, NotePosted, NoteStored
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher
from services.common.messaging.subscribers import EventCodec
from services.common.mongo.client import Database
from services.transcripts.consumers import Handlers, create_router
from services.transcripts.identifications import Identifications
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer, now_ms
from services.transcripts.outbox.announcer import Announcer
from services.transcripts.outbox.store import Outbox
from services.transcripts.statistics.rules import row_id
from services.transcripts.statistics.store import Statistics
from tests.support.conditions import until
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE
from tests.transcripts.conftest import OPENED_AT, EventObserver, new_id, opened_event
from tests.transcripts.consuming import consuming

MakeRouter = Callable[[Handlers], RabbitRouter]


@pytest.fixture
def make_router(database: Database, store: Store) -> MakeRouter:
    """Makes the router of these handlers, which announces to nobody and has no identifications."""
    announcer = Announcer(Outbox(database, timedelta(days=3)), store, Integrations(), now_ms)
    nowhere = Publisher("amqp://127.0.0.1:1/", "transcripts")
    identifications = Identifications(store, Writer(store, 5_000), nowhere, now_ms)
    return lambda handlers: create_router(handlers, announcer, identifications)


async def test_notes_are_stored_once_and_published_each_time(
    observer: EventObserver, vhost_url: str, store: Store, database: Database
) -> None:
    chat = new_id()
    note = NotePosted(chat_id=chat, id=new_id(), agent_id="an", agent_name="An", text="let op")
    async with publishing(vhost_url, "transcripts") as publisher:
        handlers = Handlers(store, publisher, now_ms, Statistics(database))
        await handlers.note_posted(note)
        await handlers.note_posted(note.model_copy(update={"text": "anders"}))
        await until(lambda: len(observer.seen) == 2, "both events")
        published = [f.note for f in observer.seen if isinstance(f, NoteStored)]
        assert published[0] == published[1] == (await store.notes(chat))[0]
        assert published[0].text == "let op"
        for wrong in ({"chat_id": "x"}, {"id": "x"}):
            with pytest.raises(ValueError, match="not an internal note"):
                await handlers.note_posted(note.model_copy(update=wrong))


async def test_who_stays_is_remembered(
    observer: EventObserver,
    vhost_url: str,
    store: Store,
    database: Database,
    make_router: MakeRouter,
) -> None:
    chat, at = new_id(), OPENED_AT + timedelta(seconds=10)
    await store.open_chats([opened_event(chat)])
    await store.note_states([(chat, 1, "an")], {chat: OPENED_AT})
    handled: list[Event] = []

    class Counted(Handlers):
        async def citizen_stayed(self, event: CitizenStayed) -> None:
            await super().citizen_stayed(event)
            handled.append(event)

    publisher, statistics = Publisher(vhost_url, "transcripts"), Statistics(database)
    handlers = Counted(store, publisher, lambda: at if not handled else OPENED_AT, statistics)
    async with consuming(vhost_url, make_router(handlers)):
        await observer.put(CitizenStayed(chat_id=chat), CitizenStayed(chat_id=new_id()), CitizenStayed(chat_id=chat))
        await until(lambda: len(handled) == 3, "all three")
        assert [w.stayed_at for w in await store.due_chats(at, 10)] == [at], "a clock that is behind takes nothing away"
    with pytest.raises(ValueError, match="not a citizen who stayed"):
        await handlers.citizen_stayed(CitizenStayed(chat_id="x"))


@pytest.mark.parametrize(
    "queue",
    [
        topology.TRANSCRIPTS_NOTES,
        topology.TRANSCRIPTS_SILENCES,
        topology.TRANSCRIPTS_STATISTICS,
        topology.TRANSCRIPTS_OUTBOX,
        topology.TRANSCRIPTS_IDENTIFICATIONS,
    ],
)
async def test_another_event_than_that_of_the_queue_is_refused(
    store: Store, database: Database, make_router: MakeRouter, queue: topology.Queue
) -> None:
    handlers = Handlers(store, Publisher("amqp://127.0.0.1:1/", "transcripts"), now_ms, Statistics(database))
    broker = RabbitBroker(codec=EventCodec(), routers=[make_router(handlers)])
    async with TestRabbitBroker(broker) as made:
        with pytest.raises(ValidationError):
            await made.publish(CitizenArrived(chat_id=new_id()), queue.name)


async def test_a_wrap_up_and_a_pause_that_are_delivered_twice_count_once(
    store: Store, vhost_url: str, database: Database, make_router: MakeRouter, observer: EventObserver
) -> None:
    chat, other = new_id(), new_id()
    wrap_up = WrapUpEnded(chat_id=chat, department="algemeen", seconds=74)
    pause = PauseEnded(
        pause_id=new_id(), agent_id="an", departments=["premies", "algemeen"], reason="lunch", since=now_ms(), seconds=9
    )
    handlers = Handlers(store, Publisher(vhost_url, "transcripts"), now_ms, Statistics(database))
    async with consuming(vhost_url, make_router(handlers)):
        await observer.put(wrap_up, wrap_up, pause, pause, wrap_up.model_copy(update={"chat_id": other}))
        async with asyncio.timeout(PATIENCE):
            while not await database["wrap_ups"].find_one({"_id": row_id(other)}):  # of one queue, in order
                await asyncio.sleep(0.01)
    wrap_ups = await database["wrap_ups"].find({}).to_list(None)
    assert {one["_id"]: one["seconds"] for one in wrap_ups} == {row_id(chat): 74, row_id(other): 74}
    (kept,) = await database["pause_statistics"].find({}).to_list(None)
    assert (kept["_id"], kept["serves"], kept["seconds"]) == (pause.pause_id, "algemeen,premies", 9)
    assert "agent_id" not in kept, "figures of agents are off"
    with pytest.raises(ValueError, match="not a wrap-up"):
        await handlers.wrap_up_ended(wrap_up.model_copy(update={"chat_id": "x"}))
    with pytest.raises(ValueError, match="not a pause"):
        await handlers.pause_ended(pause.model_copy(update={"pause_id": "x"}))
