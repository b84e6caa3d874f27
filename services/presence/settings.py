"""Settings of the presence service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator

from services.common.config.settings import Settings, described


class PresenceSettings(Settings):
    """Settings that only presence has, beside those of all services."""

    agent_grace: float = described("without a sign of life for so long an agent is gone", 10.0, gt=0, le=600)
    session_hours: float = described("an agent stays logged in for so many hours", 12.0, gt=0, le=168)
    accounts_file: Path | None = described("the agents' accounts", None)
    demo_accounts: Literal["on", "off"] = described(
        "also accounts whose password is public: `an`, `bert`, `sofie`", "off"
    )
    demo_agents: int = described("so many more of them", 0, ge=0, le=5_000)

    @field_validator("accounts_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None
