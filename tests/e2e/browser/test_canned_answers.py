"""Canned answers: a supervisor writes one, an agent inserts it by `/` with the keyboard alone, two supervisors edit."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.async_api import Locator, Route, expect

from tests.e2e.browser.people import Person, Scene, focused
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_keyboard import keys, tab_to
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.clients import begin, citizen
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ACCOUNTS = (Account("ada"), Account("sara", supervisor=True), Account("simon", supervisor=True))
FILLED = "Bonjour Lien, Ada de Questions générales répond dans deux jours."


CHOSEN = """() => {
    const option = document.getElementById(document.activeElement.getAttribute("aria-activedescendant"));
    const [box, list] = [option, option.parentElement].map((node) => node.getBoundingClientRect());
    return [option.innerText, box.top >= list.top && box.bottom <= list.bottom];
}"""
MORE = 6  # answers, so that they do not all stand in the list


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system with the agent ada and two supervisors."""
    with running_browser_system(tmp_path_factory.mktemp("office"), ACCOUNTS, broker, mongodb_url) as running:
        yield running


async def supervisor(scene: Scene, username: str) -> Person:
    """A supervisor who is paused, and has the page of canned answers open."""
    person = await scene.agent(username)
    await person.hook("agent-state").click()
    await expect(person.hook("agent-state")).to_have_attribute("data-state", "paused")
    await person.hook("open-answers").click()
    await expect(person.hook("answer-add")).to_be_visible()
    return person


async def add(person: Person, code: str, title: str, **texts: str) -> None:
    """Writes an answer and saves it."""
    await person.hook("answer-add").click()
    await person.hook("answer-code").fill(code)
    await person.hook("answer-title").fill(title)
    for language, text in texts.items():
        await person.hook(f"answer-texts-{language}").fill(text)
    await person.hook("answer-save").click()
    await expect(answer(person, code)).to_be_visible()


def answer(person: Person, code: str) -> Locator:
    """The answer with this code in the list of a supervisor."""
    return person.hook("answer").filter(has=person.page.get_by_role("heading", name=f"/{code} "))


async def chosen(person: Person) -> str:
    """The text of the option that Enter takes, which stands in the list as a whole."""
    found: str
    found, inside = await person.page.evaluate(CHOSEN)
    assert inside, found
    return found


