"""The staff on the console: administrators add an account, change it, undo that, and remove it, by keyboard."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.e2e.browser.people import PHONE, Person, Scene, focused, until
from tests.e2e.browser.test_access_log import officer
from tests.e2e.browser.test_configuration import REFUSED, sound
from tests.support.accounts import Account
from tests.support.browser_systems import running_browser_system
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (Account("ada"), Account("beheer", role="administrator"), Account("bea", role="administrator"))
CHOSEN = "vier groene fietsen"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system whose accounts are in the database."""
    home: Path = tmp_path_factory.mktemp("office")
    with running_browser_system(home, ACCOUNTS, broker, mongodb_url, CONFIG_SOURCE="database") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def scene(office: System, browser: Browser) -> AsyncIterator[Scene]:
    """People with browsers at that system, who go home at the end."""
    made = Scene(office.base_url, browser)
    yield made
    await made.close()


async def administrator(scene: Scene, username: str = "beheer", size: tuple[int, int] | None = None) -> Person:
    """An administrator who looks at the staff."""
    person = await officer(scene, username, "answer-add", size)
    await person.hook("subject-staff").press("Enter")
    await expect(person.hook("staff-table")).to_be_visible()
    return person


async def act(person: Person, name: str) -> None:
    """Do this with the account that is open."""
    await person.hook(f"staff-act-{name}").press("Enter")
    await person.hook("confirm").press("Enter")


async def until_known(person: Person, password: str) -> None:
    """Log in until presence knows the new account, which takes some seconds: then a new password is asked."""

    async def is_asked() -> bool:
        await person.hook("login-password").fill(password)
        await person.hook("login-submit").click()
        await expect(person.hook("login-submit")).not_to_have_attribute("aria-disabled", "true")
        return await person.hook("login-new").is_visible()

    await until(is_asked)


@pytest.mark.parametrize("size", [None, PHONE], ids=["1280", "360"])
async def test_an_account_is_added_used_changed_undone_and_removed(scene: Scene, size: tuple[int, int] | None) -> None:
    beheer = await administrator(scene, size=size)
    await sound(beheer)
    username = "cas" if size is None else "dirk"
    await beheer.hook("staff-add").press("Enter")
    await beheer.hook("staff-username").fill("Cas!")
    await beheer.hook("staff-save").press("Enter")
    await focused(beheer, "staff-username")
    await expect(beheer.page.get_by_text("Kies minstens één dienst.")).to_be_visible()
    await sound(beheer)
    await beheer.hook("staff-username").fill(username)
    await beheer.hook("staff-name").fill("Cas")
    await beheer.hook("staff-departments-algemeen").press("Space")
    await beheer.hook("staff-save").press("Enter")
    password = await beheer.hook("staff-once").input_value()
    assert len(password) >= 16
    await sound(beheer)
    await beheer.hook("staff-copy").press("Enter")
    await expect(beheer.hook("staff-copied")).not_to_be_empty()
    await beheer.hook("staff-once-shut").press("Enter")
    await focused(beheer, f"staff-edit-{username}")
    assert password not in await beheer.page.content()

    cas = await scene.stranger()
    cas.expects("401")
    await cas.hook("login-username").fill(username)
    await until_known(cas, password)
    await sound(cas)
    await cas.hook("login-new").fill(CHOSEN)
    await cas.hook("login-again").fill(CHOSEN)
    await cas.hook("login-submit").click()
    await expect(cas.hook("agent-state")).to_have_attribute("data-state", "available")

    await beheer.hook(f"staff-edit-{username}").press("Enter")
    await beheer.hook("staff-capacity").fill("4")
    await beheer.hook("staff-save").press("Enter")
    await focused(beheer, f"staff-edit-{username}")
    await beheer.hook(f"staff-edit-{username}").press("Enter")
    await beheer.hook("staff-history").press("Enter")
    await expect(beheer.hook("staff-history-list")).to_contain_text("Gesprekken tegelijk: van 1 naar 4")
    await sound(beheer)
    await beheer.hook("staff-undo-2").press("Enter")
    await beheer.hook("confirm").press("Enter")
    await focused(beheer, f"staff-edit-{username}")
    await beheer.hook(f"staff-edit-{username}").press("Enter")
    await expect(beheer.hook("staff-capacity")).to_have_value("1")
    await sound(beheer)
    await act(beheer, "remove")
    await expect(beheer.hook("staff-history-list")).to_contain_text("Verwijderd")
    await expect(cas.hook("login-submit")).to_be_visible()
    await beheer.hook("staff-back").press("Enter")
    await beheer.hook("staff-search").fill(username)
    await beheer.hook("staff-find").press("Enter")
    await expect(beheer.hook("staff-none")).to_be_visible()
    await sound(beheer)


async def test_a_refusal_names_who_was_first_and_the_own_account_stays(scene: Scene) -> None:
    beheer, bea = await administrator(scene), await administrator(scene, "bea")
    for person, capacity in ((beheer, "3"), (bea, "4")):
        await person.hook("staff-edit-ada").click()
        await person.hook("staff-capacity").fill(capacity)
    await beheer.hook("staff-save").click()
    await expect(beheer.hook("staff-table")).to_be_visible()
    bea.expects(REFUSED)
    await bea.hook("staff-save").click()
    await expect(bea.hook("staff-refusal").first).to_contain_text("Beheer heeft deze medewerker intussen gewijzigd")
    await bea.hook("staff-newest").click()
    await expect(bea.hook("staff-capacity")).to_have_value("3")
    await bea.hook("staff-cancel").click()
    await bea.hook("staff-edit-bea").click()
    await act(bea, "disable")
    await expect(bea.page.get_by_text("Dit is uw eigen account.")).to_be_visible()
    await sound(bea)
