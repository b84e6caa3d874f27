"""The blue button: why it is blue and until when, waiting when all agents are busy, and a question with a file."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import DESKTOP, PHONE, Person, Scene, focused
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_keyboard import keys
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.clients import agent, begin, citizen, pair, until_blue
from tests.support.servers import System
from tests.transcripts.api.conversations.test_previews import png

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DUTCH = ("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag")
OPENS = datetime.now(ZoneInfo("Europe/Brussels")).date() + timedelta(days=3)
DEPARTMENTS = f"""
default = "algemeen"

[[departments]]
id = "algemeen"
names = {{ nl = "Algemeen", fr = "Général", de = "Allgemein", en = "General" }}
hours = "always"
busy = "queue"
questions = true
answer_within = 2
queue = {{ longest = 3 }}

[[departments.contacts]]
kind = "phone"
value = "+32 2 555 01 00"

[[departments]]
id = "vragen"
names = {{ nl = "Vragen", fr = "Questions", de = "Fragen", en = "Questions" }}
hours = "{DAYS[OPENS.weekday()]} 09:00-10:00"
questions = true
answer_within = 1

[[departments]]
id = "gesloten"
names = {{ nl = "Gesloten", fr = "Fermé", de = "Zu", en = "Closed" }}
hours = "{DAYS[OPENS.weekday()]} 09:00-10:00"
"""
HANDLED = 3  # chats without which nothing is known of the pace
ASKED = "Mag een factuur van vorig jaar nog meetellen?"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with a department that lets citizens wait, one that takes questions, and one that does neither."""
    home = tmp_path_factory.mktemp("blue")
    departments = home / "departments.toml"
    departments.write_text(DEPARTMENTS, encoding="utf-8")
    accounts = [Account("vera", departments=("algemeen", "vragen"))]
    # Without public holidays: one of them may be the day on which two departments open.
    with running_browser_system(home, accounts, DEPARTMENTS_FILE=str(departments), HOLIDAYS="") as running:
        yield running


async def lines(person: Person, selector: str) -> int:
    """How many lines this part of the launcher has."""
    measured = (
        await person.hook("chat-button")
        .locator(selector)
        .evaluate(
            "(part) => Math.round(part.getBoundingClientRect().height / parseFloat(getComputedStyle(part).lineHeight))"
        )
    )
    return int(measured)


@pytest.mark.parametrize(
    ("lang", "words", "sheet"),
    [
        ("nl", f"Gesloten, open {DUTCH[OPENS.weekday()]} 9 u.", "Bekijk de infofiche"),
        ("fr", "Fermé, ouvre ", "Consulter la fiche d’information"),
        ("de", "Geschlossen bis ", "Infoblatt ansehen"),
        ("en", "Closed, opens ", "See the info sheet"),
    ],
)
async def test_a_closed_department_says_until_when_and_opens_its_info_sheet(
    scene: Scene, lang: str, words: str, sheet: str
) -> None:
    for size in (DESKTOP, PHONE):
        someone = await scene.citizen(f"/?department=gesloten&lang={lang}", size=size)
        launcher = someone.hook("chat-button")
        await expect(launcher.locator("b")).to_contain_text(words)
        await expect(launcher.locator("small")).to_have_text(sheet)
        await expect(launcher).to_have_attribute("href", f"{scene.base}/infofiche/gesloten?lang={lang}")
        await expect(launcher).to_have_attribute("target", "_blank")
        await expect(launcher).to_have_accessible_name(re.compile(re.escape(words)))
        if size == DESKTOP:  # on a telephone the button is a sign
            assert [await lines(someone, "b"), await lines(someone, "small")] == [1, 1], lang


