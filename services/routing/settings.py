"""Settings of the routing service. Limits are in seconds."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from services.common.config.settings import Settings
from services.routing.chats.chat import Limits


class RoutingSettings(Settings):
    """Settings that only routing has: how long a chat may be in each state before a timer acts."""

    hello_limit: float = Field(10, gt=0, description="from the opening until the citizen has said hello")
    away_limit: float = Field(120, gt=0, description="that no gateway has a connection of the citizen")
    waiting_limit: float = Field(
        600, gt=0, description="that a chat may wait without a break, unless its department says otherwise"
    )
    accept_limit: float = Field(30, gt=0, description="from the assignment until a person has seen the chat")
    named_limit: float = Field(60, gt=0, description="until a transferred chat that nobody took comes back")
    return_limit: float = Field(5, gt=0, description="that a chat that comes back waits for its former agent alone")
    chats_open_per_address: int = Field(
        5, ge=0, description="chats that one address may have open at a time; 0: any number"
    )
    settle_limit: float = Field(10, ge=0, description="without trouble before timers judge: late events come first")
    closed_kept_days: float = Field(30, ge=3, description="that a closed chat is remembered; a token lives 2 days")

    @property
    def limits(self) -> Limits:
        """The limits as the rules use them."""
        return Limits(
            hello=timedelta(seconds=self.hello_limit),
            waiting=timedelta(seconds=self.waiting_limit),
            accept=timedelta(seconds=self.accept_limit),
            named=timedelta(seconds=self.named_limit),
            returning=timedelta(seconds=self.return_limit),
            kept=timedelta(days=self.closed_kept_days),
        )
