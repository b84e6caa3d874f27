"""A presence database of its own for each test, and a context at a real broker with an observer of all events."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

import aio_pika
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from services.common.clock import utcnow
from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.presence import ListenerEcho
from services.common.messaging import topology
from services.common.messaging.declarations import declare_topology
from services.common.messaging.publisher import Publisher
from services.common.mongo.client import Database, open_database
from services.common.mongo.migrations import upgrade
from services.presence.accounts import changes
from services.presence.agents import logins
from services.presence.agents.accounts import Account
from services.presence.context import Context
from services.presence.migrations import STEPS
from services.presence.settings import PresenceSettings
from services.presence.stores import Stores
from tests.support.in_process.long_limits import lengthen_limits
from tests.support.metrics import sample
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE

SECRET = "a secret of the tests alone"
F = TypeVar("F", bound=Event)
HASH = "$argon2id$v=19$m=19456,t=2,p=1$WNp8xmq+xnd/6IYeLnP5aQ$t6gVrGFn0cr38Ht/fI3G5EH0BWEm5JC3MfrCPMEtvUE"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of this folder has long limits."""
    lengthen_limits(monkeypatch)
    for module, limit in ((changes, "PATIENCE"), (changes, "LIMIT"), (logins, "PATIENCE")):
        monkeypatch.setattr(module, limit, PATIENCE)
    monkeypatch.setattr(changes, "LEASE", 4 * PATIENCE)


class Clock:
    """The time, which passes only when the test says so: of the database by calling it, and of this process."""

    def __init__(self) -> None:
        self.now = utcnow().replace(microsecond=0)
        self.passed = 1_000.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        """Seconds of a monotonic clock."""
        return self.passed

    def later(self, seconds: float) -> None:
        """So many seconds pass."""
        self.now += timedelta(seconds=seconds)
        self.passed += seconds


def standing(at: datetime) -> Callable[[], datetime]:
    """A clock that shows this time for ever."""
    return lambda: at


def repairs(reason: str) -> float:
    """How many repairs for this reason were counted in this process."""
    return sample("eloket_presence_repairs_total", {"reason": reason}) or 0.0


def waiting_chats(number: int) -> list[str]:
    """The ids of so many chats that stand in a line."""
    return [f"waits {n}" for n in range(number)]


def account(username: str, *departments: str, capacity: int = 1, locales: tuple[str, ...] = ("nl",)) -> Account:
    """An account whose password is `demo`."""
    return Account(
        username=username,
        name=username.title(),
        password_hash=HASH,
        departments=departments or ("algemeen",),
        capacity=capacity,
        locales=locales,
    )


async def there(stores: Stores, *accounts: Account) -> None:
    """These are the accounts, and each of them is online and available."""
    await stores.agents.put_accounts(accounts, utcnow())
    for one in accounts:
        agent = await stores.agents.agent(one.id)
        assert agent is not None
        assert await stores.agents.set_online(one.id, agent.v, utcnow())


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = PATIENCE) -> None:
    """Returns as soon as the condition holds."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {seconds} s in vain for {what}") from None


class Returned(CommandListener):
    """Counts the documents that a client reads of the agents."""

    def __init__(self) -> None:
        self.documents = 0

    def started(self, event: CommandStartedEvent) -> None:
        """Nothing is counted."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count what came."""
        cursor = event.reply.get("cursor") or {}
        if str(cursor.get("ns", "")).endswith(".agents"):
            self.documents += len(cursor.get("firstBatch", cursor.get("nextBatch", ())))

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing is counted."""


@contextlib.contextmanager
def counting_agents(settings: PresenceSettings, db: Database) -> Iterator[tuple[Stores, Returned]]:
    """Stores of this database, with the number of the agents' documents that were read through them."""
    returned = Returned()
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        settings.mongodb_url, tz_aware=True, event_listeners=[returned]
    )
    try:
        yield Stores(client[db.name]), returned
    finally:
        client.close()


class EventObserver:
    """Records every event on the exchange."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def seen(self, kind: type[F]) -> list[F]:
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type[F], number: int = 1, seconds: float = PATIENCE) -> list[F]:
        """Returns as soon as so many events of this kind were received."""

        async def enough() -> bool:
            return len(self.seen(kind)) >= number

        await eventually(enough, f"{number} {kind.__name__}; heard {[f.type for f in self.events]}", seconds)
        return self.seen(kind)

    async def catch_up(self, publisher: Publisher) -> None:
        """Returns when everything that this publisher has published so far was received."""
        mark = ListenerEcho(listener=str(uuid.uuid4()), counter=0)
        await publisher.publish(mark)

        async def seen() -> bool:
            return any(echo.listener == mark.listener for echo in self.seen(ListenerEcho))

        await eventually(seen, "what was told last")
        self.events = [event for event in self.events if event.event_id != mark.event_id]

    async def take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.events.append(decode(message.body))


@contextlib.asynccontextmanager
async def listening(url: str) -> AsyncIterator[EventObserver]:
    """An observer on this broker while the context is open."""
    observer = EventObserver()
    link = await aio_pika.connect(url)
    try:
        channel = await link.channel()
        await declare_topology(channel)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(topology.EXCHANGE, "#")
        await queue.consume(observer.take, no_ack=True)
        yield observer
    finally:
        await link.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(mongodb_url: str, mongodb_prefix: str) -> PresenceSettings:
    return PresenceSettings(mongodb_url=mongodb_url, mongodb_prefix=mongodb_prefix, token_secret=SECRET)


@pytest.fixture
async def db(settings: PresenceSettings) -> AsyncIterator[Database]:
    """The database of this test, with its indexes."""
    database = open_database(settings, "presence")
    await upgrade(database, STEPS)
    await Stores(database).buttons.create(["algemeen", "premies"])
    await Stores(database).queues.create(["algemeen", "premies"])
    yield database
    database.client.close()


@pytest.fixture
def stores(db: Database) -> Stores:
    """The stores of this test's database."""
    return Stores(db)


@pytest.fixture
async def observer(module_vhost_url: str) -> AsyncIterator[EventObserver]:
    async with listening(module_vhost_url) as one:
        yield one


@pytest.fixture
async def context(stores: Stores, module_vhost_url: str, observer: EventObserver) -> AsyncIterator[Context]:
    """A context whose publisher is up; `observer` records what it publishes."""
    async with publishing(module_vhost_url, "presence") as publisher:
        yield Context(stores, publisher, lambda departments: None)
