"""The console's way by the organisation: the button, the choice of a role, what went wrong, and emergency access."""

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from services.common.clock import utcnow
from services.presence.agents import totp
from tests.e2e.browser.people import Person, Scene, press
from tests.e2e.browser.test_accessibility import problems
from tests.support.issuer_systems import TOTP_SECRET, running_issuer_system
from tests.support.mock_issuer import MockIssuer
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str
) -> Iterator[tuple[System, MockIssuer]]:
    with running_issuer_system(tmp_path_factory.mktemp("issuer"), broker, mongodb_url) as made:
        yield made


@pytest.fixture(scope="module")
def system(running: tuple[System, MockIssuer]) -> System:
    return running[0]


@pytest.fixture
def sites(issuer: MockIssuer) -> tuple[str, ...]:
    return (issuer.url,)


async def ready(person: Person, name: str) -> None:
    await expect(person.hook("agent-state")).to_have_attribute("data-state", "available")
    await expect(person.page.get_by_text(f"Aangemeld als {name}")).to_be_attached()
    await expect(person.page).not_to_have_url(re.compile("login="))


async def test_an_agent_logs_in_with_their_organisation_and_helps_a_citizen(scene: Scene, issuer: MockIssuer) -> None:
    lien = await scene.stranger()
    await expect(lien.hook("login-oidc")).to_have_text("Aanmelden met uw organisatie")
    await expect(lien.hook("login-username")).to_be_hidden()
    assert not await problems(lien.page)
    await lien.hook("login-oidc").click()
    await ready(lien, "Lien Peeters")
    someone = await scene.citizen()
    await press(someone)
    await someone.dot("green")
    await lien.page.reload()
    await ready(lien, "Lien Peeters")
    token = issuer.logout_token(sub="pairwise-1")
    lien.expects("401")
    answer = await lien.context.request.post(f"{lien.base}/api/agent/oidc/logout", form={"logout_token": token})
    assert answer.status == 200
    await expect(lien.hook("login-oidc")).to_be_visible()
    await expect(lien.hook("login-lead")).to_contain_text("Uw sessie is beëindigd.")
    await someone.dot("grey")


async def test_a_person_with_two_roles_chooses_one(scene: Scene, issuer: MockIssuer) -> None:
    issuer.claims["eloket_rol_3d"] = ["medewerker:OVO000001", "leiding:OVO000002"]
    lien = await scene.stranger()
    await lien.hook("login-oidc").click()
    await expect(lien.page.get_by_role("heading", name="Kies uw rol")).to_be_focused()
    await expect(lien.hook("login-role")).to_have_text(["Medewerker – Stad Een", "Supervisor – OVO000002"])
    assert not await problems(lien.page)
    await lien.hook("login-role").nth(1).press("Enter")
    await ready(lien, "Lien Peeters")
    await expect(lien.hook("open-assignments")).to_be_attached()


async def test_a_role_that_is_pressed_twice_is_chosen_once(scene: Scene, issuer: MockIssuer) -> None:
    issuer.claims["eloket_rol_3d"] = ["medewerker:OVO000001", "leiding:OVO000002"]
    lien = await scene.stranger()
    chosen: list[str] = []
    lien.page.on("request", lambda one: chosen.append(one.method) if one.url.endswith("/oidc/choice") else None)
    await lien.hook("login-oidc").click()
    await lien.hook("login-role").first.dblclick()
    await ready(lien, "Lien Peeters")
    assert chosen == ["POST"]


async def test_a_failed_login_says_what_to_do(scene: Scene, issuer: MockIssuer) -> None:
    issuer.overrides = {"eloket_rol_3d": []}
    lien = await scene.stranger()
    await lien.hook("login-oidc").click()
    lead = lien.hook("login-lead")
    await expect(lead).to_have_text("U hebt geen toegang tot deze console. Vraag de rol aan bij uw beheerder.")
    await expect(lien.page).not_to_have_url(re.compile("login="))
    await lien.page.goto(f"{lien.base}/agent?login=%3Cb%3Eanything")
    await expect(lead).to_have_text("Meld u aan om chatgesprekken met burgers te voeren.")


async def test_emergency_access_asks_for_the_code(scene: Scene) -> None:
    nood = await scene.stranger()
    nood.expects("401")
    await nood.hook("login-emergency").locator("summary").click()
    await nood.hook("login-username").fill("nood")
    await nood.hook("login-password").fill("demo")
    await expect(nood.hook("login-code")).to_be_hidden()
    await nood.hook("login-submit").click()
    await expect(nood.hook("login-code")).to_be_focused()
    await expect(nood.page.locator("#login-alert")).to_contain_text("code van 6 cijfers")
    assert not await problems(nood.page)
    await nood.hook("login-code").fill("12345")
    await nood.hook("login-submit").click()
    await expect(nood.page.locator("#login-alert")).to_contain_text("Wacht op een nieuwe code")
    await nood.hook("login-code").fill(totp.code_at(TOTP_SECRET, totp.step_of(utcnow())))
    await nood.hook("login-submit").click()
    await ready(nood, "Nood")
