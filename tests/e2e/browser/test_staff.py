"""The staff on the console: administrators add an account, change it, undo that, and remove it, by keyboard."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from playwright.async_api import Dialog, Locator, Route, expect

from tests.e2e.browser.administration import CUT, REFUSED, administered_system, administrator, refused, sound
from tests.e2e.browser.people import DESKTOP, PHONE, Person, Scene, focused, log_in, until
from tests.e2e.browser.test_access_log import officer
from tests.support.accounts import Account
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

OTHERS = (*(Account(name) for name in ("ada", "els", "finn", "guus", "hugo", "ivo")), Account("audra", role="auditor"))
FORM = {"role": "agent", "departments": ["algemeen"], "capacity": 1, "locales": ["nl"], "break_glass": False}
CHOSEN = "vier groene fietsen"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system whose accounts are in the database."""
    with administered_system(tmp_path_factory, broker, mongodb_url, OTHERS) as running:
        yield running


async def at_staff(scene: Scene, username: str = "beheer", size: tuple[int, int] | None = None) -> Person:
    """An administrator who looks at the staff."""
    return await administrator(scene, "staff", "staff-table", username, size)


async def act(person: Person, name: str) -> None:
    """Do this with the account that is open."""
    await person.hook(f"staff-act-{name}").press("Enter")
    await person.hook("confirm").press("Enter")


def no(person: Person) -> Locator:
    """The answer of an open question that leaves all as it is."""
    return person.page.get_by_role("dialog").get_by_role("button", name="Annuleren")


def alarm(person: Person) -> Locator:
    """What is told wherever the person is."""
    return person.page.locator("#alarm")


async def closes_unasked(person: Person) -> None:
    """Close the page, which asks nothing. A question that no test listens for is answered by Playwright itself."""
    asked: list[str] = []

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    person.page.on("dialog", answer)
    async with person.page.expect_event("close"):
        await person.page.close(run_before_unload=True)
    assert not asked


async def held(person: Person, address: str) -> asyncio.Event:
    """Keep the answers of this address back until the event is set."""
    go = asyncio.Event()

    async def answer(route: Route) -> None:
        reply = await route.fetch()
        await go.wait()
        await route.fulfill(response=reply)

    await person.page.route(address, answer)
    return go


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
    beheer = await at_staff(scene, size=size)
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
    await expect(beheer.hook("staff-count")).to_have_text("Niemand gevonden.")
    await expect(beheer.hook("staff-table")).to_have_count(0)
    await beheer.hook("staff-which").select_option("removed")
    await expect(beheer.hook("staff-count")).to_have_text("1 verwijderde medewerker.")
    await expect(beheer.hook("staff-row")).to_contain_text("verwijderd")
    await sound(beheer)
    await beheer.hook(f"staff-history-{username}").press("Enter")
    await expect(beheer.hook("staff-undo-4")).to_be_visible()
    await beheer.hook("staff-back").press("Enter")
    await focused(beheer, f"staff-history-{username}")


async def test_a_refusal_names_who_was_first_and_the_own_account_stays(scene: Scene) -> None:
    beheer, bea = await at_staff(scene), await at_staff(scene, "bea")
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


