"""A supervisor watches their departments as they work, and acts: on a wide page and on a phone."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.async_api import Locator, Route, expect

from tests.e2e.browser.people import PHONE, Person, Scene, press
from tests.e2e.browser.test_accessibility import problems
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.servers import ROOT, Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (
    Account("an", departments=("algemeen",)),
    Account("bert", departments=("algemeen",)),
    Account("sara", capacity=1, departments=("algemeen", "premies"), supervisor=True),
)
SIDEWAYS = """() => [...document.querySelectorAll("#overview, .live-department, dialog")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => `${one.className} ${one.scrollWidth}`)"""
IMPATIENT = "remind_after = 1\nalarm_after = 2\n"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system in which a citizen has waited too long after two seconds."""
    home = tmp_path_factory.mktemp("office")
    file = home / "departments.toml"
    text = (ROOT / "deploy" / "departments.toml").read_text()
    file.write_text(text.replace('id = "algemeen"\n', f'id = "algemeen"\n{IMPATIENT}'))
    with running_browser_system(home, ACCOUNTS, broker, mongodb_url, DEPARTMENTS_FILE=str(file)) as running:
        yield running


def row(table: Locator, name: str) -> Locator:
    """The row of this agent."""
    return table.get_by_role("row").filter(has=table.page.get_by_role("rowheader", name=name, exact=True))


async def supervisor(scene: Scene, size: tuple[int, int] = (1280, 800)) -> Person:
    """Sara, paused so that she gets no chats, on the live page."""
    sara = await scene.agent("sara", size=size)
    await sara.hook("agent-state").click()
    await expect(sara.hook("agent-state")).to_have_attribute("data-state", "paused")
    await sara.hook("open-live").click()
    await expect(sara.hook("live-department-algemeen")).to_be_visible()
    return sara


async def test_a_supervisor_sees_a_chat_that_waits_and_gives_it_to_another_agent(scene: Scene) -> None:
    an = await scene.agent("an")
    await expect(an.hook("open-live")).to_have_count(0)
    sara = await supervisor(scene)
    department = sara.hook("live-department-algemeen")
    agents = department.get_by_test_id("live-agents")
    await expect(row(agents, "An")).to_contain_text("Beschikbaar")
    await expect(department.get_by_test_id("live-button")).to_contain_text("Groene knop")

    citizen = await scene.citizen()
    await press(citizen, question="Hoe lang duurt dit nog?")
    await citizen.dot("green")
    chats = department.get_by_test_id("live-chats")
    await expect(row(chats, "An")).to_contain_text("Te lang")
    await expect(sara.hook("live-late")).to_contain_text("1")
    await expect(an.hook("chat-item")).to_contain_text("Wacht al")
    await expect(row(agents, "An")).to_contain_text("1 van 1")
    assert await problems(sara.page) == []
    assert await sara.page.evaluate(SIDEWAYS) == []

    await chats.get_by_test_id("live-look").click()
    await expect(sara.hook("live-conversation")).to_contain_text("Hoe lang duurt dit nog?")
    sent = asyncio.Event()

    async def hold(route: Route) -> None:
        reply = await route.fetch()
        await sent.wait()
        await route.fulfill(response=reply)

    await sara.page.route("**/notes", hold)
    await sara.hook("live-note").fill("Vraag naar het dossiernummer.")
    await sara.hook("live-note-send").click()
    await sara.hook("live-note").press_sequentially(" En daarna")
    sent.set()
    await expect(sara.page.get_by_text("De nota is verstuurd.")).to_be_visible()
    await expect(sara.hook("live-note")).to_have_value(" En daarna")
    await expect(an.page.get_by_text("Vraag naar het dossiernummer.")).to_be_visible()
    assert await problems(sara.page) == []
    await sara.page.keyboard.press("Escape")

    bert = await scene.agent("bert")
    await expect(row(agents, "Bert")).to_contain_text("Beschikbaar")
    await chats.get_by_test_id("live-reassign").click()
    await expect(sara.page.get_by_role("radio", name="Bert")).to_be_visible()
    assert await problems(sara.page) == []
    await sara.page.get_by_role("radio", name="Bert").check()
    await sara.hook("live-reassign-confirm").click()
    await expect(row(chats, "Bert")).to_have_count(1)
    await expect(bert.hook("chat-item")).to_have_count(1)

    await row(agents, "An").get_by_test_id("live-pause").click()
    await sara.hook("confirm").click()
    await expect(an.hook("agent-state")).to_have_attribute("data-state", "paused")
    await expect(an.page.get_by_text("Uw leidinggevende heeft u op pauze gezet.").first).to_be_visible()
    await row(agents, "An").get_by_test_id("live-logout").click()
    await sara.hook("confirm").click()
    await expect(an.hook("login-lead")).to_contain_text("Uw leidinggevende heeft u afgemeld.")
    await expect(row(agents, "An")).to_contain_text("Afgemeld")


