"""Where the chat is kept, which tabs find it, and what its end leaves; also on a computer that others use too."""

import json

import aiohttp
import pytest
from playwright.async_api import Page, expect

from tests.e2e.browser.people import Person, Scene, press, talking, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NAMES = """() => [localStorage, sessionStorage].map((area) => Object.keys(area)
    .filter((key) => key.startsWith("eloket-chat ")).map((key) => key.split(" ")[2].split(":")[0]).sort())"""
"""The names of what the widget keeps, in local storage and in session storage."""
KEPT = """() => sessionStorage.getItem(Object.keys(sessionStorage)
    .find((key) => key.startsWith("eloket-chat ") && key.endsWith("chat")))"""
"""What the widget keeps of the chat of this tab, as JSON."""
ASKS = """
const create = Document.prototype.createElement;
Document.prototype.createElement = function (name, ...more) {
    const made = create.call(this, name, ...more);
    if (name === "eloket-chat") made.setAttribute("storage", "local");
    return made;
};
"""
"""Makes of the sample form a page that asks for local storage."""


async def names(page: Page) -> list[list[str]]:
    found: list[list[str]] = await page.evaluate(NAMES)
    return found


async def keeps(page: Page, local: list[str], session: list[str]) -> None:
    """Waits until the widget keeps this in local storage and this in session storage: another tab learns of it late."""

    async def found() -> bool:
        return await names(page) == [local, session]

    try:
        await until(found)
    except TimeoutError:
        raise AssertionError(f"{await names(page)} is kept") from None


async def keeps_the_chat(page: Page, *local: str) -> None:
    """Waits until the widget keeps this in local storage, and the chat, perhaps with a draft, in session storage."""

    async def found() -> bool:
        kept, own = await names(page)
        return kept == list(local) and "chat" in own

    await until(found)


async def share(someone: Person, on: bool) -> None:
    await someone.hook("chat-settings").click()
    await someone.hook("set-shared").set_checked(on)
    await someone.hook("chat-settings").click()


async def test_the_chat_is_in_the_tab_survives_a_reload_and_is_gone_after_its_end(scene: Scene) -> None:
    citizen, agent = await talking(scene, "Eerste vraag", name="")
    await citizen.sees("Eerste vraag")
    await keeps(citizen.page, ["browser"], ["chat"])
    await citizen.hook("chat-input").fill("half af")
    await citizen.hook("chat-settings").click()
    await citizen.hook("set-shared").check()
    await expect(citizen.hook("settings-words")).to_contain_text("wissen het aan het einde")
    await keeps(citizen.page, ["browser", "shared"], ["chat", "draft"])
    await citizen.goes_offline()
    await citizen.say("Onderweg")
    await keeps(citizen.page, ["browser", "shared"], ["chat", "p"])
    await citizen.context.set_offline(False)
    await citizen.page.reload()
    await citizen.dot("green")
    await citizen.sees("Onderweg")
    await agent.sees("Onderweg")

    chat = json.loads(await citizen.page.evaluate(KEPT))
    await citizen.hook("chat-input").fill("niet verzonden")
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()
    await citizen.dot("red")
    await keeps(citizen.page, ["browser", "shared"], [])
    await expect(citizen.hook("chat-download")).to_be_visible()  # as long as the page stays
    await citizen.hook("chat-download").click()
    _, body = await citizen.saved(citizen.hook("download-txt"))
    assert b"Onderweg" in body
    await citizen.page.reload()
    await citizen.button("green")
    await expect(citizen.hook("chat-dot")).to_have_count(0)

    async def nothing() -> bool:
        url, headers = (
            f"{scene.base}/api/chats/{chat['chat_id']}/transcript",
            {"Authorization": f"Bearer {chat['token']}"},
        )
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return answer.status == 401

    await until(nothing)  # the token was given up with the page


@pytest.mark.parametrize("shown", [False, True], ids=["minimised", "being read"])
async def test_an_hour_after_its_end_a_chat_is_in_no_storage_and_on_no_page(scene: Scene, shown: bool) -> None:
    """One that is being read then stays on the page until the panel is closed (WCAG 2.2.1: nobody is hurried)."""
    agent = await scene.agent()
    citizen = await scene.citizen(clock=True)
    await press(citizen)
    await citizen.dot("green")
    await expect(agent.hook("chat-input")).to_be_visible()
    await agent.say("Dat is in orde.")
    await citizen.sees("Dat is in orde.")
    await citizen.hook("chat-close").click()
    await citizen.hook("confirm").click()
    await citizen.dot("red")

    async def is_noted() -> bool:
        return bool(await citizen.page.evaluate("Object.values(sessionStorage).some((kept) => kept.includes('ended'))"))

    await until(is_noted)  # the hour begins when the page hears of the end, a moment after the dot
    if not shown:
        await citizen.hook("chat-minimise").click()
    await citizen.page.clock.fast_forward("55:00")
    assert await citizen.keeps_a_chat(), "the download is still to be had"
    await citizen.page.clock.fast_forward("05:30")
    await citizen.page.clock.fast_forward("01:10")
    await keeps(citizen.page, ["browser"], [])
    if shown:
        await citizen.sees("Dat is in orde.")
        await citizen.hook("chat-minimise").click()
        await citizen.page.clock.fast_forward("01:00")
    await expect(citizen.hook("chat-messages")).to_have_count(0)
    await expect(citizen.hook("chat-button")).to_be_visible()
    await keeps(citizen.page, ["browser"], [])