async def test_nothing_that_was_changed_is_lost_unasked(scene: Scene) -> None:
    beheer = await at_staff(scene)
    go = await held(beheer, "**/api/accounts/search")
    await beheer.hook("overview-refresh").click()
    await beheer.hook("staff-edit-els").click()
    field = beheer.hook("staff-name")
    await field.fill("Els Smet")
    async with beheer.page.expect_response("**/api/accounts/search"):
        go.set()
    language = beheer.page.locator("#officer-language")
    await language.select_option("fr")
    await no(beheer).click()
    await expect(language).to_have_value("nl")
    for name in (
        "staff-cancel",
        "staff-history",
        "staff-act-disable",
        "overview-refresh",
        "subject-config",
        "logout",
        "logout-everywhere",
    ):
        await beheer.hook(name).click()
        await expect(beheer.page.get_by_role("dialog")).to_contain_text("Stoppen zonder te bewaren?")
        await no(beheer).click()
        await focused(beheer, name)
    async with beheer.page.expect_event("dialog") as asking:
        await beheer.page.close(run_before_unload=True)
    dialog = await asking.value
    assert dialog.type == "beforeunload"
    await dialog.dismiss()
    await expect(field).to_have_value("Els Smet")
    await beheer.hook("staff-act-disable").click()
    await beheer.hook("confirm").click()
    await expect(beheer.page.get_by_role("dialog")).to_contain_text("Els kan zich niet meer aanmelden.")
    await no(beheer).click()
    await beheer.hook("staff-cancel").click()
    await beheer.hook("confirm").click()
    await focused(beheer, "staff-edit-els")
    await expect(beheer.hook("staff-row").filter(has_text="els")).to_contain_text("Els")
    await beheer.hook("staff-edit-els").click()
    await beheer.hook("staff-departments-algemeen").uncheck()
    await beheer.hook("staff-departments-algemeen").check()
    await beheer.hook("staff-cancel").click()
    await focused(beheer, "staff-edit-els")  # nothing has changed


async def test_a_canned_answer_that_is_being_written_is_not_lost_unasked(scene: Scene) -> None:
    beheer = await officer(scene, "beheer", "answer-add")
    await beheer.hook("answer-add").click()
    title = beheer.hook("answer-title")
    await title.fill("Openingsuren")
    for name in ("subject-staff", "logout", "answer-cancel"):
        await beheer.hook(name).click()
        await expect(beheer.page.get_by_role("dialog")).to_be_visible()
        await no(beheer).click()
        await focused(beheer, name)
    language = beheer.page.locator("#officer-language")
    await language.select_option("fr")
    await no(beheer).click()
    await expect(language).to_have_value("nl")
    await expect(title).to_have_value("Openingsuren")
    async with beheer.page.expect_event("dialog") as asking:
        await beheer.page.close(run_before_unload=True)
    await (await asking.value).dismiss()
    await beheer.hook("subject-staff").click()
    await beheer.hook("confirm").click()
    await expect(beheer.hook("staff-table")).to_be_visible()
    await closes_unasked(beheer)


async def test_an_answer_that_comes_late_is_shown_and_takes_nothing_away(scene: Scene) -> None:
    beheer = await at_staff(scene)
    go = await held(beheer, "**/api/accounts/change")
    await beheer.hook("staff-edit-finn").click()
    await beheer.hook("staff-name").fill("Finn Smet")
    await beheer.hook("staff-save").click()
    await beheer.hook("staff-act-remove").dispatch_event("click")  # waits: nothing else begins
    await expect(beheer.page.get_by_role("dialog")).to_have_count(0)
    await beheer.hook("staff-cancel").click()
    await beheer.hook("confirm").click()
    await beheer.hook("staff-edit-guus").click()
    await beheer.hook("staff-name").fill("Guus Smet")
    await beheer.hook("staff-act-remove").scroll_into_view_if_needed()
    go.set()
    await expect(alarm(beheer)).to_contain_text("finn: Bewaard.")
    await expect(alarm(beheer)).to_be_in_viewport(ratio=1)
    await expect(beheer.hook("staff-name")).to_have_value("Guus Smet")
    await beheer.hook("staff-cancel").click()
    await beheer.hook("confirm").click()
    await expect(beheer.hook("staff-row").filter(has_text="Finn Smet")).to_have_count(1)

    go = await held(beheer, "**/api/accounts/act")
    await beheer.hook("staff-edit-guus").click()
    await act(beheer, "make_password")
    await beheer.hook("subject-config").click()
    await expect(beheer.hook("config-version")).to_be_visible()
    go.set()
    assert len(await beheer.hook("staff-once").input_value()) >= 16
    async with beheer.page.expect_event("dialog") as asking:
        await beheer.page.close(run_before_unload=True)
    await (await asking.value).dismiss()
    await beheer.hook("staff-once-shut").click()
    await focused(beheer, "overview-title")

    await beheer.hook("subject-staff").click()
    await beheer.page.unroute("**/api/accounts/act")
    beheer.expects("503")
    released = asyncio.Event()

    async def refuse(route: Route) -> None:
        await released.wait()
        await route.fulfill(status=503, json={"code": "unavailable"}, headers={"Retry-After": "5"})

    await beheer.page.route("**/api/accounts/act", refuse)
    await beheer.hook("staff-edit-guus").click()
    await act(beheer, "disable")
    await beheer.hook("staff-cancel").click()
    await beheer.hook("staff-edit-hugo").focus()
    released.set()
    await expect(alarm(beheer)).to_contain_text("guus: Dat is niet gelukt. Wacht 5 seconden,")
    await focused(beheer, "staff-edit-hugo")


