"""One press starts a chat: what is typed before there is one, presses at the same time; and the form first."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Response, Route, expect

from tests.e2e.browser.people import Person, Scene, begun, open_form
from tests.support.browsers.systems import FORM

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

CHATS = "**/api/chats"
RESERVATIONS = "**/api/reservations"
AHEAD = 5  # seconds that the clock jumps when it is stopped: at no moment that has passed already
LAPSED = 75  # seconds: longer than a slot is reserved without a key being pressed


def answers_to(person: Person) -> list[Response]:
    """Keeps each answer that says that a chat has been started for this citizen."""
    found: list[Response] = []

    def note(response: Response) -> None:
        if response.request.method == "POST" and response.url.endswith("/api/chats") and response.status == 201:
            found.append(response)

    person.context.on("response", note)
    return found


PATIENT = "AbortSignal.timeout = () => new AbortController().signal"
"""A page that waits for an answer for as long as a full machine needs."""


def after(gate: asyncio.Event) -> Callable[[Route], Awaitable[None]]:
    """Lets a request go on when the gate is open."""

    async def hold(route: Route) -> None:
        await gate.wait()
        await route.continue_()

    return hold


async def test_one_press_starts_and_what_is_typed_before_there_is_a_chat_arrives_in_order(scene: Scene) -> None:
    agent, citizen = await scene.agent(), await scene.citizen()
    gate = asyncio.Event()
    await citizen.page.route(CHATS, after(gate))
    await citizen.page.add_init_script(PATIENT)
    await citizen.page.reload()
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await citizen.dot("grey")
    await expect(citizen.hook("chat-input")).to_be_focused()
    await citizen.say("Eerste")
    await citizen.say("Tweede")
    await expect(citizen.page.locator(".message.sending")).to_have_count(2)
    await expect(citizen.hook("chat-close")).to_be_hidden()
    await citizen.hook("chat-input").fill("Nog niet verzonden")
    gate.set()
    await citizen.dot("green")
    assert "grey" in await citizen.dots()
    await agent.sees("Tweede")
    assert await agent.shown() == await citizen.shown() == ["Eerste", "Tweede"]
    await expect(citizen.hook("chat-input")).to_have_value("Nog niet verzonden")


async def test_what_needs_a_chat_is_not_shown_before_there_is_one(scene: Scene) -> None:
    """Also not for the moment until the panel draws its state for the first time: here that moment does not end."""
    await scene.agent()
    citizen = await scene.citizen(clock=True)
    gate = asyncio.Event()
    await citizen.context.route(CHATS, after(gate))
    await citizen.button("green")
    await citizen.page.clock.pause_at(await citizen.page.evaluate("Date.now() / 1000") + AHEAD)
    await citizen.hook("chat-button").click()
    for tool in ("chat-close", "chat-download"):
        await expect(citizen.hook(tool)).to_be_attached()
        await expect(citizen.hook(tool)).to_be_hidden()
    await citizen.page.clock.resume()
    gate.set()
    await begun(citizen)
    await citizen.dot("green")


async def test_presses_at_the_same_time_in_two_tabs_are_one_chat(scene: Scene) -> None:
    await scene.agent()
    citizen = await scene.citizen()
    answers = answers_to(citizen)
    gate, first = asyncio.Event(), citizen.page
    await citizen.context.route(CHATS, after(gate))
    await citizen.context.add_init_script(PATIENT)
    await first.reload()
    second = await citizen.context.new_page()
    await second.goto(f"{scene.base}/?step=2#other")
    for page in (first, second):
        citizen.page = page
        await citizen.button("green")
        await citizen.hook("chat-button").dblclick()
        await citizen.dot("grey")
    gate.set()
    for page in (first, second):
        citizen.page = page
        await begun(citizen)
        await citizen.dot("green")
    started = {(await one.json())["chat_id"] for one in answers}
    assert started == {(await citizen.kept_chat())["chat_id"]}
    await citizen.say("Uit de tweede tab")
    citizen.page = first
    await citizen.sees("Uit de tweede tab")
    await second.close()


async def test_a_press_whose_answer_is_lost_is_the_same_chat_when_it_is_repeated(scene: Scene) -> None:
    await scene.agent()
    citizen = await scene.citizen()
    citizen.expects("net::ERR_")
    started: list[str] = []

    async def lose(route: Route) -> None:
        answer = await route.fetch()
        started.append((await answer.json())["chat_id"])
        await route.abort()

    await citizen.page.route(CHATS, lose, times=1)
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await expect(citizen.hook("chat-far")).to_contain_text("De chatdienst antwoordt niet.")
    await citizen.say("Bent u daar?")
    await begun(citizen)
    await citizen.sees("Bent u daar?")
    assert (await citizen.kept_chat())["chat_id"] == started[0]


async def test_the_name_is_asked_in_the_conversation_and_the_agent_sees_it_at_once(scene: Scene) -> None:
    agent, citizen = await scene.agent(), await scene.citizen()
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await citizen.say("Zonder naam")
    await agent.sees("Zonder naam")
    await expect(agent.page.locator("#chat-name")).to_have_text("Burger")
    await citizen.hook("own-name").fill(" Lien Claes ")
    await citizen.hook("own-name-send").click()
    await expect(citizen.hook("name-card")).to_have_count(0)
    await expect(agent.page.locator("#chat-name")).to_have_text("Lien Claes")
    await expect(agent.item("Lien Claes")).to_be_visible()
    await citizen.say("Met naam")
    await agent.sees("Met naam")
    await agent.page.reload()
    await expect(agent.page.locator("#chat-name")).to_have_text("Lien Claes")
    await citizen.page.reload()
    await citizen.dot("green")
    await expect(citizen.hook("name-card")).to_have_count(0)


async def test_who_gives_no_name_is_not_asked_again(scene: Scene) -> None:
    await scene.agent()
    citizen = await scene.citizen()
    await citizen.button("green")
    await citizen.hook("chat-button").click()
    await citizen.hook("own-name-skip").click()
    await expect(citizen.hook("name-card")).to_have_count(0)
    await expect(citizen.hook("chat-input")).to_be_focused()
    await citizen.page.reload()
    await citizen.say("Zonder naam")
    await citizen.sees("Zonder naam")  # long after the card would have come
    await expect(citizen.hook("name-card")).to_have_count(0)


# ── the form first ───────────────────────────────────────────────────────────────────────────────────────────────────


async def held(person: Person, state: str) -> None:
    await expect(person.hook("start-held")).to_have_attribute("data-state", state)


async def test_an_open_form_reserves_the_agent_and_gives_them_back_when_it_is_closed(scene: Scene) -> None:
    fleur = await scene.agent("fleur")
    citizen, other = await scene.citizen(f"/?department={FORM}"), await scene.citizen(f"/?department={FORM}")
    await open_form(citizen, "Lien Claes", "Mag een factuur van vorig jaar?")
    await held(citizen, "held")
    await expect(citizen.hook("start-held")).to_contain_text("Er is een medewerker voor u vrijgehouden.")
    await other.button("blue")
    await citizen.hook("chat-minimise").click()
    await other.button("green")
    await citizen.hook("chat-button").click()
    await held(citizen, "held")
    await expect(citizen.page.locator("textarea#question")).to_have_value("Mag een factuur van vorig jaar?")
    await other.button("blue")
    await citizen.hook("start-submit").click()
    await citizen.dot("green")
    await fleur.sees("Mag een factuur van vorig jaar?")
    await expect(fleur.item("Lien Claes")).to_be_visible()
    await expect(citizen.hook("name-card")).to_have_count(0)


async def test_a_form_that_is_left_gives_the_agent_back(scene: Scene) -> None:
    await scene.agent("fleur")
    citizen, other = await scene.citizen(f"/?department={FORM}"), await scene.citizen(f"/?department={FORM}")
    await open_form(citizen)
    await held(citizen, "held")
    await other.button("blue")
    await citizen.page.goto("about:blank")
    await other.button("green")


async def test_a_form_on_which_nobody_types_lapses_and_asks_again(scene: Scene) -> None:
    await scene.agent("fleur")
    citizen = await scene.citizen(f"/?department={FORM}", clock=True)
    citizen.expects("409")  # the page may ask again before the slot that it gave back is free
    await open_form(citizen, question="Mijn vraag")
    await held(citizen, "held")
    await citizen.page.clock.fast_forward(LAPSED * 1000)
    await held(citizen, "lapsed")
    await expect(citizen.hook("start-held")).to_contain_text("Uw tekst blijft staan.")
    await citizen.page.locator("textarea#question").press_sequentially(" is deze")
    await held(citizen, "held")
    await citizen.hook("start-submit").click()
    await citizen.dot("green")
    await citizen.sees("Mijn vraag is deze")


async def test_a_form_without_a_slot_reacts_when_the_button_turns_blue_and_green_again(scene: Scene) -> None:
    await scene.agent("fleur")
    citizen, other = await scene.citizen(f"/?department={FORM}"), await scene.citizen(f"/?department={FORM}")
    citizen.expects("net::ERR_")
    await citizen.whole()
    await citizen.page.route(RESERVATIONS, lambda route: route.abort())
    await open_form(citizen, question="Mijn vraag")
    await open_form(other)
    await held(other, "held")
    await held(citizen, "blue")
    notice = citizen.hook("start-held")
    await expect(notice).to_contain_text("Er is nu geen medewerker vrij. Uw tekst blijft staan.")
    await expect(notice.get_by_role("link", name="Bekijk de infofiche")).to_be_visible()
    await expect(citizen.page.locator("textarea#question")).to_have_value("Mijn vraag")
    await citizen.page.unroute(RESERVATIONS)
    await other.hook("chat-minimise").click()
    await held(citizen, "held")
