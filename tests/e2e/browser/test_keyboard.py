"""The whole journey without a mouse, on both sides: what has the focus, in which order, and where it goes back to."""

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import PHONE, Person, Scene, focused, log_in, talking
from tests.support.browsers.systems import FORM

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def tab_to(person: Person, name: str, key: str = "Tab", most: int = 30) -> None:
    """Presses Tab until this has the focus."""
    for _ in range(most):
        await person.page.keyboard.press(key)
        if await person.focus() == name:
            return
    raise AssertionError(f"{name} was not reached with {most} presses of {key}")


async def keys(person: Person, *presses: str) -> None:
    for one in presses:
        await person.page.keyboard.press(one)


async def test_a_citizen_needs_no_mouse(scene: Scene) -> None:
    agent = await scene.agent()
    citizen = await scene.citizen()
    await citizen.button("green")
    await tab_to(citizen, "chat-button")
    await keys(citizen, "Enter")
    await focused(citizen, "chat-input")
    await citizen.page.keyboard.type("Hallo")  # before an agent has the chat
    await keys(citizen, "Enter")
    await citizen.dot("green")
    await agent.sees("Hallo")
    await expect(citizen.hook("name-card")).to_be_visible()
    await tab_to(citizen, "own-name", "Shift+Tab", most=4)
    await citizen.page.keyboard.type("Lien")
    await keys(citizen, "Enter")
    await focused(citizen, "chat-input")
    await expect(agent.item("Lien")).to_be_visible()

    for name in ("chat-send", "chat-attach", "chat-download", "chat-close"):
        await keys(citizen, "Tab")
        assert await citizen.focus() == name
    await keys(citizen, "Shift+Tab", "Enter")
    await focused(citizen, "download-txt")
    await keys(citizen, "Escape")
    await focused(citizen, "chat-download")
    await keys(citizen, "Escape")
    await focused(citizen, "chat-button")
    await keys(citizen, "Enter")
    await focused(citizen, "chat-input")
    await keys(citizen, *["Tab"] * 4, "Enter")
    await focused(citizen, "confirm-no")
    await keys(citizen, "Enter")
    await focused(citizen, "chat-close")
    await keys(citizen, "Enter")
    await focused(citizen, "confirm-no")
    await keys(citizen, "Shift+Tab")
    await focused(citizen, "confirm")
    await keys(citizen, "Enter")
    await expect(citizen.hook("chat-dismiss")).to_be_visible()
    await tab_to(citizen, "chat-dismiss", most=2)
    await keys(citizen, "Enter")
    await focused(citizen, "chat-button")


async def test_an_agent_needs_no_mouse(scene: Scene) -> None:
    agent = await scene.stranger()
    await focused(agent, "login-username")
    await agent.page.keyboard.type("an")
    await keys(agent, "Tab")
    await agent.page.keyboard.type("demo")
    await keys(agent, "Enter")
    await expect(agent.hook("agent-state")).to_have_attribute("data-state", "available")
    citizen = await scene.citizen()
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await expect(agent.hook("chat-input")).to_be_visible()
    if await agent.focus() != "chat-input":  # the cursor stays where it is when keys were pressed just before
        await tab_to(agent, "chat-input", most=40)
    await agent.page.keyboard.type("Goeiedag")
    await keys(agent, "Enter")
    await citizen.sees("Goeiedag")
    await tab_to(agent, "chat-transfer", "Shift+Tab")
    await keys(agent, "Enter")
    dialog = agent.page.get_by_role("dialog")
    await expect(dialog.get_by_role("radio").first).to_be_visible()
    await keys(agent, "Escape")
    await expect(dialog).to_have_count(0)
    await focused(agent, "chat-transfer")
    await tab_to(agent, "chat-close", most=3)
    await keys(agent, "Enter")
    await expect(dialog.get_by_role("button").first).to_be_focused()
    await keys(agent, "Tab")
    await focused(agent, "confirm")
    await keys(agent, "Enter")
    await focused(agent, "chat-name")
    await citizen.dot("red")
    await tab_to(agent, "dismiss")
    await keys(agent, "Enter")
    await expect(agent.hook("chat-item")).to_have_count(0)
    await focused(agent, "chat")


