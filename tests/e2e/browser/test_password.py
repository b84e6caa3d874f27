"""People change their password on the console: agents in the menu, officers in the bar."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.async_api import Route, expect

from tests.e2e.browser.people import PHONE, Person, Scene, focused
from tests.e2e.browser.test_accessibility import problems
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NEW = "vier groene fietsen"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    people = (Account("ada"), Account("audra", role="auditor"), Account("gert", role="auditor"))
    with running_browser_system(tmp_path_factory.mktemp("office"), people, broker, mongodb_url) as running:
        yield running


async def enter(person: Person, username: str, password: str = "demo") -> None:
    """Fill in the login form and send it."""
    await person.hook("login-username").fill(username)
    await person.hook("login-password").fill(password)
    await person.hook("login-submit").click()


async def fill(person: Person, old: str, new: str, again: str) -> None:
    for name, text in (("old", old), ("new", new), ("again", again)):
        await person.hook(f"password-{name}").fill(text)
    await person.hook("password-again").press("Enter")


async def test_an_agent_changes_their_password_and_the_other_browser_is_logged_out(scene: Scene) -> None:
    ada, elsewhere = await scene.agent("ada"), await scene.agent("ada")
    ada.expects("401", "422")
    await ada.page.locator("details.menu summary").click()
    await ada.hook("change-password").click()
    await focused(ada, "password-old")
    username = ada.page.get_by_role("dialog").locator("input[autocomplete=username]")
    await expect(username).to_have_value("ada")  # as a password manager knows it
    assert await problems(ada.page) == []
    alert = ada.page.locator("#password-alert")
    for old, new, again, words, place in (
        ("", NEW, NEW, "Vul uw huidige wachtwoord in.", "password-old"),
        ("demo", "kort", "kort", "Kies een wachtwoord van minstens 12 tekens.", "password-new"),
        ("demo", NEW, NEW + "!", "De twee nieuwe wachtwoorden zijn niet gelijk.", "password-again"),
        ("fout", NEW, NEW, "Het huidige wachtwoord is niet juist.", "password-old"),
        ("demo", "ada ada ada ada", "ada ada ada ada", "Dit wachtwoord is gemakkelijk te raden.", "password-new"),
        ("demo", "qwertyuiop123", "qwertyuiop123", "Veel mensen hebben dit wachtwoord.", "password-new"),
    ):
        await fill(ada, old, new, again)
        await expect(alert).to_contain_text(words)
        await focused(ada, place)
    await fill(ada, "demo", NEW, NEW)
    await expect(ada.hook("password-old")).to_have_count(0)
    await expect(ada.page.locator("details.menu > summary")).to_be_focused()  # the menu is shut: its button is hidden
    elsewhere.expects("401")
    await expect(elsewhere.page.get_by_text("Uw sessie is beëindigd.")).to_be_visible()
    await expect(ada.hook("agent-state")).to_be_visible()

    await enter(elsewhere, "ada")
    await expect(elsewhere.page.get_by_role("alert").filter(has_text="horen niet bij elkaar")).to_be_visible()
    await enter(elsewhere, "ada", NEW)
    await expect(elsewhere.hook("agent-state")).to_be_visible()


async def test_an_officer_has_the_same_dialog_on_a_small_screen(scene: Scene) -> None:
    audra = await scene.stranger(size=PHONE)
    assert await audra.page.evaluate("innerWidth") == PHONE[0]
    await enter(audra, "audra")
    await audra.hook("change-password").click()
    await focused(audra, "password-old")
    await expect(audra.page.get_by_role("dialog").locator("input[autocomplete=username]")).to_have_value("audra")
    assert await problems(audra.page) == []
    assert await audra.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await fill(audra, "demo", NEW, NEW)
    await expect(audra.hook("password-old")).to_have_count(0)
    await expect(audra.hook("access-log")).to_be_visible()


async def test_what_is_right_is_not_marked_and_a_refusal_is_shown_after_the_dialog_was_shut(scene: Scene) -> None:
    gert = await scene.stranger()
    await enter(gert, "gert")
    gert.expects("503")
    released = asyncio.Event()

    async def refuse(route: Route) -> None:
        await released.wait()
        await route.fulfill(status=503, json={"code": "unavailable"})

    await gert.page.route("**/api/agent/password", refuse)
    await gert.hook("change-password").click()
    released.set()
    words = "een onderdeel van de chat is niet bereikbaar"
    await fill(gert, "demo", "zes gele bromfietsen", "zes gele bromfietsen")
    await expect(gert.page.locator("#password-alert")).to_contain_text(words)
    await focused(gert, "password-submit")
    await expect(gert.page.locator("[aria-invalid]")).to_have_count(0)
    assert await problems(gert.page) == []
    released.clear()
    async with gert.page.expect_request("**/api/agent/password"):
        await gert.hook("password-submit").click()
    await gert.page.keyboard.press("Escape")
    await focused(gert, "change-password")
    released.set()
    await expect(gert.page.locator("#alarm")).to_contain_text(words)
