"""The button and the info sheet on a network that fails: what an open page shows, and that it comes back by itself.

Most tests move the clock of the page; the promises in seconds are held by tests/web too.
"""

import asyncio
import contextlib

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.e2e.browser.networks import Network, answer, network
from tests.e2e.browser.people import PHONE, Person, Scene, until
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_networks import LOUD, other_ways
from tests.support.clients import agent, until_green
from tests.support.servers import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

GUARD_MS = 120_000  # a guard against hanging, never a promise
RETURNED = 20  # seconds in which it looks again
LOOKED = 9  # seconds between two looks while the stream says nothing


# ── a server that is gone ────────────────────────────────────────────────────────────────────────────────────────────


def launcher(citizen: Person, colour: str) -> Locator:
    """The launcher while it has this colour."""
    return citizen.page.locator(f"[data-testid=chat-button][data-colour={colour}]")


async def test_an_open_page_is_blue_with_the_ways_that_it_has_and_comes_back_by_itself(
    system: System, browser: Browser
) -> None:
    """In real time: what the network does then, and the timers of the page, come in their own order.

    Three pages wait at the same time, each on a network of its own.
    """
    async with contextlib.AsyncExitStack() as stack:
        people: dict[str, tuple[Network, Scene]] = {}
        for how in ("down", "frozen", "portal"):
            between = await stack.enter_async_context(network(system.base_url))
            people[how] = between, Scene(between.base, browser)
        try:
            async with agent(system.base_url), asyncio.TaskGroup() as group:
                for how, (between, scene) in people.items():
                    group.create_task(_loses_its_server(scene, between, how), name=how)
        finally:
            for between, scene in people.values():
                between.thaw()
                await between.up()
                await scene.close()


async def _loses_its_server(scene: Scene, between: Network, how: str) -> None:
    citizen = await scene.citizen(size=PHONE)
    citizen.expects(*LOUD)
    await citizen.button("green")
    await citizen.whole()
    if how == "frozen":
        between.freeze()
    else:
        await between.down()
    if how == "portal":
        between.answers = {f"GET /api/button{path}": answer("200 OK") for path in ("", "/events")}
        await between.up()
    await citizen.button("blue")
    await expect(citizen.hook("chat-button")).to_contain_text("Telefoon: +32 2 555 01 00")
    await citizen.hook("chat-button").click()
    await expect(citizen.hook("chat-reach")).to_contain_text("De chat is nu niet bereikbaar.")
    await other_ways(citizen, "chat-reach")
    if how == "down":
        assert not await problems(citizen.page)
    await citizen.page.keyboard.press("Escape")
    await expect(citizen.hook("chat-reach")).to_be_hidden()
    between.answers = {}
    between.thaw()
    if how == "down":
        await between.up()
    await expect(launcher(citizen, "green")).to_be_attached(timeout=GUARD_MS)


async def test_a_page_that_never_got_a_button_shows_it_as_unknown_and_asks_on(
    networked: Scene, between: Network, system: System
) -> None:
    between.answers = {f"GET /api/button{path}": answer("502 Bad Gateway") for path in ("", "/events")}
    citizen = await networked.citizen(clock=True)
    citizen.expects(*LOUD)
    await citizen.button("blue")
    await citizen.whole()
    await citizen.hook("chat-button").click()
    await expect(citizen.hook("chat-reach")).to_contain_text("De chat is nu niet bereikbaar.")
    await expect(citizen.hook("chat-reach").get_by_role("link", name="Bekijk de infofiche")).to_be_visible()
    async with agent(system.base_url):
        between.answers = {}
        await citizen.passes(RETURNED, launcher(citizen, "green"))


async def test_a_proxy_that_keeps_back_the_stream_hides_no_change_for_long(
    networked: Scene, between: Network, system: System
) -> None:
    between.slow = {"/api/button/events"}
    citizen = await networked.citizen(clock=True)
    await citizen.button("blue")
    async with agent(system.base_url):
        await until_green(system.base_url)
        await citizen.passes(LOOKED, launcher(citizen, "green"))
        citizen.expects(*LOUD)
        await between.down()
        await citizen.lives(launcher(citizen, "blue"))
        await between.up()
        await citizen.passes(RETURNED, launcher(citizen, "green"))


async def test_a_press_on_a_page_whose_server_is_gone_says_what_else_there_is(
    networked: Scene, between: Network, system: System
) -> None:
    async with agent(system.base_url):
        citizen = await networked.citizen()
        citizen.expects(*LOUD)
        await citizen.button("green")
        await citizen.whole()
        between.answers["POST /api/chats"] = answer("502 Bad Gateway")
        await citizen.hook("chat-button").click()
        await expect(citizen.hook("chat-far")).to_contain_text("Het antwoord kwam niet van de chatdienst.")
        await other_ways(citizen, "chat-far")
        await between.down()
        await citizen.say("Wat ik al schreef")
        await expect(citizen.hook("chat-far")).to_contain_text("De chatdienst antwoordt niet.")
        await other_ways(citizen, "chat-far")
        await expect(citizen.hook("chat-input")).to_have_value("Wat ik al schreef")
        await between.up()


async def test_the_info_sheet_says_that_it_is_no_longer_live_and_is_again_later(
    networked: Scene, between: Network, system: System
) -> None:
    reader = await networked.citizen("/infofiche/algemeen?lang=nl", clock=True)
    reader.expects(*LOUD)
    state, not_live = reader.page.locator("#state"), reader.page.locator("#not-live")
    await until(lambda: _listens(between))
    for how in ("down", "frozen"):
        await expect(state).to_have_attribute("data-colour", "blue")
        await expect(not_live).to_be_hidden()
        if how == "frozen":
            between.freeze()
        else:
            await between.down()
        await reader.lives(not_live)
        await expect(not_live).to_contain_text("wordt nu niet bijgewerkt")
        async with agent(system.base_url):
            between.thaw()
            if how == "down":
                await between.up()
            await reader.passes(RETURNED, reader.page.locator("#state[data-colour=green]"))
            await expect(not_live).to_be_hidden()


async def _listens(between: Network) -> bool:
    return "GET /api/button/events" in between.requests
