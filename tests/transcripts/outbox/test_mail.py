"""Mirrors services/transcripts/outbox/mail.py, on the real database and a mail server over real SMTP and TLS."""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from services.common.config.departments import Departments, load_departments
from services.common.config.integrations import Mail
from services.common.config.integrations import MailServer as Server
from services.common.internal_api.transcripts import AskedQuestion, LeftQuestion
from services.common.mongo.client import Database
from services.transcripts.log.writer import now_ms
from services.transcripts.outbox.addresses import parse_networks
from services.transcripts.outbox.http import tls_context
from services.transcripts.outbox.mail import MOST_TEXT, MailSender, mail_of
from services.transcripts.outbox.rules import Outcome, Verdict
from services.transcripts.outbox.store import Delivery
from services.transcripts.questions.store import Questions
from services.transcripts.settings import Settings
from tests.support.http_server import listener
from tests.support.servers import PATIENCE
from tests.transcripts.conftest import OPENED_AT, new_id
from tests.transcripts.outbox.mail_server import ACCOUNT, WORD, MailServer, taking_mail
from tests.transcripts.outbox.receiver import LOOPBACK
from tests.transcripts.outbox.test_webhooks import certificate

DELIVERED = Outcome(Verdict.DELIVERED)
SENDER = "chat@stad.example"
TEXT = "Waar blijft mijn premie?\nIk wacht al lang."


def failed(cause: str) -> Outcome:
    return Outcome(Verdict.FAILED, cause)


def mail(**more: Any) -> Mail:
    fields = {"id": "vragen", "to": ["premies@stad.example"], "console": "https://chat.stad.example/agent", **more}
    return Mail.model_validate(fields)


def content_of(got: EmailMessage) -> str:
    return str(got.get_content()).replace("\r\n", "\n")


@pytest.fixture
def departments(make_settings: Callable[..., Settings]) -> Departments:
    return load_departments(make_settings().departments_file)


@pytest.fixture
def questions(database: Database) -> Questions:
    return Questions(database)


def asked(**more: Any) -> AskedQuestion:
    fields = {
        "chat_id": new_id(),
        "department": "premies",
        "name": "An Peeters",
        "contact": "an@voorbeeld.be",
        "text": TEXT,
        "at": OPENED_AT,
        "source": "button",
        "request": "x",
    }
    return AskedQuestion.model_validate({**fields, **more})


async def left(questions: Questions, *made: AskedQuestion) -> list[Delivery]:
    """The deliveries of questions that were stored."""
    found = []
    for one in made:
        await questions.leave(one, OPENED_AT)
        about = one.chat_id, one.department
        found.append(Delivery("vragen:x", "claim", new_id(), "question.left", OPENED_AT, {}, 1, OPENED_AT, *about))
    return found


@pytest.fixture
def make(questions: Questions, departments: Departments) -> Callable[..., MailSender]:
    def make(
        server: MailServer,
        target: Mail | None = None,
        tls: ssl.SSLContext | None = None,
        networks: str = LOOPBACK,
        limit: float = PATIENCE,
        password: str | None = None,
        **of_server: Any,
    ) -> MailSender:
        fields = {"host": "127.0.0.1", "port": server.port, "security": "none", "sender": SENDER, **of_server}
        if password:
            fields |= {"username": ACCOUNT, "password": "env:X"}
        return MailSender(
            target or mail(),
            Server.model_validate(fields),
            password,
            parse_networks(networks),
            tls or tls_context(None),
            limit,
            questions,
            departments,
            now_ms,
        )

    return make


Make = Callable[..., MailSender]


async def test_a_mail_has_numbers_departments_and_a_link_and_nothing_of_the_citizen(
    questions: Questions, make: Make
) -> None:
    first, second = asked(), asked(department="algemeen", at=OPENED_AT + timedelta(minutes=1))
    deliveries = await left(questions, second, first)
    numbers = [(await questions.receipt(one)).number for one in (first, second)]  # type: ignore[union-attr]
    async with taking_mail() as server:
        assert await make(server, mail(to=["a@stad.example", "b@stad.example"])).send(deliveries) == DELIVERED
    (envelope,), (got,) = server.got, server.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["a@stad.example", "b@stad.example"])
    assert got["Subject"] == "2 nieuwe vragen zijn achtergelaten"
    assert got["From"] == "Chat van het e-loket <chat@stad.example>"
    assert (got["Auto-Submitted"], got["Content-Language"]) == ("auto-generated", "nl")
    text = content_of(got)
    lines = text.splitlines()
    assert lines.index(f"Vraag {numbers[0]} – Premies en toelagen") < lines.index(
        f"Vraag {numbers[1]} – Algemene vragen"
    )
    assert "https://chat.stad.example/agent" in text
    whole = str(got) + text
    assert not any(word in whole for word in ("Peeters", "voorbeeld", "premie?", "wacht"))


