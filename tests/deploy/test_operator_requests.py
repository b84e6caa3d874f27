"""What the operator's commands say when a service does not answer as it should, or a file cannot be used."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Scope

from deploy.access_log import __main__ as access_log
from deploy.erasures.services import Refused, Services, find
from deploy.local.settings import Refusal
from deploy.refusals import of_file
from services.common.events.types import Record
from services.common.http.key_ring import KeyRing
from services.common.http.service_tokens import ServiceTokenRequired
from services.common.http.tokens import Keys
from tests.presence.conftest import SECRET


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """The address of a server that answers each request with the next of these, and then closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    asked = b""
                    while not asked.endswith(b"}"):
                        asked += connection.recv(65_536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)


async def asked(service: ASGIApp, token: str) -> list[Message]:
    """What a service answers to a request with this token."""
    sent = list[Message]()
    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope: Scope = {"type": "http", "method": "POST", "path": "/internal/x", "headers": headers}

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await service(scope, receive, send)
    return sent


def refusal_of(url: str) -> str:
    with pytest.raises(Refused) as caught:
        Services({"presence": url}, Keys(SECRET)).ask("presence", "/internal/x", Record())
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", "presence does not answer at {url} (IncompleteRead)"),
        (b"hello\r\n", "presence does not answer at {url} (BadStatusLine)"),
        (b"", "presence does not answer at {url} (RemoteDisconnected)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "what answers at {url} is not presence"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 90\r\n\r\n<", "presence answers with status 502"),
    ],
)
def test_an_answer_that_is_no_answer_of_the_service_is_one_clear_line(answer: bytes, said: str) -> None:
    with answering(answer) as url:
        assert refusal_of(url).startswith(said.format(url=url))


def test_the_reason_why_nothing_answers_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert refusal_of(url) == f"presence does not answer at {url} (ConnectionRefusedError)"


async def test_a_key_that_a_service_does_not_accept_is_said_with_what_to_do(tmp_path: Path) -> None:
    """The problem document is that of the service itself, which knows other keys."""
    found = find({"OPERATOR_KEY": "11" * 32}, tmp_path)
    assert not isinstance(found, Refusal)
    service = ServiceTokenRequired(Starlette(), Keys(SECRET, ring=KeyRing("presence", b"2" * 32, [])), "presence")
    begun, body = await asked(service, found.keys.service_token("operator", audience="presence"))
    head = f"HTTP/1.1 {begun['status']} Unauthorized\r\nContent-Length: {len(body['body'])}\r\n\r\n"
    with answering(head.encode() + body["body"]) as url:
        said = await asyncio.to_thread(refusal_of, url)
    assert said.startswith("presence does not accept the key of this command: set OPERATOR_KEY")


def test_a_file_that_cannot_be_used_is_named_where_it_is_known(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as missing:
        (tmp_path / "none").read_text()
    assert of_file(missing.value) == f"{tmp_path}/none: No such file or directory"
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space") as written:
        os.write(full, b"x")
    os.close(full)
    assert of_file(written.value) == "No space left on device"


def test_an_export_that_is_broken_off_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part of the access log looks like the whole of it, and a repetition would find its file there."""
    page = b'{"entries": [{"seq": 1}]}'
    first = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)
    export = tmp_path / "access-log.jsonl"
    with answering(first, b"") as url:
        for name, value in {"TRANSCRIPTS_URL": url, "TOKEN_SECRET": SECRET}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["verify-access-log", f"--export={export}"])
        assert access_log.main() == 1
    assert "does not answer" in capsys.readouterr().err
    assert not export.exists()
