"""What pages show when a time limit of the server passes.

The limits of routing are long enough for a page on a full machine. Instead of waiting for them, the tests move the
times that routing has stored into the past; tests/e2e/test_agents.py waits in real time. A citizen's silence is real:
the gateway passes over a warning of a silence that began before what it has seen.
"""

import itertools
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from playwright.async_api import WebSocket, expect

from tests.e2e.browser.people import PHONE, Person, Scene, focused, press, until
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_console import ZOOMED, keep_what_is_said
from tests.e2e.browser.test_typing import SENTENCE, in_conversation, typing, written
from tests.e2e.browser.test_waiting import ASKED, left
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.clients import agent, begin, citizen
from tests.support.servers import Broker, System, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


ACCEPT, WAITING = 60, 120
HEARD_WITHIN = 8
"""In which the server is to hear that an agent types."""
LIMITS = {
    "ACCEPT_LIMIT": str(ACCEPT),
    "WAITING_LIMIT": str(WAITING),
    "SILENCE_LIMIT": "36",  # the first warning leaves a third of it to see the warning and press the button
    "SETTLE_LIMIT": "4",  # that the server waits in addition after it stood still
}
"""Seconds, all of these."""


@dataclass
class Office:
    """A running system, and its databases."""

    system: System
    client: "pymongo.MongoClient[dict[str, Any]]"
    prefix: str

    async def overdue(self, chat_id: str, since: str, limit: float, seen: Callable[[], Awaitable[bool]]) -> None:
        """Return as soon as it is seen that routing has judged this chat by a time that began `limit` seconds ago.

        Routing may store the chat once more at the same moment: the time is moved until its effect is seen.
        """
        chats = self.client[f"{self.prefix}routing"]["chats"]

        async def moved() -> bool:
            if await seen():
                return True
            began = datetime.now(UTC) - timedelta(seconds=limit)
            such = {"_id": chat_id, since: {"$gt": began}}
            chats.update_one(such, {"$set": {since: began, "due_at": began}})
            return False

        await until(moved)


async def has(person: Person, hook: str, name: str, value: str) -> bool:
    return await person.hook(hook).get_attribute(name) == value


