"""Around a conversation: the privacy notice, the warning at a personal number, the rating and the code after it."""

import re

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import PHONE, Scene, focused, press
from tests.e2e.browser.test_accessibility import problems

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NUMBER, MASKED = "85.07.30-033.28", "•••••••••28"


@pytest.mark.parametrize("size", [(1280, 800), PHONE])
async def test_a_personal_number_is_sent_only_after_a_second_decision(scene: Scene, size: tuple[int, int]) -> None:
    an = await scene.agent()
    someone = await scene.citizen(size=size)
    await press(someone)
    await someone.dot("green")
    await expect(someone.hook("chat-privacy")).to_contain_text("alleen om u te helpen")
    await someone.say(f"Mijn nummer: {NUMBER}")
    warning = someone.hook("chat-numbers")
    await expect(warning).to_contain_text("rijksregisternummer")
    await expect(warning).to_contain_text("verbergen wij het nummer")
    await focused(someone, "numbers-change")
    assert not await problems(someone.page)
    assert not await someone.shown()
    await someone.page.keyboard.press("Enter")
    await expect(warning).to_be_hidden()
    await focused(someone, "chat-input")
    await expect(someone.hook("chat-input")).to_have_value(f"Mijn nummer: {NUMBER}")
    await someone.hook("chat-send").click()
    await expect(warning).to_be_visible()
    await someone.hook("chat-input").fill(f"Dit is mijn nummer: {NUMBER}")  # what was typed meanwhile is what is sent
    await someone.hook("numbers-send").click()
    await focused(someone, "chat-input")
    await someone.sees(f"Dit is mijn nummer: {MASKED}")
    await an.sees(f"Dit is mijn nummer: {MASKED}")
    for person in (someone, an):
        number = person.hook("chat-messages").get_by_role("img", name="Verborgen rijksregisternummer, eindigt op 2 8")
        await expect(number).to_have_text(MASKED)
        assert not await problems(person.page)
    await expect(someone.hook("chat-messages")).to_contain_text("Een persoonlijk nummer in dit bericht is verborgen.")
    await expect(someone.hook("chat-input")).to_have_value("")
    await someone.say("Bel 02 555 01 00, dossier 2026-123456")
    await someone.sees("Bel 02 555 01 00, dossier 2026-123456")
    await expect(warning).to_be_hidden()


async def test_after_a_chat_it_is_rated_and_downloaded_elsewhere_with_a_code(scene: Scene) -> None:
    an = await scene.agent()
    someone = await scene.citizen(size=PHONE)
    await press(someone)
    await someone.dot("green")
    await someone.say("Dank u wel.")
    await an.sees("Dank u wel.")
    await someone.hook("chat-close").click()
    await someone.hook("confirm").click()
    await someone.hook("rating-open").click()
    assert not await problems(someone.page)
    await someone.hook("rating-send").click()
    await expect(someone.hook("rating")).to_contain_text("Kies eerst een antwoord")
    await someone.page.get_by_label("Gedeeltelijk").check()
    await someone.page.get_by_label("5, zeer goed").check()
    await someone.hook("rating-send").click()
    await expect(someone.hook("rating")).to_contain_text("Bedankt")
    await someone.hook("code-create").click()
    code = await someone.hook("code").inner_text()
    assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", code)
    assert not await problems(someone.page)
    elsewhere = await scene.citizen("/gesprek?lang=nl")
    await elsewhere.page.get_by_role("textbox", name="Code").fill("AAAA-AAAA-AAAA")
    elsewhere.expects("404")
    await elsewhere.page.get_by_role("button", name="Downloaden").click()
    await expect(elsewhere.page.get_by_role("alert")).to_contain_text("niet meer geldig")
    assert not await problems(elsewhere.page)
    await elsewhere.page.get_by_role("textbox", name="Code").fill(code.lower().replace("-", " "))
    await elsewhere.page.get_by_label("Gewone tekst").check()
    name, content = await elsewhere.saved(elsewhere.page.get_by_role("button", name="Downloaden"))
    assert name.endswith(".txt")
    assert "Dank u wel." in content.decode()
