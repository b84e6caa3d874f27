"""An agent's day on the console: shortcuts and their sheet, the reason for a pause, the label of a chat at its end."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.e2e.browser.people import PHONE, Person, Scene, press
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_keyboard import keys
from tests.e2e.browser.test_previews import gives
from tests.support.accounts import Account
from tests.support.browsers.systems import DEPARTMENTS, running_browser_system
from tests.support.clients import begin, citizen, until_green
from tests.support.servers import PATIENCE, Broker, System
from tests.transcripts.api.conversations.test_previews import png

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (
    Account("ada", departments=("algemeen",), capacity=3),
    Account("ria", departments=("algemeen",), supervisor=True, capacity=0),
)
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
ANSWERED = re.compile("^(1 gesprek getoond|Geen gesprekken gevonden)")
"""What the list of past chats says when an answer has come."""
LISTS = """wrap_up = 600
closing_required = true
pause_reasons = [
  {id = "lunch", names = {nl = "Middagpauze", fr = "Pause de midi", de = "Mittagspause", en = "Lunch"}},
  {id = "meeting", names = {nl = "Vergadering", fr = "Réunion", de = "Besprechung", en = "Meeting"}},
]
closing_reasons = [
  {id = "solved", names = {nl = "Opgelost", fr = "Résolu", de = "Gelöst", en = "Solved"}},
  {id = "referred", names = {nl = "Verwezen naar een andere dienst", fr = "Renvoi", de = "Verweis", en = "Referral"}},
]
tags = [{id = "form", names = {nl = "Formulier", fr = "Formulaire", de = "Formular", en = "Form"}}]
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system whose department algemeen has lists of all kinds, with an agent and a supervisor."""
    home = tmp_path_factory.mktemp("office")
    text, line = DEPARTMENTS.read_text("utf-8"), 'id = "algemeen"\n'
    assert text.count(line) == 1
    file = home / "departments.toml"
    file.write_text(text.replace(line, line + LISTS), "utf-8")
    with running_browser_system(home, ACCOUNTS, broker, mongodb_url, DEPARTMENTS_FILE=str(file)) as running:
        yield running


async def wrapped_up(ada: Person) -> None:
    """Ada ends each wrap-up; the button is green again."""
    done = ada.hook("wrap-up-done")
    while await done.count():
        left = await done.count()
        if await ada.hook("label-reason").count():
            await ada.hook("label-reason").first.select_option("solved")
        await done.first.click()
        await expect(done).to_have_count(left - 1)


async def test_an_agent_pauses_for_a_reason_that_the_supervisor_sees(scene: Scene, tmp_path: Path) -> None:
    ada, ria = await scene.agent("ada"), await scene.agent("ria")
    await ria.hook("open-live").click()
    bar = await ada.page.locator("#bar").bounding_box()
    await keys(ada, "Alt+Shift+P")
    lunch = ada.hook("pause-lunch")
    await expect(lunch).to_be_focused()
    assert not await problems(ada.page)
    await ada.page.screenshot(path=tmp_path / "pause-1280.png")
    await lunch.press("Enter")
    await expect(ada.hook("agent-state")).to_contain_text("Gepauzeerd: Middagpauze")
    assert await ada.page.locator("#bar").bounding_box() == bar, "the page below jumps"
    await expect(ria.hook("live-agents")).to_contain_text("Op pauze (Middagpauze)")
    assert not await problems(ria.page)
    await ria.page.screenshot(path=tmp_path / "live-1280.png")
    await ada.page.reload()
    await expect(ada.hook("agent-state")).to_contain_text("Gepauzeerd: Middagpauze")
    await keys(ada, "p")
    await expect(ada.hook("agent-state")).to_contain_text("Beschikbaar")
    await keys(ada, "p", "Escape")  # no reason, no pause
    await expect(ada.hook("agent-state")).to_contain_text("Beschikbaar")
    await until_green(scene.base)


async def test_a_chat_from_its_acceptance_to_its_end_without_a_mouse(scene: Scene, tmp_path: Path) -> None:
    ada = await scene.agent("ada")
    page = ada.page
    async with citizen(scene.base) as lien, citizen(scene.base) as tom:
        await begin(lien, name="Lien")
        of_lien = await lien.join()
        await expect(page.locator("#chat-name")).to_have_text("Lien")
        await begin(tom, name="Tom")
        of_tom = await tom.join()
        await expect(ada.item("Tom")).to_be_visible()
        await keys(ada, "Alt+Shift+Y")
        await of_tom.expect("status", dot="green")
        await expect(page.locator("#chat-name")).to_have_text("Tom")
        await expect(ada.hook("chat-input")).to_be_focused()
        await page.keyboard.type("ny?")  # letters in the text bar are letters
        await expect(ada.hook("chat-input")).to_have_value("ny?")
        await expect(ada.hook("shortcuts")).to_have_count(0)
        await of_lien.send(type="message", id="7b2f8f4e-6f0a-4c55-9d0e-2f5b6a7c8d9e", text="Bent u er nog?")
        await expect(ada.item("Lien").locator(".count")).to_be_visible()
        assert await page.locator("#chat-list .name").all_inner_texts() == ["Lien", "Tom"]
        await keys(ada, "Escape")
        await expect(page.locator("#chat-name")).to_be_focused()
        await keys(ada, "n")
        await expect(page.locator("#chat-name")).to_have_text("Lien")
        await keys(ada, "Alt+Shift+M")
        await expect(ada.hook("note-input")).to_be_focused()
        await keys(ada, "Alt+Shift+R")
        await expect(ada.hook("chat-input")).to_be_focused()

        await keys(ada, "Alt+Shift+E")
        await expect(ada.hook("label-reason")).to_be_focused()
        await ada.hook("confirm").press("Enter")  # without a reason
        await expect(ada.hook("label-reason")).to_be_focused()
        await expect(ada.hook("label-reason")).to_have_attribute("aria-invalid", "true")
        assert not await problems(page)
        await page.screenshot(path=tmp_path / "end-1280.png")
        await ada.hook("label-reason").select_option("solved")
        await ada.hook("label-tag-form").check()
        await ada.hook("confirm").press("Enter")
        await of_lien.expect("closed", reason="agent")
        await expect(ada.hook("wrap-up")).to_have_count(1)
        await expect(ada.hook("wrap-up").locator("select")).to_have_count(0)  # it is said already

        await of_tom.send(type="close")
        await expect(ada.hook("wrap-up")).to_have_count(2)
        asked = ada.hook("wrap-up").filter(has=page.locator("select"))
        await expect(asked).to_contain_text("Tom")
        await asked.locator('[data-testid="wrap-up-done"]').click()
        await expect(asked.get_by_role("alert")).to_have_text("Kies een reden. Uw dienst vraagt ze bij elk gesprek.")
        assert not await problems(page)
        await page.screenshot(path=tmp_path / "wrap-up-1280.png")
        await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert await page.evaluate(SIDEWAYS) == 0
        await page.screenshot(path=tmp_path / "wrap-up-360.png")
        await page.set_viewport_size({"width": 1280, "height": 800})
        await wrapped_up(ada)

    await keys(ada, "Alt+Shift+S")
    await expect(ada.hook("past-text")).to_be_focused()
    await ada.hook("past-filters").locator("summary").click()
    await ada.hook("past-tag").select_option("form")

    async def is_listed() -> bool:
        await ada.hook("past-search").click()
        await expect(ada.hook("past-state")).to_have_text(ANSWERED)
        return await ada.hook("past-chat").count() == 1

    async with asyncio.timeout(2 * PATIENCE):  # the row is made in one of the next rounds
        while not await is_listed():
            await asyncio.sleep(0.5)
    await expect(ada.hook("past-chat")).to_contain_text("Reden: Opgelost")
    await expect(ada.hook("past-chat")).to_contain_text("Labels: Formulier")
    await until_green(scene.base)


async def test_the_sheet_in_each_language_and_its_switch(scene: Scene, tmp_path: Path) -> None:
    ada = await scene.agent("ada")
    for language, title in (
        ("fr", "Raccourcis clavier"),
        ("de", "Tastenkürzel"),
        ("en", "Keyboard shortcuts"),
        ("nl", "Sneltoetsen"),
    ):
        for name, (width, height) in {"1280": (1280, 800), "360": PHONE, "320": (320, 640)}.items():
            await ada.page.set_viewport_size({"width": width, "height": height})
            await ada.page.goto(f"{scene.base}/agent?lang={language}")
            await expect(ada.hook("agent-state")).to_be_visible()
            await keys(ada, "?")
            heading = ada.hook("shortcuts").locator("h2")
            await expect(heading).to_have_text(title)
            await expect(heading).to_be_focused()  # it is read from its beginning
            await expect(heading).to_be_in_viewport(ratio=1)
            assert await ada.page.evaluate(SIDEWAYS) == 0, (language, name)
            await ada.page.screenshot(path=tmp_path / f"shortcuts-{name}-{language}.png")
            if name == "1280":
                assert not await problems(ada.page)
            await keys(ada, "Escape")
    await ada.page.set_viewport_size({"width": 1280, "height": 800})
    await keys(ada, "?")
    await ada.hook("shortcuts-single").uncheck()
    await keys(ada, "Escape", "?", "s")
    await expect(ada.hook("shortcuts")).to_have_count(0)
    await expect(ada.hook("past-text")).to_have_count(0)
    await keys(ada, "Alt+Shift+H")
    await ada.hook("shortcuts-single").check()
    await keys(ada, "Escape")
    await expect(ada.hook("shortcuts")).to_have_count(0)  # it leaves the page a moment after it is shut
    await keys(ada, "?")
    await expect(ada.hook("shortcuts")).to_be_visible()
    await keys(ada, "Escape")


async def test_a_reason_that_takes_long_to_be_stored_holds_no_chat_up(scene: Scene) -> None:
    ada = await scene.agent("ada")
    stored = asyncio.Event()

    async def hold(route: Route) -> None:
        await stored.wait()
        await route.continue_()

    await ada.page.route("**/label", hold)
    async with citizen(scene.base) as lien:
        await begin(lien, name="Lien")
        of_lien = await lien.join()
        await of_lien.expect("status", dot="green")
        await keys(ada, "Alt+Shift+E")
        await ada.hook("label-reason").select_option("solved")
        await ada.hook("confirm").press("Enter")
        await of_lien.expect("closed", reason="agent")
        await expect(ada.hook("wrap-up").locator("select")).to_have_count(1)  # it is asked again
        async with ada.page.expect_response("**/label"):
            stored.set()
    await wrapped_up(ada)


async def test_what_is_chosen_of_a_chat_stays_in_another_language(scene: Scene) -> None:
    ada = await scene.agent("ada")
    async with citizen(scene.base) as lien:
        await begin(lien, name="Lien")
        of_lien = await lien.join()
        await of_lien.expect("status", dot="green")
        await of_lien.send(type="close")
        await ada.hook("label-reason").select_option("referred")
        await ada.hook("label-tag-form").check()
        await ada.page.locator("details.menu summary").click()
        await ada.page.locator("#menu-language").select_option("fr")
        await expect(ada.hook("wrap-up-done")).to_have_text("Terminé")
        await expect(ada.hook("label-reason")).to_have_value("referred")
        await expect(ada.hook("label-tag-form")).to_be_checked()
    await wrapped_up(ada)


async def test_a_new_chat_is_shown_in_the_picture_that_lies_over_the_page(scene: Scene) -> None:
    ada, someone = await scene.agent("ada"), await scene.citizen()
    await press(someone)
    await someone.dot("green")
    await gives(someone, "paste", "plan.png", png(300, 900))
    await ada.hook("chat-preview").press("Enter")
    view = ada.hook("preview-view")
    await expect(view.get_by_role("img")).to_be_visible()
    async with citizen(scene.base) as lien:
        await begin(lien, name="Lien")
        await expect(view.locator(".news")).to_contain_text("Lien")
        assert not await problems(ada.page)
        await ada.page.keyboard.press("Escape")
    await someone.hook("chat-close").click()
    await someone.hook("confirm").click()
    await wrapped_up(ada)
