"""Mirrors services/transcripts/outbox/webhooks.py and http.py, over real HTTP and TLS on loopback."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from services.common.clock import utcnow
from services.common.config.toml_file import ConfigurationError
from services.transcripts.outbox.http import CheckedResolver, RefusedAddress, tls_context
from services.transcripts.outbox.rules import Outcome, Verdict
from services.transcripts.outbox.store import Delivery
from tests.support.http_server import listener
from tests.transcripts.conftest import OPENED_AT, new_id
from tests.transcripts.outbox.conftest import MakeSender, webhook
from tests.transcripts.outbox.receiver import KEY, Receiver, receiving

DELIVERED = Outcome(Verdict.DELIVERED)


def delivery(**data: object) -> Delivery:
    return Delivery("zaken:x", "claim", new_id(), "chat.closed", OPENED_AT, {"reason": "agent", **data}, 1, OPENED_AT)


def failed(cause: str) -> Outcome:
    return Outcome(Verdict.FAILED, cause)


async def test_a_request_is_signed_and_says_what_happened(receiver: Receiver, make_sender: MakeSender) -> None:
    previous, one = b"p" * 24, delivery()
    assert await make_sender(keys=(KEY, previous)).send(webhook(receiver.url), one) == DELIVERED
    (got,) = receiver.got
    assert got.id == one.notice
    assert got.is_signed_by(KEY)
    assert got.is_signed_by(previous)
    assert not got.is_signed_by(b"q" * 24)
    assert abs(got.timestamp - utcnow().timestamp()) < 3_600
    assert got.notice == {
        "type": "chat.closed",
        "timestamp": "2026-11-22T15:00:00.123000Z",
        "data": {"reason": "agent"},
    }


async def test_the_same_notice_has_the_same_id_and_body_each_time(receiver: Receiver, make_sender: MakeSender) -> None:
    sender, one = make_sender(), delivery()
    receiver.statuses = [500]
    assert await sender.send(webhook(receiver.url), one) == failed("status_500")
    assert await sender.send(webhook(receiver.url), one) == DELIVERED
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_redirect_is_not_followed(receiver: Receiver, make_sender: MakeSender) -> None:
    receiver.statuses, receiver.headers = [307], {"Location": receiver.url}
    assert await make_sender().send(webhook(receiver.url), delivery()) == failed("status_307")
    assert len(receiver.got) == 1


async def test_a_receiver_that_wants_a_pause_gets_one(receiver: Receiver, make_sender: MakeSender) -> None:
    receiver.statuses, receiver.headers = [429], {"Retry-After": "90"}
    outcome = await make_sender().send(webhook(receiver.url), delivery())
    assert (outcome.cause, outcome.retry_after) == ("status_429", 90)


async def test_a_slow_receiver_is_given_up_in_time(receiver: Receiver, make_sender: MakeSender) -> None:
    receiver.hold = asyncio.Event()
    assert await make_sender(limit=0.2).send(webhook(receiver.url), delivery()) == failed("timeout")


async def test_an_endless_answer_is_not_read_to_its_end(receiver: Receiver, make_sender: MakeSender) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(bytes(64 * 1024))

    receiver.answer = endless
    assert await make_sender().send(webhook(receiver.url), delivery()) == DELIVERED


async def test_an_endless_head_is_a_failure(make_sender: MakeSender) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        try:
            while True:
                writer.write(b"a" * 65_536)
                await writer.drain()
        except OSError:
            writer.close()

    with listener() as bound:
        server = await asyncio.start_server(serve, sock=bound)
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert await make_sender().send(webhook(url), delivery()) == failed("connection")
        server.close()


async def test_nobody_there_is_a_failure(make_sender: MakeSender) -> None:
    with listener() as bound:  # bound and not listening
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert await make_sender().send(webhook(url), delivery()) == failed("connection")


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_nothing_is_sent_to_this_machine_unless_it_is_allowed(
    receiver: Receiver, make_sender: MakeSender, host: str
) -> None:
    target = webhook("https://a.example/").model_copy(update={"url": receiver.url.replace("127.0.0.1", host)})
    assert await make_sender(networks="").send(target, delivery()) == failed("refused_address")
    assert receiver.got == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "017700000001"])
async def test_other_ways_to_write_the_address_change_nothing(
    receiver: Receiver, make_sender: MakeSender, host: str
) -> None:
    target = webhook("https://a.example/").model_copy(update={"url": receiver.url.replace("127.0.0.1", host)})
    assert (await make_sender(networks="").send(target, delivery())).verdict is Verdict.FAILED
    assert receiver.got == []


class Names(AbstractResolver):
    """Resolves each name to the next of these lists of addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            {"hostname": host, "host": a, "port": port, "family": socket.AF_INET, "proto": 0, "flags": numeric}
            for a in self.answers.pop(0)
        ]

    async def close(self) -> None:
        pass


async def test_a_name_with_one_address_that_is_not_allowed_is_refused() -> None:
    names = CheckedResolver((), Names(["8.8.8.8"], ["8.8.8.8", "10.0.0.1"], ["169.254.169.254"]))
    assert [one["host"] for one in await names.resolve("a.example")] == ["8.8.8.8"]
    for _ in range(2):
        with pytest.raises(RefusedAddress):
            await names.resolve("a.example")


async def test_a_name_that_moves_to_this_machine_is_refused(
    receiver: Receiver, make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = receiver.url.rpartition(":")[2]
    monkeypatch.setattr(aiohttp, "ThreadedResolver", lambda: Names(["127.0.0.1"]))
    target = webhook("https://a.example/").model_copy(update={"url": f"http://rebound.example:{port}"})
    assert await make_sender(networks="").send(target, delivery()) == failed("refused_address")
    assert receiver.got == []


async def test_an_unknown_name_is_a_failure(make_sender: MakeSender) -> None:
    outcome = await make_sender().send(webhook("https://no-such-host.invalid/"), delivery())
    assert outcome == failed("name_not_found")


async def test_no_proxy_of_the_environment_is_used(
    receiver: Receiver, make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert await make_sender().send(webhook(receiver.url), delivery()) == DELIVERED


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that is signed by its own key, for this host; it and the key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    alternative = "IP:" if name.replace(".", "").isdigit() else "DNS:"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    more = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}{name}"]
    subprocess.run([*command, *more, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize(
    ("name", "known", "outcome"),
    [
        ("127.0.0.1", True, DELIVERED),
        ("127.0.0.1", False, failed("tls")),
        ("another.example", True, failed("tls")),
    ],
)
async def test_a_target_is_verified(
    tmp_path: Path, make_sender: MakeSender, name: str, known: bool, outcome: Outcome
) -> None:
    cert, key = certificate(tmp_path, name)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(cert, key)
    async with receiving(served) as receiver:
        sender = make_sender(tls=tls_context(cert if known else None))
        assert await sender.send(webhook(receiver.url), delivery()) == outcome
        assert len(receiver.got) == (outcome == DELIVERED)


def test_a_wrong_file_of_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("x")
    for path in (file, tmp_path / "none.pem"):
        with pytest.raises(ConfigurationError, match="OUTBOX_CA_FILE"):
            tls_context(path)
