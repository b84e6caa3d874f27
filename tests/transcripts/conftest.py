"""What the tests of transcripts share: a database and a virtual host of their own, and the things to fill them with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from services.common.events.chats import ChatOpened, ChatState, CloseRequested
from services.common.events.codec import decode, encode
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessageRefused, MessageStored
from services.common.events.types import Attachment, Cause, ChatStatus, CloseReason, Entry, Party, Sender
from services.common.messaging import publisher as messaging_publisher
from services.common.messaging import retry
from services.common.messaging.declarations import declare_topology
from services.common.messaging.publisher import Publisher
from services.common.messaging.topology import routing_key
from services.common.mongo import client as mongo_client
from services.common.mongo.client import Database, open_database
from services.common.mongo.migrations import upgrade
from services.common.runtime import worker_process
from services.transcripts.attachments import checker, previews, uploads
from services.transcripts.attachments.store import Files
from services.transcripts.log import delivery
from services.transcripts.log.message_consumer import MessageConsumer
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer
from services.transcripts.migrations import STEPS
from services.transcripts.past_chats import store as past_chats_store
from services.transcripts.rendering import pdf
from services.transcripts.settings import Settings
from tests.support.conditions import until
from tests.support.dependencies.clamd import Clamd, running_clamd
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE

SECRET = "a secret for tests alone, long enough"
OPENED_AT = datetime(2026, 11, 22, 15, 0, 0, 123_000, tzinfo=UTC)


def new_id() -> str:
    return str(uuid4())


def opened_event(chat_id: str, question: str | None = "Waar vind ik het formulier?", locale: str = "nl") -> ChatOpened:
    return ChatOpened(
        chat_id=chat_id,
        department="algemeen",
        locale=locale,
        name="An Peeters",
        question=question,
        opened_at=OPENED_AT,
    )


def entry(chat_id: str, seq: int, party: Party = Party.CITIZEN, text: str | None = "Dag", **more: object) -> Entry:
    fields: dict[str, object] = {
        "chat_id": chat_id,
        "seq": seq,
        "id": f"id-{seq}",
        "party": party,
        "sender_id": {"citizen": "citizen", "agent": "an", "system": "system"}[party.value],
        "name": {"citizen": "An Peeters", "agent": "Bert", "system": None}[party.value],
        "text": text,
        "at": OPENED_AT,
        **more,
    }
    return Entry.model_validate(fields)


def seal_entry(chat_id: str, seq: int) -> Entry:
    return entry(chat_id, seq, Party.SYSTEM, "Beëindigd", id="closed", event=Cause.CLOSED, reason=CloseReason.AGENT)


def attachment(id_: str = "file") -> Attachment:
    return Attachment(id=id_, name="foto.png", size=1_400_000, content_type="image/png")


LIMITS = (
    (messaging_publisher, "CONFIRM_TIMEOUT"),
    (mongo_client, "HELLO_LIMIT"),
    (mongo_client, "SELECT_LIMIT"),
    (mongo_client, "SOCKET_LIMIT"),
    (delivery, "PATIENCE"),
    (delivery, "STATE_PATIENCE"),
    (uploads, "PATIENCE"),
    (past_chats_store, "SECONDS"),
    (worker_process, "START_SECONDS"),
)
LIMITS_OF_WORK = ((checker, "SECONDS"), (pdf, "SECONDS"), (previews, "SECONDS"))


@pytest.fixture(autouse=True)
def patient_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is to succeed fails because the machine stands still for some seconds.

    Without it an event may be published twice, a message may be refused before its chat is known, and a file may be
    refused because nobody has judged it in time. A search may stop before it has found everything. A test of one of
    these limits sets it.
    """
    for module, name in LIMITS:
        monkeypatch.setattr(module, name, PATIENCE)
    for module, name in LIMITS_OF_WORK:  # it takes processor time, of which there may be little
        monkeypatch.setattr(module, name, 10 * PATIENCE)


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the tests run in sets nothing."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """A scanner with the limits of the deployed one; tests that stop it or change its signatures have their own."""
    with running_clamd(tmp_path_factory.mktemp("clamd")) as running:
        yield running


@pytest.fixture
def make_settings(mongodb_url: str, mongodb_prefix: str) -> Callable[..., Settings]:
    def make(**more: object) -> Settings:
        return Settings.model_validate(
            {"mongodb_url": mongodb_url, "mongodb_prefix": mongodb_prefix, "token_secret": SECRET, **more}
        )

    return make


@pytest.fixture
async def database(make_settings: Callable[..., Settings]) -> AsyncIterator[Database]:
    opened = open_database(make_settings(), "transcripts")
    await upgrade(opened, STEPS)
    yield opened
    opened.client.close()


@pytest.fixture
async def store(database: Database) -> Store:
    return Store(database)


@pytest.fixture
async def files(database: Database) -> Files:
    return Files(database)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed in an outage is tried again at once, so that a test can have hundreds of them."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(retry, "LONGEST_PAUSE", 0.002)


def as_kept(published: Iterable[Entry]) -> list[Entry]:
    """Entries as they are read again: when they were posted is published, and not stored."""
    return [e.model_copy(update={"posted_at": None}) for e in published]


class EventObserver:
    """Records every event that goes over the exchange, and publishes raw bodies."""

    def __init__(self, channel: AbstractChannel, exchange: AbstractExchange) -> None:
        self.channel, self.exchange = channel, exchange
        self.seen: list[Event] = []

    async def put(self, *events: Event) -> None:
        """These events, confirmed, in this order."""
        for event in events:
            await self.raw(encode(event), routing_key(event))

    async def caught_up(self) -> None:
        """Returns when all that the broker has confirmed until now was received: a queue keeps its order."""
        mark = CloseRequested(chat_id=new_id(), by=CloseReason.AGENT)
        await self.put(mark)
        await until(lambda: any(e.event_id == mark.event_id for e in self.seen), "what was published before")
        self.seen[:] = [e for e in self.seen if e.event_id != mark.event_id]

    async def raw(self, body: bytes, key: str = "message.posted") -> None:
        await self.exchange.publish(aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT), key)

    def stored(self, chat_id: str | None = None) -> list[Entry]:
        """The entries that were published, in their order."""
        entries: list[Entry] = []
        for event in self.seen:
            entries += [event.entry] if isinstance(event, MessageStored) else getattr(event, "entries", [])
        return [e for e in entries if chat_id in (None, e.chat_id)]

    def refused(self) -> list[MessageRefused]:
        return [f for f in self.seen if isinstance(f, MessageRefused)]

    async def waiting(self, queue: str = "transcripts.messages") -> int:
        """How many messages are ready in a queue."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def letters(self, number: int) -> list[bytes]:
        """The dead letters, as soon as there are so many."""
        queue, found = await self.channel.get_queue("transcripts.dead-letters"), list[bytes]()
        async with asyncio.timeout(PATIENCE):
            while len(found) < number:
                if message := await queue.get(no_ack=True, fail=False):
                    found.append(message.body)
                else:
                    await asyncio.sleep(0.02)
        return found


