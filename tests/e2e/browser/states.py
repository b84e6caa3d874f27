"""Every page and state that a citizen or an agent can be in, one after another, in one walk."""

from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import expect

from tests.e2e.browser.people import Person, Scene, log_in, open_form, shows_typing
from tests.support.browsers.systems import FORM

LETTER = "Ik heb een factuur van vorig jaar. Mag die ook nog meetellen, en waar stuur ik ze dan naartoe?"
LONG = "https://e-loket.example.be/premies/renovatie/dakisolatie/voorwaarden?jaar=2026&taal=nl#bewijsstukken"
BLUE = {"type": "about:blank", "status": 409, "code": "button_blue", "infofiche_url": "/infofiche/algemeen"}
LANGUAGES = ("nl", "fr", "de", "en")


async def states(scene: Scene, file: Path) -> AsyncIterator[tuple[str, Person]]:
    """The name of each state and the person whose page is in it. Nobody is logged in when it begins."""
    async for state in _info_sheets(scene):
        yield state
    citizen, agent = await scene.citizen(), await scene.stranger()
    await citizen.button("blue")
    yield "launcher-blue", citizen
    await expect(agent.hook("login-submit")).to_be_visible()
    yield "console-login", agent
    await log_in(agent, "an")
    yield "console-empty", agent
    await citizen.button("green")
    yield "launcher-green", citizen
    async for state in _waiting(scene, citizen):
        yield state
    async for state in _talking(scene, citizen, agent, file):
        yield state
    async for state in _left_alone(citizen, agent):
        yield state
    async for state in _ending(citizen, agent):
        yield state


async def _info_sheets(scene: Scene) -> AsyncIterator[tuple[str, Person]]:
    reader = await scene.citizen("/infofiche/algemeen")
    for language in LANGUAGES:
        await reader.page.goto(f"{scene.base}/infofiche/algemeen?lang={language}")
        await expect(reader.page.locator("html")).to_have_attribute("lang", language)
        yield f"info-sheet-{language}", reader
    await reader.page.goto(f"{scene.base}/toegankelijkheid")
    await expect(reader.page.get_by_role("heading", level=1)).to_have_text("Toegankelijkheidsverklaring")
    yield "accessibility-statement", reader


async def _waiting(scene: Scene, citizen: Person) -> AsyncIterator[tuple[str, Person]]:
    """The form of a department that asks first, then a press that starts a chat at once."""
    fleur, asked = await scene.agent("fleur"), await scene.citizen(f"/?department={FORM}")
    await open_form(asked)
    await expect(asked.hook("start-held")).to_have_attribute("data-state", "held")
    yield "start-form", asked
    second = await scene.citizen(f"/?department={FORM}")
    await second.button("blue")
    await fleur.hook("agent-state").click()
    await asked.hook("chat-minimise").click()
    await asked.button("blue")
    await citizen.hook("chat-button").click()
    await expect(citizen.hook("name-card")).to_be_visible()
    yield "asked-for-a-name", citizen
    await citizen.hook("own-name").fill("Lien Claes")
    await citizen.hook("own-name-send").click()
    await citizen.say("Mag een factuur van vorig jaar nog meetellen voor de premie?")
    await refused(scene, second)
    yield "start-refused", second
    await citizen.dot("green")


async def refused(scene: Scene, citizen: Person) -> None:
    """The server refuses the press of this citizen, whose page shows green."""
    citizen.expects("409")
    await citizen.page.route("**/api/chats", lambda route: route.fulfill(status=409, json=BLUE))
    await citizen.page.goto(scene.base)
    await citizen.whole()
    await citizen.page.evaluate("() => document.querySelector('eloket-chat').press()")
    await expect(citizen.hook("chat-far")).to_be_visible()


