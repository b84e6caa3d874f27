"""A citizen and an agent in Chromium, side by side, as they see the running system. Nothing of services/ in here."""

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

import aiohttp
from playwright.async_api import Browser, BrowserContext, Download, Locator, Page, expect
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tests.support.clients import Citizen, until_blue

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or "chromium"
"""Debian's headless shell, which needs half the processor time of a whole Chromium that draws nothing either."""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WAIT_MS = 60_000  # a guard against hanging, never a promise
SOON_MS = 2_000  # until what other actions bring about is helped along once more
LOOK_MS = 50  # between two looks of the page at itself; an assertion of Playwright looks once a second in the end
DESKTOP, PHONE = (1280, 800), (360, 740)
WATCH = """
window.watched = { dots: [], log: [] };
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (options) {
  const root = attach.call(this, options);
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === "attributes") watched.dots.push(target.dataset.dot);
      else if (target.role === "log")
        for (const node of addedNodes)
          watched.log.push({ live: target.ariaLive, text: node.querySelector(".bubble")?.textContent });
    }
  }).observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-dot"] });
  return root;
};
"""
"""Keeps each colour of the dot and, as a screen reader would hear it, each message that comes into the log."""
LOOKS = """([hook, name, value]) =>
    document.querySelector("eloket-chat")?.shadowRoot
        ?.querySelector(`[data-testid=${hook}]`)?.dataset[name] === value"""
"""Whether a data attribute of what has this hook in the element has this value."""
STORED = """(text) => {
    const root = document.querySelector("eloket-chat")?.shadowRoot ?? document;
    const all = [...root.querySelectorAll("[data-testid=chat-messages] .bubble")];
    const found = all.filter((one) => one.textContent.trim() === text);
    return found.length === 1 && !found[0].closest(".sending");
}"""
"""Whether this text stands once in the open conversation, and is not under way."""
NO_WEBSOCKET = """() => {
    window.RealWebSocket = window.WebSocket;
    window.WebSocket = class {
        constructor() { setTimeout(() => this.onclose?.({ code: 1006 })); }
        close() {}
    };
}"""
KEPT = """[sessionStorage, localStorage].flatMap((area) => Object.entries(area))
    .filter(([name]) => name.endsWith(" chat")).map(([, value]) => value)"""

SLOW = "WebSocket is closed before the connection is established"
"""What Chromium complains of when the page gives up a handshake that a full machine does not finish in time."""

expect.set_options(timeout=WAIT_MS)


class Options(TypedDict, total=False):
    """How a browser context differs from an ordinary one."""

    size: tuple[int, int]
    device_scale_factor: float
    has_touch: bool
    is_mobile: bool
    permissions: list[str]
    clock: bool
    """The test moves the page's clock (`page.clock`), which else goes on as always."""


class Heard(TypedDict):
    """A message that came into the log. `live`: how it is read aloud, `polite` or `off`."""

    live: str | None
    text: str | None