async def test_on_a_phone_the_panel_is_the_page_and_gives_the_focus_back(scene: Scene) -> None:
    agent = await scene.agent()
    citizen = await scene.citizen(size=PHONE, has_touch=True, is_mobile=True)
    await citizen.button("green")
    await citizen.hook("chat-button").tap()
    await citizen.dot("green")
    await citizen.hook("chat-input").tap()
    await citizen.say("Vanop mijn gsm")
    await agent.sees("Vanop mijn gsm")
    panel = citizen.page.locator("eloket-chat dialog")
    box = await panel.bounding_box()
    assert box is not None
    assert (box["x"], box["width"], box["height"]) == (0, *PHONE)
    for name in ("chat-input", "chat-send", "chat-attach", "chat-download", "chat-close"):
        await expect(citizen.hook(name)).to_be_in_viewport(ratio=1)
    await citizen.hook("chat-minimise").tap()
    await focused(citizen, "chat-button")
    await agent.say("Bent u er nog?")
    await expect(citizen.hook("chat-button")).to_contain_text("1")


# What was missed comes a frame at a time, each in a drawing of its own.
IN_PIECES = """() => {
    window.WebSocket = class extends window.RealWebSocket {
        set onmessage(heard) {
            let free = 0;
            super.onmessage = heard && ((event) => {
                free = Math.max(free, performance.now()) + 60;
                setTimeout(() => heard(event), free - performance.now());
            });
        }
    };
}"""


async def test_a_new_message_is_said_once_and_what_was_missed_is_counted(scene: Scene) -> None:
    citizen, agent = await talking(scene)
    log = citizen.hook("chat-messages")
    await expect(log).to_have_attribute("role", "log")
    await expect(log).to_have_attribute("aria-live", "polite")  # off while the page fills in what was said before
    await agent.say("Nieuw")
    await citizen.sees("Nieuw")
    await citizen.say("Van mezelf")
    await agent.sees("Van mezelf")
    spoken = [line for line in await citizen.heard() if line["text"] in ("Nieuw", "Van mezelf")]
    assert spoken == [{"live": "polite", "text": "Nieuw"}, {"live": "polite", "text": "Van mezelf"}]
    await citizen.goes_offline()
    for number in range(5):
        await agent.say(f"gemist {number}")
    await agent.sees("gemist 4")
    await citizen.page.evaluate(IN_PIECES)
    await citizen.context.set_offline(False)
    await citizen.sees("gemist 4")
    missed = [line["live"] for line in await citizen.heard() if (line["text"] or "").startswith("gemist")]
    assert missed == ["off"] * 5
    await expect(citizen.page.get_by_role("status").filter(has_text="5 nieuwe berichten")).to_have_count(1)


async def test_logging_in_again_needs_the_keyboard_only(scene: Scene) -> None:
    agent = await scene.agent()
    await tab_to(agent, "agent-state", most=6)
    await tab_to(agent, "open-questions", most=1)
    await tab_to(agent, "open-past", most=1)
    await keys(agent, "Tab", "Enter")
    await tab_to(agent, "logout", most=8)
    await keys(agent, "Enter")
    await focused(agent, "login-username")
    await log_in(agent, "an")


async def test_the_form_of_a_department_that_asks_first_needs_no_mouse(scene: Scene) -> None:
    fleur = await scene.agent("fleur")
    citizen = await scene.citizen(f"/?department={FORM}")
    await citizen.button("green")
    await tab_to(citizen, "chat-button")
    await keys(citizen, "Enter")
    await focused(citizen, "name")
    await citizen.page.keyboard.type("Lien")
    await keys(citizen, "Tab")
    await citizen.page.keyboard.type("Ik heb een vraag")
    await keys(citizen, "Tab")
    assert await citizen.focus() == "start-submit"
    await keys(citizen, "Enter")
    await focused(citizen, "chat-input")
    await citizen.dot("green")
    await fleur.sees("Ik heb een vraag")
    await expect(fleur.item("Lien")).to_be_visible()
