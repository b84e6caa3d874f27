"""Replicas of timers that look at the same database, and the time that they see."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from services.common.messaging.publisher import Publisher
from services.transcripts.log.store import Store
from tests.support.publishers import publishing
from tests.transcripts.conftest import OPENED_AT


class Timers(Protocol):
    """What checks once what is due."""

    async def check_due(self) -> None: ...


T = TypeVar("T", bound=Timers)


@dataclass
class Replicas(Generic[T]):
    """Replicas that look, and the time that they see."""

    store: Store
    replicas: list[T] = field(default_factory=list)
    now: datetime = OPENED_AT
    is_well: bool = True

    async def look(self, after: float) -> None:
        """All replicas look at once, so many seconds after the agent got the chat."""
        self.now = OPENED_AT + timedelta(seconds=after)
        await asyncio.gather(*(r.check_due() for r in self.replicas))

    async def well(self) -> bool:
        """Whether no message waits to be stored."""
        return self.is_well


@contextlib.asynccontextmanager
async def two_publishers(vhost_url: str) -> AsyncIterator[Sequence[Publisher]]:
    """Those of two replicas."""
    async with publishing(vhost_url, "transcripts") as one, publishing(vhost_url, "transcripts") as other:
        yield one, other
