"""The route of past chats, over HTTP and the real database: who is answered, what is logged, and the bounds."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.common.config.departments import load_departments
from services.common.internal_api.past_chats import MOST_ROWS, PAST_CHATS, QUERY
from services.common.internal_api.transcripts import Rating
from services.common.mongo.client import Database
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.log.store import Store
from services.transcripts.past_chats.store import Found, PastChats, Wanted
from services.transcripts.settings import Settings
from services.transcripts.statistics.store import Statistics
from tests.transcripts.api.client import ApiClient, require_few_at_a_time
from tests.transcripts.api.test_access_log import entries
from tests.transcripts.past_chats.conftest import FORM, Player

SOFIE = {"agent_id": "sofie", "supervisor": True, "source": "192.0.2.1"}
AN = {"agent_id": "an", "supervisor": False, "source": "192.0.2.2"}
DEPARTMENT: dict[str, Any] = {"reader": SOFIE, "own": False, "departments": ["algemeen"]}
OWN: dict[str, Any] = {"reader": AN, "own": True, "departments": []}
LATELY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
LONG_AGO = LATELY - timedelta(days=60)


@pytest.fixture
async def player(database: Database, store: Store, make_settings: Callable[..., Settings]) -> Player:
    return Player(database, store, load_departments(make_settings().departments_file))


async def chats(api: ApiClient, query: dict[str, Any]) -> list[str]:
    status, told = await api.ask(PAST_CHATS, query)
    assert status == 200, told
    return [chat["chat_id"] for chat in told["chats"]]


async def test_a_supervisor_finds_a_chat_and_the_search_is_logged_without_its_words(
    api: ApiClient, database: Database, player: Player, capfd: pytest.CaptureFixture[str]
) -> None:
    chat = await player.ended(
        *(("citizen", "Waar is mijn kwetterbes?"), ("an", "Hier."), ("bert", "Dag")),
        then="bert",
        moved_to="premies",
        at=LATELY,
        form=FORM,
    )
    ratings = Ratings(database, Statistics(database), player.past)
    await ratings.rate(Rating(chat_id=chat, helped="yes", score=4), "algemeen", LATELY)
    status, told = await api.ask(PAST_CHATS, {**DEPARTMENT, "text": "kwetterbes"})
    assert (status, told["next"], told["searched_until"]) == (200, None, None)
    (one,) = told["chats"]
    assert datetime.fromisoformat(one.pop("opened_at")) == LATELY - timedelta(minutes=9)
    assert datetime.fromisoformat(one.pop("ended_at")) == LATELY
    assert one == {
        "chat_id": chat,
        "department": "algemeen",
        "departments": ["algemeen", "premies"],
        "locale": "nl",
        "name": "An Peeters",
        "form": {"id": "P-12", "title": "Aanvraag parkeerkaart", "url": "https://www.voorbeeld.be/parkeren"},
        "agents": [{"id": "an", "name": "An"}, {"id": "bert", "name": "Bert"}],
        "ended_by": "agent",
        "rating": {"helped": "yes", "score": 4},
        "left": False,
        "complete": True,
        "closing_reason": None,
        "tags": [],
    }
    await chats(api, DEPARTMENT)
    await chats(api, {**OWN, "text": "kwetterbes"})
    logged = [e for e in await entries(api) if e["act"].startswith("chats_")]
    assert [{k: e[k] for k in ("act", "who", "role", "department", "source")} for e in logged] == [
        {"act": act, "who": "sofie", "role": "supervisor", "department": "algemeen", "source": "192.0.2.1"}
        for act in ("chats_searched", "chats_listed")
    ]
    assert "kwetterbes" not in str(logged)
    assert "kwetterbes" not in "".join(capfd.readouterr())


async def test_an_agent_finds_their_own_chats_as_long_as_they_may_read_them(api: ApiClient, player: Player) -> None:
    own = await player.ended(("citizen", "fiets"), at=LATELY)
    await player.ended(("citizen", "fiets"), at=LONG_AGO)
    await player.ended(("citizen", "fiets"), agent="bert", at=LATELY)
    await player.past.rated(own, {"at": LATELY, "helped": "no", "score": 1})
    assert await chats(api, OWN) == [own]
    assert await chats(api, {**OWN, "text": "fie", "departments": ["algemeen"]}) == [own]
    assert await chats(api, {**OWN, "departments": ["premies"]}) == []
    assert await chats(api, {**OWN, "since": "2001-01-01"}) == [own]
    (one,) = (await api.ask(PAST_CHATS, OWN))[1]["chats"]
    assert one["rating"] is None
    status = (await api.get(f"/chats/{own}/transcript?format=json"))[0]
    assert status != 200, "this citizen has another chat"


async def test_days_are_those_of_the_time_zone(api: ApiClient, player: Player) -> None:
    late = await player.ended(("citizen", "a"), at=datetime(2026, 10, 24, 21, 59, 59, tzinfo=UTC))
    early = await player.ended(("citizen", "b"), at=datetime(2026, 10, 24, 22, 0, tzinfo=UTC))
    assert await chats(api, {**DEPARTMENT, "since": "2026-10-25", "until": "2026-10-25"}) == [early]
    assert await chats(api, {**DEPARTMENT, "until": "2026-10-24"}) == [late]


async def test_a_page_has_a_next_one(api: ApiClient, player: Player) -> None:
    ended = [await player.ended(("citizen", "x"), at=LATELY - timedelta(hours=n)) for n in range(3)]
    first = (await api.ask(PAST_CHATS, {**DEPARTMENT, "limit": 2}))[1]
    assert [chat["chat_id"] for chat in first["chats"]] == ended[:2]
    assert await chats(api, {**DEPARTMENT, "limit": 2, "before": first["next"]}) == ended[2:]


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"text": "x"}, 422, "query_too_short"),
        ({"text": "?!"}, 422, "query_too_short"),
        ({"text": " ".join(f"woord{n}" for n in range(9))}, 422, "too_many_words"),
        ({"text": "x" * (QUERY + 1)}, 422, "invalid"),
        ({"limit": MOST_ROWS + 1}, 422, "invalid"),
        ({"before": "$gt"}, 422, "invalid"),
        ({"score": 6}, 422, "invalid"),
        ({"ended_by": "x"}, 422, "invalid"),
        ({"reader": AN}, 403, "forbidden"),
        ({"reader": AN, "own": True, "score": 1}, 403, "forbidden"),
        ({"reader": AN, "own": True, "agent_id": "bert"}, 403, "forbidden"),
    ],
)
async def test_what_is_wrong_is_refused_and_nothing_is_logged(
    api: ApiClient, wrong: dict[str, Any], status: int, code: str
) -> None:
    got, told = await api.ask(PAST_CHATS, DEPARTMENT | wrong)
    assert (got, told["code"]) == (status, code)
    assert [e for e in await entries(api) if e["act"].startswith("chats_")] == []


async def test_a_reader_makes_few_searches_at_a_time(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    going, real = asyncio.Event(), PastChats.search

    async def held(self: PastChats, wanted: Wanted) -> Found:
        await going.wait()
        return await real(self, wanted)

    monkeypatch.setattr(PastChats, "search", held)
    await require_few_at_a_time(api, PAST_CHATS, DEPARTMENT, 5, going)


async def test_the_service_lists_a_chat_that_has_ended(
    api: ApiClient, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await player.ended(("citizen", "fiets"), at=LATELY, listed=False)
    async with asyncio.timeout(60):
        while await chats(api, OWN) != [chat]:
            await asyncio.sleep(0.5)
