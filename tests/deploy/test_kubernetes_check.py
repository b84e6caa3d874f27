"""`make kubernetes-check` against the real broker and database: it sees each planted fault and says what to do."""

import asyncio
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import aio_pika
import pytest
from yarl import URL

from deploy.check import broker as of_broker
from deploy.check import database, others
from deploy.check.result import Result, table
from services.common.messaging.declarations import declare_topology
from tests.support.database_users import Role, Users, database_with_users
from tests.support.servers import PATIENCE, ROOT, Account, Broker, unique


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes long is none of the faults that are planted."""
    for module in (of_broker, others):
        monkeypatch.setattr(module, "LIMIT", PATIENCE)
    monkeypatch.setattr(database, "LIMIT_MS", int(PATIENCE * 1000))


def wrong(results: list[Result]) -> dict[str, str]:
    return {one.what: one.found for one in results if one.todo}


def asked(url: str) -> list[Result]:
    async def collect() -> list[Result]:
        return [one async for one in of_broker.results(url)]

    return asyncio.run(collect())


async def declare(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        await declare_topology(await connection.channel())


@pytest.fixture
def account(broker: Broker, vhost_url: str) -> Iterator[Account]:
    asyncio.run(declare(vhost_url))
    with broker.account(vhost_url) as made:
        yield made


def managed(broker: Broker, url: str, members: int) -> list[Result]:
    user, password = broker.node.url.removeprefix("amqp://").split("@")[0].split(":")
    place = URL(broker.management).with_user(user).with_password(password).with_path(URL(url).path)
    return of_broker.managed(str(place), members)


def test_a_broker_as_it_should_be(account: Account) -> None:
    assert wrong(asked(account.url)) == {}
    assert wrong(managed(account.broker, account.url, 1)) == {}


def test_a_wrong_password(account: Account) -> None:
    assert set(wrong(asked(str(URL(account.url).with_password("another"))))) == {"broker: login"}


def test_no_broker() -> None:
    assert "no answer" in wrong(asked("amqp://guest:guest@127.0.0.1:9/"))["broker: login"]


def test_a_missing_queue(account: Account) -> None:
    account.broker.api("DELETE", f"/api/queues/{URL(account.url).path.strip('/')}/routing.places")
    assert wrong(asked(account.url)) == {"broker: exchanges and queues": "missing: routing.places"}


def test_missing_rights(account: Account) -> None:
    path = f"/api/permissions/{URL(account.url).path.strip('/')}/{account.name}"
    account.broker.api("PUT", path, {"configure": "^$", "write": "^$", "read": "^$"})
    assert "broker: rights" in wrong(asked(account.url))


def test_queues_with_one_member(account: Account) -> None:
    found = wrong(managed(account.broker, account.url, 3))
    assert set(found) == {"broker: members of queues"}
    assert "routing.places has 1" in found["broker: members of queues"]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    with database_with_users(tmp_path_factory.mktemp("check")) as made:
        yield made


@pytest.fixture(scope="module")
def routing(users: Users) -> str:
    """The address of routing's user in the installation `gent_`."""
    return users.of_service("routing", "gent_routing")


def of_database(url: str) -> dict[str, str]:
    return wrong(list(database.results(url, "routing", "gent_")))


def test_a_database_as_it_should_be(users: Users, routing: str) -> None:
    results = list(database.results(routing, "routing", "gent_"))
    assert wrong(results) == {}
    assert len(results) == 7
    assert "probe" not in users.admin["gent_routing"]["probe"].index_information(), "its index is gone"


def test_an_address_without_a_write_concern(routing: str) -> None:
    assert set(of_database(routing.replace("&w=majority&journal=true", ""))) == {"database: write concern"}


def test_a_database_without_logins(mongodb_url: str, mongodb_prefix: str) -> None:
    found = wrong(list(database.results(mongodb_url, "routing", mongodb_prefix)))
    assert found == {"database: rights": "nobody has to log in"}


def test_a_wrong_password_of_the_database(routing: str) -> None:
    assert of_database(routing.replace(":word@", ":words@")) == {"database: login": "refused (code 18)"}


def test_a_user_who_may_only_read(users: Users) -> None:
    found = of_database(users.make(unique("reader-"), "gent_routing", [("read", "gent_routing")]))
    assert found == {"database: write": "refused (code 13)", "database: indexes": "refused (code 13)"}


