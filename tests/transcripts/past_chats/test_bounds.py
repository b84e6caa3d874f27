"""How many documents a search makes the database examine among 20,000 chats: counted by the database, not timed."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from services.common.config.departments import Departments, load_departments
from services.common.mongo.client import Database
from services.common.mongo.migrations import upgrade
from services.transcripts.migrations import STEPS
from services.transcripts.past_chats.rows import rows_of
from services.transcripts.past_chats.store import MOST, PART, Found, PastChats, Wanted
from services.transcripts.past_chats.words import Query, parsed
from services.transcripts.settings import Settings
from tests.support.servers import unique
from tests.transcripts.conftest import SECRET, new_id

CHATS, DAYS = 20_000, 400
NOW = datetime(2026, 11, 20, tzinfo=UTC)
BOTH = ("algemeen", "premies")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Sent(CommandListener):
    """The commands that a client has sent."""

    commands: list[dict[str, Any]] = field(default_factory=list)

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate", "getMore", "count"):
            extra = ("lsid", "$db", "$clusterTime", "$readPreference", "readConcern", "maxTimeMS")
            self.commands.append({k: v for k, v in event.command.items() if k not in extra})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Ignore it."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Ignore it."""


@dataclass
class Town:
    """A database with 20,000 past chats."""

    database: Database
    past: PastChats
    sent: Sent

    async def search(self, text: str | None = None, **more: Any) -> tuple[Found, int]:
        """The page, and how many documents the database examined for it."""
        self.sent.commands.clear()
        query = parsed(text) if text else Query()
        assert isinstance(query, Query)
        found = await self.past.search(Wanted(query=query, **{"departments": BOTH, **more}))
        commands = list(self.sent.commands)
        return found, sum([await self._examined(command) for command in commands])

    async def _examined(self, command: dict[str, Any]) -> int:
        told = await self.database.command({"explain": command, "verbosity": "executionStats"})
        numbers = list(_members(told, "totalDocsExamined"))
        assert numbers, told
        return max(numbers)


def _members(told: Any, name: str) -> Iterator[int]:
    if isinstance(told, dict):
        for key, value in told.items():
            yield from [value] if key == name else _members(value, name)
    elif isinstance(told, list):
        for one in told:
            yield from _members(one, name)


def played(n: int, draw: random.Random) -> list[dict[str, Any]]:
    """The rows of the n-th chat: 50 a day, each with some words of a vocabulary in which some are frequent."""
    id_, at = new_id(), NOW - timedelta(days=DAYS) * (n / CHATS)
    words = [f"woord{min(int(draw.paretovariate(0.6)), 5_000)}" for _ in range(6)]
    rare = ["naald"] if n % 7_000 == 6_999 else []
    chat = {
        "_id": id_,
        "department": BOTH[n % 2],
        "locale": "nl",
        "opened_at": at - timedelta(minutes=5),
        "closed_at": at,
        "holder": f"1:{'an' if n % 20 == 0 else 'bert'}",
        "participants": ["an" if n % 20 == 0 else "bert"],
    }
    texts = {"text": " ".join(["goedendag", *words, *rare])}
    said = {"seq": 1, "id": "1", "party": "citizen", "sender_id": "citizen", "name": None, "at": at, **texts}
    return rows_of(chat, [said], "names")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(mongodb_url: str) -> AsyncIterator[Town]:
    sent = Sent()
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongodb_url, tz_aware=True, event_listeners=[sent])
    database = client[unique("town-")]
    await upgrade(database, STEPS)
    draw = random.Random(39)
    for first in range(0, CHATS, 1_000):
        made = await asyncio.to_thread(lambda: [r for n in range(first, first + 1_000) for r in played(n, draw)])  # noqa: B023
        await database["past_chats"].insert_many(made, ordered=False)
    values = {"mongodb_url": mongodb_url, "token_secret": SECRET}
    departments: Departments = load_departments(Settings.model_validate(values).departments_file)
    yield Town(database, PastChats(database, departments), sent)
    client.close()


@pytest.mark.parametrize(
    ("text", "more", "rows"),
    [
        (None, {}, 25),
        (None, {"departments": ("premies",)}, 25),
        ("goedendag", {}, 25),
        ("goeden", {}, 25),
        ("goedendag woord1", {}, 25),
        ("naald", {}, 2),
        ("goedendag naald", {}, 2),
        ("naald woord1 goe", {}, 2),
        ("bestaatniet", {}, 0),
        ("woord1 bestaatniet", {}, 0),
        (None, {"agent_id": "an", "since": NOW - timedelta(days=30)}, 25),
        ("naal", {"agent_id": "an", "since": NOW - timedelta(days=30)}, 0),
        (None, {"until": NOW - timedelta(days=200)}, 25),
        ("goedendag", {"until": NOW - timedelta(days=390)}, 25),
    ],
)
async def test_a_page_costs_little_among_20_000_chats(
    town: Town, text: str | None, more: dict[str, Any], rows: int
) -> None:
    found, examined = await town.search(text, **more)
    assert len(found.rows) == rows
    assert examined < 2_000
    assert found.read <= 2 * PART


async def test_a_search_that_finds_little_stops(town: Town) -> None:
    found, examined = await town.search("goedendag", more={"locale": "fr"})
    assert found.rows == []
    assert (found.read, found.until is not None) == (MOST, True)
    assert examined < 4 * MOST < CHATS


async def test_the_last_page_costs_no_more_than_the_first(town: Town) -> None:
    before = f"{int((NOW - timedelta(days=399)).timestamp() * 1_000):014d}-"
    found, examined = await town.search("goedendag", before=before)
    assert len(found.rows) == 25
    assert examined < 2_000