async def test_by_choice_it_has_what_was_asked(questions: Questions, make: Make) -> None:
    deliveries = await left(questions, asked(name=None), asked(text="ö" * 4_000))
    async with taking_mail() as server:
        assert await make(server, mail(content=True, locale="fr")).send(deliveries) == DELIVERED
    (got,) = server.mails
    text = content_of(got)
    assert "    Waar blijft mijn premie?\n    Ik wacht al lang.\n" in text
    assert text.count("À joindre par : an@voorbeeld.be") == 2
    assert text.count("Nom : An Peeters") == 1
    assert text.count("ö") == (MOST_TEXT - 1) * text.count("ö" * (MOST_TEXT - 1) + "…") > 0
    assert got["Subject"] == "2 nouvelles questions ont été laissées"
    assert "premie" not in got["Subject"]


@pytest.mark.parametrize("locale", ["nl", "fr", "de", "en"])
def test_each_language_has_one_and_several(departments: Departments, locale: str) -> None:
    one = mail_of(mail(locale=locale), SENDER, [asked()], departments, OPENED_AT)
    two = mail_of(mail(locale=locale), SENDER, [asked(), asked()], departments, OPENED_AT)
    assert "{" not in str(one) + str(two)
    assert "2" in two["Subject"]
    assert "2" not in one["Subject"]


@pytest.mark.parametrize("field", ["name", "contact", "text", "number"])
def test_nothing_that_a_citizen_writes_becomes_a_header(departments: Departments, field: str) -> None:
    evil = "x\r\nBcc: all@example.be\r\nSubject: gewonnen\r\n\r\n<h1>hallo</h1>\r\n.\r\nMAIL FROM:<x@y.z>"
    question = LeftQuestion.model_validate({**asked().model_dump(), "contact": "02 1", field: evil})
    made = mail_of(mail(content=True), SENDER, [question], departments, OPENED_AT)
    head, _, body = made.as_bytes().partition(b"\r\n\r\n")
    assert {line.split(b":")[0].lower() for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))} == {
        *(b"from", b"to", b"subject", b"date", b"message-id", b"auto-submitted", b"x-auto-response-suppress"),
        *(b"content-language", b"content-type", b"content-transfer-encoding", b"mime-version"),
    }
    assert b"Bcc" not in head
    assert b"hallo" in body
    assert made.get_content_type() == "text/plain"


@pytest.mark.parametrize("field", ["name", "contact", "text"])
def test_nothing_that_a_citizen_writes_looks_like_a_line_of_the_chat(departments: Departments, field: str) -> None:
    question = asked(**{field: "x\nVraag 1234\ny"})
    lines = content_of(mail_of(mail(content=True), SENDER, [question], departments, OPENED_AT)).splitlines()
    assert any("Vraag 1234" in line for line in lines)
    assert not [line for line in lines if line.startswith("Vraag 1234")]


@pytest.mark.parametrize("sender", ["chat@stad.example\r\nBcc: x@y.z", "chat@stad.example\nX: y"])
def test_a_header_with_a_line_break_is_refused(departments: Departments, sender: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)line|carriage|invalid|addr_spec|CR or LF"):
        mail_of(mail(), sender, [asked()], departments, OPENED_AT)


async def test_a_line_with_a_point_does_not_end_the_mail(questions: Questions, make: Make) -> None:
    deliveries = await left(questions, asked(text="een\r\n.\r\ntwee"))
    async with taking_mail() as server:
        assert await make(server, mail(content=True)).send(deliveries) == DELIVERED
    (got,) = server.mails
    assert "een\n    .\n    twee\n" in content_of(got)


async def test_the_same_questions_make_the_same_message_id(questions: Questions, make: Make) -> None:
    deliveries = await left(questions, asked(), asked())
    async with taking_mail() as server:
        for some in (deliveries, deliveries[::-1], deliveries[:1]):
            assert await make(server).send(some) == DELIVERED
    first, again, other = (got["Message-ID"] for got in server.mails)
    assert first == again != other
    assert first.endswith("@stad.example>")


async def test_an_erased_question_is_not_in_the_mail(questions: Questions, database: Database, make: Make) -> None:
    deliveries = await left(questions, asked(), asked())
    async with taking_mail() as server:
        await database["questions"].delete_one({"_id": deliveries[0].chat_id})
        assert await make(server).send(deliveries) == DELIVERED
        assert server.mails[0]["Subject"] == "Een nieuwe vraag is achtergelaten"
        await database["questions"].delete_many({})
        assert await make(server).send(deliveries) == DELIVERED
        assert len(server.got) == 1


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────


