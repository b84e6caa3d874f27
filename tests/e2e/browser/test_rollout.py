"""What a citizen and an agent see in their browsers while the gateway that serves them is replaced: next to nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Route

from tests.e2e.browser.people import Scene, begun, log_in, open_form, press, talking
from tests.support.servers import Broker, unique
from tests.system.rollout.deployment import ORDER, Deployment, deployment
from tests.system.rollout.versions import PRESENT, Version

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
WATCH_TIMES = """
window.dotTimes = [];
const dot = document.querySelector("eloket-chat").shadowRoot.querySelector("[data-testid=chat-dot]");
new MutationObserver(() => dotTimes.push([dot.dataset.dot, performance.now() / 1000]))
  .observe(dot, { attributes: true, attributeFilter: ["data-dot"] });
"""
"""Keeps each colour that the dot takes from here on, and when."""


@pytest.fixture
def ours(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[Deployment]:
    name = unique("rollout-")
    home, url = tmp_path_factory.mktemp("rollout"), broker.make_vhost(name)
    with deployment(home, url, mongodb_url, MONGODB_PREFIX=f"{name}-", HELLO_LIMIT="120") as made:
        yield made
    broker.remove_vhost(name)


async def test_when_the_gateway_is_replaced_the_dot_is_grey_for_a_moment_and_never_red(
    ours: Deployment, browser: Browser
) -> None:
    await ours.start(PRESENT, *ORDER)
    scene = Scene(ours.base_url, browser)
    citizen, agent = await talking(scene)
    citizen.expects("WebSocket|Failed to load resource|EventSource")
    agent.expects("WebSocket|Failed to load resource")
    await citizen.page.evaluate(WATCH_TIMES)
    drains = await ours.replace(PRESENT, "gateway")
    await citizen.say("bent u er nog?")
    await agent.sees("bent u er nog?")
    await agent.say("zeker")
    await citizen.sees("zeker")
    await citizen.dot("green")
    seen = await citizen.page.evaluate("dotTimes")
    print(f"\n{seen} {drains}")
    assert [dot for dot, _ in seen] == ["grey", "green"]
    assert all(drain.good for drain in drains)
    await scene.close()


LAUNCHER = ("widget", "button", "dom", "launcher-style", "text/launcher/nl")
PANEL = ("widget", "panel", "chat-view", "composer", "log", "start", "panel-style", "aside", "text/nl")
"""Modules of the former version that a page may have loaded before the gateway was replaced; the others come now."""


@pytest.mark.parametrize("loaded", [LAUNCHER, PANEL], ids=["launcher", "panel"])
async def test_a_page_that_was_opened_under_the_former_version_goes_on(
    scene: Scene, former_version: Version, tmp_path: Path, loaded: tuple[str, ...]
) -> None:
    agent = await scene.agent()
    citizen = await scene.citizen()

    async def serve(route: Route) -> None:
        path = urlsplit(route.request.url).path.removeprefix("/static/loket-chat").removeprefix("/")
        file = former_version.root / "services/gateway/web/loket-chat" / path
        await route.fulfill(path=file, content_type="text/javascript")

    for name in loaded:
        url = "/widget.js" if name == "widget" else f"/static/loket-chat/{name}.js"
        await citizen.page.route(re.compile(re.escape(url) + r"(\?.*)?$"), serve)
    await citizen.page.reload()
    if loaded is PANEL:  # a press of the former version opens its form
        await open_form(citizen, "Lien", "Bent u daar?")
        await citizen.hook("start-submit").click()
    else:
        await press(citizen, "Lien", "Bent u daar?")
    await citizen.dot("green")
    await citizen.say("Ja hoor")
    await agent.sees("Ja hoor")
    file = tmp_path / "brief.txt"
    file.write_text("Beste")
    await citizen.page.locator("input[type=file]").set_input_files(file)
    await agent.hook("chat-messages").get_by_text("brief.txt").first.wait_for()


async def test_the_button_comes_when_its_modules_did_not_load_at_first(scene: Scene) -> None:
    """During an update the request for a new module may reach a replica that does not have it."""
    citizen = await scene.citizen()
    citizen.expects("Failed to load resource")
    lacking = {"dom.js", "launcher-style.js", "nl.js"}

    async def answer(route: Route) -> None:
        name = re.split(r"[/?]", route.request.url.split("?")[0])[-1]
        if name in lacking:
            lacking.discard(name)
            await route.fulfill(status=404, body="{}")
        else:
            await route.continue_()

    await citizen.page.route(re.compile(r"/static/([0-9a-f]{8}/)?(shared|loket-chat)/"), answer)
    await citizen.page.reload()
    await citizen.button("blue")
    assert not lacking


WITHIN_A_PART = ("shared/conversation", "loket-chat/message-list", "loket-chat/store", "agent/controller")
"""Modules that others import: the page asks for them without a way to try again."""


@pytest.mark.parametrize("lacking", ["", *WITHIN_A_PART])
async def test_a_page_goes_on_when_replicas_of_a_version_without_digests_answer(scene: Scene, lacking: str) -> None:
    """They answer 404 to a path with a digest. Here they get all of these requests, or those for one module."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=404, body="{}")

    refused = re.compile(rf"/static/[0-9a-f]{{8}}/.*{re.escape(lacking)}.*\.js")
    agent, citizen = await scene.stranger(), await scene.citizen("/toegankelijkheid")
    for person, path in ((agent, "/agent"), (citizen, "/")):
        person.expects("Failed to load resource", "Failed to fetch dynamically imported module")
        await person.page.route(refused, answer)
        await person.page.goto(f"{person.base}{path}")
    await log_in(agent, "an")
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await begun(citizen)
    await citizen.say("Bent u daar?")
    await agent.sees("Bent u daar?")
    await agent.say("Jazeker")
    await citizen.sees("Jazeker")


async def test_a_page_of_another_release_takes_all_of_its_modules_below_its_own_digest(scene: Scene) -> None:
    """It asks replicas of this release for the digest of the other one, and goes on with their files."""
    await scene.agent()
    citizen = await scene.citizen("/toegankelijkheid")  # a page without modules of its own

    async def former(route: Route) -> None:
        response = await route.fetch()
        text, times = re.subn(r'"/[0-9a-f]{8}"', '"/01234567"', await response.text())
        assert times == 1
        await route.fulfill(response=response, body=text)

    await citizen.page.route("**/widget.js", former)
    paths: list[str] = []
    citizen.page.on("request", lambda request: paths.append(urlsplit(request.url).path))
    await citizen.page.evaluate("""() => {
        document.body.append(document.createElement("eloket-chat"));
        const script = Object.assign(document.createElement("script"), { type: "module", src: "/widget.js" });
        document.body.append(script);
    }""")
    await press(citizen, "", "Bent u daar?")
    await citizen.sees("Bent u daar?")
    modules = [path for path in paths if path.startswith("/static/")]
    assert len(modules) > 30
    assert [path for path in modules if not path.startswith("/static/01234567/")] == []
    assert [path for path in modules if modules.count(path) > 2] == []  # a preload, and the import