@dataclass
class Person:
    """A user with a browser of their own (cookies, storage), looking at one page."""

    base: str
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)
    """Origins of pages that embed the widget."""

    def hook(self, name: str) -> Locator:
        """What the protocol calls by this name; found in the element's shadow root too."""
        return self.page.get_by_test_id(name)

    def said(self, text: str) -> Locator:
        """The message with this text in the open conversation."""
        return self.hook("chat-messages").locator(".bubble").get_by_text(text, exact=True)

    async def say(self, text: str) -> None:
        """Types a text and presses Enter."""
        await self.hook("chat-input").fill(text)
        await self.hook("chat-input").press("Enter")

    def item(self, name: str) -> Locator:
        """The chat with the citizen of this name in an agent's list."""
        return self.hook("chat-item").filter(has_text=name)

    async def sees(self, text: str) -> None:
        """Waits until the text stands once in the conversation, stored: none is still under way."""
        with contextlib.suppress(PlaywrightTimeoutError):
            await self.page.wait_for_function(STORED, arg=text, polling=LOOK_MS)
        await expect(self.said(text)).to_have_count(1, timeout=SOON_MS)
        under_way = self.hook("chat-messages").locator(".sending").get_by_text(text, exact=True)
        await expect(under_way).to_have_count(0, timeout=SOON_MS)

    async def shown(self) -> list[str]:
        """The texts of the conversation, in order, without the system's own."""
        found = self.hook("chat-messages").locator(".message:not(.system):not(.note) .bubble")
        return [text.strip() for text in await found.all_inner_texts()]

    async def told(self) -> list[str]:
        """What the system said in the citizen's conversation, in order."""
        return await self.hook("chat-messages").locator(".message.system .bubble").all_inner_texts()

    async def dots(self) -> list[str]:
        """The colours that the citizen's dot has had since the page was loaded."""
        found: list[str] = await self.page.evaluate("watched.dots")
        return found

    async def heard(self) -> list[Heard]:
        """What came into the log since the page was loaded."""
        found: list[Heard] = await self.page.evaluate("watched.log")
        return found

    async def kept_chat(self) -> dict[str, str]:
        """The chat that the citizen's browser keeps: its id, its token and more."""
        [text] = await self.page.evaluate(KEPT)
        found: dict[str, str] = json.loads(text)
        return found

    async def keeps_a_chat(self) -> bool:
        """Whether the citizen's browser keeps anything as a chat."""
        return bool(await self.page.evaluate(KEPT))

    async def focus(self) -> str | None:
        """The hook or id of what has the keyboard."""
        found: str | None = await self.page.evaluate("""() => {
            let at = document.activeElement;
            while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
            return at?.dataset.testid ?? at?.id ?? null;
        }""")
        return found

    async def dot(self, colour: str) -> None:
        """Waits until the citizen's dot has this colour."""
        await self._looks("chat-dot", "dot", colour)

    async def was(self, colour: str) -> None:
        """Waits until the citizen's dot has, or has had, this colour, however short."""
        await self.page.wait_for_function("(colour) => watched.dots.includes(colour)", arg=colour, polling=LOOK_MS)

    async def button(self, colour: str) -> None:
        """Waits until the launcher has this colour."""
        await self._looks("chat-button", "colour", colour)

    async def whole(self) -> None:
        """Waits until the launcher has what it loads after its colour: also how else to reach the department."""
        await expect(self.hook("chat-reach")).to_have_attribute("aria-label", re.compile("."))

    async def _looks(self, hook: str, name: str, value: str) -> None:
        with contextlib.suppress(PlaywrightTimeoutError):
            await self.page.wait_for_function(LOOKS, arg=[hook, name, value], polling=LOOK_MS)
        await expect(self.hook(hook)).to_have_attribute(f"data-{name}", value, timeout=SOON_MS)

    async def goes_offline(self) -> None:
        """Takes the network away; returns when the dot is red.

        Being offline, as the browser emulates it, now and then lets a websocket through on a full machine: the page
        gets none meanwhile.
        """
        self.expects("net::ERR_", "WebSocket")
        await self.page.evaluate(NO_WEBSOCKET)
        await self.context.set_offline(True)
        await self.dot("red")

    async def comes_back(self) -> None:
        """Gives the network back."""
        await self.page.evaluate("() => { window.WebSocket = window.RealWebSocket; }")
        await self.context.set_offline(False)

    async def passes(self, seconds: float, goal: Locator) -> None:
        """Lets so much time pass on a page that has a clock, again and again, until this is there.

        The time jumps, so that a question which the page asks then has its time for the answer.
        """
        async with asyncio.timeout(WAIT_MS / 1000):
            while True:
                await self.page.clock.fast_forward(round(seconds * 1000))
                with contextlib.suppress(PlaywrightTimeoutError):
                    return await goal.wait_for(state="attached", timeout=2 * SOON_MS)

    async def lives(self, goal: Locator) -> None:
        """Runs the timers of a page that has a clock, five seconds at a time, until this is there.

        Between them the page learns what the network did meanwhile.
        """
        async with asyncio.timeout(WAIT_MS / 1000):
            while True:
                await self.page.clock.run_for(5_000)
                with contextlib.suppress(PlaywrightTimeoutError):
                    return await goal.wait_for(timeout=SOON_MS / 4)

    async def upload(self, *files: Path) -> None:
        """Chooses files as with the paper clip."""
        async with self.page.expect_file_chooser() as chooser:
            await self.hook("chat-attach").click()
        await (await chooser.value).set_files(list(files))

    async def saved(self, press: Locator) -> tuple[str, bytes]:
        """Name and bytes of what a press on this downloads."""
        async with self.page.expect_download() as waiting:
            await press.click()
        download: Download = await waiting.value
        path = await download.path()
        return download.suggested_filename, path.read_bytes()

    def expects(self, *patterns: str) -> None:
        """The browser may complain of this from here on: the test makes it happen."""
        self.expected += patterns

    def unexpected(self) -> list[str]:
        """What the browser complained of and no test had announced; addresses of other servers too."""
        loud = [c for c in self.complaints if not any(re.search(one, c) for one in (*self.expected, SLOW))]
        inside = (self.base, self.base.replace("http", "ws", 1), "blob:", "data:", *self.sites)
        return loud + [f"foreign request: {address}" for address in self.addresses if not address.startswith(inside)]


