"""The departments on the console: administrators change them by a form and as text, see what would be, and restore."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.e2e.browser.administration import CUT, REFUSED, administered_system, administrator, refused, sound
from tests.e2e.browser.people import PHONE, Person, Scene, focused
from tests.e2e.browser.test_access_log import officer
from tests.support.accounts import Account
from tests.support.clients import button
from tests.support.servers import PATIENCE, Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SELDOM = f"{DAYS[(datetime.now(UTC).weekday() + 3) % len(DAYS)]} 03:00-03:01"
"""Opening hours that are not now."""
FAILED = "Dat is niet gelukt."


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system whose departments are in the database."""
    with administered_system(tmp_path_factory, broker, mongodb_url, (Account("ada"),)) as running:
        yield running


async def at_departments(scene: Scene, username: str = "beheer", size: tuple[int, int] | None = None) -> Person:
    """An administrator who looks at the departments."""
    return await administrator(scene, "config", "config-version", username, size)


async def reason(scene: Scene, wanted: str) -> None:
    """Returns as soon as the button of the default department has this reason."""
    async with asyncio.timeout(PATIENCE):
        while (await button(scene.base))["reason"] != wanted:
            await asyncio.sleep(0.2)


async def test_hours_are_changed_by_a_form_seen_before_and_restored(scene: Scene) -> None:
    beheer = await at_departments(scene)
    await reason(scene, "no_agents")
    await expect(beheer.hook("config-department")).to_have_count(2)
    await expect(beheer.hook("config-version")).to_contain_text("Versie 1, bewaard door systeembeheer")
    await sound(beheer)
    await beheer.hook("config-edit-algemeen").press("Enter")
    await beheer.hook("config-hours").fill("maandag")
    await beheer.hook("config-save").press("Enter")
    await expect(beheer.page.get_by_text("Schrijf de uren zoals in het voorbeeld.")).to_be_visible()
    await focused(beheer, "config-hours")
    await sound(beheer)
    await beheer.hook("config-hours").fill(SELDOM)
    await beheer.hook("config-closed").fill("12-26\neaster+1")
    await beheer.hook("config-origins").fill("www.example.be")
    await beheer.hook("config-save").press("Enter")
    await expect(beheer.page.get_by_text("Schrijf op elke regel één adres zonder pad")).to_be_visible()
    await focused(beheer, "config-origins")
    await beheer.hook("config-origins").fill("https://www.example.be/\nhttps://premies.example.be")
    await beheer.hook("config-check").press("Enter")
    preview = beheer.hook("config-preview")
    await expect(preview).to_contain_text("Blauw: gesloten.")
    await expect(preview).to_contain_text("(Nieuwjaar)")
    await sound(beheer)
    async with beheer.page.expect_response("**/api/configuration/**"):
        await beheer.hook("config-year").select_option(index=1)
    await expect(preview).to_contain_text("(Nieuwjaar)")
    await focused(beheer, "config-year")
    assert (await button(scene.base))["reason"] == "no_agents", "nothing is stored yet"
    await beheer.hook("config-save").press("Enter")
    await expect(beheer.hook("config-version")).to_contain_text("Versie 2, bewaard door Beheer")
    await focused(beheer, "config-edit-algemeen")
    await reason(scene, "closed")

    await beheer.hook("config-versions").press("Enter")
    await beheer.hook("config-look-2").press("Enter")
    await expect(beheer.hook("config-changes")).to_contain_text(f'hours = "{SELDOM}"')
    origins = 'origins = ["https://www.example.be", "https://premies.example.be"]'
    await expect(beheer.hook("config-changes")).to_contain_text(origins)
    await sound(beheer)
    await beheer.hook("config-restore-1").press("Enter")
    await beheer.hook("confirm").press("Enter")
    await expect(beheer.hook("config-version")).to_contain_text("Versie 3")
    await reason(scene, "no_agents")


async def test_of_two_administrators_the_second_reads_who_was_first(scene: Scene) -> None:
    beheer, bea = await at_departments(scene), await at_departments(scene, "bea")
    for person, seconds in ((beheer, "30"), (bea, "40")):
        await person.hook("config-edit-premies").click()
        await person.hook("config-wrap_up").fill(seconds)
    await beheer.hook("config-save").click()
    await expect(beheer.hook("config-version")).to_be_visible()
    bea.expects(REFUSED)
    await bea.hook("config-save").click()
    await expect(bea.hook("config-refusal")).to_contain_text("Beheer heeft intussen een nieuwe versie bewaard")
    await expect(bea.hook("config-wrap_up")).to_have_value("40")
    await sound(bea)
    await bea.hook("config-newest").click()
    await expect(bea.hook("config-wrap_up")).to_have_value("30")
    await bea.hook("config-wrap_up").fill("40")
    await bea.hook("config-save").click()
    await expect(bea.hook("config-version")).to_contain_text("bewaard door Bea")