async def test_a_supervisor_writes_an_answer_and_an_agent_inserts_it_with_the_keyboard_alone(scene: Scene) -> None:
    sara = await supervisor(scene, "sara")
    await expect(sara.page.get_by_text("Er zijn nog geen standaardantwoorden.")).to_be_visible()
    await sara.hook("answer-add").click()
    await sara.hook("answer-save").click()
    await focused(sara, "answer-code")
    await expect(sara.hook("answer-code")).to_have_attribute("aria-invalid", "true")
    await expect(sara.page.get_by_text("Schrijf de tekst in minstens één taal.")).to_be_visible()
    assert not await problems(sara.page)
    await sara.hook("answer-cancel").click()
    nl = "Goeiedag {{citizen}}, {{agent}} van {{department}} antwoordt binnen twee dagen."
    fr = "Bonjour {{citizen}}, {{agent}} de {{department}} répond dans deux jours."
    await add(sara, "termijn", "Wanneer antwoord", nl=nl, fr=fr)
    await expect(answer(sara, "termijn")).to_contain_text("Nederlands, Frans")
    await expect(answer(sara, "termijn")).to_contain_text("Laatst gewijzigd door Sara")
    await add(sara, "uren", "Openingsuren", nl="Wij zijn open van 9 tot 17 uur.")
    for number in range(MORE):
        await add(sara, f"a-{number}", f"Nog een {number}", nl="Tekst")
    assert not await problems(sara.page)

    ada = await scene.agent("ada")
    await expect(ada.hook("open-answers")).to_have_count(0)
    async with citizen(scene.base) as lien:
        await begin(lien, name="Lien", locale="fr", question="Quand aurai-je une réponse ?")
        socket = await lien.join()
        await expect(ada.page.locator("#chat-name")).to_have_text("Lien")
        await tab_to(ada, "chat-input")
        await ada.page.mouse.move(0, 0)  # a pointer over the list makes it one that scrolls
        await keys(ada, "/")
        await expect(ada.hook("answer-option")).to_have_count(2 + MORE)
        await expect(ada.hook("answer-status")).to_have_text(
            "8 standaardantwoorden. Kies met de pijlen; Enter voegt in."
        )
        for expected in (
            *(f"/a-{number}" for number in range(MORE)),
            "Bonjour {{citizen}}",
            "Alleen Nederlands",
            "/a-0",
        ):
            assert expected in await chosen(ada)
            await keys(ada, "ArrowDown")
        await keys(ada, "ArrowUp", "ArrowUp")
        assert "/uren" in await chosen(ada)
        assert not await problems(ada.page)
        await focused(ada, "chat-input")
        await ada.page.keyboard.type("wanneer")
        await expect(ada.hook("answer-option")).to_have_count(1)
        await keys(ada, "Enter")
        await expect(ada.hook("chat-input")).to_have_value(FILLED)
        await expect(ada.hook("answer-list")).to_be_hidden()
        await expect(ada.hook("answer-status")).to_contain_text("Ingevoegd (Frans).")
        assert not [m for m in socket.messages() if m["from"] == "agent"], "it is never sent by itself"
        await ada.page.keyboard.type(" Merci.")
        await keys(ada, "Enter")
        await socket.expect("message", text=f"{FILLED} Merci.")

        await ada.page.keyboard.type("/uren")
        await expect(ada.hook("answer-option")).to_have_count(1)
        await keys(ada, "Enter")
        await expect(ada.hook("chat-input")).to_have_value("Wij zijn open van 9 tot 17 uur.")
        await expect(ada.hook("answer-status")).to_have_text(
            "Er is geen tekst in de taal van de burger (Frans). Ingevoegd: Nederlands."
        )
        await ada.hook("chat-input").fill("")
        await ada.page.keyboard.type("/bestaat-niet")
        await expect(ada.hook("answer-status")).to_contain_text("Geen standaardantwoord gevonden.")
        await keys(ada, "Enter", "Escape", "Enter")
        await socket.expect("message", text="/bestaat-niet")
        assert [m["text"] for m in socket.messages() if m["from"] == "agent"] == [f"{FILLED} Merci.", "/bestaat-niet"]
        await ada.page.keyboard.type("Tot ziens")
        await ada.hook("open-answer-list").click()
        await ada.hook("answer-option").filter(has_text="/uren").click()
        await expect(ada.hook("chat-input")).to_have_value("Wij zijn open van 9 tot 17 uur.Tot ziens")
        await focused(ada, "chat-input")


