"""A citizen on a computer that others use too: where the chat is kept, who finds it, and what its end leaves."""

import pytest
from playwright.async_api import Page, expect

from tests.e2e.browser.people import Person, Scene, talking, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NAMES = """() => [localStorage, sessionStorage].map((area) => Object.keys(area)
    .filter((key) => key.startsWith("eloket-chat ")).map((key) => key.split(" ")[2].split(":")[0]).sort())"""
"""The names of what the widget keeps, in local storage and in session storage."""


async def names(page: Page) -> list[list[str]]:
    found: list[list[str]] = await page.evaluate(NAMES)
    return found


async def left(page: Page) -> None:
    """Waits until nothing of a chat is kept."""

    async def nothing() -> bool:
        return await names(page) == [["browser", "shared"], []]

    await until(nothing)


async def share(someone: Person, on: bool) -> None:
    await someone.hook("chat-settings").click()
    await someone.hook("set-shared").set_checked(on)
    await someone.hook("chat-settings").click()


async def test_the_chat_is_in_the_tab_survives_a_reload_and_is_gone_after_its_end(scene: Scene) -> None:
    citizen, agent = await talking(scene, "Eerste vraag", name="")
    await citizen.sees("Eerste vraag")
    assert await names(citizen.page) == [["browser", "chat"], []]
    await citizen.hook("chat-input").fill("half af")
    await citizen.hook("chat-settings").click()
    await citizen.hook("set-shared").check()
    await expect(citizen.hook("settings-words")).to_contain_text("wissen het aan het einde")
    assert await names(citizen.page) == [["browser", "shared"], ["chat", "draft"]]
    await citizen.goes_offline()
    await citizen.say("Onderweg")
    assert await names(citizen.page) == [["browser", "shared"], ["chat", "p"]]
    await citizen.context.set_offline(False)
    await citizen.page.reload()
    await citizen.dot("green")
    await citizen.sees("Onderweg")
    await agent.sees("Onderweg")

    await citizen.hook("chat-input").fill("niet verzonden")
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()
    await citizen.dot("red")
    await left(citizen.page)
    await expect(citizen.hook("chat-download")).to_be_visible()  # as long as the page stays
    await citizen.hook("chat-download").click()
    _, body = await citizen.saved(citizen.hook("download-txt"))
    assert b"Onderweg" in body
    await citizen.page.reload()
    await citizen.button("green")
    await expect(citizen.hook("chat-dot")).to_have_count(0)


async def test_other_tabs_keep_or_find_the_chat_and_follow_the_choice(scene: Scene) -> None:
    citizen, agent = await talking(scene, "Eerste vraag")
    first, second = citizen.page, await citizen.context.new_page()
    await second.goto(f"{scene.base}/?step=2")
    citizen.page = second
    await citizen.dot("green")
    await expect(citizen.hook("chat-settings")).to_be_visible()
    citizen.page = first
    await share(citizen, on=True)
    third = await citizen.context.new_page()
    await third.goto(f"{scene.base}/?step=3")
    for page in (first, second, third):
        citizen.page = page
        await citizen.dot("green")
        await citizen.sees("Eerste vraag")
        assert (await names(page))[0] == ["browser", "shared"]
        assert "chat" in (await names(page))[1]
    await citizen.say("Uit het derde tabblad")
    await agent.sees("Uit het derde tabblad")
    await share(citizen, on=False)
    for page in (first, second, third):
        citizen.page = page
        await citizen.sees("Uit het derde tabblad")
        await page.wait_for_function("() => Object.keys(sessionStorage).every((key) => !key.endsWith(' chat'))")
        assert "chat" in (await names(page))[0]
    await share(citizen, on=True)
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()
    for page in (first, second, third):
        citizen.page = page
        await citizen.dot("red")
        await left(page)
    for page in (second, third):
        await page.close()
    citizen.page = first