async def test_who_finds_all_agents_busy_chooses_to_wait(scene: Scene, system: System) -> None:
    base = system.base_url
    async with agent(base, "an") as an:
        for _ in range(HANDLED):
            async with citizen(base) as visitor:
                theirs, ours = await pair(visitor, an)
                await theirs.send(type="close")
                await ours.expect("closed", chat_id=visitor.chat_id)
        async with agent(base, "bert"), citizen(base) as first, citizen(base) as second:
            someone = await scene.citizen()
            launcher = someone.hook("chat-button")
            await someone.button("green")
            conversations = []
            for visitor in (first, second):  # which of the two agents has which is chance
                await begin(visitor)
                conversations.append(await visitor.join())
                await conversations[-1].expect("status", dot="green")
            await until_blue(base, "busy")
            await expect(launcher.locator("b")).to_have_text("Alle medewerkers zijn in gesprek")
            await expect(launcher.locator("small")).to_have_text("Bekijk wat u kunt doen")
            await launcher.click()
            await expect(someone.hook("blue-panel")).to_be_visible()
            await expect(launcher).to_be_hidden()
            await expect(someone.hook("blue-reason")).to_have_text("Alle medewerkers zijn in gesprek")
            place = someone.hook("blue-place")
            await expect(place).to_have_text(re.compile(r"^Plaats 1, ongeveer \d+ minu(ut|ten)$"))
            assert not await problems(someone.page)
            async with citizen(base) as third:
                assert (await third.start(queue=True)).status == 201
                waiting = await third.join()
                await waiting.expect("status", dot="grey", position=1)
                await expect(place).to_contain_text("Plaats 2")
                await waiting.send(type="close")
                await waiting.expect("closed")
            await expect(place).to_contain_text("Plaats 1")
            await someone.hook("blue-wait").click()
            await someone.dot("grey")
            await expect(someone.hook("blue-panel")).to_be_hidden()
            await expect(someone.hook("chat-wait")).to_contain_text("U bent nummer 1 in de wachtrij.")
            await expect(someone.hook("leave-question")).to_be_visible()
            await conversations[0].send(type="close")
            await conversations[0].expect("closed")
            await someone.dot("green")


async def test_the_words_change_when_an_agent_is_free(scene: Scene, system: System) -> None:
    base = system.base_url
    someone = await scene.citizen()
    words = someone.hook("chat-button").locator("b")
    await expect(words).to_have_text("Er is nu geen medewerker")
    await someone.hook("chat-button").click()
    await expect(someone.hook("blue-wait")).to_be_hidden()
    await expect(someone.hook("blue-question")).to_be_visible()
    await expect(someone.hook("blue-panel")).to_contain_text("+32 2 555 01 00")
    async with agent(base, "an"):
        await expect(someone.hook("blue-reason")).to_have_text("Er is nu een medewerker vrij.")
        await expect(someone.hook("blue-chat")).to_be_visible()
        await expect(someone.hook("blue-question")).to_be_hidden()
        await keys(someone, "Escape")
        await focused(someone, "chat-button")
        await expect(words).to_have_text("Chat met een medewerker")
    await expect(words).to_have_text("Er is nu geen medewerker")


