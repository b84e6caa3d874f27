"""What goes wrong meanwhile: the page says so, keeps what was written and mends itself; each message once, in order."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Iterator

import pytest
from playwright.async_api import Route, expect

from tests.e2e.browser.people import Scene, talking
from tests.support.faults import freeze
from tests.support.servers import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

AWAY = ("WebSocket", "net::ERR_", "503", "EventSource")


@contextlib.contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """This process does nothing until the block is left."""
    freeze(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_killed_gateway_loses_nothing_that_was_typed(scene: Scene, system: System) -> None:
    citizen, agent = await talking(scene, "Voor de storing")
    for person in (citizen, agent):
        person.expects(*AWAY)
    bar = citizen.hook("chat-input")
    await bar.press_sequentially("half get")
    killing = asyncio.create_task(asyncio.to_thread(system.kill, "gateway"))
    await citizen.was("red")
    await bar.press_sequentially("ypt")
    await bar.press("Enter")
    await citizen.say("nog een")
    await citizen.say("en nog een")
    await agent.say("van de medewerker")
    await killing
    await citizen.dot("green")
    for person in (citizen, agent):
        await person.sees("en nog een")
        await person.sees("van de medewerker")
        await expect(person.page.locator(".sending")).to_have_count(0)
    assert await citizen.shown() == await agent.shown()
    typed = [text for text in await citizen.shown() if text != "van de medewerker"]
    assert typed == ["Voor de storing", "half getypt", "nog een", "en nog een"]


async def test_without_network_messages_wait_and_go_out_when_it_is_back(scene: Scene) -> None:
    citizen, agent = await talking(scene)
    citizen.expects(*AWAY)
    await citizen.goes_offline()
    await expect(citizen.page.get_by_text("De verbinding is verbroken. We proberen het opnieuw.")).to_be_visible()
    for text in ("een", "twee", "drie"):
        await citizen.say(text)
    await expect(citizen.page.locator(".sending")).to_have_count(3)
    await agent.say("ondertussen")
    await agent.sees("ondertussen")
    await citizen.comes_back()
    await citizen.dot("green")
    await agent.sees("drie")
    await citizen.sees("ondertussen")
    await expect(citizen.page.locator(".sending")).to_have_count(0)
    assert await agent.shown() == await citizen.shown() == ["ondertussen", "een", "twee", "drie"]


async def test_a_message_without_a_receipt_looks_like_it(scene: Scene, system: System) -> None:
    citizen, agent = await talking(scene)
    waiting = citizen.page.locator(".message.sending")
    with standing_still(system.pids()["transcripts"]):
        await citizen.say("wacht op ontvangst")
        await expect(waiting).to_contain_text("Wordt verzonden…")
        await citizen.dot("green")
    await agent.sees("wacht op ontvangst")
    await expect(waiting).to_have_count(0)
    await expect(citizen.page.locator(".message.citizen").last).to_contain_text(re.compile("Verzonden|Gelezen"))
    await citizen.sees("wacht op ontvangst")


async def test_a_press_that_comes_too_late_is_refused_with_a_reason_and_may_be_repeated(scene: Scene) -> None:
    await scene.agent()
    late = await scene.citizen()
    await late.button("green")
    await late.whole()
    late.expects("409")
    blue = {"status": 409, "code": "button_blue", "infofiche_url": "/infofiche/algemeen"}
    await late.page.route("**/api/chats", lambda route: route.fulfill(status=409, json=blue))
    await late.hook("chat-button").click()
    notice = late.hook("chat-far")
    await expect(notice).to_contain_text("Er is op dit moment geen medewerker vrij.")
    sheet = notice.get_by_role("link", name="Bekijk de infofiche")
    await expect(sheet).to_have_attribute("href", f"{scene.base}/infofiche/algemeen?lang=nl")
    await expect(notice.locator('a[href^="tel:"]')).to_be_visible()
    await late.dot("red")
    await late.hook("chat-input").fill("Wat ik al schreef")
    await late.page.unroute("**/api/chats")
    await late.page.get_by_role("button", name="Opnieuw proberen").click()
    await late.dot("green")
    await expect(notice).to_be_hidden()
    await expect(late.hook("chat-input")).to_have_value("Wat ik al schreef")


async def test_a_refusal_that_comes_before_the_other_ways_are_loaded_shows_them_then(scene: Scene) -> None:
    await scene.agent()
    citizen = await scene.citizen()
    loaded = asyncio.Event()

    async def hold(route: Route) -> None:
        await loaded.wait()
        await route.continue_()

    await citizen.page.route("**/loket-chat/reach.js", hold)
    await citizen.page.route("**/api/chats", lambda route: route.fulfill(status=403, json={"code": "blocked"}))
    await citizen.page.reload()
    await citizen.button("green")
    citizen.expects("403")
    await citizen.hook("chat-button").click()
    notice = citizen.hook("chat-far")
    await expect(notice).to_contain_text("tijdelijk geen chat")
    await expect(notice.get_by_role("link")).to_have_count(0)
    loaded.set()
    await expect(notice.get_by_role("link", name="Bekijk de infofiche")).to_be_visible()
    await expect(notice.locator('a[href^="tel:"]')).to_be_visible()