async def test_a_supervisor_ends_the_access_of_a_citizen_whose_token_others_know(scene: Scene) -> None:
    an = await scene.agent("an")
    sara = await supervisor(scene)
    chats = sara.hook("live-department-algemeen").get_by_test_id("live-chats")
    citizen = await scene.citizen()
    await press(citizen, question="Leest er iemand mee?")
    await citizen.dot("green")
    await row(chats, "An").get_by_test_id("live-revoke").click()
    await expect(sara.page.get_by_role("dialog")).to_contain_text("ook niet met een code")
    assert await problems(sara.page) == []
    await sara.hook("confirm").click()
    await expect(sara.page.get_by_text("De toegang van de burger is beëindigd.").first).to_be_visible()
    await expect(citizen.page.get_by_text("Dit gesprek is niet meer beschikbaar.").first).to_be_visible()
    await expect(citizen.page.get_by_text("Leest er iemand mee?")).to_have_count(0)
    await expect(an.hook("dismiss")).to_be_visible()


async def test_a_supervisor_closes_the_intake_and_opens_it_again(scene: Scene) -> None:
    await scene.agent("an")
    sara = await supervisor(scene)
    department = sara.hook("live-department-algemeen")
    await expect(department.get_by_test_id("live-button")).to_contain_text("Groene knop")
    citizen = await scene.citizen()
    await citizen.button("green")
    await department.get_by_test_id("live-intake").click()
    await expect(sara.hook("live-close-confirm")).to_be_visible()
    assert await problems(sara.page) == []
    await sara.hook("live-reason-technical").check()
    await sara.hook("live-until-60").check()
    await sara.hook("live-close-confirm").click()
    await citizen.button("blue")
    await expect(citizen.page.get_by_text("Er is nu een technisch probleem.").first).to_be_visible()
    await expect(department.get_by_test_id("live-button")).to_contain_text("Sara sloot de instroom tot")
    await expect(department.get_by_test_id("live-intake")).to_have_text("Instroom openen")
    sheet = await citizen.page.context.request.get(f"{scene.base}/infofiche/algemeen?lang=fr")
    assert "problème technique" in await sheet.text()
    await department.get_by_test_id("live-intake").click()
    await citizen.button("green")
    await expect(department.get_by_test_id("live-button")).to_contain_text("Groene knop")


async def test_on_a_phone_nothing_is_cut_off(scene: Scene) -> None:
    await scene.agent("an")
    sara = await supervisor(scene, PHONE)
    agents = sara.hook("live-department-algemeen").get_by_test_id("live-agents")
    await expect(row(agents, "An")).to_contain_text("Beschikbaar")
    assert await sara.page.evaluate(SIDEWAYS) == []
    await sara.hook("live-department-algemeen").get_by_test_id("live-intake").click()
    await expect(sara.hook("live-close-confirm")).to_be_visible()
    assert await sara.page.evaluate(SIDEWAYS) == []
    assert await problems(sara.page) == []
