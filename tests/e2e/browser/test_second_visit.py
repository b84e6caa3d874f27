"""What a browser asks for at a second visit, when all that caches may keep for a minute or less is older."""

import pytest
from playwright.async_api import expect

from tests.e2e.browser.networks import Network
from tests.e2e.browser.people import Person, Scene, begun
from tests.support.clients import agent
from tests.support.servers import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def asked_again(person: Person, between: Network, path: str) -> list[str]:
    """The requests of another view of the page that was opened before, until it can be used."""
    await person.page.goto("about:blank")
    between.requests.clear()
    await person.page.goto(f"{person.base}{path}")
    return between.requests


async def test_a_second_visit_asks_for_the_page_the_script_and_the_button_and_no_module(
    networked: Scene, between: Network, system: System
) -> None:
    between.stale = True
    async with agent(system.base_url):
        citizen = await networked.citizen()
        await citizen.hook("chat-button").click()
        await begun(citizen)
        await citizen.hook("chat-close").click()
        await citizen.hook("confirm").click()
        await expect(citizen.page.locator(".ended .reason")).to_be_visible()
        await citizen.hook("chat-dismiss").click()
        await citizen.button("green")
        first = [path for path in between.requests if "/static/" in path]
        assert len(first) > 30
        requests = await asked_again(citizen, between, "/")
        await citizen.button("green")
        await citizen.whole()
        await citizen.hook("chat-button").click()
        await begun(citizen)
        files = [path for path in requests if "/api/" not in path and "/ws/" not in path]
        print(f"\n{len(first)} requests for files at first, then {files}")
        assert sorted(set(files)) == ["GET /", "GET /static/demo/demo.js", "GET /widget.js"]
        assert requests.count("GET /api/button") == 1


async def test_a_second_view_of_the_console_asks_for_its_entry_and_no_module(
    networked: Scene, between: Network
) -> None:
    between.stale = True
    person = await networked.agent()
    first = [path for path in between.requests if "/static/" in path]
    assert len(first) > 40
    requests = await asked_again(person, between, "/agent")
    await expect(person.hook("agent-state")).to_be_visible()
    files = [path for path in requests if "/api/" not in path and "/ws/" not in path]
    print(f"\n{len(first)} requests for files at first, then {files}")
    assert sorted(set(files)) == ["GET /agent", "GET /static/agent/console.js"]
