"""The request to identify as citizen and agent see it: the card, the pages, the badge, by keyboard, on a phone."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, expect

from tests.e2e.browser.people import DESKTOP, PHONE, Person, Scene, can_be_given, focused, talking
from tests.e2e.browser.test_accessibility import problems
from tests.support.issuer_systems import running_identifying_system
from tests.support.mock_issuer import MockIssuer
from tests.support.servers import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ASKED = "An vraagt of u zich wilt identificeren. U kiest zelf of u dat doet."
IDENTIFIED = (
    "De burger heeft zich geïdentificeerd via Toegangsbeheer Vlaanderen als Lien De Smet. Betrouwbaarheidsniveau: hoog."
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, MockIssuer]]:
    with running_identifying_system(tmp_path_factory.mktemp("identifying")) as made:
        yield made


@pytest.fixture(scope="module")
def system(running: tuple[System, MockIssuer]) -> System:
    return running[0]


@pytest.fixture
def sites(issuer: MockIssuer) -> tuple[str, ...]:
    return (issuer.url,)


TOP = """() => {
    const { shadowRoot } = document.querySelector("eloket-chat");
    for (const box of shadowRoot.querySelectorAll(".panel, .body")) box.scrollTop = 0;
}"""
"""The panel as it is before a citizen scrolls."""
HOLD = """
const shut = window.close.bind(window);
window.close = () => { window.shutting = true; };
window.shut = () => setTimeout(shut);
"""
"""A window that closes when the test has looked at it: the page itself gives a citizen 20 seconds."""


async def asked(citizen: Person, agent: Person) -> None:
    """The agent asks by the button; the card is there and leads somewhere."""
    await agent.hook("chat-identify").click()
    await expect(citizen.hook("identify-card")).to_be_visible()
    await expect(citizen.hook("identify-go")).to_have_text(
        "Aanmelden via Toegangsbeheer Vlaanderen (opent in een nieuw tabblad)"
    )
    await expect(citizen.hook("identify-go")).to_be_visible()  # as long as it is hidden, a key goes elsewhere


async def opened(citizen: Person) -> Page:
    """The window that the press opens. It stays open until `closes`."""
    await citizen.context.add_init_script(HOLD)
    async with citizen.context.expect_page() as waiting:
        await citizen.hook("identify-go").click()
    page = await waiting.value
    await expect(page.get_by_test_id("identify-code")).to_be_visible()
    return page


async def closes(page: Page) -> None:
    """Waits until the page closes its window; returns when the browser has done that."""
    await page.wait_for_function("() => window.shutting")
    async with page.expect_event("close"):
        with contextlib.suppress(PlaywrightError):  # it may close before it has answered
            await page.evaluate("shut()")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_a_citizen_identifies_and_the_agent_sees_who_it_is(
    scene: Scene, issuer: MockIssuer, size: tuple[int, int]
) -> None:
    citizen, agent = await talking(scene)
    await citizen.page.set_viewport_size({"width": size[0], "height": size[1]})
    await asked(citizen, agent)
    await expect(agent.hook("chat-identify")).to_have_text("Identificatie gevraagd")
    await expect(agent.hook("chat-identify")).to_have_attribute("aria-disabled", "true")
    assert ASKED in await citizen.told()
    for place in (citizen.hook("identify-problem"), agent.hook("identify-late")):  # there before it has words
        await expect(place).to_be_empty()
        await expect(place).to_have_css("display", "block")
    assert not await problems(citizen.page)
    assert not await problems(agent.page)
    await expect(citizen.hook("chat-input")).to_be_in_viewport(ratio=1)
    await expect(citizen.hook("identify-decline")).to_be_in_viewport(ratio=1)
    page = await opened(citizen)
    code = await page.get_by_test_id("identify-code").text_content()
    await expect(citizen.hook("identify-code")).to_have_text(code or "no code")
    for hook in ("identify-go", "identify-decline", "chat-input", "chat-close"):  # the card says more now
        await expect(citizen.hook(hook)).to_be_in_viewport(ratio=1)
        await citizen.hook(hook).click(trial=True)
    assert not await problems(page)
    kept = await citizen.kept_chat()
    assert kept["token"] not in page.url
    await page.get_by_test_id("identify-go-on").click()
    await expect(page.get_by_test_id("identify-outcome")).to_have_text(
        "De medewerker ziet nu uw naam. Uw gesprek gaat verder in het andere venster."
    )
    said = page.get_by_text("U kunt dit venster sluiten. Anders sluit het na 20 seconden vanzelf")
    await expect(said).to_be_visible()
    assert not await problems(page)
    await closes(page)
    await expect(citizen.hook("identify-card")).to_be_hidden()
    badge = agent.hook("citizen-identity")
    await expect(badge).to_have_text(
        "Geïdentificeerd: Lien De Smet via Toegangsbeheer Vlaanderen, betrouwbaarheidsniveau hoog"
    )
    await agent.sees(IDENTIFIED)
    await expect(agent.hook("chat-identify")).to_have_text("Vraag om zich te identificeren")
    assert not await problems(agent.page)
    await agent.page.reload()
    await expect(badge).to_contain_text("Lien De Smet")


@pytest.mark.parametrize("size", [(360, 640), (320, 256), DESKTOP])
async def test_the_bar_stays_in_sight_below_refused_files_and_the_card(
    scene: Scene, issuer: MockIssuer, tmp_path: Path, size: tuple[int, int]
) -> None:
    citizen, agent = await talking(scene)
    citizen.expects("415")
    await citizen.page.set_viewport_size({"width": size[0], "height": size[1]})
    files = [tmp_path / f"een bestand met een lange naam, nummer {n}.exe" for n in range(4)]
    for file in files:
        file.write_bytes(b"MZ" + bytes(100))
    await citizen.upload(*files)
    await asked(citizen, agent)
    refused = citizen.page.locator(".uploads > *")
    await expect(refused).to_have_count(4)
    bar = citizen.hook("chat-input")
    await expect(bar).to_be_in_viewport(ratio=1)
    await bar.click(trial=True)
    for one in (
        citizen.hook("identify-go"),
        citizen.hook("identify-decline"),
        refused.first,
        citizen.hook("chat-close"),
    ):
        await one.scroll_into_view_if_needed()
        await one.click(trial=True)  # nothing is above it
    await citizen.page.evaluate(TOP)
    await expect(bar).to_be_in_viewport(ratio=1)
    await bar.click(trial=True)
    assert not await problems(citizen.page)
    await citizen.say("Hier ben ik nog")
    await agent.sees("Hier ben ik nog")


async def test_a_citizen_who_declines_goes_on_by_keyboard(scene: Scene, issuer: MockIssuer) -> None:
    citizen, agent = await talking(scene)
    await agent.hook("chat-input").focus()
    await agent.page.keyboard.press("Alt+Shift+D")
    await expect(citizen.hook("identify-card")).to_be_visible()
    await expect(citizen.hook("identify-go")).to_be_visible()  # as long as it is hidden, it takes no focus
    await citizen.hook("identify-go").focus()
    await citizen.page.keyboard.press("Tab")
    await focused(citizen, "identify-decline")
    await citizen.page.keyboard.press("Enter")
    await expect(citizen.hook("identify-card")).to_be_hidden()
    await focused(citizen, "chat-input")
    await agent.sees("De burger heeft ervoor gekozen om zich niet te identificeren. Het gesprek gaat gewoon verder.")
    await expect(agent.hook("citizen-identity")).to_be_hidden()
    await citizen.say("Kan het ook zo?")
    await agent.sees("Kan het ook zo?")


async def test_the_link_keeps_the_focus_and_an_address_that_does_not_come_is_asked_for_again(
    scene: Scene, issuer: MockIssuer
) -> None:
    citizen, agent = await talking(scene)
    answers = f"{citizen.base}/api/chats/*/identification"
    citizen.expects("503", "404")
    await citizen.page.route(answers, lambda route: route.fulfill(status=503, json={"code": "unavailable"}))
    await agent.hook("chat-identify").click()
    await expect(citizen.hook("identify-problem")).to_contain_text("Dat gaat nu niet.")
    again, go = citizen.hook("identify-again"), citizen.hook("identify-go")
    await expect(again).to_have_text("Opnieuw proberen")
    await expect(again).to_be_visible()
    await citizen.page.unroute(answers)
    await again.press("Enter")
    await focused(citizen, "identify-go")
    async with citizen.context.expect_page() as waiting, citizen.page.expect_response(answers):
        await go.press("Enter")
    await (await waiting.value).close()
    await expect(citizen.hook("identify-problem")).to_contain_text("Meld u aan in het nieuwe tabblad.")
    await focused(citizen, "identify-go")
    await citizen.page.route(answers, lambda route: route.fulfill(status=404, json={"code": "no_request"}))
    await go.press("Enter")
    await expect(citizen.hook("identify-card")).to_be_hidden()
    over = "De tijd om u te identificeren is voorbij. Het gesprek gaat gewoon verder."
    await expect(citizen.page.locator(".panel > .sr")).to_have_text(over)
    await focused(citizen, "chat-input")
    await expect(citizen.hook("identify-over").get_by_text(over)).to_be_in_viewport(ratio=1)
    assert not await problems(citizen.page)
    await citizen.hook("identify-shut").press("Enter")
    await expect(citizen.hook("identify-over")).to_be_hidden()
    await focused(citizen, "chat-input")
    await citizen.context.clear_cookies()  # of the login that was begun


async def test_both_see_that_the_time_is_over_until_the_citizen_answers_all_the_same(
    scene: Scene, issuer: MockIssuer
) -> None:
    citizen, agent = await talking(scene)
    await citizen.page.set_viewport_size({"width": PHONE[0], "height": 480})
    await asked(citizen, agent)
    citizen.expects("404")
    await citizen.page.route(
        f"{citizen.base}/api/chats/*/identification",
        lambda route: route.fulfill(status=404, json={"code": "no_request"}),
        times=1,
    )
    async with citizen.context.expect_page() as waiting:
        await citizen.hook("identify-go").press("Enter")
    await (await waiting.value).close()
    await expect(citizen.hook("identify-over")).to_contain_text("De tijd om u te identificeren is voorbij.")
    await expect(citizen.hook("chat-input")).to_be_in_viewport(ratio=1)
    late = agent.hook("identify-late")
    await expect(late).to_be_empty()
    await agent.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=11))
    await expect(late).to_have_text("De burger heeft zich niet op tijd geïdentificeerd. U kunt het opnieuw vragen.")
    await expect(agent.hook("chat-identify")).to_have_text("Vraag om zich te identificeren")
    assert not await problems(agent.page)
    kept = await citizen.kept_chat()
    address = f"{citizen.base}/api/chats/{kept['chat_id']}/identification"
    answer = await citizen.page.request.delete(address, headers={"Authorization": f"Bearer {kept['token']}"})
    assert answer.status == 204
    await expect(citizen.hook("identify-over")).to_be_hidden()
    await expect(late).to_be_empty()
    await citizen.context.clear_cookies()  # of the login that was begun


async def test_a_request_that_was_not_sent_is_not_said_to_be(scene: Scene, issuer: MockIssuer) -> None:
    _, agent = await talking(scene)
    full = "Object.defineProperty(WebSocket.prototype, 'bufferedAmount', { get: () => 1e9, configurable: true })"
    await agent.page.evaluate(full)
    await agent.hook("chat-identify").click()
    await expect(agent.page.get_by_text("De vraag om zich te identificeren kon niet worden gesteld.")).to_be_visible()
    await expect(agent.page.get_by_text("De burger krijgt de vraag om zich te identificeren.")).to_have_count(0)
    await agent.page.evaluate("delete WebSocket.prototype.bufferedAmount")


async def test_a_typed_name_never_looks_identified(scene: Scene, issuer: MockIssuer) -> None:
    citizen, agent = await talking(scene, name="Geïdentificeerd: Lien De Smet")
    await citizen.say(IDENTIFIED)
    await agent.sees(IDENTIFIED)
    await expect(agent.page.locator("#chat-name")).to_have_text("Geïdentificeerd: Lien De Smet")
    await expect(agent.hook("citizen-identity")).to_be_hidden()
    await expect(agent.hook("chat-messages").locator(".message.system").get_by_text(IDENTIFIED)).to_have_count(0)


async def test_the_card_is_there_after_a_reload_and_the_identity_after_a_transfer(
    scene: Scene, issuer: MockIssuer
) -> None:
    citizen, agent = await talking(scene)
    await asked(citizen, agent)
    await citizen.page.reload()
    await expect(citizen.hook("identify-card")).to_be_visible()
    page = await opened(citizen)
    await page.get_by_test_id("identify-go-on").click()
    await expect(page.get_by_test_id("identify-outcome")).to_be_visible()
    await agent.sees(IDENTIFIED)
    bert = await scene.agent("bert")
    await can_be_given(agent, "Bert")
    await agent.hook("chat-transfer").click()
    await agent.page.get_by_role("radio", name="Bert").check()
    await agent.hook("transfer-submit").click()
    await bert.hook("accept").click()
    await expect(bert.hook("citizen-identity")).to_contain_text("Lien De Smet")


async def test_what_went_wrong_at_the_issuer_is_said_and_the_chat_goes_on(scene: Scene, issuer: MockIssuer) -> None:
    issuer.error = "access_denied"
    citizen, agent = await talking(scene)
    await asked(citizen, agent)
    page = await opened(citizen)
    await page.get_by_test_id("identify-go-on").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("U hebt zich niet geïdentificeerd")
    await expect(citizen.hook("identify-card")).to_be_hidden()
    assert "Het identificeren is niet gelukt. Het gesprek gaat gewoon verder." in await citizen.told()
    citizen.expects("410")
    await page.goto(f"{citizen.base}/identify?ticket=used.up")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Deze pagina is niet meer geldig")
    assert not await problems(page)
