"""TLS to the broker and the database, by a private CA as in `deploy/components/tls`: verified, or no connection."""

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from faststream.rabbit import RabbitRouter
from pymongo.errors import ServerSelectionTimeoutError
from yarl import URL

from deploy.check import broker as broker_check
from deploy.check import database as database_check
from deploy.local import embedded_mongodb, ports
from deploy.local import rabbitmq as nodes
from services.common.config.settings import Settings
from services.common.events.chats import CitizenArrived
from services.common.events.event import Event
from services.common.messaging import connection, consumer, topology
from services.common.messaging.connection import BrokerConnection
from services.common.messaging.consumer import Consumers
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.messaging.subscribers import subscribe
from services.common.mongo import client as database_client
from services.common.mongo.client import Database, open_database, ping, probe_write
from tests.support.conditions import until
from tests.support.dependencies.authority import Authority
from tests.support.event_samples import CHAT
from tests.support.servers import PATIENCE, running

HOST = "localhost"
OTHER_HOST = "127.0.0.1"
"""The same server by a name that its certificate does not have."""
SECRET = "sixteen characters or more"


@pytest.fixture(scope="module")
def amqps(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """The address of a broker with TLS, without a CA."""
    home = tmp_path_factory.mktemp("tls") / "broker"
    home.mkdir()
    certificate, key = authority.issue("rabbitmq", HOST)
    sbin = nodes.find_sbin()
    assert sbin is not None
    chosen = ports.remembered(home / "ports.json", (*nodes.PORT_NAMES, "tls"))
    node = nodes.prepare(home / "node", sbin, chosen)
    with (node.home / "rabbitmq.conf").open("a") as configuration:
        # As the cluster operator writes them (internal/resource/configmap.go), on loopback.
        configuration.write(
            f"listeners.ssl.1 = 127.0.0.1:{chosen['tls']}\n"
            f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
        )
    with running(nodes.programs(node, home / "broker.log")):
        yield URL(f"amqps://{nodes.USER}:{node.password}@{HOST}:{chosen['tls']}/")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, consumer):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT", PATIENCE)
    monkeypatch.setattr(broker_check, "LIMIT", PATIENCE)