async def test_what_is_wrong_in_the_text_is_said_and_nothing_is_lost_unasked(scene: Scene) -> None:
    beheer = await at_departments(scene, size=PHONE)
    await beheer.hook("config-text").click()
    area = beheer.hook("config-area")
    text = await area.input_value()
    await area.fill(text.replace('id = "premies"', 'id = "premies"\nkleur = "rood"'))
    beheer.expects(REFUSED)
    await beheer.hook("config-save").click()
    why = beheer.hook("config-refusal").get_by_test_id("config-detail")
    await expect(why).to_contain_text("Dienst “premies”, “kleur”: Deze naam bestaat niet.")
    assert await why.get_attribute("lang") is None
    await sound(beheer)
    await beheer.hook("config-cancel").click()
    await beheer.page.get_by_role("dialog").get_by_role("button", name="Annuleren").click()
    await expect(area).to_be_visible()
    added = (
        '\n[[departments]]\nid = "wonen"\nnames = { nl = "Wonen", fr = "Logement", de = "Wohnen", en = "Housing" }\n'
    )
    await beheer.hook("config-file").set_input_files(
        {"name": "departments.toml", "mimeType": "application/toml", "buffer": (text + added).encode()}
    )
    await expect(area).to_have_value(text + added)
    await beheer.hook("config-check").click()
    await beheer.hook("config-of").select_option("wonen")
    await expect(beheer.hook("config-preview")).to_contain_text("Deze dienst is altijd open.")
    await sound(beheer)
    await beheer.hook("config-save").click()
    await expect(beheer.hook("config-department")).to_have_count(3)
    await sound(beheer)
    async with beheer.page.expect_download() as waiting:
        await beheer.hook("config-export").click()
    download = await waiting.value
    assert (await download.path()).read_text("utf-8") == text + added
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await beheer.page.request.get(f"{scene.base}/api/departments/wonen?lang=fr")
            if answer.status == 200:
                break
            await asyncio.sleep(0.2)
    assert (await answer.json())["name"] == "Logement"


@pytest.mark.parametrize(("language", "edit"), [("fr", "Modifier"), ("de", "Ändern"), ("en", "Change")])
async def test_the_form_is_in_every_language(scene: Scene, language: str, edit: str) -> None:
    bea = await at_departments(scene, "bea")
    await bea.page.locator("#officer-language").select_option(language)
    await expect(bea.page.locator("html")).to_have_attribute("lang", language)
    await expect(bea.hook("config-edit-algemeen")).to_have_text(edit)  # the list has been made again
    await bea.hook("config-edit-algemeen").click()
    await bea.hook("config-check").click()
    await expect(bea.hook("config-preview")).to_be_visible()
    await sound(bea)


async def test_a_year_that_does_not_come_is_reported_and_the_one_before_stays(scene: Scene) -> None:
    beheer = await at_departments(scene)
    await beheer.hook("config-edit-algemeen").click()
    await beheer.hook("config-check").click()
    year = await beheer.hook("config-year").input_value()
    beheer.expects(CUT)
    await beheer.page.route("**/api/configuration/check", lambda route: route.abort())
    await beheer.hook("config-year").select_option(index=1)
    await expect(beheer.hook("config-refusal")).to_contain_text(FAILED)
    await expect(beheer.hook("config-preview")).to_be_visible()
    await expect(beheer.hook("config-year")).to_have_value(year)


async def test_older_versions_that_do_not_come_can_be_asked_for_again(scene: Scene) -> None:
    beheer = await at_departments(scene)
    cut = asyncio.Event()
    made = {"at": "2026-11-30T08:00:00.000Z", "by": {"id": "b", "name": "Beheer"}, "act": "imported", "about": None}

    async def answer(route: Route) -> None:
        further = "before=98" in route.request.url
        if further and not cut.is_set():
            cut.set()
            await route.abort()
            return
        numbers = (97, 96) if further else (99, 98)
        await route.fulfill(json={"versions": [{"version": n, **made} for n in numbers], "more": not further})

    beheer.expects(CUT)
    await beheer.page.route("**/api/configuration/versions*", answer)
    await beheer.hook("config-versions").click()
    await expect(beheer.hook("config-older")).to_be_visible()  # as long as it is hidden, a key goes elsewhere
    await beheer.hook("config-older").press("Enter")
    await expect(beheer.hook("config-refusal")).to_contain_text(FAILED)
    await focused(beheer, "config-older")
    await beheer.hook("config-older").press("Enter")
    await expect(beheer.page.get_by_role("heading", name="Versie 97")).to_be_focused()
    await expect(beheer.hook("config-older")).to_be_hidden()
    await expect(beheer.hook("config-refusal")).to_be_empty()


