"""Settings from the environment that all services share, validated at start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.config.opening_hours import parse_hours
from services.common.config.toml_file import ConfigurationError
from services.common.http.key_ring import parse_public_keys

EX_CONFIG = 78  # exit status of a service that cannot run with these settings (sysexits.h): a restart does not help
MIB = 1024 * 1024
LEAST_CHARACTERS = 8  # different ones in a TOKEN_SECRET

Port = Annotated[int, Field(ge=1, le=65535)]


def described(description: str, default: Any = ..., **more: Any) -> Any:
    """Return a setting with its description in `docs/settings.md`."""
    return Field(default, description=description, **more)


class Settings(BaseSettings):
    """Settings that all services share. A service adds its own in a subclass. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")
    signs: ClassVar[bool] = False
    """Whether the service signs tokens (`services/common/http/key_ring.py`)."""

    token_secret: str = described("signs tokens; the same in every service", min_length=16)
    token_secret_previous: str = described("still accepted while `TOKEN_SECRET` is rotated", "")
    signing_key: str = described(
        "private key of this service, with which it signs tokens; gateway and presence have one (`make token-keys`)",
        "",
        pattern="^([0-9a-fA-F]{64})?$",
        repr=False,
    )
    verification_keys: str = described(
        "public keys of the services that sign, `gateway:KEY,presence:KEY`; the same in every service", ""
    )
    token_keys: Literal["verify", "sign", "only"] = described(
        "where there are keys: `verify`: tokens are still signed with `TOKEN_SECRET`, for an update from 1.1; `sign`: "
        "with keys, and both are accepted; `only`: with keys, and nothing else is accepted",
        "sign",
    )
    rabbitmq_url: str = described(
        "address of the broker; `amqps://…/?cafile=FILE`: TLS, verified by this CA",
        "amqp://guest:guest@127.0.0.1:5672/",
    )
    topology: Literal["declare", "given"] = described(
        "`given`: somebody else declares the broker's exchanges, queues and bindings, and services need no right to",
        "declare",
    )
    mongodb_url: str = described(
        "address of the database; not for the gateway, which has none",
        "mongodb://127.0.0.1:27017/?w=majority&journal=true",
    )
    mongodb_prefix: str = described("before the name of the service's database", "")
    departments_file: Path = described(
        "the departments: names, hours, contacts, sites that embed the chat", Path("deploy/departments.toml")
    )
    config_source: Literal["file", "database"] = described(
        "where the departments and the accounts are: in `DEPARTMENTS_FILE` and `ACCOUNTS_FILE`, or in the database of "
        "presence, where administrators change them in the console and which begins with these files; the same in "
        "every service",
        "file",
    )
    office_hours: str = described("hours of departments that name none", "Mon-Fri 09:00-17:00")
    timezone: str = described("the time zone of all hours (IANA)", "Europe/Brussels")
    holidays: str = described(
        "whose public holidays are closing days: a country (`BE`) or a region (`BE-VLG`); empty: none", "BE"
    )
    console_origin: str = described(
        "origin of the agents' console where it has a host of its own, such as `https://console.example.be`, for the "
        "gateway and presence: the console is answered there alone, all else on the hosts of `PUBLIC_ORIGINS`, which "
        "is needed with it, and the issuer of agents sends them back there; empty: every host answers both",
        "",
    )
    log_level: Literal["debug", "info", "warning"] = described("the least that is logged", "info")
    rate_limits: Literal["on", "off"] = described("`off` turns every abuse limit off", "on")
    connections_most: int = described("connections that one process takes at a time; 0: any number", 20_000, ge=0)
    attachment_bytes: int = described("bytes of one file, at most", 10 * MIB, ge=1)
    attachment_count: int = described("files of one chat, at most", 20, ge=1)
    attachment_total: int = described("bytes of all files of one chat, at most", 50 * MIB, ge=1)
    citizen_access: float = described("seconds for which a citizen reaches a closed chat", 48 * 3600.0, gt=0)
    facts_together: Literal["on", "off"] = described(
        "under load several messages share one broker message; every replica must be of 1.1 or later", "off"
    )
    trace_sample: float = described("share of the traces whose spans are kept; 0: tracing is off", 0.0, ge=0, le=1)
    otlp_endpoint: str = described(
        "the OpenTelemetry collector that gets them (OTLP over HTTP)", "http://127.0.0.1:4318"
    )
    listen_address: str = described("address to listen on", "127.0.0.1")
    gateway_port: Port = described("where the gateway listens", 8000)
    presence_port: Port = described("where presence listens", 8001)
    routing_port: Port = described("where routing listens", 8002)
    transcripts_port: Port = described("where transcripts listens", 8003)
    presence_url: str = described("where the gateway finds presence", "", examples=["http://127.0.0.1:<port>"])
    routing_url: str = described("where the gateway finds routing", "", examples=["http://127.0.0.1:<port>"])
    transcripts_url: str = described("where the gateway finds transcripts", "", examples=["http://127.0.0.1:<port>"])
    port_shared: Literal["on", "off"] = described(
        "other replicas on this machine listen on the service's port too", "off"
    )
    own_port: Port | None = described("where this process alone answers then, on loopback", None, validate_default=True)
    tls_certificate: Path | None = described(
        "the certificate of the service with its chain (PEM), for `TLS_PORT`", None
    )
    tls_key: Path | None = described("the key of that certificate (PEM)", None)
    tls_port: Port | None = described("where the service answers by TLS too; probes and scrapes stay on its port", None)
    tls_ca: Path | None = described(
        "the CA that verifies the services whose address is `https://…` (PEM); none: those of the system", None
    )

    @field_validator("token_secret")
    @classmethod
    def _hard_to_guess(cls, value: str) -> str:
        repeated = value in (value + value)[1:-1]
        if repeated or len(set(value)) < LEAST_CHARACTERS:
            raise ValueError(
                f"is easy to guess: it repeats itself or has fewer than {LEAST_CHARACTERS} different characters; make "
                "one with: openssl rand -hex 32"
            )
        return value

    @field_validator("verification_keys")
    @classmethod
    def _public_keys(cls, value: str) -> str:
        parse_public_keys(value)
        return value

    @field_validator("token_keys")
    @classmethod
    def _with_keys(cls, value: str, info: ValidationInfo) -> str:
        if value == "only" and not info.data.get("verification_keys"):
            raise ValueError("is `only`, and there are no VERIFICATION_KEYS: no token would be accepted")
        if value == "only" and cls.signs and not info.data.get("signing_key"):
            raise ValueError("is `only`, and there is no SIGNING_KEY: no token of this service would be accepted")
        return value

    @field_validator("own_port")
    @classmethod
    def _beside_a_shared_port(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("port_shared") == "on":
            raise ValueError("is needed where PORT_SHARED is on")
        return value

    @field_validator("tls_port")
    @classmethod
    def _with_a_certificate(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and None in (info.data.get("tls_certificate"), info.data.get("tls_key")):
            raise ValueError("needs TLS_CERTIFICATE and TLS_KEY")
        if value is not None and info.data.get("port_shared") == "on":
            raise ValueError("is for replicas with an address each, not where PORT_SHARED is on")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("is not a time zone of the IANA database, such as Europe/Brussels") from None
        return value

    @field_validator("rabbitmq_url")
    @classmethod
    def _amqp(cls, value: str) -> str:
        return _address(value, "amqp", "amqps")

    @field_validator("mongodb_url")
    @classmethod
    def _mongodb(cls, value: str) -> str:
        return _address(value, "mongodb", "mongodb+srv")

    @field_validator("presence_url", "routing_url", "transcripts_url", "otlp_endpoint")
    @classmethod
    def _http(cls, value: str) -> str:
        return value and _address(value, "http", "https")

    @field_validator("office_hours")
    @classmethod
    def _readable(cls, value: str) -> str:
        parse_hours(value)
        return value

    def url_of(self, service: str) -> str:
        """Return the address of another service, without a trailing slash."""
        given: str = getattr(self, f"{service}_url")
        return given.rstrip("/") or f"http://127.0.0.1:{getattr(self, f'{service}_port')}"


def _address(value: str, *schemes: str) -> str:
    """Return `value` when it is an address with one of these schemes.

    Raises:
        ValueError: It is not. The message never quotes the value, which may contain a password.
    """
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.netloc)
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"is not an address such as {schemes[0]}://host")
    return value


def explain(error: ValidationError | ConfigurationError) -> list[str]:
    """Return one line for each missing or invalid setting or file: its name and the problem, never its value."""
    if isinstance(error, ConfigurationError):
        return [str(error)]
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        name = "_".join(str(p) for p in item["loc"]).upper() or "settings"
        lines.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
    return lines
