"""A mail server on loopback: aiosmtpd, with TLS and an account, which keeps what it gets."""

import asyncio
import contextlib
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.http_server import listener

ACCOUNT, WORD = "chat", "word-of-the-account"


@dataclass
class MailServer:
    """What came, and how it is answered."""

    port: int = 0
    got: list[Envelope] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)
    logged_in: list[bool] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    hold: asyncio.Event | None = None

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        if address in self.refused:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:
        if self.hold is not None:
            await self.hold.wait()
        if self.answers:
            return self.answers.pop(0)
        self.got.append(envelope)
        self.over_tls.append(session.ssl is not None)
        self.logged_in.append(bool(session.authenticated))
        return "250 OK"

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (ACCOUNT.encode(), WORD.encode())
        return AuthResult(success=known, handled=False)

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails, parsed."""
        made = []
        for one in self.got:
            assert isinstance(one.content, bytes)
            parsed = email.message_from_bytes(one.content, policy=email.policy.default)
            assert isinstance(parsed, EmailMessage)
            made.append(parsed)
        return made


@contextlib.asynccontextmanager
async def taking_mail(
    tls: ssl.SSLContext | None = None, at_once: bool = False, account: bool = False
) -> AsyncIterator[MailServer]:
    """A server, while the context is open.

    Args:
        tls: Its certificate; None: it has no TLS.
        at_once: Whether connections begin with TLS; else STARTTLS is required.
        account: Whether it asks for the account.
    """
    server = MailServer()

    def protocol() -> SMTP:
        return SMTP(
            server,
            hostname="mail.test",
            tls_context=None if at_once else tls,
            require_starttls=tls is not None and not at_once,
            authenticator=server.authenticate,
            auth_required=account and not at_once,  # it takes TLS from the beginning for none
            auth_require_tls=not at_once,
        )

    with listener() as bound:
        made = await asyncio.get_running_loop().create_server(protocol, sock=bound, ssl=tls if at_once else None)
        server.port = bound.getsockname()[1]
        try:
            yield server
        finally:
            if server.hold is not None:
                server.hold.set()
            made.close()
