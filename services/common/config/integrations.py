"""Integrations file: the systems that are notified of chats, and the clients that may read. Only transcripts reads it.

Secrets are not in the file. It names where each of them is: `env:NAME` or `file:PATH`. Of the secret of a client it has
the hash, of its keys the public ones.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.common.config.client_keys import is_client_key
from services.common.config.faults import Fault
from services.common.config.toml_file import ConfigurationError, load_toml
from services.common.internal_api.integration import EVERY, Scope, covers

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with (Standard Webhooks 1.0.0)
LEAST_SECRET, MOST_SECRET = 24, 64  # bytes (Standard Webhooks 1.0.0)
MOST_TARGETS = 50
MOST_TOKEN = 500  # characters of a token or a password for another system
MOST_KEYS, MOST_PEM = 4, 8_000  # public keys of a client, and characters of each: private ones are named as such
CONTACT_WAIT = 10.0  # seconds after the end of a chat, in which its log is sealed
CLIENT_SECRET = re.compile(r"[0-9a-f]{64}")  # 256 random bits: what can be guessed is refused by its form
_ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,180}[A-Za-z0-9])?$"

EventType = Literal[
    "chat.opened",
    "chat.assigned",
    "chat.accepted",
    "chat.closed",
    "chat.labelled",
    "question.left",
    "rating.given",
    "button.changed",
]


def _target_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not an address such as https://zaken.example.be/webhooks") from None
    if not host or parts.scheme not in ("https", "http"):
        raise ValueError("is not an address such as https://zaken.example.be/webhooks")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ValueError("must begin with https:// (http:// is for this machine alone)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("may not contain a user name or a password")
    if parts.fragment:
        raise ValueError("may not contain a fragment (#…)")
    return value


def _mail_address(value: str) -> str:
    local, _, domain = value.rpartition("@")
    if not all((*local.split("."), *domain.split("."))):
        raise ValueError("is not an address such as premies@example.be")
    return value


def _reference(value: str) -> str:
    kind, _, place = value.partition(":")
    if kind not in ("env", "file") or not place:
        raise ValueError("is 'env:NAME' or 'file:PATH'; the secret itself is not in this file")
    return value


Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Url = Annotated[str, Field(max_length=2_000), AfterValidator(_target_url)]
Reference = Annotated[str, AfterValidator(_reference)]
MailAddress = Annotated[str, Field(max_length=254, pattern=_ADDRESS), AfterValidator(_mail_address)]


class Target(BaseModel):
    """A system that is notified of chats, by deliveries from the outbox.

    Attributes:
        id: The name of the target in logs, metrics and commands. Deliveries that wait belong to it: a target that is
            renamed does not get them.
        departments: The departments of which it is notified; None: all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Id
    departments: frozenset[str] | None = Field(None, min_length=1)

    @property
    @abstractmethod
    def types(self) -> frozenset[EventType]:
        """The types of events that it gets."""

    @property
    def seconds(self) -> float:
        """How long a delivery waits before it is attempted."""
        return 0.0

    def wants(self, type_: str, department: str) -> bool:
        """Return whether the target gets events of this type and department."""
        return type_ in self.types and (self.departments is None or department in self.departments)


class Webhook(Target):
    """A target that gets events as signed HTTP requests.

    Attributes:
        url: Where events are sent.
        secrets: Where the secrets are with which requests are signed. Two while the receiver changes from one to
            another; each request then has two signatures.
        events: The types of events that it gets.
    """

    url: Url
    secrets: tuple[Reference, ...] = Field(min_length=1, max_length=2)
    events: frozenset[EventType] = Field(min_length=1)

    @property
    def types(self) -> frozenset[EventType]:
        """The types of events that it gets."""
        return self.events


