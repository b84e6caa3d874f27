"""One replica of routing against the real broker and database, by a clock of its own, with an observer of events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from services.common.events.chats import AcceptOverdue, ChatOpened, CitizenArrived
from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.places import PlaceClaimed, PlacesChanged
from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection, Form
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher
from services.common.mongo.client import Database, open_database
from services.common.mongo.migrations import upgrade
from services.routing.chats import deadlines
from services.routing.chats.admission import Admission
from services.routing.chats.chat import Chat, Limits
from services.routing.chats.citizen_presence import CitizenPresence
from services.routing.chats.store import Store
from services.routing.consumers import Handlers
from services.routing.context import Context
from services.routing.migrations import STEPS
from services.routing.publisher import ChatPublisher
from services.routing.queues.announcer import Announcer
from services.routing.queues.slot_requests import SlotRequests
from services.routing.queues.store import QueueStore
from services.routing.settings import RoutingSettings
from services.routing.timers import Calm, Timers
from tests.support.conditions import until
from tests.support.in_process.handlers import handling
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE

F = TypeVar("F", bound=Event)
SECRET = "a secret of the tests alone"
DEPARTMENTS = ("algemeen", "premies")
OWN_KEYS = ("chat.state.*", "queue.changed.*", "place.wanted", "accept.overdue")


MOST_OPEN = 5  # chats of one address


class Clock:
    """The time, which passes only when a test says so, and by a millisecond each time that it is read.

    So what is done later is later, also for the database, which keeps milliseconds.
    """

    def __init__(self) -> None:
        self._now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now


class EventObserver:
    """Records the events of some keys, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def of(self, kind: type[F], chat_id: str | None = None) -> list[F]:
        return [f for f in self.events if isinstance(f, kind) and chat_id in (None, getattr(f, "chat_id", None))]

    async def wait_for(self, kind: type[F], such: Callable[[F], bool] = lambda _: True, seconds: float = PATIENCE) -> F:
        """The first event of this kind such as this, waited for."""
        await until(lambda: any(such(f) for f in self.of(kind)), f"{kind.__name__}; heard {self.events}", seconds)
        return next(f for f in self.of(kind) if such(f))

    async def seen(self, message: AbstractIncomingMessage) -> None:
        self.events.append(decode(message.body))


@asynccontextmanager
async def listening(url: str, keys: Iterable[str] = OWN_KEYS) -> AsyncIterator[EventObserver]:
    """An observer of these keys on a connection of its own; the topology must be there."""
    observer = EventObserver()
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for key in keys:
            await queue.bind(topology.EXCHANGE, key)
        await queue.consume(observer.seen, no_ack=True)
        yield observer


class Scene:
    """The parts of one replica, put together as the service does, without its background tasks."""

    def __init__(
        self, database: Database, publisher: Publisher, url: str, limits: Limits, observer: EventObserver, clock: Clock
    ) -> None:
        self.observer, self.limits, self.publisher, self.database = observer, limits, publisher, database
        self.clock, self.ahead = clock, timedelta()
        self.store = Store(database, lambda chat: deadlines.stamped(chat, self.now(), limits))
        self.queue_store = QueueStore(database)
        self.slot_requests = SlotRequests(self.store, publisher, self.monotonic)
        self.announcer = Announcer(self.store, self.queue_store, publisher, self.monotonic)
        chat_publisher = ChatPublisher(self.store, publisher, self.slot_requests, self.announcer, DEPARTMENTS)
        admission = Admission(database, self.store, self.now, MOST_OPEN)
        self.context = Context(
            self.store,
            self.queue_store,
            self.slot_requests,
            self.announcer,
            chat_publisher,
            admission,
            self.now,
            limits,
        )
        self.handle = handling(Handlers(self.context))
        self.citizens = CitizenPresence(url, publisher, 300, self.monotonic)
        self.well = True
        calm = Calm(0, self.monotonic())
        self.routing_timers = Timers(
            self.context, self.citizens, limits, calm, lambda: self.well, DEPARTMENTS, self.monotonic
        )

    def now(self) -> datetime:
        """The time of the database."""
        return self.clock() + self.ahead

    def monotonic(self) -> float:
        """Seconds of this replica's monotonic clock."""
        return 1_000 + self.ahead.total_seconds()

    def later(self, **by: float) -> None:
        """Time passes for this replica."""
        self.ahead += timedelta(**by)

    async def chat(self, chat_id: str) -> Chat:
        return await self.store.load(chat_id)

    async def press(self, department: str = "algemeen", greeted: bool = True, chat_id: str = "") -> str:
        """A citizen presses the button (and says hello); the chat's id."""
        event = opening(department, self.now())
        event = event.model_copy(update={"chat_id": chat_id}) if chat_id else event
        await self.handle(event)
        if greeted:
            await self.handle(CitizenArrived(chat_id=event.chat_id))
        return event.chat_id

    async def assign(self, chat_id: str, agent: str = "an", turn: int = 1) -> None:
        await self.handle(PlaceClaimed(chat_id=chat_id, turn=turn, agent_id=agent, agent_name=agent.title()))

    async def catch_up(self) -> None:
        """Everything that this replica has published so far has been received."""
        await caught_up(self)


async def caught_up(*scenes: Scene) -> None:
    """Everything that these replicas have published so far has been received by each of them."""
    marks = [AcceptOverdue(chat_id=str(uuid4()), turn=0, agent_id="nobody") for _ in scenes]
    for scene, mark in zip(scenes, marks, strict=True):
        await scene.publisher.publish(mark)
    for scene in scenes:
        for mark in marks:
            seen = await scene.observer.wait_for(AcceptOverdue, _such_as(mark))
            scene.observer.events.remove(seen)


def _such_as(mark: AcceptOverdue) -> Callable[[AcceptOverdue], bool]:
    return lambda seen: seen.event_id == mark.event_id


def opening(department: str = "algemeen", at: datetime | None = None) -> ChatOpened:
    """A fresh press of the button."""
    return ChatOpened(
        chat_id=str(uuid4()),
        department=department,
        locale="nl",
        name="An Peeters",
        question="Wat nu?",
        form=Form(id="f-1", url="https://loket.example/f"),
        opened_at=at or datetime.now(UTC),
    )


def free(department: str, places: int, revision: int) -> PlacesChanged:
    return PlacesChanged(department=department, free=places, revision=revision)


def listed(counter: int, *chats: str, incarnation: str = "g1", leaving: bool = False) -> GatewayConnections:
    """A gateway's list of its chats."""
    agents = [AgentConnection(agent_id="an", silent_for=0)]
    return GatewayConnections(
        incarnation=incarnation, counter=counter, agents=agents, chats=list(chats), leaving=leaving
    )


@asynccontextmanager
async def replica(
    url: str, mongodb_url: str, prefix: str, limits: Limits | None = None, clock: Clock | None = None
) -> AsyncIterator[Scene]:
    """One replica with its own connections and observer. `clock`: of the database, for several replicas."""
    settings = RoutingSettings(token_secret=SECRET, mongodb_url=mongodb_url, mongodb_prefix=prefix)
    database = open_database(settings, "routing")
    try:
        async with publishing(url) as publisher, listening(url) as observer:
            scene = Scene(database, publisher, url, limits or Limits(), observer, clock or Clock())
            await upgrade(database, STEPS)
            yield scene
    finally:
        database.client.close()