async def test_a_question_with_a_file_is_left_and_reaches_the_agents(scene: Scene, tmp_path: Path) -> None:
    photo, program = tmp_path / "factuur.txt", tmp_path / "start.exe"
    photo.write_text("Factuur 12, 300 euro", encoding="utf-8")
    program.write_bytes(b"MZ" + bytes(200))
    picture = tmp_path / "foto.png"
    picture.write_bytes(png(640, 480))
    someone = await scene.citizen("/?department=vragen", size=PHONE)
    someone.expects("415")
    launcher = someone.hook("chat-button")
    await expect(launcher.locator("b")).to_have_text(f"Gesloten, open {DUTCH[OPENS.weekday()]} 9 u.")
    await launcher.focus()
    await keys(someone, "Enter")
    await focused(someone, "blue-title")
    await expect(someone.hook("blue-sheet")).to_have_attribute("href", f"{scene.base}/infofiche/vragen?lang=nl")
    await expect(someone.hook("blue-wait")).to_be_hidden()
    await expect(someone.hook("blue-question")).to_contain_text("Antwoord binnen 1 werkdag.")
    assert not await problems(someone.page)
    await keys(someone, "Tab", "Tab", "Tab")
    assert await someone.focus() == "blue-question"
    await keys(someone, "Enter")
    await focused(someone, "question-contact")
    await someone.hook("question-send").click()
    await expect(someone.hook("question-contact")).to_have_attribute("aria-invalid", "true")
    assert not await problems(someone.page)
    await someone.page.keyboard.type("lien@example.be")
    await someone.hook("question-name").fill("Lien Claes")
    await someone.hook("question-text").fill(ASKED)
    await someone.hook("question-files").set_input_files([photo, program, picture])
    await someone.hook("question-text").press("Tab")
    await someone.hook("question-send").click()
    number = await someone.hook("receipt-number").inner_text()
    assert re.fullmatch(r"[34679ACDEFGHJKMNPQRTWXY]{4}\s[34679ACDEFGHJKMNPQRTWXY]{4}", number), number
    await expect(someone.hook("receipt-within")).to_contain_text(f"uiterlijk op {DUTCH[OPENS.weekday()]} {OPENS.day} ")
    files = someone.hook("receipt-files").locator("li")
    await expect(files.nth(0)).to_contain_text("Toegevoegd")
    await expect(files.nth(1)).to_contain_text("Niet toegevoegd.")
    assert not await problems(someone.page)
    await someone.hook("receipt-close").click()
    await focused(someone, "chat-button")

    vera = await scene.agent("vera")
    await vera.hook("open-questions").click()
    question = vera.hook("question").filter(has_text="lien@example.be")
    await expect(question).to_contain_text(ASKED)
    await expect(question).to_contain_text("Lien Claes")
    await expect(question).to_contain_text("Vragen")
    await expect(question.get_by_test_id("question-number")).to_contain_text(number)
    await expect(question.get_by_test_id("question-attachments")).to_contain_text("factuur.txt")
    await expect(question.get_by_role("link", name="factuur.txt")).to_have_count(0)
    await expect(question.get_by_test_id("chat-preview")).to_have_count(0)
    await question.get_by_test_id("question-claim").click()
    await expect(question.get_by_test_id("question-holder")).to_have_text("U behandelt deze vraag.")
    await question.get_by_role("button", name="Afbeelding: foto.png").click()
    await expect(vera.hook("preview-view").get_by_role("img")).to_be_visible()
    assert not await problems(vera.page)
    await vera.hook("preview-close").click()
    assert await question.get_by_test_id("question-read").count() == 0
    assert not await problems(vera.page)
    name, content = await vera.saved(question.get_by_role("link", name="factuur.txt"))
    assert (name, content) == ("factuur.txt", photo.read_bytes())
    await question.get_by_test_id("question-done").click()
    await vera.hook("confirm").click()
    await expect(question).to_have_count(0)


async def test_files_that_cannot_be_sent_yet_say_so_and_go_after_a_press(scene: Scene, tmp_path: Path) -> None:
    photo = tmp_path / "factuur.txt"
    photo.write_text("Factuur 12, 300 euro", encoding="utf-8")
    someone = await scene.citizen("/?department=vragen")
    await expect(someone.hook("chat-button").locator("b")).to_have_text(re.compile("^Gesloten, open"))
    await someone.hook("chat-button").click()
    await someone.hook("blue-question").click()
    await someone.hook("question-contact").fill("lien@example.be")
    await someone.hook("question-text").fill(ASKED)
    await someone.hook("question-files").set_input_files(photo)
    someone.expects("net::ERR_FAILED")
    await someone.page.route("**/loket-chat/files.js*", lambda route: route.abort())
    await someone.hook("question-send").click()
    files = someone.hook("receipt-files")
    await expect(files).to_contain_text("Niet toegevoegd.")
    await someone.page.unroute_all(behavior="wait")
    await someone.hook("receipt-retry").click()
    await expect(files).to_contain_text("Toegevoegd")
    await expect(files.locator("li")).to_have_count(1)