def test_the_user_of_another_city(users: Users) -> None:
    assert of_database(users.of_service("routing", "brugge_routing")) == {"database: login": "refused (code 13)"}


@pytest.mark.parametrize(
    ("more", "roles", "read"),
    [
        (("read", "gent_presence"), "read on gent_presence", "it reads gent_presence"),
        (("readWrite", "brugge_routing"), "readWrite on brugge_routing", None),
        (("dbAdmin", "gent_routing"), "dbAdmin on gent_routing", None),
        (("root", "admin"), "root on admin", "it reads gent_presence, gent_transcripts, users"),
    ],
)
def test_a_user_who_may_do_more(users: Users, more: Role, roles: str, read: str | None) -> None:
    url = users.make(unique("wide-"), "gent_routing", [("readWrite", "gent_routing"), more])
    expected = {"database: roles": roles} | ({"database: other databases": read} if read else {})
    assert of_database(url) == expected


def test_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LIMIT_MS", 200)
    found = wrong(list(database.results("mongodb://127.0.0.1:9/?w=majority&journal=true", "routing")))
    assert "no answer" in found["database: login"]
    assert "database: address" in wrong(list(database.results("http://127.0.0.1", "routing")))


@pytest.mark.parametrize(("answer", "good"), [(b"PONG\0", True), (b"ERROR\0", False)])
def test_the_scanner(answer: bytes, good: bool) -> None:
    class Clamd(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            assert self.request.recv(16) == b"zPING\0"
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Clamd) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = others.scanner(f"tcp://127.0.0.1:{server.server_address[1]}")
    assert (found.todo == "") is good
    assert others.scanner("tcp://127.0.0.1:9").todo


def test_the_issuer_calls_itself_as_it_is_written() -> None:
    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"issuer": f"http://127.0.0.1:{server.server_port}"}).encode())

    with HTTPServer(("127.0.0.1", 0), Issuer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        right = f"http://127.0.0.1:{server.server_port}"
        assert not others.issuer(right).todo
        assert right in others.issuer(f"{right}/").todo
        server.shutdown()
    assert others.issuer("http://127.0.0.1:9").todo


def test_names_and_volumes() -> None:
    assert not others.name("x", "amqp://localhost/").todo
    assert others.name("x", f"amqp://{unique('no-such-')}.invalid/").todo
    bound, waiting = (
        {"metadata": {"name": "a"}, "status": {"phase": "Bound"}},
        {"metadata": {"name": "b"}, "status": {}},
    )
    assert not others.claims([bound]).todo
    assert others.claims([bound, waiting]).found == "not bound: b"


def test_the_table_says_what_to_do_below_what_is_wrong() -> None:
    lines = table([Result("a", "good"), Result("bc", "bad", "mend it"), Result("d", "none", asked=False)]).splitlines()
    assert [line.split() for line in lines] == [
        ["right", "a", "good"],
        ["WRONG", "bc", "bad"],
        ["->", "mend", "it"],
        ["not", "asked", "d", "none"],
    ]


def test_the_command(mongodb_url: str) -> None:
    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], **variables}
        return subprocess.run(
            [sys.executable, "-m", "deploy.check"], cwd=ROOT, env=environ, capture_output=True, text=True
        )

    assert run().returncode == 2
    done = run(MONGODB_URL=mongodb_url, MONGODB_PREFIX=unique("check_"), RABBITMQ_URL="amqp://a:word@127.0.0.1:9/")
    assert done.returncode == 1
    assert "WRONG" in done.stdout
    assert "word" not in done.stdout.replace("password", ""), "no password is shown"


def test_retention_periods_that_are_not_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "departments.toml"
    given = (ROOT / "deploy" / "departments.toml").read_text()
    path.write_text(given)
    assert wrong([others.retention(path)]) == {
        "retention": "not confirmed, nothing is deleted: algemeen, premies",
    }
    path.write_text(
        given.replace('default = "algemeen"', 'default = "algemeen"\n[retention]\nconfirmed = 2026-11-29\n')
    )
    assert wrong([others.retention(path)]) == {}
    path.write_text("default = ")
    assert set(wrong([others.retention(path)])) == {"retention"}
