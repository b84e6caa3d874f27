"""Agents and supervisors find chats that have ended, on a wide page and on a phone, and read them in place."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Route, expect

from services.common.config.departments import load_departments
from services.common.events.types import CloseReason
from services.common.mongo.client import Database, open_database
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.e2e.browser.people import PHONE, Person, Scene, press
from tests.e2e.browser.test_accessibility import problems
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.clients import Agent
from tests.support.servers import Broker, System, unique
from tests.transcripts.conftest import SECRET
from tests.transcripts.past_chats.conftest import FORM, Player

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (Account("an"), Account("bert"), Account("sara", supervisor=True))
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
MANY = 27
SIDEWAYS = """() => [...document.querySelectorAll("#overview, .past-search, [data-testid=past-list]")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => `${one.className} ${one.scrollWidth}`)"""


@pytest.fixture(scope="module")
def office(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str
) -> Iterator[tuple[System, Settings]]:
    """A system, and the settings with which its database is opened."""
    name = unique("past-")
    prefix, url, home = f"{name}-", broker.make_vhost(name), tmp_path_factory.mktemp("office")
    values = {"mongodb_url": mongodb_url, "mongodb_prefix": prefix, "token_secret": SECRET}
    with running_browser_system(
        home, ACCOUNTS, RABBITMQ_URL=url, MONGODB_URL=mongodb_url, MONGODB_PREFIX=prefix
    ) as running:
        yield running, Settings.model_validate(values)
    broker.remove_vhost(name)


async def id_of(system: System, username: str) -> str:
    """The id of an agent, who logs in and out."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        agent = Agent(system.base_url, session, username)
        await agent.log_in()
        me = await (await session.get(f"{system.base_url}/api/agent/me")).json()
        await agent.log_out()
        return str(me.get("agent", me)["id"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def played(office: tuple[System, Settings]) -> dict[str, str]:
    """Chats have ended, and are listed. The ids of the agents by their usernames.

    That the system lists them by itself, in one of its rounds, is waited for by test_agents_day.py.
    """
    system, settings = office
    an, bert = [await id_of(system, username) for username in ("an", "bert")]
    database: Database = open_database(settings, "transcripts")
    player = Player(database, Store(database), load_departments(settings.departments_file))
    later = timedelta(minutes=1)
    await player.ended(
        *(("citizen", "Waar vraag ik een parkeerkaart aan?"), (an, "In het loket op de Grote Markt.")),
        agent=an,
        at=YESTERDAY + later,
        name="Zoë Vandenbroucke",
        form=FORM,
    )
    await player.ended(
        *(("citizen", "Où est ma prime?"), (bert, "Elle arrive.")),
        agent=bert,
        at=YESTERDAY + 2 * later,
        name="Luc",
        locale="fr",
        reason=CloseReason.INACTIVE,
    )
    for n in range(MANY):
        at = YESTERDAY - n * later
        await player.ended(("citizen", f"Vraag {n} over een fiets"), at=at, agent=an, name=f"Burger {n}")
    assert await database["past_chats"].count_documents({}) == MANY + 2
    database.client.close()
    return {"an": an, "bert": bert}


@pytest.fixture(scope="module")
def system(office: tuple[System, Settings]) -> System:
    return office[0]


async def names(person: Person, number: int) -> list[str]:
    """The names of the chats in the list, as soon as an answer has come that has so many."""
    await expect(person.hook("past-state")).to_contain_text(re.compile(rf"^{number} gesprek"))
    await expect(person.hook("past-chat")).to_have_count(number)
    return await person.hook("past-chat").locator("h3").all_text_contents()


async def search(person: Person, words: str) -> None:
    await person.hook("past-text").fill(words)
    await person.hook("past-text").press("Enter")


async def test_an_agent_finds_and_reads_their_own_chats(scene: Scene, played: dict[str, str]) -> None:
    an = await scene.agent("an")
    await an.hook("open-past").click()
    await expect(an.hook("past-state")).to_have_text("25 gesprekken getoond.")
    await expect(an.hook("past-own")).to_have_count(0)
    await expect(an.hook("past-revoke")).to_have_count(0)
    await search(an, "GROTE parkeer")
    assert await names(an, 1) == ["Zoë Vandenbroucke"]
    await expect(an.page).to_have_url(re.compile(re.escape("#chats?text=GROTE+parkeer") + "$"))
    await expect(an.hook("past-chat")).to_contain_text("Formulier: Aanvraag parkeerkaart")
    await an.hook("past-read").press("Enter")
    await expect(an.hook("past-messages")).to_contain_text("In het loket op de Grote Markt.")
    await expect(an.hook("past-read")).to_have_attribute("aria-expanded", "true")
    assert await problems(an.page) == []
    await an.hook("past-read").press("Enter")
    await expect(an.hook("past-messages")).to_have_count(0)
    await an.page.reload()
    assert await names(an, 1) == ["Zoë Vandenbroucke"], "the filters are in the address"
    await search(an, "prime")
    await expect(an.hook("past-state")).to_contain_text("Geen gesprekken gevonden.")
    assert await problems(an.page) == []
    await an.hook("overview-back").click()
    await expect(an.page).not_to_have_url(re.compile("#"))  # the words are not left in the address


async def test_pages_follow_each_other(scene: Scene, played: dict[str, str]) -> None:
    an = await scene.agent("an")
    await an.hook("open-past").click()
    await names(an, 25)
    await expect(an.hook("past-more")).to_be_visible()
    await an.hook("past-more").press("Enter")
    found = await names(an, MANY + 1)
    assert len(set(found)) == MANY + 1
    await expect(an.hook("past-more")).to_be_hidden()
    assert await an.page.evaluate("document.activeElement.textContent") == found[25]


async def test_pages_of_a_former_search_do_not_follow_a_new_one(scene: Scene, played: dict[str, str]) -> None:
    an = await scene.agent("an")
    await an.hook("open-past").click()
    await names(an, 25)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await an.page.route("**/api/agent/chats/search", hold)
    await an.hook("past-text").fill("Luc")
    await an.hook("past-search").click()
    await expect(an.hook("past-more")).to_be_hidden()
    held.set()
    await an.page.unroute_all(behavior="wait")


async def test_departments_have_their_names_also_when_these_come_after_the_chats(
    scene: Scene, played: dict[str, str]
) -> None:
    an = await scene.agent("an")
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await an.page.route("**/api/agents?*", hold)
    await an.page.goto(f"{scene.base}/agent#chats")
    await an.page.reload()
    await names(an, 25)
    first = an.hook("past-chat").first
    await expect(first).to_contain_text("algemeen")
    held.set()
    await expect(first).to_contain_text("Algemene vragen")
    await an.page.unroute_all(behavior="wait")


async def test_a_supervisor_filters_the_chats_of_the_department(scene: Scene, played: dict[str, str]) -> None:
    sara = await scene.agent("sara")
    await sara.hook("open-past").click()
    assert (await names(sara, 25))[:2] == ["Luc", "Zoë Vandenbroucke"]
    await sara.hook("past-filters").locator("summary").click()
    await sara.hook("past-ended").select_option("inactive")
    await sara.hook("past-search").click()
    assert await names(sara, 1) == ["Luc"]
    await sara.hook("past-ended").select_option("")
    await sara.hook("past-agent").select_option(played["bert"])
    await sara.hook("past-search").click()
    assert await names(sara, 1) == ["Luc"]
    await sara.hook("past-clear").click()
    await names(sara, 25)
    await sara.hook("past-form").fill("aanvraag parkeerkaart")
    await sara.hook("past-search").click()
    assert await names(sara, 1) == ["Zoë Vandenbroucke"]
    assert await problems(sara.page) == []
    await sara.hook("past-own").select_option("yes")
    await sara.hook("past-search").click()
    await expect(sara.hook("past-state")).to_contain_text("Geen gesprekken gevonden.")
    async with sara.page.expect_download() as downloading:
        await sara.hook("past-clear").click()
        await sara.hook("past-download").first.click()
        await sara.page.get_by_role("link", name="Tekst (TXT)").click()
    assert (await downloading.value).suggested_filename.endswith(".txt")


async def test_a_supervisor_ends_the_access_of_the_citizen_of_a_past_chat(scene: Scene, played: dict[str, str]) -> None:
    """Routing does not know these chats any more, as it is of a chat whose citizens have no access any more."""
    sara = await scene.agent("sara")
    await sara.hook("open-past").click()
    await names(sara, 25)
    await sara.hook("past-revoke").first.click()
    await expect(sara.page.get_by_role("dialog")).to_contain_text("Toegang van Luc")
    assert await problems(sara.page) == []
    sara.expects("404")
    await sara.hook("confirm").click()
    said = sara.hook("past-chat").first.get_by_test_id("past-revoke-said")
    await expect(said).to_contain_text("de toegang van de burger is al beëindigd")


async def test_what_is_wrong_with_a_search_is_said(scene: Scene, played: dict[str, str]) -> None:
    an = await scene.agent("an")
    an.expects("422")
    await an.hook("open-past").click()
    await names(an, 25)
    await search(an, "x")
    await expect(an.page.get_by_role("alert").filter(has_text="Geef een woord van twee of meer")).to_be_visible()
    await search(an, "een twee drie vier vijf zes zeven acht negen")
    await expect(an.page.get_by_role("alert").filter(has_text="ten hoogste acht woorden")).to_be_visible()
    assert await problems(an.page) == []


async def test_on_a_phone_nothing_is_cut_off(scene: Scene, played: dict[str, str]) -> None:
    sara = await scene.agent("sara", size=PHONE)
    await sara.hook("open-past").click()
    await names(sara, 25)
    await sara.hook("past-filters").locator("summary").click()
    assert await sara.page.evaluate(SIDEWAYS) == []
    assert await problems(sara.page) == []


async def test_the_open_chat_has_the_earlier_ones_of_its_form(scene: Scene, played: dict[str, str]) -> None:
    an = await scene.agent("an")
    form = '{ id: "P-12", title: "Aanvraag parkeerkaart" }'
    citizen = await scene.citizen()
    await citizen.button("green")
    await citizen.page.evaluate(f"document.querySelector('eloket-chat').context = {form}")
    await press(citizen, question="Nog een vraag")
    await citizen.dot("green")
    await expect(an.hook("chat-input")).to_be_visible()
    await an.hook("earlier-chats").locator("summary").click()
    await expect(an.hook("earlier-chats")).to_contain_text("Zoë Vandenbroucke")
    await an.page.get_by_role("link", name="Alle gesprekken over dit formulier").click()
    assert await names(an, 1) == ["Zoë Vandenbroucke"]