async def test_nothing_that_was_changed_is_lost_unasked(scene: Scene) -> None:
    beheer = await at_departments(scene)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await beheer.page.route("**/api/configuration", hold)
    await beheer.hook("overview-refresh").click()
    await beheer.hook("config-edit-premies").click()
    field = beheer.hook("config-wrap_up")
    await field.fill("77")
    async with beheer.page.expect_response("**/api/configuration"):
        held.set()
    language = beheer.page.locator("#officer-language")
    no = beheer.page.get_by_role("dialog").get_by_role("button", name="Annuleren")
    await language.select_option("fr")
    await no.click()
    await expect(language).to_have_value("nl")
    await beheer.hook("logout").click()
    await no.click()
    async with beheer.page.expect_event("dialog") as asking:
        await beheer.page.close(run_before_unload=True)
    dialog = await asking.value
    assert dialog.type == "beforeunload"
    await dialog.dismiss()
    await expect(field).to_have_value("77")


async def test_an_answer_that_comes_late_is_shown_and_takes_nothing_away(scene: Scene) -> None:
    beheer = await at_departments(scene)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        reply = await route.fetch() if route.request.method == "POST" else None
        if reply:
            await held.wait()
            await route.fulfill(response=reply)
        else:
            await route.continue_()

    await beheer.page.route("**/api/configuration", hold)
    await beheer.hook("config-edit-premies").click()
    await beheer.hook("config-patience").fill("120")
    await beheer.hook("config-save").click()
    await beheer.hook("config-cancel").click()
    await beheer.hook("confirm").click()
    await beheer.hook("config-edit-algemeen").click()
    await beheer.hook("config-wrap_up").fill("77")
    async with beheer.page.expect_response(lambda one: one.request.method == "GET" and "configuration" in one.url):
        held.set()
    alarm = beheer.page.locator("#alarm")
    await expect(alarm).to_contain_text("is bewaard.")
    await expect(beheer.hook("config-wrap_up")).to_have_value("77")
    await beheer.hook("config-cancel").click()
    await beheer.hook("confirm").click()

    held.clear()
    beheer.expects(REFUSED)
    await beheer.hook("config-versions").click()
    restores = beheer.page.get_by_test_id(re.compile("^config-restore-"))
    await restores.first.click()
    bea = await at_departments(scene, "bea")
    await bea.hook("config-edit-premies").click()
    await bea.hook("config-patience").fill("130")
    await bea.hook("config-save").click()
    await focused(bea, "config-edit-premies")
    await beheer.hook("confirm").click()
    await restores.first.click()  # the first is under way: nothing else begins
    await expect(beheer.page.get_by_role("dialog")).to_have_count(0)
    await beheer.hook("config-back").click()
    await beheer.hook("config-edit-algemeen").focus()
    held.set()
    await expect(alarm).to_contain_text("Bea heeft intussen een nieuwe versie bewaard")
    await focused(beheer, "config-edit-algemeen")


async def test_a_session_or_a_role_that_has_ended_is_named_and_the_form_stays(scene: Scene) -> None:
    beheer = await at_departments(scene)
    beheer.expects("401", "403")
    await beheer.hook("config-edit-algemeen").click()
    await beheer.hook("config-wrap_up").fill("77")
    for status, words in ((401, "uw sessie is beëindigd"), (403, "u bent geen beheerder meer")):
        await refused(beheer, "**/api/configuration", status)
        await beheer.hook("config-save").click()
        await expect(beheer.hook("config-refusal")).to_contain_text(words)
        await expect(beheer.hook("config-wrap_up")).to_have_value("77")


