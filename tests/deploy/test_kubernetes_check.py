"""`make kubernetes-check` against the real broker and database: it sees each planted fault and says what to do."""

import asyncio
import contextlib
import json
import os
import socketserver
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import aio_pika
import pytest
from yarl import URL

from deploy.check import broker as of_broker
from deploy.check import database, integrations, others, public_door
from deploy.check.__main__ import ADDRESSES, results
from deploy.check.result import Result, table
from deploy.manifests.checks.environment import CLASSES
from services.common.messaging.declarations import declare_topology
from tests.support.dependencies.authority import Authority
from tests.support.dependencies.database_users import Role, Users, database_with_users
from tests.support.dependencies.span_collector import collector
from tests.support.servers import PATIENCE, ROOT, Account, Broker, unique
from tests.transcripts.outbox.mail_server import ACCOUNT, WORD, taking_mail
from tests.transcripts.outbox.open_klant import TOKEN, registering
from tests.transcripts.outbox.receiver import LOOPBACK, SECRET, receiving
from tests.transcripts.outbox.test_webhooks import certificate


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes long is none of the faults that are planted."""
    for module in (of_broker, integrations, others, public_door):
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


def test_an_address_of_the_broker_itself_is_no_management_api() -> None:
    class Amqp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1_000)
            self.request.sendall(b"AMQP\0\0\x09\x01")

    with socketserver.TCPServer(("127.0.0.1", 0), Amqp) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        (found,) = of_broker.managed(f"http://guest:guest@127.0.0.1:{server.server_address[1]}/", 3)
    assert found.found == "no answer (BadStatusLine)"


def test_a_number_of_members_that_is_none(account: Account) -> None:
    environ = {"RABBITMQ_URL": account.url, "RABBITMQ_MANAGEMENT_URL": account.broker.management, "MEMBERS": "all"}
    assert wrong(asyncio.run(results(environ))) == {"broker: management": "MEMBERS=all is no number"}


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
def test_the_scanner(answer: bytes, good: bool, tmp_path: Path) -> None:
    class Clamd(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            assert self.request.recv(16) == b"zPING\0"
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Clamd) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = others.scanner(f"tcp://127.0.0.1:{server.server_address[1]}")
    assert (found.todo == "") is good
    with socketserver.UnixStreamServer(str(tmp_path / "clamd"), Clamd) as local:
        threading.Thread(target=local.handle_request, daemon=True).start()
        found_by_path = asyncio.run(results({"CLAMD_URL": f"unix:{tmp_path}/clamd"}))
    assert set(wrong(found_by_path)) == (set() if good else {"scanner"})
    assert others.scanner("tcp://127.0.0.1:9").todo
    assert others.scanner("tcp://127.0.0.1:port").found == "is no address"
    assert others.scanner(f"unix:{tmp_path}/nowhere").todo


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
        both = asyncio.run(results({"OIDC_ISSUER": right, "CITIZEN_OIDC_ISSUER": f"{right}/"}))
        assert set(wrong(both)) == {"OIDC issuer of citizens"}
        server.shutdown()
    assert others.issuer("http://127.0.0.1:9").todo


@pytest.mark.parametrize(
    ("keys", "methods", "found", "good"),
    [
        ([{"kid": "one"}, {"kid": "two"}], ["client_secret_basic", "private_key_jwt"], "2 published", True),
        ([{"kid": "one"}], ["client_secret_basic"], "1 published", False),
        (None, ["client_secret_basic"], "none", True),
        ("wrong", ["private_key_jwt"], "not published", False),
    ],
)
def test_keys_are_of_use_where_the_issuer_takes_them(keys: object, methods: list[str], found: str, good: bool) -> None:
    class Both(BaseHTTPRequestHandler):
        """The issuer and the gateway."""

        def do_GET(self) -> None:
            url = f"http://127.0.0.1:{server.server_port}"
            answers = {
                "/.well-known/openid-configuration": {"issuer": url, "token_endpoint_auth_methods_supported": methods},
                "/api/oidc-keys/agents": keys and ({"keys": keys} if isinstance(keys, list) else keys),
            }
            answer = answers.get(self.path)
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    with HTTPServer(("127.0.0.1", 0), Both) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        rows = {one.what: one for one in asyncio.run(results({"OIDC_ISSUER": url, "PUBLIC_URL": url}))}
        server.shutdown()
    assert rows["keys at the issuer of agents"].found.startswith(found)
    assert (rows["keys at the issuer of agents"].todo == "") is good
    assert others.client_keys("http://127.0.0.1:9", "agents", url).todo


@pytest.mark.parametrize(("answer", "good"), [(b"0" * 35 + b":3\r\n", True), (b"<html>", False), (b"", False)])
def test_the_service_of_breached_passwords(answer: bytes, good: bool) -> None:
    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/range/00000" else 404)
            self.end_headers()
            self.wfile.write(answer)

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/range/"
        found = asyncio.run(results({"PASSWORD_RANGE_URL": url}))
        assert others.breaches(f"{url}elsewhere").todo
        server.shutdown()
    assert set(wrong(found)) == (set() if good else {"breached passwords"})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA of the doors that are tried."""
    return Authority(tmp_path_factory.mktemp("door") / "ca")


