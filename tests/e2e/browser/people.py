"""A citizen and an agent in Chromium, side by side, as they see the running system. Nothing of services/ in here."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, BrowserContext, Download, Locator, Page, expect

from tests.e2e.clients import Citizen, until_blue

CHROMIUM = "/usr/bin/chromium"
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
          watched.log.push({ live: target.ariaLive, text: node.querySelector("p")?.textContent });
    }
  }).observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-dot"] });
  return root;
};
"""
"""Keeps each colour of the dot and, as a screen reader would hear it, each message that comes into the log."""

expect.set_options(timeout=WAIT_MS)


@dataclass
class Person:
    """Somebody with a browser of his own (cookies, storage), looking at one page."""

    base: str
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def hook(self, name: str) -> Locator:
        """What the protocol calls by this name; found in the element's shadow root too."""
        return self.page.get_by_test_id(name)

    def said(self, text: str) -> Locator:
        """The message with this text in the open conversation."""
        return self.hook("chat-messages").locator("p, .bubble").get_by_text(text, exact=True)

    async def say(self, text: str) -> None:
        """Types a text and presses Enter."""
        await self.hook("chat-input").fill(text)
        await self.hook("chat-input").press("Enter")

    async def sees(self, text: str) -> None:
        """Waits until the text stands once in the conversation, stored: none is still under way."""
        await expect(self.said(text)).to_have_count(1)
        await expect(self.hook("chat-messages").locator(".sending").get_by_text(text, exact=True)).to_have_count(0)

    async def shown(self) -> list[str]:
        """The texts of the conversation, in order, without the system's own."""
        found = self.hook("chat-messages").locator(".item:not(.system) p, .message:not(.system):not(.note) .bubble")
        return [text.strip() for text in await found.all_inner_texts()]

    async def watched(self, what: str) -> Any:
        """`dots`: the colours so far. `log`: what came into the log, and whether it was said aloud (`live`)."""
        return await self.page.evaluate(f"watched.{what}")

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
        await expect(self.hook("chat-dot")).to_have_attribute("data-dot", colour)

    async def button(self, colour: str) -> None:
        """Waits until the launcher has this colour."""
        await expect(self.hook("chat-button")).to_have_attribute("data-colour", colour)

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
        loud = [c for c in self.complaints if not any(re.search(one, c) for one in self.expected)]
        inside = (self.base, self.base.replace("http", "ws", 1), "blob:", "data:")
        return loud + [f"foreign request: {address}" for address in self.addresses if not address.startswith(inside)]


class Scene:
    """The people of one test; `close()` leaves the system as it was: nobody logged in, no chat open."""

    def __init__(self, base: str, browser: Browser) -> None:
        self.base, self.browser = base, browser
        self.citizens: list[Person] = []
        self.agents: list[Person] = []

    async def citizen(self, path: str = "/", **options: Any) -> Person:
        """A citizen with the sample form open."""
        self.citizens.append(await self._person(path, **options))
        return self.citizens[-1]

    async def agent(self, username: str = "an", **options: Any) -> Person:
        """An agent who has logged in and is ready for chats."""
        person = await self.stranger(**options)
        await log_in(person, username)
        return person

    async def stranger(self, **options: Any) -> Person:
        """Somebody before the login form of the console."""
        self.agents.append(await self._person("/agent", **options))
        return self.agents[-1]

    async def _person(self, path: str, size: tuple[int, int] = DESKTOP, **options: Any) -> Person:
        options = {"locale": "nl-BE", "timezone_id": "Europe/Brussels", "reduced_motion": "reduce", **options}
        context = await self.browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        context.set_default_timeout(WAIT_MS)
        await context.add_init_script(WATCH)
        person = Person(self.base, context, await context.new_page())
        loud = ("error", "warning")
        context.on("console", lambda m: person.complaints.append(f"{m.text} {m.location}") if m.type in loud else None)
        context.on("weberror", lambda e: person.complaints.append(str(e.error)))
        context.on("request", lambda r: person.addresses.append(r.url))
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


async def gathered(steps: Iterable[Coroutine[Any, Any, None]]) -> list[BaseException]:
    """Does all of it, whatever fails; what failed."""
    done = await asyncio.gather(*steps, return_exceptions=True)
    return [one for one in done if one is not None]


async def _end_chat(person: Person, session: aiohttp.ClientSession) -> None:
    await person.context.set_offline(False)
    assert not await person.context.cookies(), "a citizen has a cookie"
    state = await person.context.storage_state()
    kept = [row for origin in state["origins"] for row in origin["localStorage"] if row["name"].endswith(" chat")]
    for row in kept:
        record = json.loads(row["value"])
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
    """Presses the green button and starts a chat; returns when there is a dot."""
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await citizen.page.locator("input#name").fill(name)
    await citizen.page.locator("textarea#question").fill(question)
    await citizen.hook("start-submit").click()
    await expect(citizen.hook("chat-dot")).to_be_visible()


async def talking(scene: Scene, question: str = "", name: str = "Lien Claes") -> tuple[Person, Person]:
    """A citizen and the agent `an` in conversation: green dot, and the chat open on the console."""
    agent = await scene.agent()
    citizen = await scene.citizen()
    await press(citizen, name, question)
    await citizen.dot("green")
    await expect(agent.hook("chat-input")).to_be_visible()
    return citizen, agent


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = WAIT_MS / 1000) -> None:
    """Returns as soon as the condition holds. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


async def can_be_given(agent: Person, colleague: str, wait: float = WAIT_MS / 1000) -> None:
    """Returns when this colleague, who has just come, is among those whom the agent can transfer a chat to."""
    script = "name => fetch('/api/agents').then(r => r.json()).then(all => all.agents.some(a => a.name === name))"
    async with asyncio.timeout(wait):
        while not await agent.page.evaluate(script, colleague):
            await asyncio.sleep(0.1)
