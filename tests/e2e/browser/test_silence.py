"""The warning to a citizen who is silent: where it is shown, and what it does to the focus. Its times: test_limits."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.e2e.browser.people import Person, Scene, focused, press
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_keyboard import keys, tab_to

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
    await someone.goes_offline()
    await expect(someone.hook("still-here")).to_be_hidden()  # what holds is told again to a new connection
    await someone.comes_back()
    await someone.dot("green")