@pytest.fixture
async def observer(vhost_url: str) -> AsyncIterator[EventObserver]:
    async with await aio_pika.connect(vhost_url) as connection, connection.channel() as channel:
        exchange = await declare_topology(channel)
        made = EventObserver(channel, exchange)
        queue = await channel.declare_queue(exclusive=True)
        for key in (
            "message.stored.#",
            "messages.stored.#",
            "message.refused.#",
            "note.stored.#",
            "citizen.silent.#",
            "close.requested",
            "answer.overdue",
        ):
            await queue.bind(exchange, key)

        async def take(message: AbstractIncomingMessage) -> None:
            made.seen.append(decode(message.body))

        await queue.consume(take, no_ack=True)
        yield made


def posted(
    chat: str,
    id_: str | None = None,
    sender: str = "citizen",
    text: str | None = "Dag",
    turn: int | None = None,
    attachment_id: str | None = None,
) -> MessagePosted:
    who = Sender(party=Party.CITIZEN if sender == "citizen" else Party.AGENT, id=sender, name="X")
    return MessagePosted(
        chat_id=chat, id=id_ or new_id(), sender=who, text=text, turn=turn, attachment_id=attachment_id
    )


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
    publisher: Publisher
    recorder: Recorder
    consumer: MessageConsumer
    task: "asyncio.Task[None]"

    async def acknowledged(self) -> None:
        """Returns when no delivery is in hand any more: all of them were published, and none comes again."""
        await until(lambda: not self.consumer.in_hand, "the last acknowledgement")


QUIET = timedelta(seconds=600)
Start = Callable[..., "contextlib.AbstractAsyncContextManager[Bench]"]


@pytest.fixture
def start(vhost_url: str, database: Database, store: Store, files: Files) -> Start:
    """Starts one replica's consumer. `probe`: how it detects the end of an outage."""

    async def ping() -> None:
        await database.command("ping")

    @contextlib.asynccontextmanager
    async def run(together: bool = False, probe: Callable[[], Awaitable[object]] = ping) -> AsyncIterator[Bench]:
        async with publishing(vhost_url, "transcripts") as publisher:
            own = Store(database)
            recorder = Recorder(own, files, publisher, Writer(own, 5_000), QUIET, together)
            consumer = MessageConsumer(vhost_url, recorder, probe)
            task = asyncio.create_task(consumer.run())
            await until(lambda: consumer.running or task.done(), "the consumer")
            try:
                yield Bench(own, files, publisher, recorder, consumer, task)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return run
