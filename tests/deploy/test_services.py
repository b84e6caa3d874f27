"""The four services as processes of `make run`."""

import asyncio
import stat
from pathlib import Path

import pytest

from deploy.local import ports, service_programs
from deploy.local.settings import Settings, read_settings
from tests.support.servers import PATIENCE
from tests.support.token_keys import PRIVATE, PUBLIC

URLS = {"RABBITMQ_URL": "amqp://here", "MONGODB_URL": "mongodb://here"}


def settings(tmp_path: Path, **environ: str) -> Settings:
    read = read_settings({"DATA_DIR": str(tmp_path), **environ}, tmp_path)
    assert isinstance(read, Settings)
    return read


def test_what_one_machine_adds(tmp_path: Path) -> None:
    environment = service_programs.service_environment(
        settings(tmp_path, GATEWAY_PORT="9000", LANG="nl_BE.UTF-8"), URLS
    )
    assert environment["OFFICE_HOURS"] == "always"
    assert environment["DEMO_ACCOUNTS"] == "on"
    assert environment["GATEWAY_PORT"] == "9000"
    assert environment["ROUTING_URL"] == "http://127.0.0.1:8002"
    assert environment["RABBITMQ_URL"] == "amqp://here"
    assert environment["LANG"] == "nl_BE.UTF-8"
    assert environment["MALLOC_ARENA_MAX"] == "1"


def test_what_is_given_stands(tmp_path: Path) -> None:
    given = {"OFFICE_HOURS": "Mon-Fri 09:00-17:00", "TOKEN_SECRET": "s" * 32, "PRESENCE_URL": "http://elsewhere"}
    given["MALLOC_ARENA_MAX"] = "4"
    environment = service_programs.service_environment(settings(tmp_path, **given), URLS)
    assert {name: environment[name] for name in given} == given
    assert not (tmp_path / "token_secret").exists()


def test_the_secret_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    first = service_programs.service_environment(settings(tmp_path, TOKEN_SECRET=""), URLS)["TOKEN_SECRET"]
    assert len(first) >= 32
    assert service_programs.service_environment(settings(tmp_path), URLS)["TOKEN_SECRET"] == first
    assert stat.S_IMODE((tmp_path / "token_secret").stat().st_mode) == 0o600


KEYS = {"GATEWAY_SIGNING_KEY": PRIVATE["gateway"].hex(), "PRESENCE_SIGNING_KEY": PRIVATE["presence"].hex()}


def held(read: Settings, tmp_path: Path) -> dict[str, tuple[str, str]]:
    """The private key and the public ones that each service is started with."""
    table = service_programs.programs(read, tmp_path, URLS)
    return {one.name: (one.env["SIGNING_KEY"], one.env["VERIFICATION_KEYS"]) for one in table}


def test_keys_that_are_given_stand_and_each_service_has_its_own_alone(tmp_path: Path) -> None:
    read = settings(tmp_path, **KEYS, VERIFICATION_KEYS=PUBLIC, OPERATOR_KEY=PRIVATE["operator"].hex())
    assert held(read, tmp_path) == {
        "gateway": (KEYS["GATEWAY_SIGNING_KEY"], PUBLIC),
        "presence": (KEYS["PRESENCE_SIGNING_KEY"], PUBLIC),
        "routing": ("", PUBLIC),
        "transcripts": ("", PUBLIC),
    }
    assert not (tmp_path / service_programs.KEY_FOLDER).exists()
    for program in service_programs.programs(read, tmp_path, URLS):
        others = [key.hex() for owner, key in PRIVATE.items() if owner != program.name]
        assert not set(others) & set(program.env.values())


def test_keys_are_made_once_where_none_are_given(tmp_path: Path) -> None:
    first = held(settings(tmp_path, VERIFICATION_KEYS="", GATEWAY_SIGNING_KEY=""), tmp_path)
    assert len({private for private, _ in first.values() if private}) == 2
    assert held(settings(tmp_path), tmp_path) == first


def test_four_programs_each_by_its_module(tmp_path: Path) -> None:
    table = service_programs.programs(settings(tmp_path), tmp_path, URLS)
    assert [program.name for program in table] == ["gateway", "presence", "routing", "transcripts"]
    assert table[2].argv[-2:] == ("-m", "services.routing")
    assert all(program.cwd == tmp_path and program.patience == 20 for program in table)


def test_replicas_share_their_port_and_have_one_of_their_own(tmp_path: Path) -> None:
    read = settings(tmp_path, REPLICAS="routing=2", PORT_SHARED="on", OWN_PORT="1")
    assert service_programs.names_of_replicas(read) == ["routing-1", "routing-2"]
    own = {"routing-1": 21_001, "routing-2": 21_002}
    table = {program.name: program for program in service_programs.programs(read, tmp_path, URLS, own_ports=own)}
    assert list(table) == ["gateway", "presence", "routing-1", "routing-2", "transcripts"]
    for name, port in own.items():
        program = table[name]
        assert program.argv[-2:] == ("-m", "services.routing")
        assert (program.port, program.env["OWN_PORT"], program.env["PORT_SHARED"]) == (port, str(port), "on")
        assert program.env["ROUTING_PORT"] == "8002"
    assert (table["gateway"].port, table["gateway"].env["PORT_SHARED"]) == (8000, "off")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"status":"ok","checks":{"broker":"ok"}}', None),
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b'HTTP/1.1 200 OK\r\n\r\n{"checks":{"broker":"not_yet","database":"ok"}}', "200 broker=not_yet"),
        (b'HTTP/1.1 503 No\r\n\r\n{"checks":{"broker":"not_yet","database":"ok"}}', "503 broker=not_yet"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nstarting", "503 starting"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n[]", "503 []"),
        (b"", ""),
    ],
)
async def test_ready_is_what_readyz_says(answer: bytes, expected: str | None) -> None:
    asked: list[bytes] = []

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    port = ports.pick()  # nobody else takes it afterwards
    async with await asyncio.start_server(reply, "127.0.0.1", port):
        assert await service_programs.http_ready(port, PATIENCE) == expected
    assert asked == [b"GET /readyz HTTP/1.1\r\n"]
    assert await service_programs.http_ready(port, PATIENCE) == "no answer yet"


async def test_silent_is_who_takes_a_question_and_does_not_answer() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    port = ports.pick()
    async with await asyncio.start_server(say_nothing, "127.0.0.1", port):
        assert await service_programs.http_silent(port, 0.2)
    assert not await service_programs.http_silent(port, PATIENCE), "it refuses: it is being started, or ends"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"GET /healthz HTTP/1.1\r\n"
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oops\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        assert not await service_programs.http_silent(port, PATIENCE)