async def test_of_two_supervisors_the_second_sees_what_is_stored_and_loses_nothing(scene: Scene) -> None:
    sara = await supervisor(scene, "sara")
    await add(sara, "dossier", "Uw dossier", nl="Eerste tekst")
    simon = await supervisor(scene, "simon")
    await answer(simon, "dossier").get_by_test_id("answer-edit").click()
    await simon.hook("answer-texts-nl").fill("Tekst van Simon")
    await answer(sara, "dossier").get_by_test_id("answer-edit").click()
    await sara.hook("answer-texts-nl").fill("Tekst van Sara")
    await sara.hook("answer-save").click()
    await expect(answer(sara, "dossier")).to_contain_text("Tekst van Sara")
    simon.expects("409")
    await simon.hook("answer-save").click()
    await expect(simon.hook("answer-conflict")).to_contain_text("Sara heeft dit antwoord intussen gewijzigd")
    await expect(simon.hook("answer-conflict")).to_contain_text("Tekst van Sara")
    await expect(simon.hook("answer-texts-nl")).to_have_value("Tekst van Simon")
    assert not await problems(simon.page)
    await simon.hook("overview-back").click()
    await simon.hook("open-answers").click()
    await expect(simon.hook("answer-texts-nl")).to_have_value("Tekst van Simon")
    await simon.hook("answer-keep-mine").click()
    await expect(answer(simon, "dossier")).to_contain_text("Tekst van Simon")
    await expect(answer(simon, "dossier")).to_contain_text("Laatst gewijzigd door Simon")

    sara.expects("409")
    await answer(sara, "dossier").get_by_test_id("answer-remove").click()
    await sara.hook("confirm").click()
    await expect(sara.page.get_by_role("alert").filter(has_text="Simon heeft dit antwoord intussen")).to_be_visible()
    await expect(answer(sara, "dossier")).to_contain_text("Tekst van Simon")
    await sara.hook("answer-add").click()
    await sara.hook("answer-code").fill("dossier")
    await sara.hook("answer-title").fill("Nog een")
    await sara.hook("answer-texts-en").fill("Hello {{name}}")
    await sara.hook("answer-save").click()
    await focused(sara, "answer-texts-en")
    await sara.hook("answer-texts-en").fill("Hello {{citizen}}")
    await sara.hook("answer-save").click()
    await expect(
        sara.page.get_by_text("Een ander antwoord van deze diensten heeft deze code al: Uw dossier.")
    ).to_be_visible()
    await focused(sara, "answer-code")
    await sara.hook("answer-cancel").click()
    await sara.hook("confirm").click()
    await answer(sara, "dossier").get_by_test_id("answer-remove").click()
    await sara.hook("confirm").click()
    await expect(answer(sara, "dossier")).to_have_count(0)


async def test_what_is_written_after_saving_stays_to_be_saved(scene: Scene) -> None:
    sara = await supervisor(scene, "sara")
    go = asyncio.Event()

    async def hold(route: Route) -> None:
        reply = await route.fetch()
        if route.request.method != "GET":
            await go.wait()
        await route.fulfill(response=reply)

    await sara.page.route("**/api/agent/canned-answers*", hold)
    await sara.hook("answer-add").click()
    await sara.hook("answer-code").fill("laat")
    await sara.hook("answer-title").fill("Te laat")
    await sara.hook("answer-texts-nl").fill("Tot morgen")
    await sara.hook("answer-save").click()
    await sara.hook("answer-texts-nl").press_sequentially(", {{citizen}}.")
    go.set()
    await expect(sara.page.locator("#alarm")).to_contain_text("Wat u daarna hebt gewijzigd, is nog niet bewaard.")
    await expect(sara.page.get_by_role("heading", name="Standaardantwoord wijzigen")).to_be_visible()
    await focused(sara, "answer-texts-nl")
    await sara.hook("answer-save").click()
    await expect(answer(sara, "laat")).to_contain_text("Tot morgen, {{citizen}}.")
    await expect(answer(sara, "laat")).to_have_count(1)


async def test_an_answer_that_is_being_written_is_not_lost_by_a_logout(scene: Scene) -> None:
    simon = await supervisor(scene, "simon")
    await simon.hook("answer-add").click()
    await simon.hook("answer-title").fill("Openingsuren")
    await simon.hook("open-answers").click()
    await expect(simon.hook("answer-title")).to_have_count(0)
    for name in ("logout", "logout-everywhere"):
        await simon.page.locator("details.menu summary").click()
        await simon.hook(name).click()
        await expect(simon.page.get_by_role("dialog")).to_contain_text("Stoppen zonder te bewaren?")
        await simon.page.keyboard.press("Escape")
    async with simon.page.expect_event("dialog") as asking:
        await simon.page.close(run_before_unload=True)
    await (await asking.value).dismiss()
    await simon.hook("open-answers").click()
    await expect(simon.hook("answer-title")).to_have_value("Openingsuren")
    await simon.hook("answer-cancel").click()
    await simon.hook("confirm").click()
    await simon.page.locator("details.menu summary").click()
    await simon.hook("logout").click()
    await expect(simon.hook("login-username")).to_be_visible()
