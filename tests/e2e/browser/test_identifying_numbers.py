"""A department that refuses personal numbers: the text stays with whoever wrote it, and says what to do."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.e2e.browser.people import DESKTOP, PHONE, Scene, press
from tests.e2e.browser.test_accessibility import problems
from tests.support.accounts import Account
from tests.support.browsers.systems import FORM, running_browser_system
from tests.support.servers import ROOT, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NUMBER, CARD = "85.07.30-033.28", "4111 1111 1111 1111"
RULES = 'numbers = {national = "refuse", card = "allow"}'


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose departments refuse national numbers and allow cards; one of them asks first."""
    home = tmp_path_factory.mktemp("numbers")
    text = (ROOT / "deploy/departments.toml").read_text("utf-8")
    text = text.replace('id = "algemeen"', f'id = "algemeen"\n{RULES}', 1)
    text = text.replace(f'id = "{FORM}"', f'id = "{FORM}"\nstart = "form"\n{RULES}', 1)
    file = home / "departments.toml"
    file.write_text(text, "utf-8")
    accounts = [Account("fleur", departments=(FORM,))]
    with running_browser_system(home, accounts, DEPARTMENTS_FILE=str(file)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def people(refusing: System, browser: Browser) -> AsyncIterator[Scene]:
    made = Scene(refusing.base_url, browser)
    yield made
    await made.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_a_refused_text_is_in_the_bar_again_with_what_to_do(people: Scene, size: tuple[int, int]) -> None:
    an = await people.agent()
    someone = await people.citizen(size=size)
    await press(someone)
    await someone.dot("green")
    await someone.say(f"Ik ben {NUMBER}")
    warning = someone.hook("chat-numbers")
    await expect(warning).to_contain_text("niet kunt versturen")
    await expect(someone.hook("numbers-send")).to_be_hidden()
    assert not await problems(someone.page)
    await someone.hook("numbers-change").click()
    # A page that does not find the number itself sends it, and the server refuses it.
    await someone.page.route("**/number-warning.js", lambda route: route.abort())
    await someone.page.reload()
    await someone.dot("green")
    someone.expects("number-warning", "net::ERR_FAILED")
    await someone.say(f"Ik ben {NUMBER}")
    refused = someone.hook("chat-number-refused")
    await expect(refused).to_contain_text("Haal het nummer weg")
    await expect(someone.hook("chat-input")).to_have_value(f"Ik ben {NUMBER}")
    await expect(someone.said(f"Ik ben {NUMBER}")).to_have_count(0)
    assert not await problems(someone.page)
    await someone.hook("chat-input").fill("Ik ben An")
    await expect(refused).to_be_hidden()
    await someone.hook("chat-send").click()
    await someone.sees("Ik ben An")
    await someone.say(f"Kaart {CARD}")
    await someone.sees(f"Kaart {CARD}")
    await an.sees(f"Kaart {CARD}")
    await an.say(f"Bent u {NUMBER}?")
    await expect(an.hook("chat-messages")).to_contain_text("neemt hier geen rijksregisternummer")


async def test_the_form_says_that_it_takes_no_number(people: Scene) -> None:
    await people.agent("fleur")
    someone = await people.citizen(f"/?department={FORM}")
    await someone.button("green")
    await someone.hook("chat-button").click()
    await someone.page.get_by_label("Uw vraag").fill(f"Ik ben {NUMBER}")
    someone.expects("422")
    await someone.hook("start-submit").click()
    notice = someone.page.get_by_role("alert").filter(has_text="Haal het nummer weg")
    await expect(notice).to_be_visible()
    await expect(someone.page.get_by_label("Uw vraag")).to_have_value(f"Ik ben {NUMBER}")
    assert not await problems(someone.page)


async def test_the_page_knows_why_its_question_with_a_number_was_refused_and_the_citizen_changes_it(
    people: Scene,
) -> None:
    an = await people.agent()
    someone = await people.citizen()
    await someone.button("green")
    someone.expects("422")
    await someone.page.evaluate("""() => {
        window.codes = [];
        document.addEventListener("eloket-chat-refused", ({ detail }) => codes.push(detail));
    }""")
    given = {"name": "An Peeters", "question": f"Ik ben {NUMBER}"}
    answer = await someone.page.evaluate("(given) => document.querySelector('eloket-chat').start(given)", given)
    assert answer == {"started": False, "code": "identifying_number"}
    assert await someone.page.evaluate("codes") == [{"code": "identifying_number"}]
    await expect(someone.hook("chat-far")).to_contain_text("Haal het nummer weg")
    await expect(someone.hook("chat-input")).to_have_value(f"Ik ben {NUMBER}")
    assert not await problems(someone.page)
    await someone.hook("chat-input").fill("Ik ben An")
    await someone.hook("chat-send").click()
    await someone.sees("Ik ben An")
    await an.sees("Ik ben An")
