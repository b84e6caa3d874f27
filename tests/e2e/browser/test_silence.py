"""A citizen who is silent: warned in words wherever he looks, kept by one press, closed when he does nothing."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.e2e.browser.people import Person, Scene, press
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_keyboard import focused, keys, tab_to
from tests.e2e.browser.test_waiting import hurried  # noqa: F401
from tests.e2e.clients import agent

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def injected(someone: Person) -> Callable[[int, int], None]:
    """What warns this citizen, amid all that the real server says: the warning and the seconds that are left."""
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    def warn(number: int, seconds: int) -> None:
        closes_at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat() if number else None
        frame = {"type": "inactive", "warning": number, "closes_at": closes_at, "seconds": seconds}
        sockets[-1].send(json.dumps(frame))

    await someone.page.route_web_socket("**/ws/citizen", pass_on)
    return warn


async def test_a_silent_citizen_is_warned_twice_kept_by_one_press_and_closed(hurried: Scene) -> None:  # noqa: F811
    async with agent(hurried.base) as an:
        someone = await hurried.citizen()
        await press(someone)
        assigned = await an.socket.expect("assigned")
        await an.socket.send(type="accept", chat_id=assigned["chat"]["chat_id"])
        notice, stay = someone.hook("chat-inactive"), someone.hook("still-here")
        await expect(notice).to_contain_text("Bent u er nog? Dit gesprek wordt binnen een minuut gesloten, om ")
        assert await someone.focus() == "chat-input"
        await stay.click()
        await expect(notice).to_be_hidden()
        await focused(someone, "chat-input")
        await someone.hook("chat-minimise").click()
        await expect(stay).to_be_visible()  # beside the button, while the panel is folded
        await expect(someone.hook("chat-button")).to_be_visible()
        await someone.hook("chat-button").click()
        await expect(stay).to_be_visible()
        await someone.dot("red")
        await expect(someone.page.locator(".ended .reason")).to_contain_text("omdat er een tijd geen activiteit was")
        await expect(notice).to_be_hidden()
        told = [f["warning"] for f in an.socket.frames if f["type"] == "inactive"]
        assert told[0] == 1
        assert told[told.index(0) + 1 :][:2] == [1, 2]


async def test_the_warning_steals_no_focus_is_found_by_the_keyboard_and_goes_with_the_connection(scene: Scene) -> None:
    an = await scene.agent()
    someone = await scene.citizen()
    warn = await injected(someone)
    await press(someone)
    await someone.dot("green")
    await expect(an.hook("chat-input")).to_be_visible()
    await someone.hook("chat-input").press_sequentially("half get")
    warn(1, 300)
    alert = someone.hook("chat-inactive").get_by_role("alert")
    await expect(alert).to_contain_text("Dit gesprek wordt over 5 minuten gesloten, om ")
    await someone.page.keyboard.type("ypt")
    await expect(someone.hook("chat-input")).to_have_value("half getypt")
    assert not await problems(someone.page)
    warn(2, 120)
    await expect(alert).to_contain_text("over 2 minuten")
    await tab_to(someone, "still-here", "Shift+Tab", most=3)
    warn(0, 0)
    await expect(someone.hook("chat-inactive")).to_be_hidden()
    await focused(someone, "chat-input")
    await keys(someone, "Escape")
    await focused(someone, "chat-button")
    warn(1, 300)
    await expect(alert).to_contain_text("over 5 minuten")
    assert await someone.focus() == "chat-button"
    assert not await problems(someone.page)
    await tab_to(someone, "still-here", "Tab", most=3)
    warn(0, 0)
    await focused(someone, "chat-button")
    await keys(someone, "Enter")
    warn(1, 300)
    await expect(someone.hook("still-here")).to_be_visible()
    someone.expects("ERR_INTERNET_DISCONNECTED", "WebSocket")
    await someone.context.set_offline(True)
    await someone.dot("red")
    await expect(someone.hook("still-here")).to_be_hidden()  # what holds is told again to a new connection
    await someone.context.set_offline(False)
    await someone.dot("green")
