"""A chat that comes while the agent works in another one: told in every layout, counted down, and fair to who works."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.e2e.browser.people import DESKTOP, PHONE, Person, Scene, until
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_console import ACCOUNT, item
from tests.e2e.browser.test_typing import SENTENCE, from_agent, in_conversation, typing
from tests.e2e.clients import agent, begin, citizen
from tests.presence.conftest import HASH
from tests.real import Broker, System, running_system, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ZOOMED = (640, 400)  # 1280 by 800 at 200 %
ACCEPT = 20  # seconds


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system with the agents ada, who has two chats at a time, and `an`, where a chat is to be accepted soon."""
    home = tmp_path_factory.mktemp("counter")
    (home / "accounts.toml").write_text(ACCOUNT.format(username="ada", name="Ada", hash=HASH, more="capacity = 2"))
    name = unique("counter-")
    servers = {"RABBITMQ_URL": broker.make_vhost(name), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{name}-"}
    limits = {"ACCEPT_LIMIT": str(ACCEPT), "SETTLE_LIMIT": "0.5"}
    accounts = str(home / "accounts.toml")
    with running_system(home, RATE_LIMITS="off", ACCOUNTS_FILE=accounts, **limits, **servers) as running:
        yield running
    broker.remove_vhost(name)


@pytest_asyncio.fixture(loop_scope="session")
async def scene(counter: System, browser: Browser) -> AsyncIterator[Scene]:
    """People with browsers at that system, who go home at the end."""
    made = Scene(counter.base_url, browser)
    yield made
    await made.close()


async def keep_what_is_said(person: Person) -> None:
    """Keeps each text that a live region of the page was given."""
    script = """() => {
      window.said = [];
      new MutationObserver((changes) => {
        for (const { target, addedNodes } of changes)
          for (const node of addedNodes)
            if (target.closest("[role=status], [role=alert]")) said.push([target.id, node.textContent]);
      }).observe(document.body, { subtree: true, childList: true });
    }"""
    await person.page.evaluate(script)


async def in_sight(person: Person, place: str) -> None:
    await expect(person.hook(place)).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("size", [DESKTOP, ZOOMED, PHONE], ids=["desktop", "zoomed", "phone"])
async def test_a_second_chat_is_in_sight_counted_down_and_accepted_by_one_press(
    scene: Scene, size: tuple[int, int]
) -> None:
    async with in_conversation(scene, username="ada", size=size) as (ada, _), citizen(scene.base) as bilal:
        await keep_what_is_said(ada)
        await ada.page.keyboard.type("Dag Anna, ", delay=20)
        await begin(bilal, name="Bilal", question="Waar is mijn dossier?")
        socket = await bilal.join()
        await expect(ada.hook("news")).to_contain_text("Nieuw gesprek met Bilal")
        await expect(ada.hook("news")).to_contain_text(re.compile(r"Nog \d+ seconden om het aan te nemen"))
        await in_sight(ada, "news")
        await in_sight(ada, "news-accept")
        assert await ada.focus() == "chat-input"
        assert from_agent(socket) == []
        await ada.hook("news-accept").click()
        await socket.expect("status", dot="green")
        await expect(ada.hook("news")).to_have_count(0)
        await expect(ada.page.locator("#chat-name")).to_have_text("Bilal")
        said = await ada.page.evaluate("said")
        news = [text for place, text in said if place == "announce-new"]
        assert any("Nieuw gesprek met Bilal" in text for text in news), said
        assert not any("Nieuw bericht van Bilal" in text for _, text in said), said  # the new chat says it


async def test_who_types_all_the_time_is_not_paused_and_the_chat_is_offered_again(scene: Scene) -> None:
    async with in_conversation(scene, username="ada") as (ada, _), citizen(scene.base) as bilal:
        async with typing(ada, SENTENCE):
            await begin(bilal, name="Bilal")
            socket = await bilal.join()
            await expect(item(ada, "Bilal")).to_contain_text("nog niet aangenomen")
            await socket.expect("message", event="agent_left", wait=ACCEPT * 3)
            await expect(ada.hook("agent-state")).to_have_attribute("data-state", "available")
            await expect(ada.hook("news-accept")).to_be_visible()  # the next attempt, for nobody else is there
            await expect(ada.hook("agent-state")).to_have_attribute("data-state", "available")
        await ada.hook("news-accept").click()
        await socket.expect("status", dot="green")
        assert from_agent(socket) == [] or all(f["type"] == "read" for f in from_agent(socket))


async def test_a_pause_is_in_sight_said_and_ended_by_one_press(scene: Scene) -> None:
    async with in_conversation(scene, username="ada", size=ZOOMED) as (ada, _), citizen(scene.base) as bilal:
        await ada.page.evaluate("document.activeElement.blur()")
        await keep_what_is_said(ada)
        await begin(bilal, name="Bilal")
        await bilal.join()
        await expect(ada.hook("news")).to_be_visible()
        assert not await problems(ada.page)
        why = ada.page.get_by_role("alert").filter(has_text="U staat op pauze omdat u een gesprek niet op tijd aannam.")
        await expect(why).to_be_visible(timeout=ACCEPT * 4000)
        await expect(why).to_be_in_viewport(ratio=1)

        async def said_apart() -> bool:
            said = await ada.page.evaluate("said")
            return any(place == "announce-new" and "U staat op pauze" in text for place, text in said)

        await until(said_apart)
        async with agent(scene.base) as _other:
            await ada.hook("mend").click()
            await expect(ada.hook("agent-state")).to_have_attribute("data-state", "available")
            await expect(why).to_be_hidden()