class ContactRegister(Target):
    """A register of contacts (Open Klant, API "klantinteracties") in which each chat that has ended is registered.

    Attributes:
        url: The root of the API, such as `https://openklant.example.be/klantinteracties/api/v1`.
        token: Where the token is that the register has given.
        content: What of the conversation is registered: nothing, or the beginning of what was written.
        channel: The word by which the register knows this channel (`kanaal`).
        confidential: Whether the register treats the contact as confidential (`vertrouwelijk`).
    """

    url: Url
    token: Reference
    content: Literal["none", "messages"] = "none"
    channel: Annotated[str, Field(min_length=1, max_length=50)] = "chat"
    confidential: bool = True

    @property
    def types(self) -> frozenset[EventType]:
        """The types of events that it gets."""
        return frozenset(("chat.closed",))

    @property
    def seconds(self) -> float:
        """How long a delivery waits before it is attempted."""
        return CONTACT_WAIT


class MailServer(BaseModel):
    """The server that takes mail (SMTP).

    Attributes:
        host: Its name, for which its certificate is verified.
        port: Its port.
        security: `starttls`: TLS is begun on the connection; `tls`: the connection begins with it; `none`: for this
            machine alone.
        username: The account; None: the server asks for none.
        password: Where the password of the account is.
        sender: The address from which mail is sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$")]
    port: int = Field(587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[ -~]+$")] | None = None
    password: Reference | None = None
    sender: MailAddress

    @model_validator(mode="after")
    def _consistent(self) -> MailServer:
        if self.security == "none" and self.host not in LOOPBACK:
            raise ValueError("security = 'none' is for this machine alone")
        if (self.username is None) != (self.password is None):
            raise ValueError("give both a username and a password, or neither")
        return self


class Mail(Target):
    """Mail about left questions to the addresses of a department.

    Attributes:
        to: The addresses.
        locale: The language of the mail.
        content: Whether the mail has what was asked, by whom and how to reach them.
        console: The address of the agents' console, to which the mail links.
        wait: For so many seconds questions are collected into one mail.
    """

    to: tuple[MailAddress, ...] = Field(min_length=1, max_length=10)
    locale: Literal["nl", "fr", "de", "en"] = "nl"
    content: bool = False
    console: Url
    wait: float = Field(300.0, ge=0, le=900)

    @property
    def types(self) -> frozenset[EventType]:
        """The types of events that it gets."""
        return frozenset(("question.left",))

    @property
    def seconds(self) -> float:
        """How long a delivery waits before it is attempted."""
        return self.wait


class Client(BaseModel):
    """A system that reads over the read API, with an access token (OAuth 2.0, RFC 6749 section 4.4).

    It authenticates with a secret, or with a private key of its own (`private_key_jwt`, RFC 7523). It may have both
    while it goes over from one to the other.

    Attributes:
        id: Its `client_id`.
        secret_hashes: The SHA-256 of its secret, in hexadecimal; two while the secret is replaced. A secret is 256
            random bits, so a slow hash would protect nothing more. Empty: it has keys alone.
        public_keys: Its public keys in PEM; several while one is replaced. Empty: it has a secret alone.
        scopes: What it may read, of which departments: `chats:premies`, `statistics:*`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Id
    secret_hashes: tuple[Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")], ...] = Field((), max_length=2)
    public_keys: tuple[Annotated[str, Field(max_length=MOST_PEM), AfterValidator(is_client_key)], ...] = Field(
        (), max_length=MOST_KEYS
    )
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _authenticates(self) -> Client:
        if not self.secret_hashes and not self.public_keys:
            raise ValueError("needs secret_hashes or public_keys")
        return self

    def knows(self, secret: str) -> bool:
        """Return whether this is a secret of the client, in a time that does not depend on it."""
        digest = "sha256:" + sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        found = [hmac.compare_digest(digest, known) for known in self.secret_hashes]
        return CLIENT_SECRET.fullmatch(secret) is not None and any(found)

    def may(self, kind: str, department: str) -> bool:
        """Return whether the client may read this kind of thing of this department."""
        return covers(self.scopes, kind, department)


class Integrations(BaseModel):
    """All systems that are notified of chats, and all clients."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    webhooks: tuple[Webhook, ...] = Field((), max_length=MOST_TARGETS)
    contact_registers: tuple[ContactRegister, ...] = Field((), max_length=MOST_TARGETS)
    mails: tuple[Mail, ...] = Field((), max_length=MOST_TARGETS)
    mail_server: MailServer | None = None
    clients: tuple[Client, ...] = Field((), max_length=MOST_TARGETS)

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets of the outbox."""
        return (*self.webhooks, *self.contact_registers, *self.mails)

    @property
    def events(self) -> frozenset[EventType]:
        """The types of events that a target gets; none without a target."""
        return frozenset[EventType]().union(*(target.types for target in self.targets))

    @model_validator(mode="after")
    def _consistent(self) -> Integrations:
        if _repeats(target.id for target in self.targets):
            raise ValueError("two webhooks, contact registers or mails have the same id")
        if _repeats(client.id for client in self.clients):
            raise ValueError("two clients have the same id")
        if self.mails and self.mail_server is None:
            raise ValueError("mails need a [mail_server]")
        sender = self.mail_server.sender.lower() if self.mail_server else ""
        if any(sender == address.lower() for mail in self.mails for address in mail.to):
            raise ValueError("the sender of mail is also one of its receivers: an automatic answer would come back")
        return self


def _repeats(ids: Iterable[str]) -> bool:
    found = list(ids)
    return len(set(found)) != len(found)


def load_integrations(path: Path | None, departments: Collection[str] | None) -> Integrations:
    """Return the integrations of this file; none without a file.

    Args:
        path: The file.
        departments: The ids of all departments; None: they are not known yet, and any may be named.

    Raises:
        ConfigurationError: The file is invalid; the message names the file, the place and the problem.
    """
    if path is None:
        return Integrations()
    integrations = load_toml("INTEGRATIONS_FILE", path, Integrations)
    named = {target.id: target.departments or frozenset() for target in integrations.targets}
    scoped = {
        client.id: frozenset(s.partition(":")[2] for s in client.scopes) - {EVERY} for client in integrations.clients
    }
    for id_, wanted in (*named.items(), *scoped.items()):
        if departments is not None and (unknown := sorted(wanted - set(departments))):
            text = f"INTEGRATIONS_FILE {path}: '{id_}': there is no department '{unknown[0]}'."
            raise ConfigurationError(text, Fault("integrated", {"name": id_, "value": unknown[0]}))
    return integrations


def read_secrets(webhook: Webhook, environ: Mapping[str, str] = os.environ) -> list[bytes]:
    """Return the secrets of a webhook, decoded.

    Raises:
        ConfigurationError: One is missing or is no secret. The message never quotes it.
    """
    return [_secret(webhook.id, reference, environ) for reference in webhook.secrets]


def read_token(id_: str, reference: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the token or password that another system has given.

    Args:
        id_: What it is for, as an error names it.
        reference: Where it is.
        environ: The environment.

    Raises:
        ConfigurationError: It is missing, too long, or has characters that no header may have. It is never quoted.
    """
    text = _text_at(reference, environ)
    if not text:
        raise ConfigurationError(f"'{id_}': there is no secret at {reference}.")
    if len(text) > MOST_TOKEN or not text.isascii() or not text.isprintable():
        raise ConfigurationError(f"'{id_}': what is at {reference} is not one line of at most {MOST_TOKEN} characters.")
    return text


def _text_at(reference: str, environ: Mapping[str, str]) -> str:
    kind, _, place = reference.partition(":")
    if kind == "env":
        return environ.get(place, "").strip()
    try:
        return Path(place).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _secret(id_: str, reference: str, environ: Mapping[str, str]) -> bytes:
    text = _text_at(reference, environ)
    if not text:
        raise ConfigurationError(f"webhook '{id_}': there is no secret at {reference}.")
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(SECRET_PREFIX) or not LEAST_SECRET <= len(secret) <= MOST_SECRET:
        raise ConfigurationError(
            f"webhook '{id_}': what is at {reference} is not '{SECRET_PREFIX}' and base64 of {LEAST_SECRET} to "
            f"{MOST_SECRET} bytes; make one with: echo {SECRET_PREFIX}$(openssl rand -base64 32)"
        )
    return secret
