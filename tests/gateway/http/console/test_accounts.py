"""`accounts.py` behind a real server: administrators alone change accounts; each change is logged, without secrets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.common.events.types import Record
from services.common.http.problems import Problem
from services.common.internal_api import accounts as api
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.configuration import Author
from services.gateway.http.console.accounts import MOST_BODY
from tests.gateway.asking import Client
from tests.gateway.http.citizen.test_after_chat import limited_client
from tests.gateway.http.console.stored_configuration import administered_client, asked, noted
from tests.gateway.http.console.test_access_log import officer
from tests.gateway.making import AN, NOW
from tests.gateway.standing import World

PATH = "/api/accounts"
BY = Author(id="agent-audra", name="Audra", role="administrator")
FORM = api.AccountForm(name="An", role="agent", departments=["algemeen"], capacity=2, locales=["nl"])
VIEW = api.AccountView(**FORM.model_dump(), username="an", revision=3, at=NOW, by=BY)
CHECKED = api.AccountChecked(fields=["name", "capacity"])
CHANGED = api.AccountChanged(account=VIEW, fields=["name", "capacity"])
MADE = api.AccountChanged(account=VIEW, fields=["password"], password="geheim-7", totp="otpauth://x")
ENTRY = api.AccountEntry(revision=2, at=NOW, by=BY, act="changed", before={"capacity": 1}, after={"capacity": 2})
STAMP = "2026-11-23T08:00:00.123Z"
SHOWN = {**VIEW.model_dump(mode="json"), "at": STAMP}
BODY = FORM.model_dump(mode="json")
REQUESTS: tuple[tuple[str, Any], ...] = (
    ("/search", {}),
    ("", {"username": "an", "form": BODY}),
    ("/change", {"username": "an", "revision": 2, "form": BODY}),
    ("/act", {"username": "an", "revision": 2, "act": "disable"}),
    ("/history", {"username": "an"}),
)


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    """A gateway of an installation whose accounts are in the database."""
    answers: dict[str, Record] = {
        api.ACCOUNTS: api.Accounts(accounts=[VIEW], more=True),
        api.ACCOUNTS_CHECK: CHECKED,
        api.ACCOUNTS_CHANGE: CHANGED,
        api.ACCOUNTS_HISTORY: api.AccountHistory(revision=3, removed=False, entries=[ENTRY]),
    }
    async with administered_client(world, answers) as one:
        yield one


def wished(world: World) -> api.AccountWish:
    return api.AccountWish.model_validate_json(asked(world, api.ACCOUNTS_CHANGE)[-1])


async def test_an_administrator_searches_and_reads_the_history(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    status, found, headers = await client.ask("POST", f"{PATH}/search", {"search": "a", "after": "aa"}, Cookie=cookie)
    assert (status, found["source"], found["accounts"], found["more"]) == (200, "database", [SHOWN], True)
    assert headers["Cache-Control"] == "no-store"
    assert {"id", "names"} == set(found["departments"][0])
    query = api.AccountsQuery.model_validate_json(asked(world, api.ACCOUNTS)[0])
    assert (query.search, query.after, query.removed) == ("a", "aa", False)
    await client.ask("POST", f"{PATH}/search", {"removed": True}, Cookie=cookie)
    assert api.AccountsQuery.model_validate_json(asked(world, api.ACCOUNTS)[-1]).removed
    status, history, _ = await client.ask("POST", f"{PATH}/history", {"username": "an"}, Cookie=cookie)
    assert (status, history["revision"], history["removed"]) == (200, 3, False)
    expected = {"at": STAMP, "act": "changed", "before": {"capacity": 1}, "after": {"capacity": 2}, "undoable": True}
    assert expected.items() <= history["entries"][0].items()


async def test_each_change_is_passed_on_with_its_author_and_logged(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    answer = await client.ask("POST", f"{PATH}/change", REQUESTS[2][1], Cookie=cookie)
    assert answer[:2] == (200, {"account": SHOWN, "password": None, "totp": None})
    wish = wished(world)
    assert (wish.act, wish.username, wish.base, wish.form, wish.by.name) == ("change", "an", 2, FORM, "Audra")
    (note,) = noted(world)
    assert (note.act, note.item) == ("account_changed", "an: name, capacity")
    assert (note.reader.role, note.reader.source) == ("administrator", "127.0.0.1")
    paths = (api.ACCOUNTS_CHECK, transcripts_api.ACCESS_NOTE, api.ACCOUNTS_CHANGE)
    assert [path for path, _ in world.others.asked if path in paths] == list(paths), "in this order"
    assert asked(world, api.ACCOUNTS_CHECK) == asked(world, api.ACCOUNTS_CHANGE)
    await client.ask("POST", PATH, REQUESTS[1][1], Cookie=cookie)
    assert (wished(world).act, wished(world).base, noted(world)[-1].act) == ("add", 0, "account_added")
    for act, logged in (
        ("disable", "account_disabled"),
        ("enable", "account_enabled"),
        ("remove", "account_removed"),
        ("make_totp", "account_totp_made"),
        ("remove_totp", "account_totp_removed"),
        ("undo", "account_change_undone"),
    ):
        body = {"username": "an", "revision": 2, "act": act, **({"of": 1} if act == "undo" else {})}
        assert (await client.ask("POST", f"{PATH}/act", body, Cookie=cookie))[0] == 200
        assert (wished(world).act, wished(world).of, noted(world)[-1].act) == (act, body.get("of"), logged)
    before = len(noted(world))
    world.others.fixed[api.ACCOUNTS_CHECK] = api.AccountChecked(fields=[])
    await client.ask("POST", f"{PATH}/change", REQUESTS[2][1], Cookie=cookie)
    assert len(noted(world)) == before, "nothing has changed"


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_change_that_cannot_be_logged_is_not_made(world: World, client: Client, number: int) -> None:
    path, body = REQUESTS[number]
    world.others.away.add(transcripts_api.ACCESS_NOTE)
    cookie = officer(world, "administrator")
    status, problem, headers = await client.ask("POST", PATH + path, body, Cookie=cookie)
    assert (status, problem["code"], headers["Retry-After"]) == (503, "not_logged", "5")
    assert not asked(world, api.ACCOUNTS_CHANGE)
    world.others.away.clear()
    assert (await client.ask("POST", PATH + path, body, Cookie=cookie))[0] == 200


async def test_a_made_password_is_in_the_answer_alone(world: World, client: Client) -> None:
    world.others.fixed[api.ACCOUNTS_CHANGE] = MADE
    body = {"username": "an", "revision": 2, "act": "make_password"}
    status, answer, headers = await client.ask("POST", f"{PATH}/act", body, Cookie=officer(world, "administrator"))
    assert (status, answer["password"], answer["totp"]) == (200, "geheim-7", "otpauth://x")
    assert headers["Cache-Control"] == "no-store"
    assert noted(world)[-1].act == "account_password_made"
    assert "geheim" not in asked(world, transcripts_api.ACCESS_NOTE)[-1]


async def test_a_refusal_is_passed_on_with_its_field_and_nothing_is_logged(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    world.others.refused = {api.ACCOUNTS_CHECK: Problem(409, "changed", "Bea was first.", by="Bea", revision=4)}
    status, problem, _ = await client.ask("POST", f"{PATH}/change", REQUESTS[2][1], Cookie=cookie)
    assert (status, problem["code"], problem["by"]) == (409, "changed", "Bea")
    world.others.refused = {api.ACCOUNTS_CHECK: Problem(422, "name_wrong", "Give a name.", field="name")}
    status, problem, _ = await client.ask("POST", PATH, REQUESTS[1][1], Cookie=cookie)
    assert (status, problem["code"], problem["field"]) == (422, "name_wrong", "name")
    assert not noted(world)
    assert not asked(world, api.ACCOUNTS_CHANGE)
    world.others.refused = {api.ACCOUNTS_CHANGE: Problem(409, "changed", "Bea was first.", by="Bea", revision=4)}
    status, problem, _ = await client.ask("POST", f"{PATH}/change", REQUESTS[2][1], Cookie=cookie)
    assert (status, problem["by"]) == (409, "Bea"), "at the last moment"


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("", {"username": ""}),
        ("", {"form": {**BODY, "role": "king"}}),
        ("/change", {"revision": 0}),
        ("/act", {"act": "explode"}),
        ("/act", {"act": "undo"}),
        ("/act", {"of": 1}),
        ("/search", {"search": "x" * 101}),
        ("/search", {"search": "a\0b"}),
    ],
)
async def test_a_wrong_request_is_invalid(world: World, client: Client, path: str, wrong: dict[str, Any]) -> None:
    body = dict(REQUESTS)[path] | wrong
    answer = await client.ask("POST", PATH + path, body, Cookie=officer(world, "administrator"))
    assert (answer[0], answer[1]["code"]) == (422, "invalid")


async def test_a_request_of_another_site_or_too_large_or_no_json_is_refused(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    for path, body in REQUESTS:
        foreign = await client.ask("POST", PATH + path, body, Cookie=cookie, Origin="https://evil.example")
        assert (foreign[0], foreign[1]["code"]) == (403, "forbidden")
        large = await client.ask("POST", PATH + path, {**body, "x": "x" * MOST_BODY}, Cookie=cookie)
        assert (large[0], large[1]["code"]) == (413, "too_large")
        headers = {"Cookie": cookie, "Content-Type": "text/plain"}
        async with client.session.post(PATH + path, data="{}", headers=headers) as answer:
            assert answer.status == 415


async def test_everyone_else_is_refused(world: World, client: Client) -> None:
    agent, auditor = f"eloket-agent={world.others.log_in(AN)}", officer(world, "auditor")
    for path, body in REQUESTS:
        assert (await client.ask("POST", PATH + path, body))[1]["code"] == "unauthenticated"
        for cookie in (agent, auditor):
            assert (await client.ask("POST", PATH + path, body, Cookie=cookie))[1]["code"] == "forbidden"
    assert not [path for path, _ in world.others.asked if "accounts" in path]


async def test_where_the_accounts_are_in_a_file_the_page_says_so(world: World) -> None:
    async with limited_client(world) as client:
        answer = await client.ask("POST", f"{PATH}/search", {}, Cookie=officer(world, "administrator"))
        assert answer[:2] == (200, {"source": "file"})