async def test_what_is_changed_after_saving_stays_to_be_saved(scene: Scene) -> None:
    beheer = await at_staff(scene)
    more = "Wat u daarna hebt gewijzigd, is nog niet bewaard."
    go = await held(beheer, "**/api/accounts/change")
    await beheer.hook("staff-edit-hugo").click()
    await beheer.hook("staff-name").fill("Hugo")
    await beheer.hook("staff-capacity").fill("3")
    await beheer.hook("staff-save").click()
    await beheer.hook("staff-name").press("End")
    await beheer.page.keyboard.type(" Smet")
    await beheer.hook("staff-name").press("ArrowLeft")
    go.set()
    await expect(alarm(beheer)).to_contain_text(more)
    await focused(beheer, "staff-name")
    await beheer.page.keyboard.type("e")
    await expect(beheer.hook("staff-name")).to_have_value("Hugo Smeet")
    await sound(beheer)
    await beheer.hook("staff-save").click()
    await focused(beheer, "staff-edit-hugo")
    await expect(beheer.hook("staff-row").filter(has_text="Hugo Smeet")).to_have_count(1)

    go = await held(beheer, "**/api/accounts")
    await beheer.hook("staff-add").click()
    await beheer.hook("staff-username").fill("iris")
    await beheer.hook("staff-name").fill("Iris")
    await beheer.hook("staff-departments-algemeen").check()
    await beheer.hook("staff-save").click()
    await beheer.hook("staff-name").fill("Iris Maes")
    await beheer.hook("staff-username").press_sequentially("x")
    go.set()
    await beheer.hook("staff-once-shut").click()
    await expect(alarm(beheer)).to_contain_text(more)
    await expect(beheer.hook("staff-username-of")).to_have_text("iris")
    await expect(beheer.hook("staff-name")).to_have_value("Iris Maes")
    await beheer.hook("staff-save").click()
    await focused(beheer, "staff-edit-iris")

    go = await held(beheer, "**/api/accounts/act")
    await beheer.hook("staff-edit-iris").click()
    await act(beheer, "disable")
    await beheer.hook("staff-name").fill("Iris Mertens")
    go.set()
    await expect(beheer.hook("staff-act-enable")).to_be_visible()
    await expect(alarm(beheer)).to_contain_text(more)
    await beheer.hook("staff-cancel").click()
    await expect(beheer.page.get_by_role("dialog")).to_contain_text("Stoppen zonder te bewaren?")
    await beheer.hook("confirm").click()
    await focused(beheer, "staff-edit-iris")