@contextlib.contextmanager
def standing_door(authority: Authority, versions: tuple[ssl.TLSVersion, ssl.TLSVersion], ciphers: str) -> Iterator[str]:
    """A door that accepts these versions and suites, while the context is open."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("door", "localhost"))
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = versions
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()


V1, V12, V13 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
DOORS: dict[str, tuple[tuple[ssl.TLSVersion, ssl.TLSVersion], str, set[str]]] = {
    "a good one": ((V12, V13), "ECDHE+AESGCM", set()),
    "without 1.3": ((V12, V12), "ECDHE+AESGCM", {"TLS of the public door"}),
    "with old versions": ((V1, V13), "ECDHE:!eNULL:!3DES:!RC4:!aNULL:@SECLEVEL=0", {"TLS: old versions"}),
    "with weak suites": ((V12, V13), "ECDHE+AESGCM:ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0", {"TLS: weak cipher suites"}),
}


@pytest.mark.parametrize("door", DOORS)
def test_which_tls_the_public_door_accepts(authority: Authority, monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    """ASVS 5.0, 12.1.1 and 12.1.2."""
    versions, ciphers, faults = DOORS[door]
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with standing_door(authority, versions, ciphers) as url:
        found = public_door.tls(url)
    assert set(wrong(found)) == faults
    assert len(found) == 3


def test_a_door_that_is_not_trusted_or_not_there(authority: Authority) -> None:
    with standing_door(authority, (V12, V13), "ECDHE+AESGCM") as url:
        assert "no connection" in wrong(public_door.tls(url))["TLS of the public door"]
    assert wrong(public_door.tls("https://127.0.0.1:9"))
    assert not public_door.tls("http://127.0.0.1:9")[0].asked


def test_every_address_of_the_settings_is_asked() -> None:
    """Those of the four services themselves and of the public door are no outside parts."""
    inside = {"PUBLIC_URL", *(f"{service.upper()}_URL" for service in CLASSES)}
    named = {field.upper() for settings in CLASSES.values() for field in settings.model_fields}
    assert {name for name in named if name.endswith(("_URL", "_ISSUER", "_ENDPOINT"))} - inside == set(ADDRESSES)


def test_the_collector_of_traces() -> None:
    with collector() as running:
        assert not others.collector(running.url).todo
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert others.collector(f"http://127.0.0.1:{server.server_port}").found == "it takes none (501)"
    assert others.collector("http://127.0.0.1:9").todo


def written(path: Path, receiver: str, register: str, mail_port: int, more: str = "") -> Path:
    """An integrations file with one system of each kind."""
    path.write_text(
        f"""
        [[webhooks]]
        id = "zaken"
        url = "{receiver}"
        secrets = ["env:HOOK"]
        events = ["chat.closed"]
        [[contact_registers]]
        id = "klanten"
        url = "{register}"
        token = "env:REGISTER"
        [mail_server]
        host = "127.0.0.1"
        port = {mail_port}
        security = "none"
        sender = "chat@stad.example"
        {more}
        [[mails]]
        id = "vragen"
        to = ["premies@stad.example"]
        console = "https://chat.stad.example/agent"
        """
    )
    return path


async def of_integrations(path: Path, networks: str = LOOPBACK, ca_file: str = "") -> dict[str, str]:
    environ = {"INTEGRATIONS_FILE": str(path), "OUTBOX_NETWORKS": networks, "OUTBOX_CA_FILE": ca_file}
    return wrong(await results(environ))


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Where the file says that the secrets are."""
    for name, value in {"HOOK": SECRET, "REGISTER": TOKEN, "MAIL": WORD}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


