"""What a browser fetches before the button has its colour and before the first message: no more, and it is enough.

Everything else is held back at the network, so that what these tests see comes from the files that they name.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Route, expect

from tests.e2e.browser.people import Person, Scene, begun, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

LAUNCHER = {
    "/widget.js",
    "/static/shared/dom.js",
    "/static/loket-chat/launcher-style.js",
    "/static/loket-chat/text/button/nl.js",
}
PRESSING = {"/static/loket-chat/launcher-actions.js"}
PANEL = {
    *(f"/static/shared/{name}.js" for name in ("connection", "conversation", "style-sheets", "translator")),
    *(f"/static/loket-chat/{name}.js" for name in ("panel", "panel-style", "chat-view", "chat-session")),
    *(f"/static/loket-chat/{name}.js" for name in ("start-chat", "store", "text/panel/nl")),
}
OURS = re.compile(r"/(widget\.js|static/([0-9a-f]{8}/)?(shared|loket-chat)/)")
DIGEST = re.compile(r"(?<=^/static/)[0-9a-f]{8}/")
OF_THE_FORM = "/static/shared/translator.js"
"""The sample form needs it too, before there is a panel."""
EMPTY = "/toegankelijkheid"
"""A page without the widget, so that nothing of it is in the browser's cache."""
LOST = 12_000  # ms


class Files:
    """The widget's files on their way to a page. Those in `held` wait until `release`, those in `refused` get a 404."""

    def __init__(self, citizen: Person) -> None:
        self.citizen = citizen
        self.sizes: dict[str, int] = {}
        self.only: set[str] | None = None
        self.held: set[str] = set()
        self.refused: set[str] = set()
        self._gate = asyncio.Event()

    async def open(self) -> None:
        """Opens the sample form, which has these files."""
        await self.citizen.page.route(OURS, self._answer)
        await self.citizen.page.goto(f"{self.citizen.base}/", wait_until="commit")

    async def _answer(self, route: Route) -> None:
        path = DIGEST.sub("", urlsplit(route.request.url).path)
        if path in self.held or (self.only is not None and path not in self.only | {OF_THE_FORM}):
            await self._gate.wait()
        if path in self.refused:
            await route.fulfill(status=404, body="{}")
            return
        response = await route.fetch()
        self.sizes[path] = int(response.headers["content-length"])  # as it is sent: the smallest are not compressed
        await route.fulfill(response=response)

    async def have(self, paths: set[str]) -> None:
        """Waits until all of these have come: some may be on their way when what the page needs first is there."""

        async def come() -> bool:
            return self.sizes.keys() >= paths

        await until(come)

    def release(self) -> None:
        """Lets go of what is held."""
        self._gate.set()

    async def leave(self) -> None:
        """Answers nothing more."""
        await self.citizen.page.unroute_all(behavior="ignoreErrors")


@pytest_asyncio.fixture(loop_scope="session")
async def files(scene: Scene) -> AsyncIterator[Files]:
    """The files of a citizen's page, with an agent who is available."""
    await scene.agent()
    made = Files(await scene.citizen(EMPTY))
    yield made
    made.release()
    await made.leave()


async def test_the_button_has_its_colour_with_5_kb(files: Files) -> None:
    files.only = LAUNCHER
    await files.open()
    await files.citizen.button("green")
    await files.have(LAUNCHER)
    assert files.sizes.keys() - {OF_THE_FORM} == LAUNCHER
    assert sum(size for path, size in files.sizes.items() if path in LAUNCHER) <= 5_000


async def test_the_first_message_reaches_the_agent_with_25_kb_of_launcher_and_panel(files: Files, scene: Scene) -> None:
    (agent,) = scene.agents
    citizen, files.only = files.citizen, LAUNCHER | PRESSING | PANEL
    await files.open()
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await expect(citizen.hook("chat-input")).to_be_focused()
    await citizen.say("Dag, mag ik iets vragen?")
    await citizen.dot("green")
    await agent.sees("Dag, mag ik iets vragen?")
    await files.have(files.only)
    assert files.sizes.keys() == files.only
    assert sum(files.sizes.values()) <= 25_000
    bar = await citizen.hook("chat-input").bounding_box()
    files.release()
    await citizen.sees("Dag, mag ik iets vragen?")
    await expect(citizen.hook("chat-close")).to_be_visible()
    after = await citizen.hook("chat-input").bounding_box()
    assert bar
    assert after
    assert abs(bar["y"] - after["y"]) <= 1, "nothing jumps"


async def test_a_press_before_the_launcher_can_do_anything_says_so_and_is_not_lost(files: Files) -> None:
    citizen, files.held = files.citizen, PRESSING
    await files.open()
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await expect(citizen.hook("chat-button")).to_contain_text("Even geduld")
    files.release()
    await begun(citizen)


async def test_a_colour_that_nothing_follows_does_not_stay(scene: Scene) -> None:
    await scene.agent()
    files = Files(await scene.citizen(EMPTY, clock=True))
    files.held = {"/static/loket-chat/launcher-state.js"}
    await files.open()
    await files.citizen.button("green")
    await files.citizen.page.clock.fast_forward(LOST)
    await files.citizen.button("blue")
    files.release()
    await files.citizen.button("green")
    await files.leave()


async def test_the_tools_of_a_chat_that_do_not_come_are_tried_again_and_the_citizen_knows(files: Files) -> None:
    citizen, files.refused = files.citizen, {"/static/loket-chat/chat-tools.js"}
    citizen.expects("Failed to load resource")
    await files.open()
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    notice = citizen.page.locator(".chat > .notice:not(.far)")
    await expect(notice).to_contain_text("Een deel van de chat is nog niet geladen.")
    await citizen.say("Ik schrijf alvast")
    files.refused = set()
    await citizen.sees("Ik schrijf alvast")
    await expect(notice).to_be_hidden()


async def test_the_focus_is_kept_when_a_chat_ends_before_its_tools_come(files: Files, scene: Scene) -> None:
    (agent,) = scene.agents
    citizen, files.held = files.citizen, {"/static/loket-chat/chat-tools.js"}
    await files.open()
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await citizen.dot("green")
    await expect(citizen.hook("chat-input")).to_be_focused()
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()
    await citizen.dot("red")
    await expect(citizen.hook("chat-input")).to_be_focused()
    files.release()
    await expect(citizen.page.locator(".ended .reason")).to_be_focused()
    await expect(citizen.hook("chat-input")).to_be_hidden()
