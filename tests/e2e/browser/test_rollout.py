"""What a citizen and an agent see in their browsers while the gateway that serves them is replaced: next to nothing."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser

from tests.e2e.browser.people import Scene, talking
from tests.support.servers import Broker, unique
from tests.system.rollout.fleet import ORDER, Fleet, fleet
from tests.system.rollout.versions import PRESENT

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
WATCH_TIMES = """
window.dotTimes = [];
const dot = document.querySelector("eloket-chat").shadowRoot.querySelector("[data-testid=chat-dot]");
new MutationObserver(() => dotTimes.push([dot.dataset.dot, performance.now() / 1000]))
  .observe(dot, { attributes: true, attributeFilter: ["data-dot"] });
"""
"""Keeps each colour that the dot takes from here on, and when."""


@pytest.fixture
def ours(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[Fleet]:
    name = unique("rollout-")
    home, url = tmp_path_factory.mktemp("rollout"), broker.make_vhost(name)
    with fleet(home, url, mongodb_url, MONGODB_PREFIX=f"{name}-", HELLO_LIMIT="120") as made:
        yield made
    broker.remove_vhost(name)


async def test_when_the_gateway_is_replaced_the_dot_is_grey_for_a_moment_and_never_red(
    ours: Fleet, browser: Browser
) -> None:
    await ours.start(PRESENT, *ORDER)
    scene = Scene(ours.base_url, browser)
    citizen, agent = await talking(scene)
    citizen.expects("WebSocket|Failed to load resource|EventSource")
    agent.expects("WebSocket|Failed to load resource")
    await citizen.page.evaluate(WATCH_TIMES)
    drains = await ours.replace(PRESENT, "gateway")
    await citizen.say("bent u er nog?")
    await agent.sees("bent u er nog?")
    await agent.say("zeker")
    await citizen.sees("zeker")
    await citizen.dot("green")
    seen = await citizen.page.evaluate("dotTimes")
    print(f"\n{seen} {drains}")
    assert [dot for dot, _ in seen] == ["grey", "green"]
    assert all(drain.good for drain in drains)
    await scene.close()
