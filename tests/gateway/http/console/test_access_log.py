"""`access_log.py` behind a real server: what an auditor asks for, and what others are refused."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from services.common.access_chain import Head, Verifier, chained
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.internal_api import transcripts as transcripts_api
from tests.gateway.asking import Client
from tests.gateway.making import AN, CHAT, agent_view
from tests.gateway.standing import World

PATH = "/api/access-log"
AUDRA = "0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a99"
KAREL = "0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a98"
MADE: list[dict[str, Any]] = [
    {
        "at": "2026-11-23T08:00:00.000Z",
        "act": "transcript_read",
        "who": KAREL,
        "role": "supervisor",
        "chat_id": CHAT,
        "reason": "=1+1",
    },
    {"at": "2026-11-23T09:00:00.000Z", "act": "chat_erased", "who": "griffie", "role": "operator"},
    {"at": "2026-11-24T09:00:00.000Z", "act": "file_read", "role": "citizen", "chat_id": CHAT, "item": "x"},
]
ENTRIES = chained(Head(), MADE)


def officer(world: World, role: str) -> str:
    """The cookie of an officer with this role."""
    agent = agent_view(AUDRA, name="Audra", departments=[])
    expires = datetime.now(UTC) + timedelta(hours=1)
    opened = presence_api.OpenSession(session_id="s", expires_at=expires, agent=agent, role=role)
    world.others.sessions[f"token-{role}"] = opened
    return f"eloket-agent=token-{role}"


@pytest.fixture
def auditor(world: World) -> str:
    """The cookie of an auditor, where the log has three entries."""
    page = transcripts_api.AccessPage(entries=ENTRIES[::-1], more=True)
    world.others.fixed[transcripts_api.ACCESS_SEARCH] = page
    world.others.fixed[presence_api.NAMES] = presence_api.Names(names={KAREL: "Karel"})
    return officer(world, "auditor")


def searches(world: World) -> list[transcripts_api.AccessSearch]:
    bodies = [body for path, body in world.others.asked if path == transcripts_api.ACCESS_SEARCH]
    return [transcripts_api.AccessSearch.model_validate_json(body) for body in bodies]


async def test_an_auditor_gets_entries_with_names(world: World, client: Client, auditor: str) -> None:
    status, answer, headers = await client.ask("GET", PATH, Cookie=auditor)
    assert (status, answer["more"], headers["Cache-Control"]) == (200, True, "no-store")
    assert [(e["seq"], e["who"], e["name"]) for e in answer["entries"]] == [
        (3, None, None),
        (2, "griffie", None),
        (1, KAREL, "Karel"),
    ]
    (asked,) = searches(world)
    assert (asked.by.agent_id, asked.by.role, asked.by.source) == (AUDRA, "auditor", "127.0.0.1")
    assert (asked.about, asked.who, asked.since, asked.most) == ("", None, None, 50)


async def test_the_filters_are_passed_on_and_logged(world: World, client: Client, auditor: str) -> None:
    query = f"person=Kar&chat={CHAT.upper()}&act=file_read&from=2026-11-23&until=2026-11-24&before=9&limit=20"
    assert (await client.ask("GET", f"{PATH}?{query}", Cookie=auditor))[0] == 200
    assert (await client.ask("GET", f"{PATH}?person={KAREL}", Cookie=auditor))[0] == 200
    first, second = searches(world)
    assert first.about == f"person=Kar chat={CHAT} act=file_read from=2026-11-23 until=2026-11-24"
    assert (first.who, first.chat, first.act, first.before, first.most) == (["Kar", KAREL], CHAT, "file_read", 9, 20)
    assert first.since == datetime(2026, 11, 22, 23, tzinfo=UTC), "the day begins in Brussels"
    assert first.until == datetime(2026, 11, 24, 23, tzinfo=UTC)
    assert second.who == [KAREL]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=2026-02-30", "invalid_period"),
        ("from=2026-02-03&until=2026-02-01", "invalid_period"),
        ("from=0001-01-01", "invalid_period"),
        ("until=9999-12-31", "invalid_period"),
        ("from=yesterday", "invalid"),
        ("chat=%25", "invalid"),
        ("chat=abc", "invalid"),
        ("act=DROP", "invalid"),
        ("person=%00", "invalid"),
        (f"person={'x' * 101}", "invalid"),
        ("before=0", "invalid"),
        ("limit=201", "invalid"),
    ],
)
async def test_what_cannot_be_searched_is_refused(
    world: World, client: Client, auditor: str, query: str, code: str
) -> None:
    status, problem, _ = await client.ask("GET", f"{PATH}?{query}", Cookie=auditor)
    assert (status, problem["code"]) == (422, code)
    assert not searches(world)


async def test_everyone_else_is_refused_and_an_officer_is_no_agent(world: World, client: Client, auditor: str) -> None:
    world.others.log_in(AN)
    administrator = officer(world, "administrator")
    director = officer(world, "director")  # a role of a later release
    for cookie in (f"eloket-agent=token-{AN}", administrator, director):
        for path in (PATH, f"{PATH}/verification", f"{PATH}/export"):
            status, problem, _ = await client.ask("GET", path, Cookie=cookie)
            assert (status, problem["code"]) == (403, "forbidden")
    for cookie in (auditor, administrator, director):
        for path in ("/api/agents", "/api/questions", f"/api/chats/{CHAT}/transcript", "/api/assignments"):
            status, problem, _ = await client.ask("GET", path, Cookie=cookie)
            assert (status, problem["code"]) == (403, "forbidden"), path
    assert not searches(world)
    lookups = [body for path, body in world.others.asked if path == presence_api.SESSION_LOOKUP]
    assert all(json.loads(body)["roles"] == ["administrator", "auditor"] for body in lookups)


async def test_who_is_logged_in(world: World, client: Client, auditor: str) -> None:
    world.others.log_in(AN)
    cookies = {
        "agent": f"eloket-agent=token-{AN}",
        "auditor": auditor,
        "administrator": officer(world, "administrator"),
    }
    for role, cookie in cookies.items():
        status, answer, _ = await client.ask("GET", "/api/agent/me", Cookie=cookie)
        assert (status, answer["role"]) == (200, role)
        managed = [one["id"] for one in answer.get("manages", [])]
        assert managed == (["algemeen", "premies"] if role == "administrator" else [])


async def test_an_administrator_manages_the_answers_of_every_department(world: World, client: Client) -> None:
    world.others.fixed[transcripts_api.CANNED_ANSWERS] = transcripts_api.CannedAnswers(tag="t", answers=[])
    path = "/api/agent/canned-answers"
    assert (await client.ask("GET", path, Cookie=officer(world, "administrator")))[0] == 200
    assert (await client.ask("GET", path, Cookie=officer(world, "auditor")))[0] == 403
    (body,) = [body for asked, body in world.others.asked if asked == transcripts_api.CANNED_ANSWERS]
    assert json.loads(body)["departments"] == ["algemeen", "premies"]


async def test_the_result_of_a_verification(world: World, client: Client, auditor: str) -> None:
    found = transcripts_api.AccessVerified(first=1, last=3, hash="f" * 64, complete=True, problems=[])
    for problems in ([], ["entry 2 was altered"]):
        flaws = [transcripts_api.AccessFlaw(code="altered", first=2, last=2)] if problems else []
        world.others.fixed[transcripts_api.ACCESS_VERIFY] = found.model_copy(
            update={"problems": problems, "flaws": flaws}
        )
        status, answer, _ = await client.ask("GET", f"{PATH}/verification", Cookie=auditor)
        assert answer["flaws"] == [flaw.model_dump() for flaw in flaws]
        assert (status, answer["intact"], answer["problems"]) == (200, not problems, problems)
        assert (answer["first"], answer["last"], answer["complete"]) == (1, 3, True)


async def test_an_export_has_the_chain_and_a_csv_the_names(world: World, client: Client, auditor: str) -> None:
    world.others.fixed[transcripts_api.ACCESS_SPAN] = transcripts_api.AccessSpan(after=0, last=3)
    world.others.fixed[transcripts_api.ACCESS_SEARCH] = transcripts_api.AccessPage(entries=ENTRIES, more=False)

    async def exported(query: str) -> tuple[str, str]:
        async with client.session.get(f"{PATH}/export?{query}", headers={"Cookie": auditor}) as answer:
            assert answer.status == 200
            return answer.headers["Content-Disposition"], await answer.text("utf-8-sig")

    name, text = await exported("format=jsonl&act=file_read&from=2026-11-23")
    assert name == 'attachment; filename="access-log-1-3.jsonl"'
    verifier = Verifier()
    verifier.take(json.loads(line) for line in text.splitlines())
    assert (verifier.end(), verifier.head.seq) == ([], 3)
    _, text = await exported("format=csv&act=file_read")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(one["seq"], one["name"], one["hash"]) for one in lines] == [
        ("1", "Karel", ENTRIES[0]["hash"]),
        ("2", "", ENTRIES[1]["hash"]),
        ("3", "", ENTRIES[2]["hash"]),
    ]
    assert lines[0]["reason"] == "'=1+1", "a spreadsheet would compute it"
    whole, filtered = searches(world)
    assert (whole.act, whole.since, whole.about, whole.after) == (None, None, None, 0)
    assert (filtered.act, filtered.about) == ("file_read", None)
    spans = [body for path, body in world.others.asked if path == transcripts_api.ACCESS_SPAN]
    assert json.loads(spans[0])["about"] == "jsonl act=file_read from=2026-11-23"


async def test_an_export_stops_at_the_end_of_its_period_and_breaks_off_when_it_fails(
    world: World, client: Client, auditor: str
) -> None:
    world.others.fixed[transcripts_api.ACCESS_SPAN] = transcripts_api.AccessSpan(after=0, last=2)
    world.others.fixed[transcripts_api.ACCESS_SEARCH] = transcripts_api.AccessPage(entries=ENTRIES, more=True)
    async with client.session.get(f"{PATH}/export", headers={"Cookie": auditor}) as answer:
        assert [json.loads(line)["seq"] for line in (await answer.text()).splitlines()] == [1, 2]
    world.others.away.add(transcripts_api.ACCESS_SEARCH)
    with pytest.raises(aiohttp.ClientPayloadError):
        async with client.session.get(f"{PATH}/export", headers={"Cookie": auditor}) as answer:
            await answer.read()


async def test_a_replica_of_an_earlier_release_and_a_refusal(world: World, client: Client, auditor: str) -> None:
    for refusal, expected in (
        (Problem(404, "not_found", "no such path"), (503, "unavailable")),
        (Problem(422, "search_too_large", "too large"), (422, "search_too_large")),
    ):
        world.others.refused[transcripts_api.ACCESS_SEARCH] = refusal
        status, problem, _ = await client.ask("GET", PATH, Cookie=auditor)
        assert (status, problem["code"]) == expected
