"""What the environment says, validated at start: the same names in every way of running."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.departments import parse_hours

EX_CONFIG = 78  # exit status of a service that cannot run with these settings (sysexits.h): restarting will not help


class Settings(BaseSettings):
    """Settings that all services share; a service adds its own by subclassing. Limits are in seconds.

    `facts_together`: several facts of the hot path in one broker message; on where every replica is of 1.1 or later.
    `port_shared`: other replicas on this machine listen on the service's port too. `own_port`: where this process alone
    answers then, on loopback.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    rabbitmq_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    mongodb_url: str = "mongodb://127.0.0.1:27017/?w=majority&journal=true"
    mongodb_prefix: str = ""
    listen_address: str = "127.0.0.1"
    gateway_port: int = Field(8000, ge=1, le=65535)
    presence_port: int = Field(8001, ge=1, le=65535)
    routing_port: int = Field(8002, ge=1, le=65535)
    transcripts_port: int = Field(8003, ge=1, le=65535)
    port_shared: Literal["on", "off"] = "off"
    own_port: int | None = Field(None, ge=1, le=65535, validate_default=True)
    presence_url: str = ""
    routing_url: str = ""
    transcripts_url: str = ""
    token_secret: str = Field(min_length=16)
    token_secret_previous: str = ""
    log_level: Literal["debug", "info", "warning"] = "info"
    rate_limits: Literal["on", "off"] = "on"
    facts_together: Literal["on", "off"] = "off"
    departments_file: Path = Path("deploy/departments.toml")
    office_hours: str = "Mon-Fri 09:00-17:00"
    timezone: str = "Europe/Brussels"
    holidays: str = "BE"

    @field_validator("own_port")
    @classmethod
    def _beside_a_shared_port(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("port_shared") == "on":
            raise ValueError("is needed where PORT_SHARED is on")
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

    @field_validator("presence_url", "routing_url", "transcripts_url")
    @classmethod
    def _http(cls, value: str) -> str:
        return value and _address(value, "http", "https")

    @field_validator("office_hours")
    @classmethod
    def _readable(cls, value: str) -> str:
        parse_hours(value)
        return value

    def url_of(self, service: str) -> str:
        """Where another service answers, without a trailing slash."""
        given: str = getattr(self, f"{service}_url")
        return given.rstrip("/") or f"http://127.0.0.1:{getattr(self, f'{service}_port')}"


def _address(value: str, *schemes: str) -> str:
    """`value`, when it is an address of one of these schemes; the message never quotes it: it may hold a password."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.netloc)
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"is not an address such as {schemes[0]}://host")
    return value


def explain(error: ValidationError) -> list[str]:
    """One line for each setting that is missing or wrong: its variable, what is wrong, and never its value."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        name = "_".join(str(p) for p in item["loc"]).upper() or "settings"
        lines.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
    return lines
