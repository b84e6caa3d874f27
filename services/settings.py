"""What the environment says, validated at start: the same names in every way of running."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

EX_CONFIG = 78  # exit status of a service that cannot run with these settings (sysexits.h): restarting will not help


class Settings(BaseSettings):
    """Settings that all services share; a service adds its own by subclassing. Limits are in seconds."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    rabbitmq_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    mongodb_url: str = "mongodb://127.0.0.1:27017/?w=majority&journal=true"
    mongodb_prefix: str = ""
    host: str = "127.0.0.1"
    gateway_port: int = Field(8000, ge=1, le=65535)
    presence_port: int = Field(8001, ge=1, le=65535)
    routing_port: int = Field(8002, ge=1, le=65535)
    transcripts_port: int = Field(8003, ge=1, le=65535)
    presence_url: str = ""
    routing_url: str = ""
    transcripts_url: str = ""
    token_secret: str = Field(min_length=16)
    token_secret_previous: str = ""
    log_level: Literal["debug", "info", "warning"] = "info"
    rate_limits: Literal["on", "off"] = "on"
    departments_file: Path = Path("deploy/departments.toml")
    office_hours: str = "Mon-Fri 09:00-17:00"
    timezone: str = "Europe/Brussels"
    holidays: str = "BE"

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("is not a time zone of the IANA database, such as Europe/Brussels") from None
        return value

    def url_of(self, service: str) -> str:
        """Where another service answers, without a trailing slash."""
        given: str = getattr(self, f"{service}_url")
        return given.rstrip("/") or f"http://127.0.0.1:{getattr(self, f'{service}_port')}"


def explain(error: ValidationError) -> list[str]:
    """One line for each setting that is missing or wrong: its variable, what is wrong, and never its value."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        name = "_".join(str(p) for p in item["loc"]).upper() or "settings"
        lines.append(f"{name}: {item['msg']}")
    return lines
