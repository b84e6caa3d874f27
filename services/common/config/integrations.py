"""Integrations file: the systems that are notified of chats. Only transcripts reads it, at its start.

Secrets are not in the file. It names where each of them is: `env:NAME` or `file:PATH`.
"""

from __future__ import annotations

import base64
import binascii
import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.common.config.departments import ConfigurationError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with (Standard Webhooks 1.0.0)
LEAST_SECRET, MOST_SECRET = 24, 64  # bytes (Standard Webhooks 1.0.0)
MOST_TARGETS = 50

EventType = Literal[
    "chat.opened",
    "chat.assigned",
    "chat.accepted",
    "chat.closed",
    "question.left",
    "rating.given",
    "button.changed",
]


def _webhook_url(value: str) -> str:
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


def _reference(value: str) -> str:
    kind, _, place = value.partition(":")
    if kind not in ("env", "file") or not place:
        raise ValueError("is 'env:NAME' or 'file:PATH'; the secret itself is not in this file")
    return value


class Webhook(BaseModel):
    """A target that gets events as signed HTTP requests.

    Attributes:
        id: The name of the target in logs, metrics and commands. Deliveries that wait belong to it: a target that is
            renamed does not get them.
        url: Where events are sent.
        secrets: Where the secrets are with which requests are signed. Two while the receiver changes from one to
            another; each request then has two signatures.
        events: The types of events that it gets.
        departments: The departments whose events it gets; None: all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    url: Annotated[str, Field(max_length=2_000), AfterValidator(_webhook_url)]
    secrets: tuple[Annotated[str, AfterValidator(_reference)], ...] = Field(min_length=1, max_length=2)
    events: frozenset[EventType] = Field(min_length=1)
    departments: frozenset[str] | None = Field(None, min_length=1)

    def wants(self, type_: str, department: str) -> bool:
        """Return whether the target gets events of this type and department."""
        return type_ in self.events and (self.departments is None or department in self.departments)


class Integrations(BaseModel):
    """All systems that are notified of chats."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    webhooks: tuple[Webhook, ...] = Field((), max_length=MOST_TARGETS)

    @model_validator(mode="after")
    def _consistent(self) -> Integrations:
        ids = [webhook.id for webhook in self.webhooks]
        if len(set(ids)) != len(ids):
            raise ValueError("two webhooks have the same id")
        return self


def load_integrations(path: Path | None, departments: Collection[str]) -> Integrations:
    """Return the integrations of this file; none without a file.

    Args:
        path: The file.
        departments: The ids of all departments.

    Raises:
        ConfigurationError: The file is invalid; the message names the file, the place and the problem.
    """
    if path is None:
        return Integrations()
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"INTEGRATIONS_FILE {path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"INTEGRATIONS_FILE {path}: is not TOML: {error}.") from None
    try:
        integrations = Integrations.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(p) for p in first["loc"]) or "the file"
        raise ConfigurationError(f"INTEGRATIONS_FILE {path}: {place}: {first['msg']}.") from None
    for webhook in integrations.webhooks:
        if unknown := sorted((webhook.departments or frozenset()) - set(departments)):
            raise ConfigurationError(
                f"INTEGRATIONS_FILE {path}: webhook '{webhook.id}': there is no department '{unknown[0]}'."
            )
    return integrations


def read_secrets(webhook: Webhook, environ: Mapping[str, str] = os.environ) -> list[bytes]:
    """Return the secrets of a webhook, decoded.

    Raises:
        ConfigurationError: One is missing or is no secret. The message never quotes it.
    """
    return [_secret(webhook.id, reference, environ) for reference in webhook.secrets]


def _secret(id_: str, reference: str, environ: Mapping[str, str]) -> bytes:
    kind, _, place = reference.partition(":")
    if kind == "env":
        text = environ.get(place, "")
    else:
        try:
            text = Path(place).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            text = ""
    text = text.strip()
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
