"""The agents' console on a host of its own, in a browser: 127.0.0.1 is for citizens, localhost is the console's."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from deploy.local import ports
from deploy.local.settings import SERVICES
from tests.e2e.browser.people import Person, Scene, press
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system with both hosts."""
    home = tmp_path_factory.mktemp("console-host")
    port = ports.remembered(home / "service_ports.json", SERVICES)["gateway"]
    origins = {"PUBLIC_ORIGINS": f"http://127.0.0.1:{port}", "CONSOLE_ORIGIN": f"http://localhost:{port}"}
    with running_browser_system(home, [Account("ada", capacity=3)], broker, mongodb_url, **origins) as running:
        assert running.ports["gateway"] == port
        yield running


@pytest.fixture
def console(system: System) -> str:
    """The console's origin."""
    return system.base_url.replace("127.0.0.1", "localhost")


async def by_bookmark(scene: Scene, console: str) -> Person:
    """The agent `ada`, who has opened the console by the address that citizens have."""
    ada = await scene.agent("ada")
    assert ada.page.url.startswith(f"{console}/agent")
    ada.base, ada.sites = console, [scene.base]
    return ada


async def test_a_bookmark_leads_an_agent_to_the_console_where_a_whole_conversation_works(
    scene: Scene, console: str, tmp_path: Path
) -> None:
    ada = await by_bookmark(scene, console)
    cookies = {(one.get("name"), one.get("domain")) for one in await ada.context.cookies()}
    assert ("eloket-agent", "localhost") in cookies
    assert {domain for _, domain in cookies} == {"localhost"}, "of this host alone"
    lien = await scene.citizen()
    assert lien.page.url.startswith(scene.base)
    await press(lien, "Lien", "Kan het hier ook?")
    await lien.dot("green")
    await ada.sees("Kan het hier ook?")
    await ada.say("Jazeker.")
    await lien.sees("Jazeker.")
    note = tmp_path / "brief.txt"
    note.write_text("een brief")
    await ada.upload(note)
    await expect(lien.hook("chat-messages")).to_contain_text("brief.txt")


async def test_the_other_host_has_neither_the_session_nor_the_pages(scene: Scene, console: str) -> None:
    ada = await by_bookmark(scene, console)
    for path, origin, status in (
        ("/api/agent/me", console, 200),
        ("/api/agent/me", scene.base, 404),
        ("/api/button", scene.base, 200),
        ("/api/button", console, 404),
        ("/infofiche/algemeen", console, 404),
        ("/widget.js", console, 404),
    ):
        answer = await ada.context.request.get(origin + path)
        assert answer.status == status, (origin, path)
        if status == 404:
            assert json.loads(await answer.text())["code"] == "other_host", (origin, path)
