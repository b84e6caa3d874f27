"""`services/gateway/http/shortcut.py` behind a real server: the same answers as by way of the router."""

from tests.gateway.asking import Client, show
from tests.gateway.standing import World


async def test_the_department_is_found_however_it_is_written(client: Client) -> None:
    for query, department in (
        ("", "algemeen"),
        ("?x=1", "algemeen"),
        ("?department=premies", "premies"),
        ("?x=1&department=%70remies", "premies"),
        ("?department=algemeen&department=premies", "premies"),
    ):
        status, button, headers = await client.ask("GET", f"/api/button{query}")
        assert (status, button["department"], headers["Content-Type"]) == (200, department, "application/json"), query


async def test_what_it_does_not_answer_goes_on(client: Client) -> None:
    for path in ("/api/button", "/api/button/events"):
        for query in ("department=", "department=elders", "department=premies&department=elders", "department=%FF"):
            status, problem, _ = await client.ask("GET", f"{path}?{query}")
            assert (status, problem["code"]) == (404, "unknown_department"), query
        status, problem, headers = await client.ask("POST", path, {})
        assert (status, problem["code"], headers["Allow"]) == (405, "method_not_allowed", "GET")


async def test_an_answer_that_is_still_right_has_no_body_and_every_other_one_has(world: World, client: Client) -> None:
    await show(world, client)
    _, button, headers = await client.ask("GET", "/api/button")
    tag = headers["ETag"]
    status, body, unchanged = await client.ask("GET", "/api/button", If_None_Match=f'"other",  W/{tag}')
    assert (status, body) == (304, None)
    assert {n: unchanged[n] for n in ("ETag", "Cache-Control", "Vary")} == {
        n: headers[n] for n in ("ETag", "Cache-Control", "Vary")
    }
    assert (await client.ask("GET", "/api/button", If_None_Match='"other"'))[:2] == (200, button)
