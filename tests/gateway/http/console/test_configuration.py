"""`configuration.py` behind a real server: administrators alone change the departments, and each change is logged."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.common.config.toml_file import MOST_STORED
from services.common.events.configuration import ConfigurationVersion
from services.common.events.types import ButtonColour, ButtonReason, Record
from services.common.http.problems import Problem
from services.common.internal_api import configuration as api
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.configuration import Author, DepartmentForm
from tests.gateway.asking import Client
from tests.gateway.http.citizen.test_after_chat import limited_client
from tests.gateway.http.console.stored_configuration import administered_client, asked, noted
from tests.gateway.http.console.test_access_log import officer
from tests.gateway.making import AN, NOW
from tests.gateway.standing import World, gateway_of
from tests.support.servers import PATIENCE

PATH = "/api/configuration"
AUDRA = Author(id="agent-audra", name="Audra", role="administrator")
NAMES: Any = dict.fromkeys(("nl", "fr", "de", "en"), "A")
FORM = DepartmentForm(names=NAMES)
VERSION = api.Version(version=4, at=NOW, by=AUDRA, act="changed", about="algemeen")
NEWEST = api.Configuration(**VERSION.model_dump(), text="# één\n", departments={"algemeen": FORM})
CHECKED = api.Checked(
    text="# één\n",
    departments=["algemeen"],
    buttons=[
        api.ButtonNow(
            department="algemeen", names=NAMES, colour=ButtonColour.BLUE, reason=ButtonReason.CLOSED, opens_at=NOW
        )
    ],
    days=[api.PlannedDay(day="2027-01-01", hours=[], holiday="Nieuwjaar")],
)
STAMP = "2026-11-23T08:00:00.123Z"
SHOWN = {"version": 4, "at": STAMP, "by": AUDRA.model_dump(), "act": "changed", "about": "algemeen"}
GIVEN = {"version": 3, "department": "algemeen", "form": FORM.model_dump(mode="json")}


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    """A gateway of an installation whose departments are in the database, and that has them."""
    answers: dict[str, Record] = {
        api.CONFIGURATION: NEWEST,
        api.CONFIGURATION_CHECK: CHECKED,
        api.CONFIGURATION_STORE: VERSION,
        api.CONFIGURATION_VERSIONS: api.Versions(versions=[VERSION], more=True),
        api.CONFIGURATION_VERSION: api.VersionDetail(
            **VERSION.model_dump(), text="x", changes=[api.ChangedLine(mark="+", text="x")]
        ),
    }
    async with administered_client(world, answers) as one:
        yield one


async def test_an_administrator_reads_exports_and_lists(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    status, newest, _ = await client.ask("GET", PATH, Cookie=cookie)
    form = {"id": "algemeen", **FORM.model_dump(mode="json")}
    expected = {**SHOWN, "text": "# één\n", "departments": [form], "source": "database", "timezone": "Europe/Brussels"}
    assert (status, newest) == (200, expected)
    async with client.session.get(f"{PATH}/export", headers={"Cookie": cookie}) as answer:
        assert (answer.status, await answer.text()) == (200, "# één\n")
        assert answer.headers["Content-Type"] == "application/toml; charset=utf-8"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="departments-4.toml"'
    listed = await client.ask("GET", f"{PATH}/versions?before=5", Cookie=cookie)
    assert listed[:2] == (200, {"versions": [SHOWN], "more": True})
    one = await client.ask("GET", f"{PATH}/versions/4", Cookie=cookie)
    assert one[:2] == (200, {**SHOWN, "text": "x", "changes": [{"mark": "+", "text": "x"}]})


async def test_a_check_stores_nothing(world: World, client: Client) -> None:
    body = {**GIVEN, "of": "algemeen", "year": 2027}
    status, found, _ = await client.ask("POST", f"{PATH}/check", body, Cookie=officer(world, "administrator"))
    assert (status, found["buttons"][0]["opens_at"], found["days"][0]["holiday"]) == (200, STAMP, "Nieuwjaar")
    check = api.Check.model_validate_json(asked(world, api.CONFIGURATION_CHECK)[0])
    assert (check.department, check.year, check.wanted.base, check.wanted.form) == ("algemeen", 2027, 3, FORM)
    assert not asked(world, api.CONFIGURATION_STORE)


async def test_a_change_is_checked_logged_and_stored_in_this_order(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    assert (await client.ask("POST", PATH, GIVEN, Cookie=cookie))[:2] == (200, SHOWN)
    order = [path for path, _ in world.others.asked if "configuration" in path or path == transcripts_api.ACCESS_NOTE]
    assert order == [
        api.CONFIGURATION_CHECK,
        api.CONFIGURATION_NAMES,
        transcripts_api.ACCESS_NOTE,
        api.CONFIGURATION_STORE,
    ]
    change = api.Change.model_validate_json(asked(world, api.CONFIGURATION_STORE)[0])
    assert (change.by.role, change.by.name) == ("administrator", "Audra")
    (note,) = noted(world)
    assert (note.act, note.item, note.departments) == ("departments_changed", "3:4", ["algemeen"])
    assert (note.reader.role, note.reader.source) == ("administrator", "127.0.0.1")
    world.others.fixed[api.CONFIGURATION_CHECK] = CHECKED.model_copy(update={"same": True})
    await client.ask("POST", PATH, {"version": 4, "text": "# één\n"}, Cookie=cookie)
    assert len(noted(world)) == 1, "nothing has changed"


@pytest.mark.parametrize(
    ("given", "act"),
    [({"text": "# één\n"}, "departments_imported"), ({"restore": 2}, "departments_restored")],
)
async def test_a_change_that_cannot_be_logged_is_not_made(
    world: World, client: Client, given: dict[str, Any], act: str
) -> None:
    cookie = officer(world, "administrator")
    world.others.away.add(transcripts_api.ACCESS_NOTE)
    assert (await client.ask("POST", PATH, {"version": 3, **given}, Cookie=cookie))[1]["code"] == "not_logged"
    assert not asked(world, api.CONFIGURATION_STORE)
    world.others.away.clear()
    assert (await client.ask("POST", PATH, {"version": 3, **given}, Cookie=cookie))[0] == 200
    note = noted(world)[-1]
    assert (note.act, note.item, note.departments) == (act, "3:4", [])


async def test_a_refusal_is_passed_on_and_nothing_is_stored(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    for path, code, status in (
        (api.CONFIGURATION_CHECK, "changed", 409),
        (api.CONFIGURATION_CHECK, "invalid_configuration", 422),
        (api.CONFIGURATION_NAMES, "invalid_configuration", 422),
    ):
        fault = {"code": "empty", "department": "algemeen", "field": "names.fr"}
        world.others.refused = {path: Problem(status, code, "what is wrong, and where", fault=fault)}
        answer = await client.ask("POST", PATH, GIVEN, Cookie=cookie)
        assert answer[1]["fault"] == fault
        assert (answer[0], answer[1]["code"], answer[1]["detail"]) == (status, code, "what is wrong, and where")
    assert not asked(world, api.CONFIGURATION_STORE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 0},
        {"text": "x"},
        {"form": None},
        {"department": None},
        {"restore": 1},
        {"form": {**GIVEN["form"], "start": "shout"}},  # type: ignore[dict-item]
        {"form": {**GIVEN["form"], "names": {"es": "A"}}},  # type: ignore[dict-item]
    ],
)
async def test_a_wrong_request_is_invalid(world: World, client: Client, wrong: dict[str, Any]) -> None:
    answer = await client.ask("POST", PATH, GIVEN | wrong, Cookie=officer(world, "administrator"))
    assert (answer[0], answer[1]["code"]) == (422, "invalid")


async def test_a_large_text_fits_and_a_larger_one_does_not(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    for size, status in ((MOST_STORED, 200), (2 * MOST_STORED + 70_000, 413)):
        assert (await client.ask("POST", PATH, {"version": 3, "text": "#" * size}, Cookie=cookie))[0] == status


async def test_everyone_else_is_refused(world: World, client: Client) -> None:
    requests: tuple[tuple[str, str, Any], ...] = (
        ("GET", PATH, None),
        ("GET", f"{PATH}/export", None),
        ("POST", f"{PATH}/check", {**GIVEN, "year": 2027}),
        ("POST", PATH, GIVEN),
        ("GET", f"{PATH}/versions", None),
        ("GET", f"{PATH}/versions/4", None),
    )
    agent, auditor = f"eloket-agent={world.others.log_in(AN)}", officer(world, "auditor")
    for method, path, body in requests:
        assert (await client.ask(method, path, body))[1]["code"] == "unauthenticated"
        for cookie in (agent, auditor):
            assert (await client.ask(method, path, body, Cookie=cookie))[1]["code"] == "forbidden"
    assert not [path for path, _ in world.others.asked if "configuration" in path]


async def test_where_the_departments_are_in_a_file_the_page_says_so(world: World) -> None:
    async with limited_client(world) as client:
        answer = await client.ask("GET", PATH, Cookie=officer(world, "administrator"))
        assert answer[:2] == (200, {"source": "file", "timezone": "Europe/Brussels"})


async def test_a_gateway_answers_nothing_before_it_has_the_departments(world: World) -> None:
    settings = world.settings.model_copy(update={"config_source": "database"})
    text = settings.departments_file.read_text("utf-8")
    async with (
        gateway_of(settings, connected=False) as gateway,
        aiohttp.ClientSession(f"http://{gateway.address}") as session,
    ):
        async with session.get("/api/departments/algemeen") as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "unavailable")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect("/ws/citizen")
        assert (await gateway.service.readiness())["configuration"] == "not_yet"
        stored = text.replace("Algemene vragen", "Alle vragen")
        await world.publisher.publish_best_effort(ConfigurationVersion(version=1, text=stored))
        async with asyncio.timeout(PATIENCE):
            while (await gateway.service.readiness())["configuration"] != "ok":
                await world.publisher.publish_best_effort(ConfigurationVersion(version=1, text=stored))
                await asyncio.sleep(0.05)
        async with session.get("/api/departments/algemeen?lang=nl") as answer:
            assert (await answer.json())["name"] == "Alle vragen"
