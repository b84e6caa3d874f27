"""Sender of mail about left questions (SMTP, RFC 5321; submission, RFC 6409; TLS, RFC 8314).

Questions that come within some minutes are collected into one mail. By default a mail has their numbers, their
departments and a link to the console; by choice also what was asked, by whom, and how to reach them. That is read at
the attempt, not kept in the outbox: a question that was erased meanwhile is not in the mail.

A mail says that it was sent automatically (RFC 3834), so that no automatic answer follows. The server's addresses are
checked, and its certificate verified, before anything is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

import structlog

from services.common.config.departments import Departments
from services.common.config.integrations import Mail, MailServer
from services.common.internal_api.transcripts import LeftQuestion
from services.common.texts import Catalogue
from services.transcripts.outbox.addresses import Network, is_allowed
from services.transcripts.outbox.http import RefusedAddress
from services.transcripts.outbox.rules import Outcome, Verdict
from services.transcripts.outbox.store import Delivery
from services.transcripts.questions.store import Questions

log = structlog.get_logger()

TEXTS = Catalogue(Path(__file__).parent / "translations")
MOST_IN_MAIL = 50  # questions
OK = 250  # the answer to a command that was done (RFC 5321, 4.2.2)
MOST_TEXT = 2_000  # characters of one question in a mail; the console has all of it
POLICY = SMTP.clone(raise_on_defect=True)  # a value with a line break is refused; nothing becomes a header by itself


def mail_of(
    mail: Mail, sender: str, questions: Sequence[LeftQuestion], departments: Departments, now: datetime
) -> EmailMessage:
    """Return the mail about these questions.

    Args:
        mail: The target.
        sender: The address from which it is sent.
        questions: The questions, at least one, the oldest first.
        departments: All departments, for their names.
        now: The time of the mail.
    """
    made, domain = EmailMessage(policy=POLICY), sender.rpartition("@")[2]
    about = "\n".join([mail.id, *sorted(question.chat_id for question in questions)])
    made["From"] = Address(TEXTS.text(mail.locale, "sender"), addr_spec=sender)
    made["To"] = [Address(addr_spec=address) for address in mail.to]
    made["Subject"] = _counted(mail.locale, "subject", len(questions))
    made["Date"] = format_datetime(now)
    # the same for the same questions, so that a repetition can be recognised
    made["Message-ID"] = f"<{hashlib.sha256(about.encode()).hexdigest()[:32]}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"
    made["X-Auto-Response-Suppress"] = "All"
    paragraphs = [_counted(mail.locale, "introduction", len(questions))]
    paragraphs += [_paragraph(mail, question, departments) for question in questions]
    paragraphs += [TEXTS.text(mail.locale, "console", url=mail.console), TEXTS.text(mail.locale, "no_reply")]
    made.set_content("\n\n".join(paragraphs) + "\n", cte="quoted-printable")
    made["Content-Language"] = mail.locale  # after the content: that removes such headers
    return made


def _counted(locale: str, key: str, number: int) -> str:
    form = "one" if number == 1 else "other"
    return TEXTS.forms(locale, key)[form].format(n=number)


def _paragraph(mail: Mail, question: LeftQuestion, departments: Departments) -> str:
    department = departments.get(question.department)
    name = department.names.in_(mail.locale) if department else question.department
    number = question.number or TEXTS.text(mail.locale, "no_number")
    lines = [TEXTS.text(mail.locale, "question", number=number, department=name)]
    if mail.content:
        if question.name:
            lines.append(TEXTS.text(mail.locale, "name", name=_line(question.name)))
        lines.append(TEXTS.text(mail.locale, "contact", contact=_line(question.contact)))
        text = question.text if len(question.text) <= MOST_TEXT else question.text[: MOST_TEXT - 1] + "…"
        lines += [f"    {line}" for line in text.splitlines()]
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())


class MailSender:
    """Sends the mail of one target (a `Sender` of `courier.py`)."""

    def __init__(
        self,
        mail: Mail,
        server: MailServer,
        password: str | None,
        networks: Sequence[Network],
        tls: ssl.SSLContext,
        limit: float,
        questions: Questions,
        departments: Departments,
        clock: Callable[[], datetime],
    ) -> None:
        """Create a sender.

        Args:
            mail: The target.
            server: The server.
            password: The password of its account, if it has one.
            networks: Networks that are allowed although they are not public.
            tls: Verifies the server.
            limit: Seconds for a whole attempt.
            questions: The left questions.
            departments: All departments, for their names.
            clock: Returns the present.
        """
        self._mail, self._server, self._password = mail, server, password
        self._networks, self._tls, self._limit = networks, tls, limit
        self._questions, self._departments, self._clock = questions, departments, clock

    async def send(self, deliveries: Sequence[Delivery]) -> Outcome:
        """Send one mail about these left questions. Return what came of it.

        Raises:
            PyMongoError: The database does not answer.
        """
        now, found = self._clock(), list[LeftQuestion]()
        for delivery in deliveries:
            if question := await self._questions.get(delivery.chat_id or "", now):
                found.append(question)
        if not found:  # they were erased
            return Outcome(Verdict.DELIVERED)
        found.sort(key=lambda question: question.at)
        message = mail_of(self._mail, self._server.sender, found, self._departments, now)
        return await self._attempt(message)

    async def _attempt(self, message: EmailMessage) -> Outcome:
        connection = MailConnection(self._server, self._password, self._networks, self._tls, self._limit)
        outcome, refused = await attempt(connection, lambda: connection.send(message), self._limit)
        if refused:
            log.warning("mail_partly_refused", target=self._mail.id, addresses=refused)
        return outcome


async def attempt(connection: MailConnection, work: Callable[[], int], limit: float) -> tuple[Outcome, int]:
    """Return what came of work with this connection, and what it returned; 0 when it failed.

    Args:
        connection: The connection.
        work: Uses it, in a thread.
        limit: Seconds for the whole attempt.
    """
    try:
        async with asyncio.timeout(limit):
            return Outcome(Verdict.DELIVERED), await asyncio.to_thread(work)
    except TimeoutError:
        connection.end()
        cause = "timeout"
    except RefusedAddress:
        cause = "refused_address"
    except ssl.SSLError:
        cause = "tls"
    except smtplib.SMTPNotSupportedError:
        cause = "not_supported"
    except smtplib.SMTPResponseException as error:
        cause = f"smtp_{error.smtp_code}"
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        cause = f"smtp_{codes[0]}" if codes else "smtp"
    except OSError as error:  # smtplib's other errors are of this kind too
        cause = "name_not_found" if _is_unknown_name(error) else "connection"
    return Outcome(Verdict.FAILED, cause), 0


def _is_unknown_name(error: OSError) -> bool:
    return isinstance(error, socket.gaierror)


class MailConnection:
    """One connection to the server, for one mail. It is used in a thread."""

    def __init__(
        self,
        server: MailServer,
        password: str | None,
        networks: Sequence[Network],
        tls: ssl.SSLContext,
        limit: float,
    ) -> None:
        self._server, self._password, self._networks = server, password, networks
        self._tls, self._limit = tls, limit
        self._smtp: smtplib.SMTP | None = None
        self._ended = False

    def send(self, message: EmailMessage) -> int:
        """Send a mail. Return the number of receivers that the server refused, while it took others.

        Raises:
            RefusedAddress: The server is at an address that is not allowed.
            ssl.SSLError: Its certificate cannot be verified.
            smtplib.SMTPException: It refused.
            OSError: It does not answer.
        """
        with self._logged_in() as opened:
            return len(opened.send_message(message))

    def offer(self) -> int:
        """Find out whether the server would take a mail of the sender, without sending one. Return 0.

        Raises:
            RefusedAddress, ssl.SSLError, smtplib.SMTPException, OSError: As `send`.
        """
        sender = self._server.sender
        with self._logged_in() as opened:
            opened.ehlo_or_helo_if_needed()
            code, answer = opened.mail(sender)
            opened.rset()
        if code != OK:
            raise smtplib.SMTPSenderRefused(code, answer, sender)
        return 0

    @contextlib.contextmanager
    def _logged_in(self) -> Iterator[smtplib.SMTP]:
        server = self._server
        self._check_all()
        with self._opened() as opened:
            self._smtp = opened
            if self._ended:
                raise OSError("it took too long")
            self._check_peer(opened)
            if server.security == "starttls":
                opened.starttls(context=self._tls)
            if server.username is not None and self._password is not None:
                opened.login(server.username, self._password)
            yield opened

    def _opened(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, timeout=self._limit, context=self._tls)
        return smtplib.SMTP(server.host, server.port, timeout=self._limit)

    def _check_all(self) -> None:
        """Check all addresses of the server, before a connection goes to one of them.

        Raises:
            RefusedAddress: One of them is not allowed. None is used then: an attempt would decide by chance.
            OSError: The name is not known.
        """
        found = socket.getaddrinfo(self._server.host, self._server.port, type=socket.SOCK_STREAM)
        for *_, address in found:
            self._require_allowed(str(address[0]))

    def _check_peer(self, opened: smtplib.SMTP) -> None:
        """Check the address to which the connection goes, because the name may have got another one meanwhile.

        Nothing but a greeting has passed over the connection.

        Raises:
            RefusedAddress: It is not allowed.
        """
        assert opened.sock is not None
        self._require_allowed(opened.sock.getpeername()[0])

    def _require_allowed(self, address: str) -> None:
        if not is_allowed(address, self._networks):
            raise RefusedAddress("not an allowed address")

    def end(self) -> None:
        """End the connection: what waits for it in its thread fails."""
        self._ended = True
        if self._smtp is not None:
            self._smtp.close()
