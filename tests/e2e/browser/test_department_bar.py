"""The departments in the bar of the console: they change live, on a wide page, on a phone and on a zoomed page."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Locator, expect

from tests.e2e.browser.people import PHONE, Person, Scene, press
from tests.e2e.browser.test_accessibility import problems
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.clients import agent, citizen
from tests.support.servers import ROOT, Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (
    Account("an", departments=("algemeen",)),
    Account("mia", departments=("algemeen", "premies")),
    Account("sara", capacity=1, departments=("algemeen", "premies"), supervisor=True),
)
ZOOMED = (640, 400)
"""A window of 1280 by 800 at 200 %."""
UNTIL = """() => new Date(Date.now() + 3_600_000).toISOString()"""
SIDEWAYS = """() => [document.scrollingElement, ...document.querySelectorAll("#bar, .bar-sheet")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => `${one.className} ${one.scrollWidth}`)"""
SAID = """() => {
    window.saidAloud = [];
    for (const place of document.querySelectorAll("#announce, #announce-new"))
        new MutationObserver((changes) => changes.forEach(({ addedNodes }) =>
            addedNodes.forEach((node) => window.saidAloud.push(node.textContent)))).observe(place, { childList: true });
}"""
WAITS = 'busy = "queue"\nqueue = { longest = 5 }\n'


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system in which citizens may wait while all agents are in conversation."""
    home = tmp_path_factory.mktemp("office")
    file = home / "departments.toml"
    text = (ROOT / "deploy" / "departments.toml").read_text()
    file.write_text(text.replace('id = "algemeen"\n', f'id = "algemeen"\n{WAITS}'))
    with running_browser_system(home, ACCOUNTS, broker, mongodb_url, DEPARTMENTS_FILE=str(file)) as running:
        yield running


def line(person: Person) -> Locator:
    return person.hook("department-line")


async def said(person: Person, words: str) -> None:
    """Waits until a screen reader was told this."""
    await person.page.wait_for_function("(words) => saidAloud.some((one) => one.includes(words))", arg=words)


async def intake(sara: Person, closed: bool) -> None:
    """Closes or opens the intake, as the live page does."""
    until = await sara.page.evaluate(UNTIL)
    status = await sara.page.evaluate(
        """async ([closed, until]) => (await fetch("/api/agent/intakes/algemeen", closed
            ? { method: "PUT", headers: { "Content-Type": "application/json" },
                body: JSON.stringify({ reason: "staff", until }) }
            : { method: "DELETE" })).status""",
        [closed, until],
    )
    assert status in (200, 204)


async def test_an_agent_of_one_department_sees_its_state_change(scene: Scene, system: System) -> None:
    an = await scene.agent("an")
    await expect(line(an)).to_contain_text("Groen")
    await expect(line(an)).to_contain_text("Altijd open")
    await expect(line(an)).to_contain_text("Niemand wacht")
    await expect(line(an).locator(".dot")).to_have_attribute("data-colour", "green")
    await expect(an.hook("departments-open")).to_have_count(0)
    await an.page.evaluate(SAID)
    asked = len(an.addresses)

    someone = await scene.citizen()
    await press(someone, question="Hoe lang duurt dit?")
    await someone.dot("green")
    await expect(line(an)).to_contain_text("Blauw: alle medewerkers zijn in gesprek")
    await expect(line(an).locator(".dot")).to_have_attribute("data-colour", "blue")
    async with citizen(system.base_url) as other:
        assert (await other.start(queue=True)).status == 201
        waiting = await other.join()
        await expect(line(an)).to_contain_text("1 wacht, al minder dan 1 min.")
        assert await problems(an.page) == []
        await waiting.send(type="close")
        await expect(line(an)).to_contain_text("Niemand wacht")
    assert not [address for address in an.addresses[asked:] if "/api/button" in address], "it polls"
    assert not [words for words in await an.page.evaluate("saidAloud") if "Blauw" in words], "each colour is said"

    sara = await scene.agent("sara")
    await intake(sara, closed=True)
    await expect(line(an)).to_contain_text("Blauw: instroom gesloten door Sara tot")
    await said(an, "instroom gesloten door Sara tot")
    await intake(sara, closed=False)
    await expect(line(an)).to_contain_text("Groen")
    await said(an, "Groen")


async def test_an_agent_of_several_departments_opens_a_table_over_the_page(scene: Scene, system: System) -> None:
    async with agent(system.base_url, "an"):
        mia = await scene.agent("mia")
        opener, table = mia.hook("departments-open"), mia.hook("departments-table")
        await expect(opener).to_contain_text("2 groen")
        await expect(opener).to_have_attribute("aria-expanded", "false")
        await expect(table).to_be_hidden()
        for size in ((1280, 800), PHONE, ZOOMED, (320, 256)):
            await mia.page.set_viewport_size({"width": size[0], "height": size[1]})
            await opener.focus()
            place = await mia.page.locator("#chats").bounding_box()
            await mia.page.keyboard.press("Enter")
            await expect(opener).to_have_attribute("aria-expanded", "true")
            await expect(table.get_by_role("row")).to_have_count(3)
            row = table.get_by_role("row").nth(1)
            await expect(row).to_contain_text("Groen")
            await expect(row).to_contain_text("Altijd open")
            assert await mia.page.locator("#chats").bounding_box() == place, "the table moves the chats"
            assert await mia.page.evaluate(SIDEWAYS) == []
            await mia.page.keyboard.press("Escape")
            await expect(table).to_be_hidden()
            assert await mia.focus() == "departments-open"
        await mia.page.set_viewport_size({"width": 1280, "height": 800})
        await opener.click()
        assert await problems(mia.page) == []
        sara = await scene.agent("sara")
        await intake(sara, closed=True)
        await expect(opener).to_contain_text("1 groen")
        await expect(opener).to_contain_text("1 blauw")
        await expect(table).to_contain_text("Blauw: instroom gesloten door Sara tot")
        assert await problems(mia.page) == []
        await intake(sara, closed=False)
        await expect(opener).to_contain_text("2 groen")


async def test_without_a_connection_the_state_is_not_known(scene: Scene) -> None:
    an = await scene.agent("an", size=PHONE)
    await expect(line(an)).to_contain_text("Groen")
    assert await an.page.evaluate(SIDEWAYS) == []
    an.expects("net::ERR_", "WebSocket")
    await an.context.set_offline(True)
    await expect(line(an)).to_contain_text("geen verbinding")
    await expect(line(an).locator(".dot")).not_to_have_attribute("data-colour", "green")
    await an.context.set_offline(False)
    await expect(line(an)).to_contain_text("Groen")
