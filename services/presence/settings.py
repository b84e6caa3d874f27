"""What the environment says to the presence service alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from services.settings import Settings


class PresenceSettings(Settings):
    """`agent_grace`: seconds without a sign of life after which an agent is gone.

    Accounts come from `accounts_file`, and with `demo_accounts` also `an`, `bert` and `demo_agents` more.
    """

    agent_grace: float = Field(10.0, gt=0, le=600)
    session_hours: float = Field(12.0, gt=0, le=168)
    demo_accounts: Literal["on", "off"] = "off"
    demo_agents: int = Field(0, ge=0, le=5_000)
    accounts_file: Path | None = None

    @field_validator("accounts_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None