async def test_the_first_fault_on_the_page_has_the_focus_and_says_what_is_allowed(scene: Scene) -> None:
    beheer = await at_departments(scene)
    await beheer.hook("config-edit-algemeen").click()
    name = beheer.hook("config-names-fr")
    before = await name.input_value()
    await name.fill("")
    await beheer.hook("config-contact-add").click()
    await beheer.hook("config-save").click()
    await focused(beheer, "config-names-fr")
    await name.fill(before)
    last = beheer.page.locator(".config-contacts > fieldset").last
    await last.get_by_label("Nummer of adres").fill("Kerkstraat 1")
    await last.locator("summary").click()
    await last.get_by_label("Toelichting (Nederlands)").fill("aan het loket")
    await last.locator("summary").click()
    await beheer.hook("config-save").click()
    await expect(last.get_by_label("Toelichting (Frans)")).to_be_focused()
    await last.get_by_label("Toelichting (Nederlands)").fill("")
    await beheer.hook("config-wrap_up").fill("601")
    await beheer.hook("config-save").click()
    await focused(beheer, "config-wrap_up")
    await expect(beheer.page.locator("#config-wrap_up-problem")).to_have_text("Vul een heel getal in van 0 tot 600.")
    await sound(beheer)


async def test_a_page_that_could_not_be_loaded_can_be_chosen_again(scene: Scene) -> None:
    beheer = await officer(scene, "beheer", "answer-add")
    beheer.expects(CUT)
    module = "**/agent/configuration-view.js"
    await beheer.page.route(module, lambda route: route.abort())
    await beheer.hook("subject-config").click()
    await expect(beheer.page.get_by_text("Er ging iets mis in deze pagina.")).to_be_visible()
    await beheer.page.unroute(module)
    await beheer.hook("subject-config").click()
    await expect(beheer.hook("config-version")).to_be_visible()
    await expect(beheer.hook("subject-config")).to_have_attribute("aria-current", "page")


async def test_what_is_changed_after_saving_stays_to_be_saved(scene: Scene) -> None:
    beheer = await at_departments(scene)
    alarm = beheer.page.locator("#alarm")
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        reply = await route.fetch()
        if route.request.method == "POST":
            await held.wait()
        await route.fulfill(response=reply)

    await beheer.page.route("**/api/configuration", hold)
    await beheer.hook("config-edit-premies").click()
    await beheer.hook("config-patience").fill("140")
    await beheer.hook("config-save").click()
    await beheer.hook("config-wrap_up").fill("41")
    held.set()
    await expect(alarm).to_contain_text("Wat u daarna hebt gewijzigd, is nog niet bewaard.")
    await focused(beheer, "config-wrap_up")
    await beheer.hook("config-save").click()
    await focused(beheer, "config-edit-premies")
    await beheer.hook("config-edit-premies").click()
    await expect(beheer.hook("config-patience")).to_have_value("140")
    await expect(beheer.hook("config-wrap_up")).to_have_value("41")
    await beheer.hook("config-cancel").click()

    held.clear()
    await beheer.hook("config-text").click()
    area = beheer.hook("config-area")
    await area.press("Control+End")
    await area.press_sequentially("# een\n")
    await beheer.hook("config-save").click()
    await area.press("Control+End")
    await area.press_sequentially("# twee\n")
    held.set()
    await expect(alarm).to_contain_text("Wat u daarna hebt gewijzigd, is nog niet bewaard.")
    await beheer.hook("config-save").click()
    await focused(beheer, "config-text")
    await beheer.hook("config-text").click()
    await expect(area).to_have_value(re.compile("# een\n# twee\n$"))


async def test_an_older_version_that_comes_late_replaces_no_newer_one(scene: Scene) -> None:
    beheer = await at_departments(scene)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        reply = await route.fetch()
        await held.wait()
        await route.fulfill(response=reply)

    await beheer.page.route("**/api/configuration", hold, times=1)
    await beheer.hook("overview-refresh").click()
    for seconds in ("51", "52"):
        await beheer.hook("config-edit-premies").click()
        await beheer.hook("config-wrap_up").fill(seconds)
        await beheer.hook("config-save").click()
        await focused(beheer, "config-edit-premies")
        if not held.is_set():
            async with beheer.page.expect_response("**/api/configuration"):
                held.set()


async def test_a_file_that_is_too_large_is_not_taken(scene: Scene, tmp_path: Path) -> None:
    beheer = await at_departments(scene)
    await beheer.hook("config-text").click()
    before = await beheer.hook("config-area").input_value()
    (tmp_path / "large.toml").write_text("#" * 400_001)
    await beheer.hook("config-file").set_input_files(tmp_path / "large.toml")
    await expect(beheer.hook("config-refusal")).to_contain_text("hoogstens 400.000 bytes")
    await expect(beheer.hook("config-area")).to_have_value(before)
