"""`services/common/runtime/certificate.py`: TLS between services, verified by a CA, renewed without a restart."""

import asyncio
import contextlib
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.local import ports
from services.common.config.toml_file import ConfigurationError
from services.common.runtime import certificate as module
from services.common.runtime.certificate import ServerCertificate, verifying
from services.gateway.clients.http_client import HttpClient, Unavailable
from services.gateway.settings import Settings
from tests.gateway.standing import KEYS, SECRET
from tests.support.dependencies.authority import Authority
from tests.support.programs.service_process import Process, Start
from tests.support.servers import PATIENCE

HOST = "localhost"


def variables(authority: Authority, name: str) -> dict[str, str]:
    certificate, key = authority.issue(name, HOST)
    return {"TLS_CERTIFICATE": str(certificate), "TLS_KEY": str(key), "TLS_PORT": str(ports.pick())}


def url(given: dict[str, str], host: str = HOST) -> str:
    return f"https://{host}:{given['TLS_PORT']}"


@contextlib.asynccontextmanager
async def client(address: str, ca: Path | None) -> AsyncIterator[HttpClient]:
    """The gateway's client, which finds routing there."""
    made = HttpClient(Settings(token_secret=SECRET, routing_url=address, tls_ca=ca), KEYS)
    try:
        yield made
    finally:
        await made.close()


async def test_the_gateway_asks_a_service_by_tls(start: Start, authority: Authority) -> None:
    given = variables(authority, "asked")
    process = start(**given)
    await asyncio.to_thread(process.wait_until_it_is_ready)
    async with client(url(given), authority.certificate) as asking:
        answer = await asking.stream("routing", "GET", "/pid", None)
        assert await answer.json() == process.process.pid
    assert process.get("/pid") == (200, str(process.process.pid)), "probes and scrapes have the port without TLS"


@pytest.mark.parametrize("fault", ["no CA", "another CA", "another host", "no TLS"])
async def test_a_service_that_is_not_verified_is_not_asked(
    start: Start, authority: Authority, stranger: Authority, fault: str
) -> None:
    given = variables(authority, f"refused {fault}".replace(" ", "-"))
    process = start(**given)
    await asyncio.to_thread(process.wait_until_it_is_ready)
    ca = {"no CA": None, "another CA": stranger.certificate}.get(fault, authority.certificate)
    address = {
        "another host": url(given, "127.0.0.1"),
        "no TLS": f"https://{HOST}:{process.port}",
    }.get(fault, url(given))
    async with client(address, ca) as asking:
        with pytest.raises(Unavailable):
            await asking.stream("routing", "GET", "/pid", None)
    assert "asked" not in process.out.read_text()


async def test_a_service_finishes_its_answers_by_tls_when_it_stops(
    start: Start, authority: Authority, tmp_path: Path
) -> None:
    given, answered = variables(authority, "stops"), tmp_path / "answered"
    process = start(**given)
    await asyncio.to_thread(process.wait_until_it_is_ready)
    async with client(url(given), authority.certificate) as asking:
        answer = asyncio.create_task(asking.stream("routing", "GET", f"/pid?until={answered}", None))
        await asyncio.to_thread(process.wait_until_it_says, '"asked"')
        process.process.terminate()
        await asyncio.to_thread(process.wait_until_it_says, '"in_drain"')
        answered.touch()
        assert await (await answer).json() == process.process.pid
    assert await asyncio.to_thread(process.status) == 0


def refused(process: Process) -> str:
    assert process.status() == 78
    return process.err.read_text()


def test_wrong_settings_are_refused_at_start(start: Start, authority: Authority, tmp_path: Path) -> None:
    good, other = variables(authority, "good"), variables(authority, "other")
    no_port = {name: value for name, value in good.items() if name != "TLS_KEY"}
    assert "TLS_PORT: needs TLS_CERTIFICATE and TLS_KEY" in refused(start(**no_port))
    missing = refused(start(**good | {"TLS_KEY": str(tmp_path / "missing")}))
    assert f"TLS_KEY {tmp_path / 'missing'}: cannot be read (No such file" in missing
    for wrong in (other["TLS_KEY"], good["TLS_CERTIFICATE"]):
        said = refused(start(**good | {"TLS_KEY": wrong}))
        assert ": not a certificate and its key (" in said
        assert "Traceback" not in said


def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"TLS_CA .*missing: cannot be read \(No such file"):
        verifying(tmp_path / "missing")
    (tmp_path / "empty").touch()
    with pytest.raises(ConfigurationError, match=r"TLS_CA .*empty: not a certificate"):
        verifying(tmp_path / "empty")


async def serial(port: int, ca: Path) -> str:
    """The serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=ca)
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    found: str = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()
    return found


async def test_a_renewed_certificate_is_used_and_a_wrong_one_is_not(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_EVERY", 0.01)
    first, second = (authority.issue(name, HOST) for name in ("first", "second"))
    files = (tmp_path / "tls.crt", tmp_path / "tls.key")

    def put(certificate: Path, key: Path) -> None:
        for source, file in zip((certificate, key), files, strict=True):
            shutil.copy(source, tmp_path / "new")
            os.replace(tmp_path / "new", file)

    put(*first)
    served = ServerCertificate(*files)
    context = served.context_of(None, lambda: ssl.create_default_context())

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    watching = asyncio.create_task(served.watch())
    try:
        former = await serial(port, authority.certificate)
        with capture_logs() as logs:
            put(first[0], second[1])  # the key of another certificate
            async with asyncio.timeout(PATIENCE):
                while not [line for line in logs if line["event"] == "certificate_not_read"]:
                    await asyncio.sleep(0.01)
        assert await serial(port, authority.certificate) == former
        put(*second)
        async with asyncio.timeout(PATIENCE):
            while await serial(port, authority.certificate) == former:
                await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        server.close()
