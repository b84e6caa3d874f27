"""A page in a browser engine other than Chromium: what a test does with it and sees of it, whichever engine it is.

A press is a press of a mouse at a place of the page, and a key is a key of a keyboard. What lies over a button takes
the press, as it would a person's.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

WAIT = 60.0  # seconds: a guard against hanging, never a promise
LOOK = 0.05  # seconds between two looks
FOCUS = """
let at = document.activeElement;
while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
return [document.hasFocus(), at?.cloneNode(false).outerHTML];
"""
"""Whether the window has the focus, and what in it has."""
RESIZED = 3.0  # seconds after which a window is told its size again
ENTER, ESCAPE = "\ue007", "\ue00c"
"""The keys, as WebDriver writes them (https://www.w3.org/TR/webdriver2/#keyboard-actions)."""

FIND = """
const roots = [document.querySelector("eloket-chat")?.shadowRoot, document];
const all = (selector) => roots.flatMap((root) => (root ? [...root.querySelectorAll(selector)] : []));
const drawn = (one) => one.getClientRects().length > 0;
const find = (hook) => all(`[data-testid="${hook}"]`).sort((a, b) => drawn(b) - drawn(a))[0];
const clear = (one, x, y) => {
    let top = document.elementFromPoint(x, y);
    for (let in_; (in_ = top?.shadowRoot?.elementFromPoint(x, y)) && in_ !== top; ) top = in_;
    for (let at = top; at; at = at.parentNode ?? at.host) if (at === one) return true;
    return false;
};
"""
"""`find(hook)`: what the protocol calls by this name, in the element's shadow root or in the page; what is drawn first.
`clear(one, x, y)`: whether this is what a press at this place of the page meets."""
PLACE = """
const one = find(arguments[0]);
if (!one) return null;
if (arguments[1]) one.scrollIntoView({ block: "nearest", inline: "nearest" });
const box = one.getBoundingClientRect();
const [x, y] = [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)];
return { left: box.left, top: box.top, right: box.right, bottom: box.bottom, x, y,
    clear: box.width > 0 && box.height > 0 && !one.disabled && clear(one, x, y) };
"""
STANDS = """
const one = find(arguments[0]);
return Boolean(one) && drawn(one)
    && Object.entries(arguments[1]).every(([name, value]) => one.dataset[name] === value);
"""
SAYS = """return all('[data-testid="chat-messages"] :is(p, .bubble)')
    .some((one) => one.textContent.trim() === arguments[0] && !one.closest(".sending"));"""
WATCH = """
if (!window.complaints) {
    window.complaints = [];
    const note = (text) => window.complaints.push(String(text));
    addEventListener("error", (event) => note(event.message));
    addEventListener("unhandledrejection", (event) => note(event.reason));
    addEventListener("securitypolicyviolation", (event) => note(`${event.violatedDirective} ${event.blockedURI}`));
    for (const level of ["error", "warn"]) {
        const before = console[level];
        console[level] = (...words) => (note(words.join(" ")), before.apply(console, words));
    }
}
"""
"""Keeps what goes wrong in the page from here on."""
KEPT = """
return [sessionStorage, localStorage].flatMap((area) => Object.entries(area))
    .filter(([name]) => name.endsWith(" chat")).map(([, value]) => value);
"""


class Place(NamedTuple):
    """Where something is drawn, in CSS pixels of the window. `clear`: a press in its middle meets it."""

    left: float
    top: float
    right: float
    bottom: float
    x: int
    y: int
    clear: bool


class Engine(Protocol):
    """A running browser with one page in front. Each call returns when the browser has done it, and may block."""

    downloads: Path
    """The folder in which the browser saves files."""

    def open(self, address: str) -> None:
        """Load this address; return when the page has loaded."""

    def run(self, body: str, *arguments: object) -> Any:
        """Return what a function with this body gives in the page, a promise's value when it gives a promise."""

    def click(self, x: int, y: int) -> None:
        """Press the mouse at this place of the window (CSS pixels)."""

    def type(self, text: str) -> None:
        """Press these keys, in what has the focus."""

    def choose(self, body: str, *arguments: object, file: Path) -> None:
        """Choose this file in the field that a function with this body gives."""

    def size(self, width: int, height: int) -> None:
        """Give the page this size (CSS pixels)."""

    def picture(self) -> bytes:
        """The window as a PNG."""

    def forced_colours(self, on: bool) -> bool:
        """Turn forced colours on or off. Return whether the engine can."""

    def addresses(self) -> list[str]:
        """The addresses of all pages that are open."""

    def fresh(self, base: str) -> None:
        """Begin anew: one page, without cookies and storage of this origin."""


class Page:
    """The page of an engine, for asynchronous tests. `base`: the address of the system."""

    def __init__(self, engine: Engine, base: str) -> None:
        self.engine, self.base = engine, base

    async def open(self, path: str) -> None:
        """Load a page of the system."""
        await asyncio.to_thread(self.engine.open, self.base + path)
        await self.run(WATCH)

    async def run(self, body: str, *arguments: object) -> Any:
        """Return what this body gives, in which `find` and `all` look into the element too."""
        return await asyncio.to_thread(self.engine.run, FIND + body, *arguments)

    async def until(self, body: str, *arguments: object) -> Any:
        """Return what this body gives as soon as that is true. Raises `AssertionError` when it never is."""
        end = time.monotonic() + WAIT
        while not (found := await self.run(body, *arguments)):
            assert time.monotonic() < end, (
                f"not in time: {body} {arguments}; complaints: {await self.complaints()}; "
                f"focus: {await self.run(FOCUS)}"
            )
            await asyncio.sleep(LOOK)
        return found

    async def stands(self, hook: str, **data: str) -> None:
        """Wait until this is drawn, with these data attributes."""
        await self.until(STANDS, hook, data)

    async def says(self, text: str) -> None:
        """Wait until a message with this text stands in the conversation, stored."""
        await self.until(SAYS, text)

    async def place(self, hook: str, scroll: bool = False) -> Place | None:
        """Where this is drawn, or None."""
        found = await self.run(PLACE, hook, scroll)
        return Place(**found) if found else None

    async def uncovered(self, hook: str) -> Place:
        """Wait until this can be seen, scrolled to where it has to be, with nothing over it. Return where it is."""
        end = time.monotonic() + WAIT
        while not ((place := await self.place(hook, scroll=True)) and place.clear):
            assert time.monotonic() < end, f"{hook} cannot be pressed: {place}"
            await asyncio.sleep(LOOK)
        return place

    async def press(self, hook: str) -> None:
        """Press this with the mouse, as soon as nothing lies over it and it stays where it is."""
        end, before = time.monotonic() + WAIT, None
        while True:
            place = await self.place(hook, scroll=True)
            if place and place.clear and place == before:
                return await asyncio.to_thread(self.engine.click, place.x, place.y)
            assert time.monotonic() < end, f"{hook} cannot be pressed: {place}"
            before = place
            await asyncio.sleep(LOOK)

    async def type(self, text: str) -> None:
        """Press these keys, in what has the focus."""
        await asyncio.to_thread(self.engine.type, text)

    async def choose(self, hook: str, file: Path) -> None:
        """Choose this file in the file field with this hook."""
        await asyncio.to_thread(self.engine.choose, FIND + "return find(arguments[0]);", hook, file=file)

    async def saved(self, hook: str) -> tuple[str, bytes]:
        """Press this; the name and the bytes of the file that the browser then saves."""
        before = set(self.engine.downloads.iterdir())
        await self.press(hook)
        return await asyncio.to_thread(_whole, self.engine.downloads, before)

    async def size(self, size: tuple[int, int]) -> None:
        """Give the page this width and height (CSS pixels).

        A window that is still becoming what it was told before may be measured wrongly: then it is told again.
        """
        end = time.monotonic() + WAIT
        while True:
            await asyncio.to_thread(self.engine.size, *size)
            again = time.monotonic() + RESIZED
            while time.monotonic() < again:
                if await self.run("return innerWidth === arguments[0] && innerHeight === arguments[1];", *size):
                    return
                await asyncio.sleep(LOOK)
            assert time.monotonic() < end, f"the page does not become {size}"

    async def forced_colours(self, on: bool) -> bool:
        """Turn forced colours on or off. Return whether the engine can; the page knows of it then."""
        can = await asyncio.to_thread(self.engine.forced_colours, on)
        if can:
            await self.until('return matchMedia("(forced-colors: active)").matches === arguments[0];', on)
        return can

    async def picture(self, file: Path) -> None:
        """Save the window as a PNG."""
        file.write_bytes(await asyncio.to_thread(self.engine.picture))

    async def opened(self, part: str) -> None:
        """Wait until a page is open whose address has this part."""
        await eventually(lambda: any(part in address for address in self.engine.addresses()), part)

    async def complaints(self) -> list[str]:
        """What went wrong in the page since it was loaded."""
        found: list[str] = await self.run("return window.complaints ?? [];")
        return found

    async def kept_chats(self) -> list[dict[str, Any]]:
        """The chats that the browser keeps for the citizen."""
        return [json.loads(text) for text in await self.run(KEPT)]

    async def fresh(self) -> None:
        """Begin anew, as somebody who was never here."""
        await asyncio.to_thread(self.engine.fresh, self.base)


@contextlib.contextmanager
def running_program(
    command: Sequence[str], log: Path, variables: Mapping[str, str], handed: Sequence[int] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program while the context is open; at the end it is killed with all that it has started.

    Args:
        command: The program and its arguments.
        log: The file for what it prints.
        variables: Environment variables beside those of this process.
        handed: Open files that it gets, by their numbers.
    """
    with log.open("wb") as output:
        environment = {**os.environ, **variables}
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, pass_fds=handed, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as the condition holds. Raises `AssertionError` when it never does."""
    end = time.monotonic() + WAIT
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(LOOK)


def _whole(folder: Path, before: set[Path]) -> tuple[str, bytes]:
    """The one new file of this folder, as soon as the browser has written all of it."""
    end, seen = time.monotonic() + WAIT, ("", b"")
    while time.monotonic() < end:
        new: Sequence[Path] = [file for file in folder.iterdir() if file not in before]
        whole = [file for file in new if file.suffix not in (".part", ".wkdownload")]
        if len(whole) == 1 == len(new) and (now := (whole[0].name, whole[0].read_bytes())) == seen and now[1]:
            return now
        seen = (whole[0].name, whole[0].read_bytes()) if whole else seen
        time.sleep(LOOK)
    raise AssertionError(f"no file was saved: {list(folder.iterdir())}")