async def tab(citizen: Person, step: int) -> Page:
    """Another tab of the citizen, with the next step of the form."""
    page = await citizen.context.new_page()
    await page.goto(f"{citizen.base}/?step={step}")
    return page


async def test_all_tabs_show_the_chat_until_it_is_put_away_and_nothing_is_left_when_they_are_closed(
    scene: Scene,
) -> None:
    citizen, agent = await talking(scene, "Eerste vraag")
    first, early = citizen.page, await tab(citizen, 2)
    pages = [first, early]
    citizen.page = early
    await citizen.dot("green")
    await share(citizen, on=True)
    pages.append(await tab(citizen, 3))
    for page in pages:
        citizen.page = page
        await citizen.dot("green")
        await citizen.sees("Eerste vraag")
        await keeps_the_chat(page, "browser", "shared")
    await citizen.say("Uit het derde tabblad")
    await agent.sees("Uit het derde tabblad")
    await share(citizen, on=False)
    await first.reload()
    for page in pages:
        citizen.page = page
        await citizen.dot("green")
        await citizen.sees("Uit het derde tabblad")
        await keeps(page, ["browser"], ["chat"])
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()
    for page in pages:
        citizen.page = page
        await citizen.dot("red")
    await first.reload()  # an ended chat stays in its tabs
    citizen.page = first
    await citizen.sees("Eerste vraag")
    await expect(citizen.hook("chat-download")).to_be_visible()
    late = await tab(citizen, 4)
    citizen.page = late
    await expect(citizen.hook("chat-button")).to_be_visible()
    citizen.page = first
    await citizen.hook("chat-dismiss").click()  # here and in the other tabs
    for page in (*pages, late):
        citizen.page = page
        await expect(citizen.hook("chat-dot")).to_have_count(0)
        await expect(citizen.hook("chat-button")).to_be_visible()
        await keeps(page, ["browser"], [])
    await citizen.button("green")
    await citizen.hook("chat-button").click()  # in the last one; the others, which had the former chat, follow
    for page in (*pages, late):
        citizen.page = page
        await citizen.dot("green")
        await keeps_the_chat(page, "browser")
    citizen.page = await tab(citizen, 5)
    await citizen.dot("green")
    blank = await citizen.context.new_page()
    for page in (*pages, late, citizen.page):
        await page.close()
    citizen.page = blank
    await blank.goto(f"{scene.base}/?step=6")
    await citizen.button("blue")  # its agent has the chat that nobody finds here any more
    await expect(citizen.hook("chat-dot")).to_have_count(0)
    await keeps(blank, ["browser"], [])
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()


async def test_on_a_phone_a_panel_that_another_tab_puts_away_leaves_no_entry_in_the_history(scene: Scene) -> None:
    async def marked() -> bool:
        return bool(await first.evaluate("history.state?.eloketChat === true"))

    async def unmarked() -> bool:
        return not await marked()

    await scene.agent()
    citizen = await scene.citizen("/?step=1", size=(360, 740), has_touch=True, is_mobile=True)
    await citizen.button("green")
    await citizen.hook("chat-button").tap()
    await citizen.dot("green")
    first = citizen.page
    await until(marked)
    citizen.page = await tab(citizen, 2)
    await citizen.dot("green")
    await citizen.hook("chat-close").tap()
    await citizen.hook("confirm").tap()
    await citizen.hook("chat-dismiss").tap()
    citizen.page = first
    await expect(citizen.hook("chat-dot")).to_have_count(0)
    await until(unmarked)


async def test_what_version_1_1_kept_is_moved_once_into_the_tab_that_finds_it(scene: Scene) -> None:
    citizen, _ = await talking(scene, "Eerste vraag")
    record = await citizen.kept_chat()
    await citizen.page.close()
    citizen.page = await citizen.context.new_page()
    await citizen.page.goto(f"{scene.base}/healthz")
    host = scene.base.removeprefix("http://")
    pending = {"id": "7d1f9f5e-7a53-4d4f-9a3c-0a2b9d6c1e11", "text": "Nog niet verzonden", "chat": record["chat_id"]}
    for name, value in (
        ("chat", record),
        (f"p:{pending['id']}", {**pending, "since": 1, "n": 0, "state": "sending"}),
        ("draft", "half af"),
    ):
        await citizen.page.evaluate(
            "([name, value]) => localStorage.setItem(name, value)", [f"eloket-chat {host} {name}", json.dumps(value)]
        )
    await citizen.page.goto(f"{scene.base}/")
    await citizen.dot("green")
    await citizen.sees("Eerste vraag")
    await citizen.sees("Nog niet verzonden")
    await expect(citizen.hook("chat-input")).to_have_value("half af")
    await keeps(citizen.page, ["browser"], ["chat", "draft"])


async def test_a_page_that_asks_for_local_storage_finds_the_chat_after_all_tabs_were_closed(scene: Scene) -> None:
    await scene.agent()
    citizen = await scene.citizen("/toegankelijkheid")
    await citizen.context.add_init_script(ASKS)
    await citizen.page.goto(f"{scene.base}/?step=1")
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await citizen.dot("green")
    await citizen.say("Eerste vraag")
    await citizen.sees("Eerste vraag")
    await keeps(citizen.page, ["browser", "chat"], [])
    blank = await citizen.context.new_page()
    await citizen.page.close()
    citizen.page = blank
    await blank.goto(f"{scene.base}/?step=2")
    await citizen.dot("green")
    await citizen.sees("Eerste vraag")
    await share(citizen, on=True)
    await keeps_the_chat(blank, "browser", "shared")
    await share(citizen, on=False)
    await keeps(blank, ["browser", "chat"], [])