async def test_what_cannot_be_done_is_named_and_the_form_stays(scene: Scene) -> None:
    beheer = await at_staff(scene)
    beheer.expects("401", "403", "503", CUT)
    await beheer.hook("staff-edit-hugo").click()
    await beheer.hook("staff-name").fill("Hugo Smet")
    said = beheer.hook("staff-refusal").first
    for status, words in (
        (401, "uw sessie is beëindigd"),
        (403, "u bent geen beheerder meer"),
        (503, "Kijk of er iets is veranderd"),
        (0, "Kijk of er iets is veranderd"),
    ):
        await refused(beheer, "**/api/accounts/change", status)
        await beheer.hook("staff-save").press("Enter")
        await expect(said).to_contain_text(words)
        await focused(beheer, "staff-save")
        await expect(beheer.hook("staff-name")).to_have_value("Hugo Smet")
    await sound(beheer)
    await beheer.hook("staff-save").press("Enter")
    await focused(beheer, "staff-edit-hugo")
    await expect(beheer.hook("staff-row").filter(has_text="Hugo Smet")).to_have_count(1)


async def test_an_account_that_is_gone_meanwhile_is_named_with_the_focus_there(scene: Scene) -> None:
    beheer = await at_staff(scene)
    made = await beheer.page.request.post(
        f"{scene.base}/api/accounts", data={"username": "ine", "form": {"name": "Ine", **FORM}}, headers=own(scene)
    )
    assert made.status == 200
    await beheer.hook("overview-refresh").click()
    await beheer.hook("staff-edit-ine").click()
    gone = await beheer.page.request.post(
        f"{scene.base}/api/accounts/act", data={"username": "ine", "revision": 1, "act": "remove"}, headers=own(scene)
    )
    assert gone.status == 200
    beheer.expects(REFUSED)
    await beheer.hook("staff-capacity").fill("2")
    await beheer.hook("staff-save").click()
    await beheer.hook("staff-newest").press("Enter")
    await expect(beheer.hook("staff-refusal").first).to_have_text("Deze medewerker of deze wijziging is er niet meer.")
    await focused(beheer, "staff-refusal")
    await expect(beheer.hook("staff-capacity")).to_have_value("2")
    await beheer.hook("staff-cancel").click()
    await beheer.hook("confirm").click()
    await focused(beheer, "overview-title")  # their row is not there any more


def own(scene: Scene) -> dict[str, str]:
    """The headers of a request from the console's own pages."""
    return {"Origin": scene.base}


async def test_more_accounts_come_once_and_the_focus_is_on_the_first_of_them(scene: Scene) -> None:
    beheer = await at_staff(scene)
    answers = {"": (["aa", "ab"], True), "ab": (["ac", "ad"], False)}
    asked: list[str] = []
    cut = asyncio.Event()

    async def answer(route: Route) -> None:
        after = json.loads(route.request.post_data or "")["after"]
        asked.append(after)
        if after and not cut.is_set():
            cut.set()
            await route.abort()
            return
        names, more = answers[after]
        accounts = [{"username": name, "name": name.upper(), **SHOWN} for name in names]
        body = {"source": "database", "accounts": accounts, "more": more, "departments": []}
        await route.fulfill(json=body)

    beheer.expects(CUT)
    await beheer.page.route("**/api/accounts/search", answer)
    await beheer.hook("staff-search").fill("a")
    await beheer.hook("staff-find").press("Enter")
    count = beheer.hook("staff-count")
    await expect(count).to_have_text("De eerste 2 medewerkers.")
    await beheer.hook("staff-more").press("Enter")
    await expect(beheer.page.get_by_text("De lijst kon niet worden opgehaald.")).to_be_visible()
    await focused(beheer, "staff-more")
    await beheer.hook("staff-more").dblclick()
    await focused(beheer, "staff-edit-ac")
    await expect(count).to_have_text("4 medewerkers.")
    await expect(beheer.hook("staff-row")).to_have_count(4)
    await expect(beheer.page.get_by_text("De lijst kon niet worden opgehaald.")).to_have_count(0)
    assert asked == ["", "ab", "ab"]
    await sound(beheer)


SHOWN = {**FORM, "disabled": False, "totp": False, "revision": 1, "at": "2026-11-30T08:00:00.000Z"}
SHOWN |= {"by": {"id": "b", "name": "Beheer", "role": "administrator"}}


