"""The journeys of a citizen and of an agent in Firefox ESR and in WebKitGTK, whose other side speaks the protocol.

Chromium has them in `test_journey.py` and the other modules.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has no types

from tests.e2e.browser.people import DESKTOP, PHONE
from tests.e2e.browser.test_accessibility import SIDEWAYS
from tests.support.browsers.engines import ENTER, ESCAPE, Engine, Page
from tests.support.browsers.firefox import running_firefox
from tests.support.browsers.webkit import running_webkit
from tests.support.clients import Agent, Citizen, Frame, agent, begin, citizen, say, until_blue
from tests.support.servers import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

Running = Callable[[Path], AbstractContextManager[Engine]]
ENGINES: dict[str, Running] = {"firefox": running_firefox, "webkit": running_webkit}
TAKEN = """return ["chat-accept", "chat-input"].find((hook) => find(hook) && drawn(find(hook)));"""
ZOOMED = ((640, 512), (320, 256))
NEAR = 48  # CSS pixels: so far is the button from the corner at most
AXE = """return axe.run(document, { resultTypes: ["violations"], ...arguments[0] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.target} ${node.failureSummary}`)));"""
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
QUIET = """return matchMedia("(prefers-reduced-motion: reduce)").matches
    && all("*").filter(drawn).map((one) => getComputedStyle(one))
        .every((style) => style.animationName === "none" && style.transitionDuration === "0s");"""
"""Whether nothing on the page moves by itself."""
FIT = """return all(".pick").every((one) =>
    [...one.children].every((part) => part.getBoundingClientRect().height <= one.getBoundingClientRect().height));"""
"""Whether each choice holds its words."""
SPOIL = """all("aside")[0].append(Object.assign(document.createElement("button"), { className: "empty" }));"""
PANEL = """const { x, y, width, height } = all("dialog[open]")[0].getBoundingClientRect();
return [x, y, width, height].map(Math.round);"""


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=list(ENGINES))
async def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """One browser after the other, each started once."""
    running = ENGINES[request.param](tmp_path_factory.mktemp(request.param))
    started = await asyncio.to_thread(running.__enter__)
    yield started
    await asyncio.to_thread(running.__exit__, None, None, None)


@pytest_asyncio.fixture(loop_scope="session")
async def page(engine: Engine, system: System) -> AsyncIterator[Page]:
    """A page of somebody who was never here; afterwards nobody is logged in and no chat is open."""
    made = Page(engine, system.base_url)
    await made.fresh()
    await made.size(DESKTOP)
    yield made
    complaints = await made.complaints()
    async with aiohttp.ClientSession() as session:
        for kept in await made.kept_chats():
            if not kept.get("ended"):
                visitor = Citizen(made.base, session)
                visitor.chat_id, visitor.token = kept["chat_id"], kept["token"]
                await visitor.end()
    await made.run('return fetch("/api/agent/session", { method: "DELETE" }).then(() => true);')
    await until_blue(made.base, "no_agents")
    assert not complaints


async def violations(page: Page) -> list[str]:
    """What axe finds in the page as it stands, in forced colours too where the engine has them."""
    if await page.run("return typeof axe;") == "undefined":
        await page.run(Axe().axe_script)
    found: list[str] = await page.run(AXE, {})
    if await page.forced_colours(True):
        found += [f"in forced colours: {line}" for line in await page.run(AXE, COLOURS)]
        await page.forced_colours(False)
    return found + [f"scrolls sideways: {line}" for line in await page.run(f"return ({SIDEWAYS})();")]


async def reflows(page: Page, *hooks: str) -> None:
    """Check that nothing scrolls sideways and these can be pressed, at 200 and 400 % of a window of 1280 x 1024.

    Zoom makes a window of fewer CSS pixels; WCAG 2.2 asks for 320 of them (1.4.10, Reflow).
    """
    for size in ZOOMED:
        await page.size(size)
        wide: list[str] = await page.run(f"return ({SIDEWAYS})();")
        assert not wide, f"{size}: {wide}"
        for hook in hooks:
            place = await page.uncovered(hook)
            assert 0 <= place.left < place.right <= size[0], f"{size}: {hook} is at {place}"
    await page.size(DESKTOP)


async def accepted(an: Agent) -> str:
    """Accept the chat that this agent gets; return its id."""
    assigned = await an.socket.expect("assigned")
    chat_id: str = assigned["chat"]["chat_id"]
    await an.socket.send(type="accept", chat_id=chat_id)
    return chat_id


async def received(an: Agent, text: str) -> Frame:
    """The message with this text, as soon as the agent has it."""
    return await an.socket.expect("message", text=text)


async def starts(page: Page) -> None:
    """Press the green button; return when the grey dot is there."""
    await page.stands("chat-button", colour="green")
    await page.press("chat-button")
    await page.stands("chat-dot", dot="grey")


async def test_the_blue_button_opens_the_info_sheet(page: Page) -> None:
    await page.open("/")
    await page.stands("chat-button", colour="blue")
    assert not await violations(page)
    await page.press("chat-button")
    await page.opened("/infofiche/algemeen")
    await page.run(SPOIL)
    assert [line for line in await violations(page) if "button-name" in line]  # the search reaches into the element


async def test_a_citizen_chats_from_the_green_button_to_the_red_dot(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "factuur é 2025.txt"
    file.write_text("Factuur 2025-117\n", "utf-8")
    async with agent(page.base, "an", accepts=False) as an:
        await page.open("/")
        await page.stands("chat-button", colour="green")
        assert await page.run(QUIET)
        assert not await violations(page)
        corner = await page.place("chat-button")
        assert corner
        assert corner.clear
        assert 0 <= DESKTOP[0] - corner.right <= NEAR
        assert 0 <= DESKTOP[1] - corner.bottom <= NEAR
        await starts(page)
        chat_id = await accepted(an)
        await page.stands("chat-dot", dot="green")

        await page.press("chat-input")
        await page.type(f"Mag een factuur van vorig jaar? 😀{ENTER}")
        await received(an, "Mag een factuur van vorig jaar? 😀")
        await page.type("met de knop")
        await page.press("chat-send")
        await received(an, "met de knop")
        assert await page.run('return find("chat-input").value;') == ""
        await page.choose("chat-file", file)
        sent = await an.socket.expect("message", attachment=lambda found: found is not None)
        assert sent["attachment"]["name"] == file.name
        await say(an.socket, "Ja, dat mag.", chat_id)
        await page.says("Ja, dat mag.")
        assert not await violations(page)
        await reflows(page, "chat-input", "chat-send", "chat-minimise")

        await page.press("chat-download")
        name, transcript = await page.saved("download-txt")
        assert name.endswith(".txt")
        assert "Ja, dat mag." in transcript.decode()
        await page.press("chat-close")
        await page.press("confirm")
        await page.stands("chat-dot", dot="red")
        await an.socket.expect("closed", chat_id=chat_id)
        assert not await violations(page)


async def test_on_a_phone_the_panel_fills_the_screen_and_a_reload_keeps_the_chat(page: Page) -> None:
    await page.size(PHONE)
    async with agent(page.base, "an", accepts=False) as an:
        await page.open("/")
        await page.stands("chat-button", colour="green")
        assert not await violations(page)
        await starts(page)
        chat_id = await accepted(an)
        await page.stands("chat-dot", dot="green")
        assert await page.run(PANEL) == [0, 0, *PHONE]
        bar = await page.place("chat-input")
        assert bar
        assert bar.clear
        assert 0 <= bar.left < bar.right <= PHONE[0]
        assert 0 <= bar.top < bar.bottom <= PHONE[1]
        await page.press("chat-input")
        await page.until('return document.hasFocus() && find("chat-input").matches(":focus-visible");')
        await page.type(f"Eerste vraag{ENTER}")
        await received(an, "Eerste vraag")
        await say(an.socket, "Antwoord", chat_id)
        await page.says("Antwoord")
        assert not await violations(page)

        await page.open("/")
        await page.stands("chat-dot", dot="green")
        await page.says("Eerste vraag")
        await page.says("Antwoord")
        await page.press("chat-input")
        await page.type(f"Na het herladen{ENTER}")
        await received(an, "Na het herladen")
        await an.socket.send(type="close", chat_id=chat_id)
        await page.stands("chat-dot", dot="red")


async def test_an_agent_accepts_answers_and_ends(page: Page) -> None:
    await page.open("/agent")
    await page.stands("login-username")
    assert not await violations(page)
    for hook, text in (("login-username", "an"), ("login-password", f"demo{ENTER}")):
        await page.press(hook)
        await page.type(text)
    await page.stands("agent-state", state="available")
    async with citizen(page.base) as visitor:
        await begin(visitor)
        theirs = await visitor.join()
        await page.stands("chat-item")
        if await page.until(TAKEN) == "chat-accept":  # else the console has opened the chat by itself
            await page.press("chat-accept")
        await theirs.expect("status", dot="green")
        await say(theirs, "Mag een factuur van vorig jaar?")
        await page.says("Mag een factuur van vorig jaar?")
        await page.press("chat-input")
        await page.type(f"Ja, dat mag.{ENTER}")
        await theirs.expect("message", text="Ja, dat mag.")
        await page.says("Ja, dat mag.")
        for size in (DESKTOP, PHONE):
            await page.size(size)
            assert await page.run(QUIET)
            assert not await violations(page)
        await reflows(page, "chat-input", "chat-send", "chat-close")
        await page.press("chat-transfer")
        await page.until('return all(".pick").length > 0;')
        await page.size(PHONE)
        await page.until(FIT)  # a phone that is turned
        await page.type(ESCAPE)
        await page.size(DESKTOP)
        await page.press("chat-close")
        await page.press("confirm")
        await theirs.expect("closed")
        await page.stands("dismiss")
