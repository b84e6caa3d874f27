"""The page on which anybody verifies a transcript: by the keyboard alone, in four languages, no violation."""

import json
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import PHONE, Person, Scene
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_keyboard import keys, tab_to
from tests.support.clients import agent, citizen, pair, say

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SAID = {
    ("nl", "intact"): "Het gesprek is echt en volledig",
    ("nl", "altered"): "Het bestand is gewijzigd",
    ("nl", "incomplete"): "Het bestand is niet volledig",
    ("fr", "altered"): "Le fichier a été modifié",
    ("de", "incomplete"): "Die Datei ist nicht vollständig",
    ("en", "intact"): "The conversation is genuine and complete",
}
"""What the page says in a language of a file; `tests/gateway/http/pages/test_verification.py` has all of them."""


async def transcripts(base: str, home: Path) -> dict[str, Path]:
    """A transcript of a chat, one with another text in it, and one that was downloaded before the end; by verdict."""
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an, name="An Peeters", question="Waar is mijn premie?")
        await say(theirs, "Dossier 2026-12")
        await say(ours, "Die is onderweg.", visitor.chat_id)
        early = await (await visitor.transcript("json")).text()
        await visitor.end()
        whole = await (await visitor.transcript("json")).text()
    altered = json.loads(whole)
    [mine] = [m for m in altered["messages"] if m.get("text") == "Die is onderweg."]
    mine["text"] = "Die krijgt u niet."
    files = {}
    for verdict, content in (("intact", whole), ("altered", json.dumps(altered)), ("incomplete", early)):
        files[verdict] = home / f"{verdict}.json"
        files[verdict].write_text(content, "utf-8")
    return files


async def verify(person: Person, lang: str, file: Path) -> None:
    """Opens the page in another tab, chooses the file and sends it, without a mouse."""
    before, person.page = person.page, await person.context.new_page()
    await before.close()
    await person.page.goto(f"{person.base}/verify?lang={lang}")
    async with person.page.expect_file_chooser() as chooser:  # listens well before the press
        await tab_to(person, "file", most=12)
        await keys(person, "Enter")
    await (await chooser.value).set_files(file)
    async with person.page.expect_navigation():
        await keys(person, "Tab", "Enter")


async def test_files_are_verified_without_a_mouse_in_every_language(scene: Scene, tmp_path: Path) -> None:
    files = await transcripts(scene.base, tmp_path)
    reader = await scene.citizen("/verify?lang=nl")
    found: list[str] = []
    for (lang, verdict), said in SAID.items():
        await verify(reader, lang, files[verdict])
        await expect(reader.page.locator("#result")).to_have_attribute("data-verdict", verdict)
        await expect(reader.page.locator("#result-title")).to_have_text(said)
        await expect(reader.page).to_have_title(f"{said} – {await reader.page.locator('h1').inner_text()}")
        await expect(reader.page.locator("html")).to_have_attribute("lang", lang)
        if lang == "nl":
            found += [f"{verdict}: {problem}" for problem in await problems(reader.page)]
    assert not found, "\n".join(found)


async def test_a_file_that_is_no_transcript_and_a_wrong_code_are_refused_with_what_to_do(
    scene: Scene, tmp_path: Path
) -> None:
    reader = await scene.citizen("/verify?lang=nl")
    photo = tmp_path / "foto.json"
    photo.write_bytes(b"\xff\xd8\xff\xe0")
    await verify(reader, "nl", photo)
    await reader.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    await expect(reader.page.locator("#result")).to_have_attribute("data-verdict", "unreadable")
    await tab_to(reader, "code", most=14)
    await reader.page.keyboard.type("ABCD")
    reader.expects("422", "400", "404")
    async with reader.page.expect_navigation():
        await keys(reader, "Enter")
    problem = reader.page.locator("#problem")
    await expect(problem).to_be_visible()
    await expect(reader.page.locator("#code")).to_have_value("ABCD")
    await expect(reader.page.locator("#code")).to_have_attribute("aria-invalid", "true")
    assert not await problems(reader.page)