async def test_an_account_that_was_added_is_shown_whatever_was_searched_for(scene: Scene) -> None:
    beheer = await at_staff(scene)
    row = beheer.page.get_by_role("row")
    for name in ("Beheer", "Audra"):
        await expect(row.filter(has=beheer.page.get_by_role("rowheader", name=name))).to_contain_text("alle diensten")
    await beheer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await beheer.hook("staff-search").fill("audra")
    await beheer.hook("staff-find").press("Enter")
    await expect(beheer.hook("staff-count")).to_have_text("1 medewerker.")
    await beheer.hook("staff-add").click()
    await beheer.hook("staff-username").fill("jan")
    await beheer.hook("staff-name").fill("Jan")
    await beheer.hook("staff-role").select_option("auditor")
    await expect(beheer.hook("staff-departments-algemeen")).to_be_hidden()
    words = "Leest de toegangslog. Voert geen gesprekken."
    await expect(beheer.hook("staff-role")).to_have_accessible_description(words)
    await expect(beheer.page.get_by_role("status").filter(has_text=words)).to_be_visible()
    await beheer.hook("staff-save").click()
    once = beheer.hook("staff-once")
    await focused(beheer, "staff-once")
    for _ in range(2):  # the same words again are news again
        await beheer.page.evaluate(COPIES)
        await beheer.hook("staff-copy").click()
        await until(lambda: beheer.page.evaluate("watched.copies > 0"))  # a wait in the page is refused by its policy
        await expect(beheer.hook("staff-copied")).to_have_text("Gekopieerd.")
    assert await beheer.page.evaluate("navigator.clipboard.readText()") == await once.input_value()
    await beheer.page.keyboard.press("Escape")
    await focused(beheer, "staff-edit-jan")
    await expect(beheer.hook("staff-row").filter(has_text="jan")).to_contain_text("alle diensten")

    await beheer.hook("staff-edit-jan").click()
    await act(beheer, "make_totp")
    secret = beheer.hook("staff-once")
    assert len((await secret.input_value()).replace(" ", "")) == 32
    await beheer.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert await secret.evaluate("(box) => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight")
    await sound(beheer)
    await beheer.hook("staff-once-shut").click()
    await beheer.hook("staff-edit-jan").click()
    await beheer.hook("staff-break_glass").check()
    await beheer.hook("staff-save").click()
    await expect(beheer.hook("staff-row").filter(has_text="jan")).to_contain_text("actief, code-app, noodtoegang")
    await beheer.hook("staff-edit-jan").click()
    beheer.expects(REFUSED)
    await act(beheer, "remove_totp")
    await expect(beheer.hook("staff-refusal").last).to_contain_text("Neem eerst de noodtoegang weg en bewaar.")
    await beheer.hook("staff-history").click()
    await expect(beheer.hook("staff-history-list")).to_contain_text("Diensten: alle diensten")


COPIES = """watched.copies = 0;
    new MutationObserver((changes) => { if (changes.some((one) => one.addedNodes.length)) watched.copies += 1; })
    .observe(document.querySelector("[data-testid=staff-copied]"), { childList: true });"""
"""Counts what is put into the place that tells of a copy."""


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (640, 400)], ids=["1280", "360", "zoomed"])
async def test_a_wheel_brings_the_end_of_the_page(scene: Scene, size: tuple[int, int]) -> None:
    bea = await at_staff(scene, "bea", size=size)
    await bea.hook("staff-edit-els").click()
    await expect(bea.hook("staff-act-remove")).not_to_be_in_viewport()
    await bea.page.mouse.move(size[0] / 2, size[1] - 50)
    await bea.page.mouse.wheel(0, 5000)
    await expect(bea.hook("staff-act-remove")).to_be_in_viewport()


