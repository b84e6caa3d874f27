"""What a citizen who does not see the chat is notified of: by the title, the launcher, a sound and a notification."""

import json

import pytest
from playwright.async_api import Page, expect

from tests.e2e.browser.people import PHONE, Person, Scene, focused, log_in, press, talking, until
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_keyboard import keys, tab_to
from tests.e2e.browser.test_silence import injected

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NEWS = "Nieuw bericht van een medewerker"
SECRET = "Uw dossier 2026-117 is goedgekeurd"
RECORD = """
window.rung = [];
window.noted = [];
window.asked = 0;
if (window.OscillatorNode)
  window.OscillatorNode = class extends OscillatorNode {
    constructor(audio, options) { super(audio, options); rung.push(audio.state); }
  };
if (window.Notification) {
  const Real = Notification;
  let state;
  navigator.permissions.query({ name: "notifications" }).then((permission) => (state = permission.state));
  window.Notification = class extends Real {
    static get permission() { return state ?? Real.permission; }
    static requestPermission() { asked += 1; return Real.requestPermission(); }
    constructor(words, options) { super(words, options); noted.push(this); this.words = words; this.shown = true; }
    close() { this.shown = false; super.close(); }
  };
}
"""
"""Keeps each tone and each notification, which go on as always.

The headless shell says of each page that notifications are denied, whatever the test has granted: what it says over the
Permissions API is true.
"""
HIDE = """(hidden) => {
    const values = { hidden, visibilityState: hidden ? "hidden" : "visible" };
    for (const [name, value] of Object.entries(values))
        Object.defineProperty(document, name, { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
"""Hides a page, or shows it again: a browser without a window hides none."""
NOTED = "noted.map(({ words, shown, tag, body }) => ({ words, shown, tag, body }))"


async def recorded(someone: Person) -> None:
    """From the next page on the citizen's browser keeps what it notified of."""
    await someone.context.add_init_script(RECORD)
    await someone.page.reload()


async def titled(page: Page, title: str) -> None:
    await page.wait_for_function("(title) => document.title === title", arg=title)


async def noted(page: Page) -> list[dict[str, object]]:
    found: list[dict[str, object]] = await page.evaluate(NOTED)
    return found


async def rung(*pages: Page) -> int:
    return sum([await page.evaluate("rung.length") for page in pages])


async def test_the_title_and_the_launcher_say_so_while_the_panel_is_folded(scene: Scene) -> None:
    citizen, agent = await talking(scene, "Eerste vraag")
    page, own = citizen.page, await citizen.page.title()
    badge = page.locator(".launcher .badge")
    await citizen.hook("chat-minimise").click()
    assert await page.title() == own
    await agent.say(SECRET)
    await titled(page, f"{NEWS} – {own}")
    await expect(badge).to_have_text("1 ongelezen")
    await page.evaluate("document.title = 'Stap 3 van 5'")
    await titled(page, f"{NEWS} – Stap 3 van 5")
    await agent.say("En nog iets")
    await titled(page, "2 nieuwe berichten van een medewerker – Stap 3 van 5")
    await page.evaluate(
        "document.querySelector('title').replaceWith(Object.assign(document.createElement('title'), "
        "{ text: ' Stap  4 ' }))"
    )
    await titled(page, "2 nieuwe berichten van een medewerker – Stap 4")
    await citizen.hook("chat-button").click()
    await page.wait_for_function("() => document.querySelector('title').text === ' Stap  4 '")
    await citizen.hook("chat-minimise").click()
    await citizen.hook("chat-button").click()
    await citizen.say("Dank u")
    await agent.sees("Dank u")
    await citizen.hook("chat-minimise").click()
    assert await page.title() == "Stap 4"  # what the citizen wrote is no news
    await expect(badge).to_have_count(0)


async def test_an_agent_who_comes_a_warning_and_the_end_are_notified_too(scene: Scene) -> None:
    agent, citizen = await scene.agent(), await scene.citizen()
    warn = await injected(citizen)
    await press(citizen, question="Is er iemand?")
    await citizen.dot("green")
    await agent.sees("Is er iemand?")
    own = await citizen.page.title()
    await agent.page.locator("summary", has_text="Menu").click()
    await agent.hook("logout").click()
    await agent.hook("confirm").click()
    await citizen.dot("grey")
    await citizen.page.evaluate(HIDE, True)
    assert await citizen.page.title() == own  # that nobody is there is no news
    await log_in(agent, "an")
    await titled(citizen.page, f"Er is een medewerker voor u – {own}")
    warn(1, 300)
    await titled(citizen.page, f"Uw chatgesprek wordt bijna gesloten – {own}")
    warn(0, 0)
    await titled(citizen.page, f"Er is een medewerker voor u – {own}")
    await citizen.page.evaluate(HIDE, False)
    await titled(citizen.page, own)
    await citizen.page.evaluate(HIDE, True)
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()
    await titled(citizen.page, f"Uw chatgesprek is beëindigd – {own}")
    await citizen.page.evaluate(HIDE, False)
    await titled(citizen.page, own)


