"""A supervisor reads the figures of a played month on the console, on a wide page and on a phone, and as CSV."""

import asyncio
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from services.common.mongo.client import Database, open_database
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.log.store import Store
from services.transcripts.questions.store import Questions
from services.transcripts.settings import Settings
from services.transcripts.statistics.store import Statistics
from tests.e2e.browser.people import PHONE, Person, Scene
from tests.e2e.browser.test_accessibility import problems
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.servers import PATIENCE, Broker, System, unique
from tests.transcripts.conftest import SECRET
from tests.transcripts.statistics.month import CHATS, play

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (Account("an"), Account("bert"), Account("sara", supervisor=True))
SIDEWAYS = """() => [...document.querySelectorAll("#overview, .defined, [data-testid=reports-periods]")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => `${one.className} ${one.scrollWidth}`)"""


@dataclass
class Office:
    """A running system, and the name of its databases."""

    system: System
    mongodb_url: str
    prefix: str

    def database(self) -> Database:
        values = {"mongodb_url": self.mongodb_url, "mongodb_prefix": self.prefix, "token_secret": SECRET}
        return open_database(Settings.model_validate(values), "transcripts")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[Office]:
    """A system in which figures of agents are on."""
    name = unique("reports-")
    prefix, url, home = f"{name}-", broker.make_vhost(name), tmp_path_factory.mktemp("office")
    with running_browser_system(
        home, ACCOUNTS, AGENT_FIGURES="on", RABBITMQ_URL=url, MONGODB_URL=mongodb_url, MONGODB_PREFIX=prefix
    ) as running:
        yield Office(running, mongodb_url, prefix)
    broker.remove_vhost(name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def month(office: Office) -> None:
    """October 2026 is played, and the system has counted it."""
    database = office.database()
    await play(Store(database), Questions(database), Ratings(database, Statistics(database)))
    async with asyncio.timeout(PATIENCE):
        while await database["chat_statistics"].count_documents({}) < len(CHATS) - 1:
            await asyncio.sleep(0.2)
        while await database["question_statistics"].count_documents({}) < 2:
            await asyncio.sleep(0.2)
    database.client.close()


@pytest.fixture(scope="module")
def system(office: Office) -> System:
    return office.system


async def october(sara: Person, by: str = "day") -> None:
    """Opens the reports, and chooses the month."""
    await sara.hook("open-reports").click()
    await sara.hook("reports-from").fill("2026-10-01")
    await sara.hook("reports-until").fill("2026-10-31")
    await sara.hook("reports-by").select_option(by)
    await sara.hook("reports-show").click()


async def cells(sara: Person, hook: str, row: str) -> list[str]:
    """The words of the row that begins with these words."""
    found = sara.hook(hook).get_by_role("row").filter(has=sara.page.get_by_role("rowheader", name=row, exact=True))
    await expect(found).to_have_count(1)
    return [" ".join(words.split()) for words in await found.locator("td > span:not(.label)").all_text_contents()]


async def test_a_supervisor_reads_a_month_and_others_do_not(scene: Scene, month: None) -> None:
    an = await scene.agent("an")
    await expect(an.hook("open-reports")).to_have_count(0)
    sara = await scene.agent("sara")
    await october(sara)
    await expect(sara.hook("reports-periods").get_by_role("row")).to_have_count(1 + 31)
    value, meaning = await cells(sara, "reports-total", "Wachttijd")
    assert value == "15 sec / 1 min"
    assert meaning.startswith("Van het begin tot een medewerker het gesprek aannam.")
    assert (await cells(sara, "reports-total", "Gesprekken"))[0] == "12"
    assert (await cells(sara, "reports-total", "Score"))[0] == "3,6 (5)"
    await expect(sara.hook("reports")).to_contain_text("tijdzone Europe/Brussels")
    sunday = await cells(sara, "reports-periods", "zo 25 okt")
    assert sunday[:4] == ["4", "3", "1", "40 sec / 1 min"]
    premies = await cells(sara, "reports-departments", "Premies en toelagen")
    assert premies[0] == "1"
    assert (await cells(sara, "reports-agents", "bert"))[0] == "4"
    assert await sara.page.evaluate(SIDEWAYS) == []
    for chart in ("Gesprekken", "Wachttijd"):
        named = f"{chart}. Dezelfde cijfers staan in de tabel eronder."
        await expect(sara.page.get_by_role("img", name=named)).to_be_visible()
    assert await problems(sara.page) == []


async def test_weeks_of_one_department(scene: Scene, month: None) -> None:
    sara = await scene.agent("sara")
    await october(sara, "week")
    await sara.hook("reports-department").select_option("algemeen")
    await sara.hook("reports-show").click()
    await expect(sara.hook("reports-departments")).to_have_count(0)
    await expect(sara.hook("reports-periods").get_by_role("row")).to_have_count(1 + 5)
    week = await cells(sara, "reports-periods", "Week 44: 26 okt 2026 – 31 okt 2026")
    assert week[:3] == ["2", "2", "0"]
    assert await problems(sara.page) == []


async def test_on_a_phone_nothing_is_cut_off(scene: Scene, month: None) -> None:
    sara = await scene.agent("sara", size=PHONE)
    await october(sara)
    await expect(sara.hook("reports-periods").get_by_role("row")).to_have_count(1 + 31)
    assert await sara.page.evaluate(SIDEWAYS) == []
    assert await problems(sara.page) == []


async def test_the_same_figures_come_as_a_file(scene: Scene, month: None, tmp_path: Path) -> None:
    sara = await scene.agent("sara")
    await october(sara)
    await expect(sara.hook("reports-periods").get_by_role("row")).to_have_count(1 + 31)
    async with sara.page.expect_download() as downloading:
        await sara.hook("reports-csv").click()
    download = await downloading.value
    assert download.suggested_filename == "chat-2026-10-01-2026-10-31.csv"
    await download.save_as(tmp_path / "report.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_bytes().decode("utf-8-sig"), newline="")))
    assert [row["scope"] for row in rows] == ["total", *["day"] * 31, *["department"] * 2, *["agent"] * 2]
    assert (rows[0]["offered"], rows[0]["wait_p90"], rows[0]["score_mean"]) == ("12", "60", "3.6")
    assert [row["agent_id"] for row in rows[-2:]] == ["an", "bert"]


async def test_what_is_wrong_with_the_days_is_said(scene: Scene, month: None) -> None:
    sara = await scene.agent("sara")
    sara.expects("422")
    await october(sara)
    await sara.hook("reports-until").fill("2026-09-30")
    await sara.hook("reports-show").click()
    await expect(sara.page.get_by_role("alert").filter(has_text="De laatste dag ligt voor de eerste.")).to_be_visible()
    await sara.hook("reports-from").fill("2024-01-01")
    await sara.hook("reports-show").click()
    await expect(sara.page.get_by_role("alert").filter(has_text="Kies ten hoogste 400 dagen.")).to_be_visible()
