"""The access log on the console: a supervisor says why they read a conversation, an auditor finds and verifies that."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from services.common.access_chain import Verifier
from tests.e2e.browser.people import PHONE, Person, Scene, focused
from tests.e2e.browser.test_accessibility import problems
from tests.support.accounts import Account
from tests.support.browsers.systems import DEPARTMENTS, running_browser_system
from tests.support.clients import agent, button, citizen, pair
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (
    Account("ada"),
    Account("sara", capacity=0, supervisor=True),
    Account("audra", role="auditor"),
    Account("beheer", role="administrator"),
)
REASON = "klacht 2026/3"
REFUSED = r"428"  # what the browser says of a request for a reason
READ_AT_ONCE = """async () => {
    const { reading } = await import("/static/agent/reading.js");
    const t = Object.assign((key) => key, { language: "nl" });
    const refused = { status: 428, code: "reason_required" };
    const read = async (reason) => (reason ? { status: 200, code: null, reason } : refused);
    window.answers = Promise.all(["a", "a", "b"].map((chat) => reading(t, chat, read)));
}"""
"""Reads two things of a chat and one of another, of which the department asks why."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system whose first department asks why a conversation is read."""
    home: Path = tmp_path_factory.mktemp("office")
    text = DEPARTMENTS.read_text("utf-8")
    asking = text.replace('id = "algemeen"\n', 'id = "algemeen"\nask_reason = "others"\n')
    assert asking != text
    file = home / "departments.toml"
    file.write_text(asking, "utf-8")
    with running_browser_system(home, ACCOUNTS, broker, mongodb_url, DEPARTMENTS_FILE=str(file)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chat(system: System) -> str:
    """The number of a chat that ada had."""
    async with agent(system.base_url, "ada") as ada, citizen(system.base_url) as lien:
        await pair(lien, ada)
        return lien.chat_id


async def officer(scene: Scene, username: str, hook: str, size: tuple[int, int] | None = None) -> Person:
    """An officer who has logged in and sees this."""
    person = await (scene.stranger(size=size) if size else scene.stranger())
    await person.hook("login-username").fill(username)
    await person.hook("login-password").fill("demo")
    await person.hook("login-submit").click()
    await expect(person.hook(hook)).to_be_visible()
    return person


def rows(person: Person, *words: str) -> Locator:
    """The entries that have all of these words."""
    found = person.hook("access-entry")
    for one in words:
        found = found.filter(has_text=one)
    return found


async def reads(sara: Person, chat: str) -> Locator:
    """The link to this chat in the assignments, which are opened."""
    await sara.hook("open-assignments").click()
    link = sara.page.get_by_role("link", name=f"Gesprek {chat[:8]} downloaden")
    await expect(link).to_be_visible()
    return link


async def test_a_supervisor_without_chats_says_why_they_read_one(scene: Scene, chat: str) -> None:
    sara = await scene.agent("sara")
    assert (await button(scene.base))["reason"] == "no_agents", "nobody can wait for a supervisor who takes no chats"
    link = await reads(sara, chat)
    sara.expects(REFUSED)
    await link.click()
    await focused(sara, "reading-reason")
    assert await problems(sara.page) == []
    await sara.page.keyboard.press("Enter")
    await expect(sara.page.get_by_text("Vul een reden in.")).to_be_visible()
    await sara.page.keyboard.press("Escape")
    await expect(sara.hook("reading-reason")).to_have_count(0)
    await expect(link).to_be_focused()

    await link.press("Enter")
    await focused(sara, "reading-reason")
    await sara.page.keyboard.type(REASON)
    async with sara.page.expect_download() as waiting:
        await sara.page.keyboard.press("Enter")
    download = await waiting.value
    assert download.suggested_filename.endswith(".html")
    assert b"<html" in (await download.path()).read_bytes()
    name, _ = await sara.saved(link)  # without another question
    assert name == download.suggested_filename

    await sara.page.reload()
    await (await reads(sara, chat)).click()
    await focused(sara, "reading-reason")  # another page has forgotten it


async def test_the_reason_is_asked_once_for_what_is_read_at_once(scene: Scene) -> None:
    sara = await scene.agent("sara")
    await sara.page.evaluate(READ_AT_ONCE)
    await expect(sara.hook("reading-reason")).to_have_count(2)  # of the one chat and of the other, which lies over it
    await sara.hook("reading-reason").last.fill("de ene")
    await sara.hook("reading-confirm").last.click()
    await expect(sara.hook("reading-reason")).to_have_count(1)
    await sara.hook("reading-reason").fill("de andere")
    await sara.hook("reading-confirm").click()
    reasons = await sara.page.evaluate("answers.then((all) => all.map((one) => one.reason))")
    assert reasons == ["de andere", "de andere", "de ene"]


async def test_an_auditor_finds_it_and_verifies_the_log(scene: Scene, chat: str) -> None:
    audra = await officer(scene, "audra", "access-log")
    await expect(audra.hook("access-chain")).to_have_attribute("data-intact", "true")
    await expect(audra.page.locator("#desk")).to_be_hidden()
    await audra.hook("access-person").fill("SAR")
    await audra.hook("access-act").select_option("transcript_read")
    await audra.page.keyboard.press("Tab")
    await audra.hook("access-search").click()
    await expect(rows(audra, "Sara", "supervisor", "gesprek gelezen", chat[:8], REASON)).to_have_count(2)
    await expect(audra.hook("access-entry")).to_have_count(2)
    asked = parse_qs(urlsplit(audra.page.url).query)
    assert (asked["person"], asked["act"]) == (["SAR"], ["transcript_read"])
    assert await problems(audra.page) == []

    name, table = await audra.saved(audra.hook("access-csv"))
    assert name.endswith(".csv")
    lines = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert [(one["name"], one["reason"], len(one["hash"])) for one in lines] == [("Sara", REASON, 64)] * 2
    name, log = await audra.saved(audra.hook("access-jsonl"))
    assert name.endswith(".jsonl")
    verifier = Verifier()
    verifier.take(json.loads(line) for line in log.decode().splitlines())
    assert verifier.end() == []
    assert verifier.head.seq > len(lines)

    await audra.page.reload()
    await expect(audra.hook("access-entry")).to_have_count(2)
    # From here on the log has this second verification too.
    await expect(audra.hook("access-chain")).to_have_attribute("data-intact", "true")
    await rows(audra, REASON).first.get_by_role("button", name=f"Alleen van gesprek {chat[:8]}").click()
    await expect(audra.hook("access-chat")).to_have_value(chat)
    await expect(audra.hook("access-person")).to_have_value("")
    await audra.page.go_back()
    await expect(audra.hook("access-person")).to_have_value("SAR")
    await audra.hook("access-clear").click()
    await expect(rows(audra, "Audra", "auditor", "toegangslog bekeken").first).to_be_visible()
    await expect(rows(audra, "toegangslog gedownload", "jsonl")).to_have_count(1)
    await expect(rows(audra, "toegangslog gecontroleerd")).to_have_count(2)

    await audra.hook("access-chat").fill("geen nummer")
    await audra.hook("access-search").click()
    await expect(audra.page.get_by_text("Een nummer heeft alleen cijfers")).to_be_visible()
    await focused(audra, "access-chat")


async def test_on_a_phone_and_in_another_language(scene: Scene, chat: str) -> None:
    audra = await officer(scene, "audra", "access-log", PHONE)
    await expect(audra.hook("access-chain")).to_have_attribute("data-intact", "true")
    assert await problems(audra.page) == []
    await audra.page.locator("#officer-language").select_option("de")
    await expect(audra.page.get_by_role("heading", name="Zugriffsprotokoll")).to_be_visible()
    await expect(audra.hook("access-chain")).to_contain_text("unverändert")
    assert await problems(audra.page) == []
    await audra.hook("logout").click()
    await expect(audra.hook("login-submit")).to_be_visible()


async def test_an_administrator_manages_the_answers_of_all_departments(scene: Scene) -> None:
    beheer = await officer(scene, "beheer", "answer-add")
    await expect(beheer.page.locator("#desk")).to_be_hidden()
    await beheer.hook("answer-add").click()
    await beheer.hook("answer-code").fill("groet")
    await beheer.hook("answer-title").fill("Een groet")
    await beheer.hook("answer-texts-nl").fill("Goeiedag {{citizen}}")
    await beheer.hook("answer-save").click()
    await expect(beheer.hook("answer")).to_contain_text("Laatst gewijzigd door Beheer")
    await expect(beheer.hook("answer")).to_contain_text("Algemene vragen, Premies en toelagen")
    assert await problems(beheer.page) == []