async def test_sound_and_notification_are_asked_for_remembered_and_silent_about_the_text(scene: Scene) -> None:
    agent, citizen = await scene.agent(), await scene.citizen(permissions=["notifications"])
    await recorded(citizen)
    await press(citizen)
    await citizen.dot("green")
    own = await citizen.page.title()
    await citizen.page.evaluate(HIDE, True)
    await expect(agent.hook("chat-input")).to_be_visible()
    await agent.say("Niets ingesteld")
    await titled(citizen.page, f"{NEWS} – {own}")
    await citizen.page.wait_for_timeout(1_000)
    assert (await rung(citizen.page), await noted(citizen.page), await citizen.page.evaluate("asked")) == (0, [], 0)
    await citizen.page.evaluate(HIDE, False)
    await citizen.hook("chat-settings").click()
    for name in ("set-sound", "set-notify"):
        await expect(citizen.hook(name)).not_to_be_checked()
        await citizen.hook(name).check()
        await expect(citizen.hook(name)).to_be_checked()
    await citizen.page.wait_for_function("() => rung.length === 1")  # how it sounds

    await citizen.page.reload()
    await citizen.dot("green")
    await citizen.hook("chat-settings").click()
    for name in ("set-sound", "set-notify"):
        await expect(citizen.hook(name)).to_be_checked()
    await keys(citizen, "Escape")
    await focused(citizen, "chat-settings")
    await citizen.hook("chat-minimise").click()
    await citizen.page.evaluate(HIDE, True)
    await agent.say(SECRET)
    await citizen.page.wait_for_function("() => noted.length === 1 && rung.length === 1")
    assert await citizen.page.evaluate("rung") == ["running"]
    [note] = await noted(citizen.page)
    assert (note["words"], note["body"], note["shown"]) == (NEWS, "", True)
    assert "dossier" not in json.dumps(note)
    await citizen.page.evaluate("noted[0].onclick()")
    await expect(citizen.hook("chat-input")).to_be_visible()
    await citizen.page.evaluate(HIDE, False)
    await citizen.page.wait_for_function("() => !noted[0].shown")
    assert len(await noted(citizen.page)) == 1
    await citizen.page.evaluate(HIDE, True)
    await agent.say("Nog een bericht")
    await citizen.page.wait_for_function("() => noted.length === 2 && noted[1].shown")
    await citizen.page.evaluate(HIDE, False)
    await citizen.page.wait_for_function("() => !noted[1].shown")  # it goes when the page is seen


async def test_of_two_tabs_one_notifies_and_none_does_while_one_shows_the_chat(scene: Scene) -> None:
    agent, citizen = await scene.agent(), await scene.citizen(permissions=["notifications"])
    await recorded(citizen)
    await press(citizen)
    await citizen.dot("green")
    await citizen.hook("chat-settings").click()
    for name in ("set-sound", "set-notify"):
        await citizen.hook(name).check()
    await citizen.page.wait_for_function("() => rung.length === 1")
    first, own = citizen.page, await citizen.page.title()
    second = await citizen.context.new_page()
    await second.goto(f"{scene.base}/?step=2")
    citizen.page = second
    await citizen.dot("green")
    await citizen.hook("chat-settings").click()  # a press, after which this tab may make a sound
    await expect(citizen.hook("set-sound")).to_be_checked()
    await expect(agent.hook("chat-input")).to_be_visible()
    for page in (first, second):
        await page.evaluate(HIDE, True)
    await agent.say("Eerste")
    for page in (first, second):
        await page.wait_for_function("() => document.title.startsWith('Nieuw bericht')")
    await until(lambda: _one_note(first, second))
    await until(lambda: _two_tones(first, second))
    await first.wait_for_timeout(1_500)
    assert await rung(first, second) == 2  # the first was how it sounds
    assert len(await noted(first)) + len(await noted(second)) == 1

    await second.evaluate(HIDE, False)
    for page in (first, second):
        await titled(page, own)  # seen in one tab is seen
    await until(lambda: _no_note_shown(first, second))
    await agent.say("Tweede")
    await citizen.sees("Tweede")
    await first.wait_for_timeout(1_500)
    assert await rung(first, second) == 2
    await titled(first, own)
    await second.close()
    citizen.page = first


async def _one_note(*pages: Page) -> bool:
    return sum([len(await noted(page)) for page in pages]) == 1


async def _two_tones(*pages: Page) -> bool:
    return await rung(*pages) == 2


async def _no_note_shown(*pages: Page) -> bool:
    return not [note for page in pages for note in await noted(page) if note["shown"]]


async def test_a_browser_that_allows_no_notifications_says_so(scene: Scene) -> None:
    citizen, _ = await talking(scene)
    await citizen.hook("chat-settings").click()
    await citizen.hook("set-notify").click()
    await expect(citizen.hook("settings-words")).to_contain_text("Uw browser laat geen meldingen toe.")
    await expect(citizen.hook("set-notify")).not_to_be_checked()


async def test_the_settings_are_reached_by_the_keyboard_and_on_a_phone(scene: Scene) -> None:
    citizen, agent = await talking(scene)
    await tab_to(citizen, "chat-settings", "Shift+Tab", most=12)
    await expect(citizen.hook("chat-settings")).to_have_attribute("aria-expanded", "false")
    await keys(citizen, "Enter")
    await focused(citizen, "set-sound")
    await expect(citizen.hook("chat-settings")).to_have_attribute("aria-expanded", "true")
    await keys(citizen, "Space")
    await expect(citizen.hook("set-sound")).to_be_checked()
    assert not await problems(citizen.page)
    statement = f"{scene.base}/toegankelijkheid?lang=nl"
    await expect(citizen.hook("accessibility")).to_have_attribute("href", statement)
    await keys(citizen, "Escape")
    await focused(citizen, "chat-settings")
    await expect(citizen.hook("set-sound")).to_be_hidden()
    await expect(citizen.hook("chat-input")).to_be_visible()
    await citizen.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    await citizen.hook("chat-settings").click()
    for name in ("set-sound", "chat-minimise", "chat-input"):
        await expect(citizen.hook(name)).to_be_in_viewport(ratio=1)
    await citizen.hook("set-notify").focus()
    await agent.hook("chat-close").click()
    await agent.hook("confirm").click()
    await citizen.dot("red")
    await expect(citizen.hook("chat-settings")).to_have_count(0)
    await expect(citizen.page.locator(".ended .reason")).to_be_focused()