class Scene:
    """The people of one test; `close()` leaves the system as it was: nobody logged in, no chat open."""

    def __init__(self, base: str, browser: Browser, sites: Iterable[str] = ()) -> None:
        self.base, self.browser, self.sites = base, browser, tuple(sites)
        self.citizens: list[Person] = []
        self.agents: list[Person] = []

    async def citizen(self, path: str = "/", **options: Unpack[Options]) -> Person:
        """A citizen with the sample form open."""
        self.citizens.append(await self._person(path, options))
        return self.citizens[-1]

    async def agent(self, username: str = "an", **options: Unpack[Options]) -> Person:
        """An agent who has logged in and is ready for chats."""
        person = await self.stranger(**options)
        await log_in(person, username)
        return person

    async def stranger(self, **options: Unpack[Options]) -> Person:
        """Somebody before the login form of the console."""
        self.agents.append(await self._person("/agent", options))
        return self.agents[-1]

    async def _person(self, path: str, options: Options) -> Person:
        width, height = options.get("size", DESKTOP)
        context = await self.browser.new_context(
            viewport={"width": width, "height": height},
            locale="nl-BE",
            timezone_id="Europe/Brussels",
            reduced_motion="reduce",
            device_scale_factor=options.get("device_scale_factor"),
            has_touch=options.get("has_touch"),
            is_mobile=options.get("is_mobile"),
            permissions=options.get("permissions"),
        )
        context.set_default_timeout(WAIT_MS)
        await context.add_init_script(WATCH)
        # Listened for on each page from its beginning: at the moment of a press it may come too late.
        context.on("page", lambda page: page.on("filechooser", lambda _: None))
        person = Person(self.base, context, await context.new_page(), sites=[*self.sites])
        loud = ("error", "warning")
        context.on("console", lambda m: person.complaints.append(f"{m.text} {m.location}") if m.type in loud else None)
        context.on("weberror", lambda e: person.complaints.append(str(e.error)))
        context.on("request", lambda r: person.addresses.append(r.url))
        if options.get("clock"):
            await person.page.clock.install()
        await person.page.goto(self.base + path)
        return person

    async def close(self) -> None:
        """Ends every chat, logs every agent out, closes the browsers; then checks that nothing was complained of."""
        everybody = [*self.citizens, *self.agents]
        wrong = [line for person in everybody for line in person.unexpected()]
        async with aiohttp.ClientSession() as session:
            failed = await gathered(_end_chat(person, session) for person in self.citizens)
        failed += await gathered(_log_out(person) for person in self.agents)
        failed += await gathered(person.context.close() for person in everybody)
        failed += await gathered([until_blue(self.base, "no_agents")])
        assert not wrong, wrong
        assert not failed, failed


