"""Every page and state: no violation that axe can find, and nothing that makes a narrow page scroll sideways."""

from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.async_api import Page

from tests.e2e.browser.people import DESKTOP, PHONE, Scene
from tests.e2e.browser.states import LANGUAGES, states

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NARROW = (320, 256)


class Look(NamedTuple):
    """How a page is looked at; `rules`: only these of axe's, or all."""

    size: tuple[int, int]
    scheme: Literal["light", "dark"] = "light"
    forced: Literal["none", "active"] = "none"
    rules: tuple[str, ...] = ()


LOOKS = (
    Look(DESKTOP, "light"),
    Look(DESKTOP, "light", "active", rules=("color-contrast", "link-in-text-block")),
    Look(PHONE, "dark"),
    Look(DESKTOP, "dark", rules=("color-contrast",)),
)
"""Each width and each scheme once, and dark colours at both widths: the narrow one hides the list of chats."""

SIDEWAYS = """() => {
    const wide = (box) => box.scrollWidth > box.clientWidth + 1;
    const panel = document.querySelector("eloket-chat")?.shadowRoot.querySelector("dialog[open]");
    const boxes = [document.scrollingElement, panel, ...(panel?.querySelectorAll(".log, .body, .start") ?? []),
        ...document.querySelectorAll("dialog[open], .log, #chat, #chats")];
    return boxes.filter(Boolean).filter(wide).map((box) => `${box.tagName}.${box.className} ${box.scrollWidth}`);
}"""

SPACING = """(on) => {
    const style = (window.spacing ??= new CSSStyleSheet());
    style.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important;
        word-spacing: .16em !important; } p { margin-block-end: 2em !important; }`);
    for (const root of [document, document.querySelector("eloket-chat")?.shadowRoot].filter(Boolean)) {
        const others = root.adoptedStyleSheets.filter((one) => one !== style); // a part that comes late adds its own
        root.adoptedStyleSheets = on ? [...others, style] : others;
    }
}"""
"""Sets the text spacing of WCAG 2.2, success criterion 1.4.12, or takes it away."""
CUT = """() => {
    const root = document.querySelector("eloket-chat")?.shadowRoot;
    const all = [...document.querySelectorAll("body *"), ...(root?.querySelectorAll("*") ?? [])];
    const own = (box) => [...box.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const aloud = (box) => box.matches(".sr, .sr *") || getComputedStyle(box).clipPath !== "none";
    const hides = (box) => ["hidden", "clip"].includes(getComputedStyle(box).overflowY) && !aloud(box);
    return all.filter((box) => own(box) && box.checkVisibility({ visibilityProperty: true }) && hides(box))
        .filter((box) => box.scrollHeight > box.clientHeight + 1)
        .map((box) => `${box.tagName}.${box.className} cuts ${box.textContent.trim().slice(0, 40)}`);
}"""
"""The elements that show only a part of their text."""


FOUND = """(options) => axe.run(document, options).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} ${JSON.stringify(target)} ${failureSummary ?? ""}`)))"""
"""What axe finds wrong. Its whole answer, with all that is right, is a hundred times as long."""


async def test_no_state_has_a_violation_or_scrolls_sideways(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "factuur 2025.txt"
    file.write_text("Factuur 2025-117\n")
    found: list[str] = []
    seen: list[str] = []
    async for name, person in states(scene, file):
        seen.append(name)
        found += [f"{name}: {problem}" for problem in await problems(person.page)]
    assert not found, "\n".join(found)
    assert len(seen) == len(set(seen))
    assert {f"info-sheet-{language}" for language in LANGUAGES} < set(seen)


async def test_the_search_reaches_into_the_element(scene: Scene) -> None:
    citizen = await scene.citizen()
    await citizen.button("blue")
    assert not await problems(citizen.page)
    spoil = """() => document.querySelector("eloket-chat").shadowRoot.querySelector("aside").append(
        Object.assign(document.createElement("button"), { className: "empty" }))"""
    await citizen.page.evaluate(spoil)
    spoil = """() => document.querySelector("eloket-chat").shadowRoot.querySelector("aside").append(
        Object.assign(document.createElement("p"),
            { textContent: "Te lang", style: "height: 1.2em; overflow: hidden" }))"""
    await citizen.page.evaluate(spoil)
    found = await problems(citizen.page)
    assert [problem for problem in found if "button-name" in problem]
    assert [problem for problem in found if "P. cuts Te lang" in problem]


async def problems(page: Page) -> list[str]:
    """What is wrong with the page as it stands, in every look; empty when nothing is."""
    found = []
    for look in LOOKS:
        await _turn(page, look)
        found += [f"{look.size[0]} {look.scheme} {look.forced}: {line}" for line in await violations(page, look.rules)]
    await _turn(page, Look(NARROW))
    found += [f"320 wide: {line}" for line in await page.evaluate(SIDEWAYS)]
    await _turn(page, Look(DESKTOP))
    await page.evaluate(SPACING, True)
    found += [f"spaced: {line}" for look in (SIDEWAYS, CUT) for line in await page.evaluate(look)]
    await page.evaluate(SPACING, False)
    return found


async def _turn(page: Page, look: Look) -> None:
    await page.emulate_media(color_scheme=look.scheme, forced_colors=look.forced)
    await page.set_viewport_size({"width": look.size[0], "height": look.size[1]})
    await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def violations(page: Page, rules: tuple[str, ...]) -> list[str]:
    """What axe finds wrong on the page; `rules`: only by these, or by all."""
    if await page.evaluate("typeof axe") == "undefined":
        await page.evaluate(Axe().axe_script)
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found: list[str] = await page.evaluate(FOUND, options)
    return found
