"""docs/rotation.md on real parts: at no step is a request refused, a message lost or a write refused."""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path

import aio_pika
import pytest
from pymongo.errors import OperationFailure
from yarl import URL

from deploy.manifests import rights
from services.common.config.settings import Settings
from services.common.events.chats import CitizenArrived
from services.common.http.tokens import Keys
from services.common.messaging import connection
from services.common.messaging.declarations import declare_topology
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.mongo.client import open_database
from tests.support.conditions import until
from tests.support.dependencies.database_users import database_with_users
from tests.support.event_samples import CHAT
from tests.support.in_process.long_limits import lengthen_limits
from tests.support.servers import PATIENCE, Broker, unique

FORMER, NEW = "the former secret, long enough", "the new secret, long enough"
STEPS = [Keys(FORMER), Keys(FORMER, NEW), Keys(NEW, FORMER), Keys(NEW)]
"""What a replica has before the rotation and after the steps 1, 2 and 4."""


def refused(before: Keys, after: Keys) -> bool:
    """Whether a replica refuses another one's token while replicas are replaced."""
    return any(to.service_of(of.service_token("gateway")) is None for of, to in product((before, after), repeat=2))


def test_no_replica_refuses_another_one_at_any_step_of_the_rotation() -> None:
    assert not [pair for pair in pairwise(STEPS) if refused(*pair)]
    assert refused(STEPS[0], STEPS[2]), "without step 1"


def test_a_citizens_token_is_good_until_the_last_step_and_no_longer() -> None:
    token = STEPS[0].chat_token(CHAT)
    assert [keys.chat_of(token) for keys in STEPS] == [CHAT, CHAT, CHAT, None]
    assert STEPS[3].chat_of(STEPS[2].chat_token(CHAT)) == CHAT, "step 2 signs with the new one"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes long is no failure of the rotation."""
    lengthen_limits(monkeypatch)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", PATIENCE)


class Users:
    """Users of the gateway's rights in one virtual host."""

    def __init__(self, broker: Broker, admin: str) -> None:
        self.broker, self.admin, self.made = broker, URL(admin), list[str]()

    def make(self, password: str = "word") -> tuple[str, str]:
        """A user as the manifests have it; its name and address."""
        name, vhost = unique("gateway-"), self.admin.path.strip("/")
        self.made.append(name)
        self.password(name, password)
        self.broker.api("PUT", f"/api/permissions/{vhost}/{name}", rights.permissions("gateway"))
        topics = {"exchange": "eloket", **rights.topic_permissions("gateway")}
        self.broker.api("PUT", f"/api/topic-permissions/{vhost}/{name}", topics)
        return name, self.address(name, password)

    def password(self, name: str, password: str) -> None:
        self.broker.api("PUT", f"/api/users/{name}", {"password": password, "tags": ""})

    def address(self, name: str, password: str) -> str:
        return str(self.admin.with_user(name).with_password(password))

    def remove(self, name: str) -> None:
        self.made.remove(name)
        self.broker.api("DELETE", f"/api/users/{name}")


@pytest.fixture
def users(broker: Broker, vhost_url: str) -> Iterator[Users]:
    async def declare() -> None:
        async with await aio_pika.connect(vhost_url) as connection:
            await declare_topology(await connection.channel())

    asyncio.run(declare())
    made = Users(broker, vhost_url)
    yield made
    for name in list(made.made):
        made.remove(name)


class Replica:
    """A publisher of the gateway that publishes all the time and counts what was not confirmed."""

    def __init__(self, url: str) -> None:
        self.publisher = Publisher(url, "gateway", given=True)
        self.confirmed = self.failed = 0

    async def __aenter__(self) -> "Replica":
        self._tasks = [asyncio.create_task(self.publisher.run()), asyncio.create_task(self._work())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        await self.publisher.link.up.wait()
        while True:
            try:
                await self.publisher.publish(CitizenArrived(chat_id=CHAT))
                self.confirmed += 1
            except Unconfirmed:
                self.failed += 1
            await asyncio.sleep(0.02)

    async def works(self) -> None:
        """Return when it has published some more."""
        some = self.confirmed + 5
        await until(lambda: self.confirmed >= some, "confirms")


def test_a_second_user_takes_over_and_the_first_one_goes(users: Users) -> None:
    async def rotate() -> None:
        first, address = users.make()
        async with Replica(users.make()[1]) as new:
            async with Replica(address) as old:
                await new.works()
                await old.works()
            assert old.failed == 0
            await asyncio.to_thread(users.remove, first)
            await new.works()
            assert new.failed == 0

    asyncio.run(rotate())


def test_a_changed_password_keeps_out_every_new_connection(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why there is a second user: what the page warns of is so."""
    monkeypatch.setattr(connection, "ABSENT_AFTER", 0.0)
    warned: list[str] = []
    monkeypatch.setattr(connection.log, "warning", lambda event, **_: warned.append(event))

    async def change() -> None:
        name, address = users.make()
        async with Replica(address) as old:
            await old.works()
            await asyncio.to_thread(users.password, name, "another")
            await old.works()
            async with Replica(address) as fresh:
                await until(lambda: warned == ["broker_link_failed"], "the first attempt")
                assert not fresh.publisher.up
                assert not fresh.publisher.link.absent, "a refusal is an answer"
            async with Replica(users.address(name, "another")) as right:
                await right.works()

    asyncio.run(change())


class Writer:
    """A replica's database, into which it writes all the time; what is refused fails the test at the end."""

    def __init__(self, url: str) -> None:
        self._database = open_database(Settings(token_secret=FORMER, mongodb_url=url), "routing")
        self.written = 0

    async def __aenter__(self) -> "Writer":
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        results = await asyncio.gather(self._task, return_exceptions=True)
        self._database.client.close()
        assert isinstance(results[0], asyncio.CancelledError), results[0]

    async def _work(self) -> None:
        while True:
            await self._database["written"].insert_one({})
            self.written += 1

    async def works(self) -> None:
        """Return when it has written some more."""
        some = self.written + 5
        await until(lambda: self.written >= some or self._task.done(), "writes")
        assert not self._task.done()


def test_a_second_user_of_the_database_takes_over_and_the_first_one_goes(tmp_path: Path) -> None:
    with database_with_users(tmp_path) as users:

        async def rotate() -> None:
            address = users.of_service("routing", "routing")
            async with contextlib.AsyncExitStack() as stack:
                async with Writer(address) as old:
                    await old.works()
                    second = await asyncio.to_thread(users.of_service, "routing-2", "routing")
                    new = await stack.enter_async_context(Writer(second))
                    await new.works()
                    await old.works()
                await asyncio.to_thread(users.remove, "routing", "routing")
                await new.works()
            former = open_database(Settings(token_secret=FORMER, mongodb_url=address), "routing")
            with pytest.raises(OperationFailure, match="uthentication failed"):
                await former["written"].find_one()
            former.client.close()

        asyncio.run(rotate())