def served(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    cert, key = certificate(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_goes_over_tls_with_an_account(
    tmp_path: Path, questions: Questions, make: Make, security: str
) -> None:
    cert, context = served(tmp_path, "127.0.0.1")
    deliveries = await left(questions, asked())
    async with taking_mail(context, at_once=security == "tls", account=True) as server:
        sender = make(server, tls=tls_context(cert), security=security, password=WORD)
        assert await sender.send(deliveries) == DELIVERED
        refused = make(server, tls=tls_context(cert), security=security, password="other")
        assert await refused.send(deliveries) == failed("smtp_535")
    assert (len(server.got), server.logged_in) == (1, [True])
    assert server.over_tls == [True] or security == "tls"


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize(("name", "known"), [("127.0.0.1", False), ("another.example", True)])
async def test_a_server_that_is_not_verified_gets_nothing(
    tmp_path: Path, questions: Questions, make: Make, security: str, name: str, known: bool
) -> None:
    cert, context = served(tmp_path, name)
    deliveries = await left(questions, asked())
    async with taking_mail(context, at_once=security == "tls") as server:
        sender = make(server, tls=tls_context(cert if known else None), security=security)
        assert await sender.send(deliveries) == failed("tls")
    assert server.got == []


async def test_a_server_without_starttls_gets_nothing(questions: Questions, make: Make) -> None:
    async with taking_mail() as server:
        assert await make(server, security="starttls").send(await left(questions, asked())) == failed("not_supported")
    assert server.got == []


async def test_a_server_at_an_address_that_is_not_allowed_gets_nothing(questions: Questions, make: Make) -> None:
    async with taking_mail() as server:
        assert await make(server, networks="").send(await left(questions, asked())) == failed("refused_address")
    assert server.got == []


@pytest.mark.parametrize("other", ["10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"])
async def test_a_server_of_which_one_address_is_not_allowed_is_not_connected_to(
    questions: Questions, make: Make, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address is allowed, and it answers."""
    real, connected = socket.getaddrinfo, []

    def both(host: str, port: int, *args: Any, **more: Any) -> list[Any]:
        known = real("127.0.0.1", port, *args, **more)
        return [*known, (socket.AF_INET, socket.SOCK_STREAM, 6, "", (other, port))] if host == "localhost" else known

    monkeypatch.setattr(socket, "getaddrinfo", both)
    async with taking_mail() as server:
        monkeypatch.setattr(smtplib.SMTP, "connect", lambda *_: connected.append(1))
        outcome = await make(server, host="localhost").send(await left(questions, asked()))
    assert (outcome, connected, server.got) == (failed("refused_address"), [], [])


@pytest.mark.parametrize(("answer", "cause"), [("451 later", "smtp_451"), ("554 spam", "smtp_554")])
async def test_what_the_server_refuses_is_tried_again(
    questions: Questions, make: Make, answer: str, cause: str
) -> None:
    async with taking_mail() as server:
        server.answers = [answer]
        deliveries = await left(questions, asked())
        assert await make(server).send(deliveries) == failed(cause)
        assert await make(server).send(deliveries) == DELIVERED


async def test_a_receiver_that_is_refused_keeps_no_other_from_the_mail(
    questions: Questions, make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    target, deliveries = mail(to=["a@stad.example", "b@stad.example"]), await left(questions, asked())
    async with taking_mail() as server:
        server.refused = {"a@stad.example"}
        assert await make(server, target).send(deliveries) == DELIVERED
        assert server.got[0].rcpt_tos == ["b@stad.example"]
        assert "mail_partly_refused" in "".join(capfd.readouterr())
        server.refused = {"a@stad.example", "b@stad.example"}
        assert await make(server, target).send(deliveries) == failed("smtp_550")


async def test_a_slow_server_is_given_up_in_time(questions: Questions, make: Make) -> None:
    deliveries = await left(questions, asked())
    async with taking_mail() as server:
        server.hold = asyncio.Event()
        assert await make(server, limit=0.5).send(deliveries) == failed("timeout")


async def test_nobody_there_is_a_failure(questions: Questions, make: Make) -> None:
    deliveries = await left(questions, asked())
    with listener() as bound:  # bound and not listening
        assert await make(MailServer(bound.getsockname()[1])).send(deliveries) == failed("connection")
    nobody = make(MailServer(25), host="no-such-host.invalid", security="starttls")
    assert await nobody.send(deliveries) == failed("name_not_found")
