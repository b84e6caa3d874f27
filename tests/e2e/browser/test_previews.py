"""Pictures and PDFs in place, and files that are pasted or dropped, for citizens and agents."""

from pathlib import Path

import pytest
import typst
from playwright.async_api import expect

from tests.e2e.browser.people import DESKTOP, PHONE, Person, Scene, talking
from tests.e2e.browser.test_accessibility import violations
from tests.transcripts.api.conversations.test_previews import png

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

GIVE = """(target, [kind, name, type, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, { type }));
    const more = kind === "paste" ? { clipboardData: data } : { dataTransfer: data };
    const made = kind === "paste" ? ClipboardEvent : DragEvent;
    target.dispatchEvent(new made(kind, { bubbles: true, composed: true, cancelable: true, ...more }));
}"""
"""Pastes or drops a file, as a browser does when the user gives it one."""


async def gives(person: Person, kind: str, name: str, content: bytes) -> None:
    await person.hook("chat-input").evaluate(GIVE, [kind, name, "image/png", list(content)])


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_what_is_pasted_or_dropped_is_shown_in_place_and_viewed_by_a_press(
    scene: Scene, size: tuple[int, int]
) -> None:
    citizen, agent = await talking(scene)
    for person in (citizen, agent):
        await person.page.set_viewport_size({"width": size[0], "height": size[1]})
    await expect(citizen.page.locator("#hint")).to_contain_text("plakken")
    await gives(citizen, "paste", "schermafdruk.png", png(640, 480))
    await gives(agent, "drop", "plan.png", png(300, 900))
    pictures = [person.hook("chat-preview") for person in (citizen, agent)]
    for person, found in zip((citizen, agent), pictures, strict=True):
        await expect(found).to_have_count(2)
        await expect(person.page.get_by_role("button", name="Afbeelding: schermafdruk.png")).to_be_visible()
    for person, found in zip((citizen, agent), pictures, strict=True):
        await found.last.focus()
        await person.page.keyboard.press("Enter")
        view = person.hook("preview-view")
        await expect(view.get_by_role("img")).to_be_visible()
        assert await view.locator("canvas").evaluate("(one) => [one.width, one.height].every((side) => side > 100)")
        assert await violations(person.page, ()) == []
    for person, found in zip((citizen, agent), pictures, strict=True):
        await person.page.keyboard.press("Escape")
        await expect(person.hook("preview-view")).to_have_count(0)
        await expect(found.last).to_be_focused()
        await expect(person.hook("chat-input")).to_be_visible()


async def test_a_pdf_is_shown_by_its_first_page_and_what_was_read_says_so(scene: Scene, tmp_path: Path) -> None:
    citizen, agent = await talking(scene)
    made = typst.compile(b'#set page(paper: "a4")\nEen bladzijde', format="pdf")
    assert isinstance(made, bytes)
    file = tmp_path / "brief.pdf"
    file.write_bytes(made)
    await citizen.upload(file)
    for person in (citizen, agent):
        await expect(person.page.get_by_role("button", name="Eerste bladzijde: brief.pdf")).to_be_visible()
    await expect(citizen.page.locator(".message.own").last).to_contain_text("Gelezen")
    await expect(citizen.page.locator(".message.read")).to_have_count(1)
