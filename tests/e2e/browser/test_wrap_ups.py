"""An agent wraps a chat up on the console: the time left is seen and said, a reload keeps it, the keyboard ends it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import PHONE, Person, Scene, focused, until
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_console import keep_what_is_said
from tests.e2e.browser.test_keyboard import keys, tab_to
from tests.e2e.test_wrap_ups import with_wrap_up
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.clients import begin, citizen, until_blue, until_green
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (Account("ada", departments=("algemeen",)),)
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system with the agent ada, who has one slot, and ten minutes to wrap a chat up."""
    home = tmp_path_factory.mktemp("office")
    file = with_wrap_up(home / "departments.toml", {"algemeen": 600})
    with running_browser_system(home, ACCOUNTS, broker, mongodb_url, DEPARTMENTS_FILE=str(file)) as running:
        yield running


async def end_a_chat(ada: Person, base: str) -> None:
    """A citizen, Lien, begins a chat with ada and ends it."""
    async with citizen(base) as lien:
        await begin(lien, name="Lien")
        socket = await lien.join()
        await expect(ada.page.locator("#chat-name")).to_have_text("Lien")
        await socket.expect("status", dot="green")
        await socket.send(type="close")
        await expect(ada.hook("wrap-up")).to_contain_text("U rondt het gesprek met Lien af.")


async def test_the_time_left_is_seen_and_said_and_the_keyboard_ends_it(scene: Scene, tmp_path: Path) -> None:
    ada = await scene.agent("ada")
    await keep_what_is_said(ada)
    await end_a_chat(ada, scene.base)

    async def said() -> bool:
        return any("U rondt het gesprek met Lien af. Nog " in text for _, text in await ada.page.evaluate("said"))

    await until(said)
    timer = ada.hook("wrap-up").get_by_role("timer")
    before = await timer.inner_text()
    await expect(timer).not_to_have_text(before)  # it counts down
    assert not await problems(ada.page)
    await until_blue(scene.base, "busy")
    await ada.page.screenshot(path=tmp_path / "wrap-up-1280.png")
    await ada.page.reload()
    await expect(ada.hook("wrap-up")).to_contain_text("U rondt het gesprek met Lien af.")
    await expect(ada.hook("wrap-up-done")).to_have_accessible_name("Klaar: U rondt het gesprek met Lien af.")
    await tab_to(ada, "wrap-up-done")
    await keys(ada, "Enter")
    await expect(ada.hook("wrap-up")).to_have_count(0)
    await expect(ada.page.locator("#announce")).to_contain_text("Deze plaats is weer vrij voor een nieuw gesprek.")
    await focused(ada, "chat-item")
    await until_green(scene.base)


async def test_it_fits_a_phone_in_each_language(scene: Scene, tmp_path: Path) -> None:
    ada = await scene.agent("ada", size=PHONE)
    await end_a_chat(ada, scene.base)
    for language, word in (("fr", "Terminé"), ("de", "Fertig"), ("en", "Done"), ("nl", "Klaar")):
        await ada.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})  # the search for problems changes it
        await ada.page.goto(f"{scene.base}/agent?lang={language}")
        await expect(ada.hook("wrap-up-done")).to_have_text(word)
        assert await ada.page.evaluate(SIDEWAYS) == 0, language
        await ada.page.screenshot(path=tmp_path / f"wrap-up-360-{language}.png")
        assert not await problems(ada.page)
    await ada.hook("wrap-up-done").click()
    await expect(ada.hook("wrap-up")).to_have_count(0)
    await until_green(scene.base)