async def gathered(steps: Iterable[Coroutine[object, object, None]]) -> list[BaseException]:
    """Does all of it, whatever fails; what failed."""
    done = await asyncio.gather(*steps, return_exceptions=True)
    return [one for one in done if one is not None]


async def _end_chat(person: Person, session: aiohttp.ClientSession) -> None:
    await person.context.set_offline(False)
    assert not await person.context.cookies(), "a citizen has a cookie"
    kept: dict[str, dict[str, Any]] = {}
    for page in person.context.pages:
        with contextlib.suppress(PlaywrightError):  # it is on no page of a site
            kept |= {record["chat_id"]: record for record in map(json.loads, await page.evaluate(KEPT))}
    for record in kept.values():
        if not record.get("ended"):
            visitor = Citizen(person.base, session)
            visitor.chat_id, visitor.token = record["chat_id"], record["token"]
            await visitor.end()


async def _log_out(person: Person) -> None:
    await person.context.set_offline(False)
    await person.context.request.delete(f"{person.base}/api/agent/session", headers={"Origin": person.base})


async def log_in(person: Person, username: str, password: str = "demo") -> None:
    """Fills in the login form; returns when the console is connected."""
    await person.hook("login-username").fill(username)
    await person.hook("login-password").fill(password)
    await person.hook("login-submit").click()
    await expect(person.hook("agent-state")).to_have_attribute("data-state", "available")


async def press(citizen: Person, name: str = "", question: str = "") -> None:
    """Presses the green button, which starts a chat; then gives a name and asks. Returns when the chat is there."""
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await begun(citizen)
    if name:
        await citizen.hook("own-name").fill(name)
        await citizen.hook("own-name-send").click()
    if question:
        await citizen.say(question)


async def begun(citizen: Person) -> None:
    """Waits until the server has started the chat of a press."""
    await expect(citizen.hook("chat-dot")).to_be_visible()
    await expect(citizen.hook("chat-close")).to_be_visible()


async def open_form(citizen: Person, name: str = "", question: str = "") -> None:
    """Presses the green button of a department that asks first, and fills in the form."""
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await citizen.page.locator("input#name").fill(name)
    await citizen.page.locator("textarea#question").fill(question)


async def talking(scene: Scene, question: str = "", name: str = "Lien Claes") -> tuple[Person, Person]:
    """A citizen and the agent `an` in conversation: green dot, and the chat open on the console."""
    agent = await scene.agent()
    citizen = await scene.citizen()
    await press(citizen, name, question)
    await citizen.dot("green")
    await expect(agent.hook("chat-input")).to_be_visible()
    return citizen, agent


async def shows_typing(typist: Person, text: str, shown: Locator) -> None:
    """Types a text of two letters or more; returns when the other side shows that somebody types.

    It shows that for a few seconds after a key, which a full machine may let pass: then the last letter is typed anew.
    """
    bar = typist.hook("chat-input")
    await bar.press_sequentially(text)
    async with asyncio.timeout(WAIT_MS / 1000):
        while True:
            with contextlib.suppress(PlaywrightTimeoutError):
                return await shown.wait_for(timeout=SOON_MS)
            await bar.press("Backspace")
            await bar.press_sequentially(text[-1])


async def focused(person: Person, name: str) -> None:
    """Waits until this has the focus."""

    async def has() -> bool:
        return await person.focus() == name

    await until(has)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns as soon as the condition holds. Raises `TimeoutError`."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while not await condition():
            await asyncio.sleep(0.05)


FREE = """(name) => fetch("/api/agents").then((answer) => answer.json()).then(({ agents }) => agents.some((one) =>
    one.name === name && one.online && one.state === "available" && one.free > 0))"""


async def can_be_given(agent: Person, colleague: str) -> None:
    """Returns when the agent can transfer a chat to this colleague, who has just come."""

    async def is_free() -> bool:
        return bool(await agent.page.evaluate(FREE, colleague))

    await until(is_free)