@pytest.fixture(scope="module")
def office(
    tmp_path_factory: pytest.TempPathFactory,
    broker: Broker,
    mongodb_url: str,
    mongodb_client: "pymongo.MongoClient[dict[str, Any]]",
) -> Iterator[Office]:
    """A system with these limits, the agents of the demonstration, and ada, who has two chats at a time."""
    name, home, ada = unique("limits-"), tmp_path_factory.mktemp("office"), Account("ada", capacity=2)
    urls = {"RABBITMQ_URL": broker.make_vhost(name), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{name}-"}
    with running_browser_system(home, [ada], None, "", **urls, **LIMITS) as running:
        yield Office(running, mongodb_client, f"{name}-")
    broker.remove_vhost(name)


@pytest.fixture(scope="module")
def system(office: Office) -> System:
    """The system of the office."""
    return office.system


async def test_who_waited_in_vain_may_leave_a_question_too(scene: Scene, office: Office) -> None:
    async with agent(scene.base) as an:
        someone = await scene.citizen(size=PHONE)
        await press(someone)
        await someone.dot("green")
        await an.log_out()
        await someone.dot("grey")
        chat_id = (await someone.kept_chat())["chat_id"]
        await office.overdue(chat_id, "waiting_since", WAITING, lambda: has(someone, "chat-dot", "data-dot", "red"))
        await expect(someone.page.locator(".ended .reason")).to_have_text("Er kwam geen medewerker vrij.")
        await expect(someone.hook("chat-wait")).to_be_empty()
        assert not await problems(someone.page)
        await someone.hook("leave-question").click()
        await someone.hook("question-contact").fill("0470 12 34 56")
        await someone.hook("question-text").fill(ASKED)
        await someone.hook("question-send").click()
        await expect(someone.page.locator(".ended .reason")).to_contain_text("Uw vraag is goed ontvangen.")
    async with agent(scene.base) as an:
        assert [one["text"] for one in await left(an) if one["contact"] == "0470 12 34 56"] == [ASKED]


async def test_a_chat_that_nobody_looked_at_pauses_the_agent_with_the_reason(scene: Scene, office: Office) -> None:
    an = await scene.agent("an")
    await an.hook("open-questions").click()
    someone = await scene.citizen()
    await press(someone, "Lien")
    await expect(an.hook("overview-open")).to_be_visible()
    chat_id = (await someone.kept_chat())["chat_id"]
    await office.overdue(chat_id, "assigned_at", ACCEPT, lambda: has(an, "agent-state", "data-state", "paused"))
    await expect(an.hook("agent-state")).to_have_attribute("data-state", "paused")
    why = an.page.get_by_role("alert").filter(has_text="U staat op pauze omdat u een gesprek niet op tijd aannam.")
    await expect(why).to_be_visible()
    await an.page.reload()
    await expect(why).to_be_visible()
    await an.item("Lien").click()
    await expect(an.page.locator(".banner.ended")).to_contain_text("U hebt dit gesprek niet op tijd aangenomen.")
    assert not await problems(an.page)
    await why.get_by_role("button", name="Beschikbaar worden").click()
    await expect(an.hook("agent-state")).to_have_attribute("data-state", "available")
    await expect(why).to_be_hidden()


def warnings_to(someone: Person) -> list[int]:
    """The warnings that this citizen is sent from now on; 0 takes one back."""
    found: list[int] = []

    def keep(payload: str | bytes) -> None:
        frame = json.loads(payload)
        if frame["type"] == "inactive":
            found.append(frame["warning"])

    def watch(socket: WebSocket) -> None:
        socket.on("framereceived", keep)

    someone.page.on("websocket", watch)
    return found


async def test_a_silent_citizen_is_warned_twice_kept_by_one_press_and_closed(scene: Scene) -> None:
    an, someone = await scene.agent("an"), await scene.citizen()
    warned = warnings_to(someone)
    await press(someone, "Lien")
    await expect(an.hook("chat-input")).to_be_visible()
    notice, stay, silent = someone.hook("chat-inactive"), someone.hook("still-here"), an.hook("citizen-silent")
    await stay.wait_for()  # looks more often than an assertion: the chat is closed within seconds
    await expect(notice).to_contain_text("Bent u er nog? Dit gesprek wordt binnen een minuut gesloten, om ")
    assert await someone.focus() == "chat-input"
    await expect(silent).to_have_text(re.compile(r"De burger schrijft niets meer\. .* om .*\d\d:\d\d gesloten\."))
    await stay.click()
    await expect(notice).to_be_hidden()
    await focused(someone, "chat-input")
    await expect(silent).to_be_empty()
    await someone.hook("chat-minimise").click()
    await expect(stay).to_be_visible()  # beside the button, while the panel is folded
    await expect(someone.hook("chat-button")).to_be_visible()
    await someone.hook("chat-button").click()
    await expect(stay).to_be_visible()
    await expect(an.item("Lien")).to_contain_text("Burger is stil")
    await someone.dot("red")
    await expect(someone.page.locator(".ended .reason")).to_contain_text("omdat er een tijd geen activiteit was")
    await expect(notice).to_be_hidden()
    seen = [number for number, _ in itertools.groupby(warned)]  # each is repeated while it holds
    assert seen[0] == 1
    assert seen[seen.index(0) + 1 :][:2] == [1, 2]


async def test_who_types_all_the_time_is_not_paused_and_the_chat_is_offered_again(scene: Scene, office: Office) -> None:
    async with in_conversation(scene, username="ada") as (ada, _), citizen(scene.base) as bilal:
        async with typing(ada, SENTENCE):
            await begin(bilal, name="Bilal")
            socket = await bilal.join()
            await expect(ada.item("Bilal")).to_contain_text("nog niet aangenomen")

            async def was_left() -> bool:
                return any(frame.get("event") == "agent_left" for frame in socket.messages())

            await office.overdue(bilal.chat_id, "assigned_at", ACCEPT - HEARD_WITHIN, was_left)
            await socket.expect("message", event="agent_left")
            await expect(ada.hook("agent-state")).to_have_attribute("data-state", "available")
            await expect(ada.hook("news-accept")).to_be_visible()  # the next attempt, for nobody else is there
            await expect(ada.hook("agent-state")).to_have_attribute("data-state", "available")
        await ada.hook("news-accept").click()
        await socket.expect("status", dot="green")
        assert written(socket) == []


async def test_a_pause_is_in_sight_said_and_ended_by_one_press(scene: Scene, office: Office) -> None:
    async with in_conversation(scene, username="ada", size=ZOOMED) as (ada, _), citizen(scene.base) as bilal:
        await ada.page.evaluate("document.activeElement.blur()")
        await keep_what_is_said(ada)
        await begin(bilal, name="Bilal")
        await bilal.join()
        await expect(ada.item("Bilal")).to_contain_text("nog niet aangenomen")
        await office.overdue(
            bilal.chat_id, "assigned_at", ACCEPT, lambda: has(ada, "agent-state", "data-state", "paused")
        )
        why = ada.page.get_by_role("alert").filter(has_text="U staat op pauze omdat u een gesprek niet op tijd aannam.")
        await expect(why).to_be_in_viewport(ratio=1)

        async def said_apart() -> bool:
            said = await ada.page.evaluate("said")
            return any(place == "announce-new" and "U staat op pauze" in text for place, text in said)

        await until(said_apart)
        async with agent(scene.base) as _other:
            await ada.hook("mend").click()
            await expect(ada.hook("agent-state")).to_have_attribute("data-state", "available")
            await expect(why).to_be_hidden()
