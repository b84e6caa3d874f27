"""The manual's journey in two browsers: the button, the dot, the white bar, the end. What one does, the other sees."""

import re

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import Scene, log_in, press, shows_typing, talking

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_a_conversation_from_the_blue_button_to_the_end(scene: Scene) -> None:
    citizen, agent = await scene.citizen(), await scene.stranger()
    await citizen.button("blue")
    async with citizen.page.expect_popup() as opening:
        await citizen.hook("chat-button").click()
    sheet = await opening.value
    await expect(sheet.locator("#state")).to_have_attribute("data-reason", "no_agents")
    await expect(sheet).to_have_url(re.compile("/infofiche/algemeen"))

    await log_in(agent, "an")
    await expect(sheet.locator("#state")).to_have_attribute("data-colour", "green")
    await citizen.page.bring_to_front()
    await press(citizen, "Lien Claes", "Mag een factuur van vorig jaar?")  # on the page that was open all the time
    await citizen.dot("green")
    assert (await citizen.dots())[0] == "grey"
    await expect(citizen.page.get_by_text("U bent verbonden met An", exact=True)).to_be_visible()
    await citizen.sees("Mag een factuur van vorig jaar?")
    await expect(agent.page.locator("#chat-name")).to_have_text("Lien Claes")
    await expect(agent.page.locator(".about")).to_contain_text("Aanvraag premie")
    await agent.sees("Mag een factuur van vorig jaar?")

    await shows_typing(agent, "Dag", citizen.page.get_by_text("An is aan het typen…"))
    await agent.hook("chat-input").press("Enter")
    await citizen.sees("Dag")
    await expect(citizen.page.get_by_text("An is aan het typen…")).to_have_count(0)
    await expect(agent.hook("chat-messages").get_by_text("Gelezen door de burger")).to_be_visible()
    await shows_typing(citizen, "ja", agent.page.locator("form .typing", has_text="Lien Claes is aan het typen…"))

    await citizen.hook("chat-close").click()
    await citizen.hook("confirm-no").click()
    await citizen.dot("green")
    await citizen.hook("chat-close").click()
    await citizen.hook("confirm").click()
    await citizen.dot("red")
    await expect(citizen.page.get_by_text("U hebt het gesprek beëindigd.")).not_to_have_count(0)
    await expect(citizen.hook("chat-input")).to_be_hidden()
    await expect(agent.page.locator(".banner.ended")).to_contain_text("De burger heeft het gesprek beëindigd.")
    await citizen.hook("chat-dismiss").click()
    await citizen.button("green")


async def test_enter_and_zend_send_and_shift_enter_breaks_the_line(scene: Scene) -> None:
    citizen, agent = await talking(scene)
    for here, there, tag in ((citizen, agent, "b"), (agent, citizen, "i")):
        bar = here.hook("chat-input")
        await bar.press_sequentially("een")
        await bar.press("Shift+Enter")
        await bar.press_sequentially("twee")
        await bar.press("Enter")
        await expect(bar).to_have_value("")
        await bar.fill("met de knop")
        await expect(here.hook("chat-send")).to_contain_text("Zend")
        await here.hook("chat-send").click()
        await bar.fill("   ")
        await bar.press("Enter")
        plain = f"<{tag}>geen opmaak</{tag}>"
        await here.say(plain)
        await there.sees(plain)
        expected = ["een\ntwee", "met de knop", plain]
        assert (await there.shown())[-3:] == expected
        assert (await here.shown())[-3:] == expected


async def test_reload_second_tab_and_another_page_keep_the_conversation(scene: Scene) -> None:
    citizen, agent = await talking(scene, "Eerste vraag")
    await agent.say("Antwoord een")
    await citizen.sees("Antwoord een")
    await citizen.hook("chat-input").fill("half af")
    await citizen.page.reload()
    await citizen.dot("green")
    await citizen.sees("Antwoord een")
    await expect(citizen.hook("chat-input")).to_have_value("half af")
    assert {line["live"] for line in await citizen.heard()} == {"off"}  # what was said before is not said again

    await expect(citizen.hook("chat-messages")).to_have_attribute("aria-live", "polite")

    first = citizen.page
    citizen.page = await citizen.context.new_page()
    await citizen.page.goto(f"{scene.base}/?lang=fr&step=2")
    await citizen.dot("green")
    await citizen.say("Uit de tweede tab")
    await agent.sees("Uit de tweede tab")
    await agent.say("Antwoord twee")
    await citizen.sees("Antwoord twee")
    second, citizen.page = citizen.page, first
    await citizen.sees("Uit de tweede tab")
    await second.close()
    await citizen.sees("Antwoord twee")
    assert await citizen.shown() == ["Eerste vraag", "Antwoord een", "Uit de tweede tab", "Antwoord twee"]
    spoken = [line["text"] for line in await citizen.heard() if line["live"] == "polite"]
    assert spoken == ["Uit de tweede tab", "Antwoord twee"]


async def test_the_agent_ends_the_conversation_and_a_new_one_can_begin(scene: Scene) -> None:
    hostile = "<img src=x onerror=alert(1)> \u202eneila"
    citizen, agent = await talking(scene, hostile, hostile)
    await expect(agent.page.locator("#chat-name")).to_have_text(hostile.replace("\u202e", ""))
    await expect(agent.page.get_by_role("img")).to_have_count(0)
    await citizen.sees(hostile)
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()
    await citizen.dot("red")
    await expect(citizen.page.get_by_text("De medewerker heeft het gesprek beëindigd.")).not_to_have_count(0)
    await agent.hook("dismiss").click()
    await expect(agent.hook("chat-item")).to_have_count(0)
    await citizen.button("green")  # the agent is free again a moment after the end of the chat
    await citizen.hook("chat-restart").click()
    await citizen.dot("green")
    await citizen.say("Nog een vraag")
    await agent.sees("Nog een vraag")
    assert await agent.shown() == ["Nog een vraag"]