async def test_the_systems_of_the_integrations_file_are_asked_and_get_nothing(
    tmp_path: Path, secrets: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver, registering() as register, taking_mail() as mail:
        path = written(tmp_path / "integrations.toml", receiver.url, register.url, mail.port)
        assert await of_integrations(path) == {}
        (asked_by,) = [one.found for one in await integrations.results(path, LOOPBACK, "") if "webhook" in one.what]
        assert asked_by == "reached, it says 405", "the receiver takes nothing but POST"
        register.answer = b"[]"
        assert await of_integrations(path) == {"register klanten": "failed (not_understood)"}
        secrets.setenv("REGISTER", "another-token")
        assert await of_integrations(path) == {"register klanten": "failed (status_401)"}
        everywhere = ("webhook zaken", "register klanten", "mail server")
        assert await of_integrations(path, networks="") == dict.fromkeys(everywhere, "failed (refused_address)")
        assert (receiver.got, register.made, mail.got) == ([], [], [])
        assert register.wrong == [], "what was asked is of the specification"
    assert await of_integrations(path) == dict.fromkeys(everywhere, "failed (connection)")
    secrets.delenv("HOOK")
    secrets.delenv("REGISTER")
    path = written(path, receiver.url, register.url, 9, 'username = "chat"\npassword = "file:/nowhere"')
    assert await of_integrations(path) == dict.fromkeys(everywhere, "not asked without its secret")


async def test_a_mail_server_that_asks_for_a_login(tmp_path: Path, secrets: pytest.MonkeyPatch) -> None:
    cert, key = certificate(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    login = f'username = "{ACCOUNT}"\npassword = "env:MAIL"'
    async with receiving() as receiver, registering() as register, taking_mail(context, account=True) as mail:
        path = tmp_path / "integrations.toml"

        async def asked_with(more: str, ca_file: Path | str = cert) -> str:
            text = written(path, receiver.url, register.url, mail.port, more).read_text()
            path.write_text(text.replace('security = "none"', 'security = "starttls"'))
            return (await of_integrations(path, ca_file=str(ca_file))).get("mail server", "")

        assert await asked_with(login) == ""
        assert await asked_with(login, "") == "failed (tls)"
        assert await asked_with("") == "failed (smtp_530)"
        secrets.setenv("MAIL", "another-word")
        assert await asked_with(login) == "failed (smtp_535)"
        assert mail.got == []


@pytest.mark.parametrize(
    ("environ", "todo"),
    [
        ({"INTEGRATIONS_FILE": "/nowhere.toml"}, "INTEGRATIONS_FILE /nowhere.toml: "),
        ({"OUTBOX_NETWORKS": "here"}, "write networks such as 10.20.0.0/16"),
        ({"OUTBOX_CA_FILE": "/nowhere.pem"}, "OUTBOX_CA_FILE /nowhere.pem: "),
    ],
)
async def test_integrations_that_transcripts_does_not_start_with(
    environ: dict[str, str], todo: str, tmp_path: Path
) -> None:
    (tmp_path / "integrations.toml").write_text("")
    found = await results({"INTEGRATIONS_FILE": str(tmp_path / "integrations.toml"), **environ})
    (said,) = [one.todo for one in found if one.todo]
    assert said.startswith(todo)


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