async def _talking(scene: Scene, citizen: Person, agent: Person, file: Path) -> AsyncIterator[tuple[str, Person]]:
    await citizen.say(LETTER)
    await agent.sees(LETTER)
    await agent.say("Goeiedag, ik kijk het even na in uw dossier.")
    await citizen.sees("Goeiedag, ik kijk het even na in uw dossier.")
    await citizen.upload(file)
    await expect(agent.hook("chat-messages").get_by_text(file.name)).to_be_visible()
    await agent.say(f"Dat mag. De voorwaarden staan op {LONG}")
    await expect(citizen.hook("chat-messages").get_by_role("link")).to_be_visible()
    await shows_typing(agent, "U krijgt", citizen.page.get_by_text("An is aan het typen…"))
    yield "talking", citizen
    await shows_typing(citizen, "Dank u", agent.page.locator("form .typing", has_text="is aan het typen"))
    yield "console-talking", agent
    await citizen.hook("chat-download").click()
    await expect(citizen.hook("download-txt")).to_be_visible()
    yield "download", citizen
    await citizen.hook("chat-close").click()
    await expect(citizen.hook("confirm")).to_be_visible()
    yield "confirmation", citizen
    await citizen.hook("confirm-no").click()
    await citizen.hook("chat-minimise").click()
    await expect(citizen.hook("chat-button")).to_be_visible()
    yield "launcher-live", citizen
    await citizen.hook("chat-button").click()
    await agent.hook("write-note").check()
    await agent.hook("note-input").fill("Factuur nakijken met de dienst premies.")
    await agent.hook("note-save").click()
    await expect(agent.hook("chat-messages").locator(".note:not(.sending)")).to_have_count(1)
    yield "console-note", agent
    await agent.hook("write-message").check()
    await agent.hook("chat-transfer").click()
    await expect(agent.page.get_by_role("radio").first).to_be_visible()
    yield "console-transfer", agent
    await agent.page.keyboard.press("Escape")
    await agent.hook("chat-download").click()
    await expect(agent.hook("download-txt")).to_be_visible()
    yield "console-download", agent
    await agent.page.keyboard.press("Escape")
    await agent.page.locator("summary", has_text="Menu").click()
    await expect(agent.hook("logout")).to_be_visible()
    yield "console-menu", agent
    await agent.page.keyboard.press("Escape")
    await citizen.goes_offline()
    await citizen.say("Bent u er nog?")
    yield "no-connection", citizen
    await citizen.comes_back()
    await citizen.dot("green")
    await agent.sees("Bent u er nog?")


async def _left_alone(citizen: Person, agent: Person) -> AsyncIterator[tuple[str, Person]]:
    await agent.page.locator("summary", has_text="Menu").click()
    await agent.hook("logout").click()
    await expect(agent.hook("confirm")).to_be_visible()
    yield "console-leaving", agent
    await agent.hook("confirm").click()
    await citizen.dot("grey")
    await expect(citizen.hook("chat-wait")).to_contain_text("U bent nummer 1 in de wachtrij.")
    yield "waiting", citizen
    await citizen.hook("leave-question").click()
    await expect(citizen.hook("question-text")).to_be_visible()
    yield "leaving-a-question", citizen
    await citizen.hook("question-text").fill("")
    await citizen.hook("question-send").click()
    await expect(citizen.hook("question-contact")).to_have_attribute("aria-invalid", "true")
    yield "leaving-nothing", citizen
    await citizen.page.keyboard.press("Escape")
    await log_in(agent, "an")
    await citizen.dot("green")
    await expect(agent.hook("chat-input")).to_be_visible()


async def _ending(citizen: Person, agent: Person) -> AsyncIterator[tuple[str, Person]]:
    await agent.hook("agent-state").click()
    await expect(agent.hook("agent-state")).to_have_attribute("data-state", "paused")
    yield "console-paused", agent
    await agent.hook("chat-close").click()
    await expect(agent.hook("confirm")).to_be_visible()
    yield "console-confirmation", agent
    await agent.hook("confirm").click()
    await citizen.dot("red")
    yield "ended", citizen
    await expect(agent.hook("dismiss")).to_be_visible()
    yield "console-ended", agent