async def test_an_agent_whose_password_was_reset_is_out_and_chooses_another_one(scene: Scene) -> None:
    beheer = await at_staff(scene)
    ada = await scene.agent("ada")
    await beheer.hook("staff-edit-ada").click()
    await act(beheer, "make_password")
    password = await beheer.hook("staff-once").input_value()
    await beheer.hook("staff-once-shut").click()
    ada.expects("401", "422")
    await expect(ada.hook("login-lead")).to_contain_text("Uw sessie is beëindigd.")
    await ada.hook("login-username").fill("ada")
    await ada.hook("login-password").fill("demo")
    await ada.hook("login-submit").click()
    alert = ada.page.locator("#login-alert")
    await expect(alert).to_contain_text("horen niet bij elkaar")
    await until_known(ada, password)
    await expect(alert).to_contain_text("Dit wachtwoord geldt voor één keer.")
    await focused(ada, "login-new")
    await ada.hook("login-username").fill("els")
    await expect(ada.hook("login-new")).to_be_hidden()  # it is another person now
    await ada.hook("login-username").fill("ada")
    await ada.hook("login-submit").click()
    await focused(ada, "login-new")
    for new, again, words in (
        (CHOSEN, CHOSEN + "!", "De twee nieuwe wachtwoorden zijn niet gelijk."),
        ("kort", "kort", "Kies een wachtwoord van minstens 12 tekens."),
        (password, password, "Dit is het wachtwoord dat u al hebt."),
    ):
        await ada.hook("login-new").fill(new)
        await ada.hook("login-again").fill(again)
        await ada.hook("login-again").press("Enter")
        await expect(alert).to_contain_text(words)
    await sound(ada)
    await ada.hook("login-new").fill(CHOSEN)
    await ada.hook("login-again").fill(CHOSEN)
    await ada.hook("login-again").press("Enter")
    await expect(ada.hook("agent-state")).to_have_attribute("data-state", "available")
    await log_in(await scene.stranger(), "ada", CHOSEN)


async def test_an_officer_whose_session_has_ended_reads_no_promise_about_their_work(scene: Scene) -> None:
    bea = await scene.stranger(clock=True)
    bea.expects("401")
    await bea.hook("login-username").fill("bea")
    await bea.hook("login-password").fill("demo")
    await bea.hook("login-submit").click()
    await bea.hook("subject-staff").click()
    await bea.hook("staff-edit-els").click()
    await act(bea, "make_password")
    await expect(bea.hook("staff-once")).to_be_visible()
    await bea.context.clear_cookies()
    await bea.passes(61, bea.hook("login-submit"))
    await expect(bea.hook("login-lead")).to_have_text("Uw sessie is beëindigd. Meld u opnieuw aan.")
    await expect(bea.hook("staff-once")).to_have_count(0)
    await closes_unasked(bea)


@pytest.mark.parametrize("size", [None, PHONE], ids=["1280", "360"])
async def test_an_administrator_ends_the_session_of_another_person(scene: Scene, size: tuple[int, int] | None) -> None:
    ivo = await scene.agent("ivo")
    beheer = await administrator(scene, "sessions", "sessions-table", size=size)
    await expect(beheer.hook("session").filter(has_text="Beheer").first).to_contain_text("deze sessie")
    await beheer.hook("sessions-search").fill("ivo")
    await beheer.hook("sessions-find").press("Enter")
    await expect(beheer.hook("sessions-count")).to_have_text("1 sessie.")
    await expect(beheer.hook("session")).to_contain_text("127.0.0.*")
    await sound(beheer)
    ivo.expects("401")
    await beheer.hook("session-end").press("Enter")
    await beheer.hook("confirm").press("Enter")
    await expect(ivo.page.get_by_text("Uw sessie is beëindigd.")).to_be_visible()
    await expect(beheer.hook("sessions-count")).to_have_text("Geen sessies gevonden.")
    await sound(beheer)
    auditor = await officer(scene, "audra", "access-log")
    await expect(auditor.hook("access-log")).to_contain_text("sessie van iemand anders beëindigd")
    await expect(auditor.hook("access-log")).to_contain_text("Ivo:")
    await expect(auditor.hook("access-log")).to_contain_text("sessies van iedereen bekeken")