@contextlib.asynccontextmanager
async def kept(publisher: Publisher | BrokerConnection | Consumers) -> AsyncIterator[None]:
    task = asyncio.create_task(publisher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_events_go_over_tls_to_a_broker_whose_certificate_the_ca_signed(amqps: URL, authority: Authority) -> None:
    address = str(amqps.with_query(cafile=str(authority.certificate)))
    publisher, seen = Publisher(address, "tls"), list[str]()

    async def handler(event: Event) -> None:
        seen.append(event.event_id)

    async def nothing() -> None:
        pass

    router = RabbitRouter()
    subscribe(router, next(queue for queue in topology.QUEUES if "citizen.arrived" in queue.keys), handler)
    consumers = Consumers(address, router, nothing)
    async with kept(publisher):
        await until(lambda: publisher.up, "the publisher")
        async with kept(consumers):
            event = CitizenArrived(chat_id=CHAT)
            await publisher.publish(event, PATIENCE)
            await until(lambda: seen == [event.event_id], "the event")
            await consumers.drain(PATIENCE)
    found = [result async for result in broker_check.results(address)]
    assert {result.state for result in found} == {"right"}


async def test_a_renewed_certificate_of_the_ca_verifies_what_the_former_one_signed(
    amqps: URL, authority: Authority
) -> None:
    renewed = authority.renewed()
    assert renewed.read_text() != authority.certificate.read_text()
    publisher = Publisher(str(amqps.with_query(cafile=str(renewed))), "tls")
    async with kept(publisher):
        await until(lambda: publisher.up, "the publisher")


@pytest.mark.parametrize("fault", ["no CA", "another CA", "another host"])
async def test_a_broker_that_is_not_verified_is_refused_and_that_is_no_outage(
    amqps: URL, authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(connection, "ABSENT_AFTER", 0.0)
    query = {"no CA": {}, "another CA": {"cafile": str(stranger.certificate)}}
    known = query.get(fault, {"cafile": str(authority.certificate)})
    address = (amqps.with_host(OTHER_HOST) if fault == "another host" else amqps).with_query(known)
    warned: list[str] = []
    monkeypatch.setattr(connection.log, "warning", lambda event, **fields: warned.append(f"{event} {fields}"))
    publisher = Publisher(str(address), "tls")
    async with kept(publisher):
        await until(lambda: bool(warned), "the first attempt")
        assert "SSLCertVerificationError" in warned[0]
        assert not publisher.up
        assert not publisher.link.absent, "a replica with wrong settings never becomes ready"
        with pytest.raises(Unconfirmed):
            await publisher.publish(CitizenArrived(chat_id=CHAT), 0.1)
    found = [result async for result in broker_check.results(str(address))]
    assert [("certificate" in result.found.lower(), "cafile" in result.todo) for result in found] == [(True, True)]


@pytest.fixture(scope="module")
def mongodb(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database with TLS as MongoDB's operator writes it, without a CA."""
    home = tmp_path_factory.mktemp("tls")
    certificate, key = authority.issue("mongodb", HOST)
    port = ports.pick()
    program = embedded_mongodb.program(home / "database", port, home / "database.log")
    options = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running([dataclasses.replace(program, argv=program.argv + options)]):
        yield embedded_mongodb.url(port).replace(OTHER_HOST, HOST) + "&ssl=true"


async def test_the_database_is_reached_over_tls_when_the_ca_signed_its_certificate(
    mongodb: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_client, "PING_LIMIT", PATIENCE)
    address = f"{mongodb}&tlsCAFile={authority.certificate}"
    database = open_database(Settings(token_secret=SECRET, mongodb_url=address), "tls")
    try:
        assert await ping(database)
        await probe_write(database)
        assert await database["probe"].find_one() == {"_id": "probe", "n": 1}
    finally:
        database.client.close()
    found = await asyncio.to_thread(lambda: list(database_check.results(address, "tls")))
    assert [result.what for result in found if result.todo] == ["database: rights"], "this server has no users"


@pytest.mark.parametrize("fault", ["no CA", "another CA", "another host", "no TLS"])
async def test_a_database_that_is_not_verified_is_refused(
    mongodb: str, authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    known = f"&tlsCAFile={authority.certificate}"
    address = {
        "no CA": mongodb,
        "another CA": f"{mongodb}&tlsCAFile={stranger.certificate}",
        "another host": mongodb.replace(HOST, OTHER_HOST) + known,
        "no TLS": mongodb.replace("&ssl=true", ""),
    }[fault]
    monkeypatch.setattr(database_client, "SELECT_LIMIT", 2.0)
    monkeypatch.setattr(database_client, "PING_LIMIT", PATIENCE)
    monkeypatch.setattr(database_check, "LIMIT_MS", 2000)
    database = open_database(Settings(token_secret=SECRET, mongodb_url=address), "tls")
    reported = {"no TLS": "[Cc]onnection (closed|reset)", "another host": "IP address mismatch"}.get(
        fault, "certificate verify failed"
    )
    try:
        await refused(database, reported)
    finally:
        database.client.close()
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await asyncio.to_thread(lambda: list(database_check.results(address, "tls")))
            assert [result.state for result in found] == ["WRONG"]
            if ("tlsCAFile" in found[0].todo) == (fault != "no TLS"):
                break


async def refused(database: Database, reported: str) -> None:
    """Return when a ping is refused with these words. Within its short limit it may not yet have been tried."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with pytest.raises(ServerSelectionTimeoutError) as caught:
                await ping(database)
            if re.search(reported, str(caught.value)):
                return
