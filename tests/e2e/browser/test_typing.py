"""An agent who types while the server ends their chat and gives them another: nothing that they type goes astray."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Unpack

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import DESKTOP, PHONE, Options, Person, Scene
from tests.e2e.browser.test_accessibility import problems
from tests.support.clients import Citizen, Frame, Socket, begin, citizen

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SENTENCE = "Uw dossier 2026-114 is geweigerd wegens schulden. "


@contextlib.asynccontextmanager
async def typing(person: Person, text: str = SENTENCE) -> AsyncIterator[None]:
    """Types this again and again, key by key, until the block is left. No key is pressed after that."""
    enough = asyncio.Event()

    async def go_on() -> None:
        for letter in itertools.cycle(text):
            if enough.is_set():
                return
            await person.page.keyboard.type(letter, delay=25)

    hands = asyncio.create_task(go_on())
    try:
        yield
    finally:
        enough.set()
        await asyncio.gather(hands, return_exceptions=True)


@contextlib.asynccontextmanager
async def in_conversation(
    scene: Scene, name: str = "Anna", username: str = "an", **options: Unpack[Options]
) -> AsyncIterator[tuple[Person, Socket]]:
    """An agent in conversation with a citizen of this name, with the cursor in the text bar."""
    an = await scene.agent(username, **options)
    await an.page.evaluate("window.pressed = 0; addEventListener('keydown', () => { window.pressed += 1; }, true);")
    async with citizen(scene.base) as anna:
        await begin(anna, name=name, question="Mag ik iets vragen?")  # with the last word nobody is silent
        socket = await anna.join()
        await expect(an.page.locator("#chat-name")).to_have_text(name)
        await an.hook("chat-input").click()
        yield an, socket


async def next_citizen(someone: Citizen, an: Person, name: str) -> Socket:
    """A citizen who presses as soon as the seat is free; returns when the console has their chat."""
    await begin(someone, name=name)
    socket = await someone.join()
    await expect(an.page.locator("#chat-list")).to_contain_text(name)
    return socket


def from_agent(socket: Socket) -> list[Frame]:
    """What a citizen was sent of an agent's."""
    return [f for f in socket.frames if f["type"] in ("message", "typing", "read") and f.get("from") == "agent"]


def written(socket: Socket) -> list[Frame]:
    """What of it shows that an agent wrote something."""
    return [f for f in from_agent(socket) if f["type"] != "read"]


async def typed(person: Person, characters: int) -> None:
    """Returns when so many more keys were pressed on the page."""
    goal = await person.page.evaluate("window.pressed") + characters
    await person.page.wait_for_function("(goal) => window.pressed >= goal", arg=goal)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_what_is_typed_to_one_citizen_never_reaches_the_next(scene: Scene, size: tuple[int, int]) -> None:
    async with in_conversation(scene, size=size) as (an, anna), citizen(scene.base) as bilal:
        async with typing(an, SENTENCE):
            await typed(an, 10)
            await anna.send(type="close")
            socket = await next_citizen(bilal, an, "Bilal")
            await typed(an, 30)
            await an.page.keyboard.press("Enter")
            await an.page.keyboard.press("Space")
            await typed(an, 30)
        await an.page.keyboard.press("Enter")
        await an.page.keyboard.press("Space")
        assert from_agent(socket) == []
        left = an.hook("chat-input")
        await expect(left).not_to_be_editable()
        assert SENTENCE[:10] in await left.input_value()
        await expect(an.page.locator("#chat-name")).to_have_text("Anna")
        # The next one is accepted by a press, and only then hears of this agent.
        await an.hook("news-accept").click()
        await socket.expect("status", dot="green")
        assert written(socket) == []
        await an.say("Dag Bilal")
        await socket.expect("message", text="Dag Bilal")
        assert [m["text"] for m in socket.messages() if m["from"] == "agent"] == ["Dag Bilal"]


async def test_what_was_half_written_can_be_read_and_copied_also_after_a_reload(scene: Scene) -> None:
    async with in_conversation(scene, permissions=["clipboard-read", "clipboard-write"]) as (an, anna):
        await an.page.keyboard.type("Uw dossier is", delay=5)
        await an.hook("write-note").check()
        await an.hook("note-input").fill("identiteit nagekeken")
        await anna.send(type="close")
        for again in (False, True):
            if again:
                await an.page.reload()
            await expect(an.hook("chat-input")).to_have_value("Uw dossier is")
            await expect(an.hook("chat-input")).not_to_be_editable()
            await expect(an.hook("note-input")).to_have_value("identiteit nagekeken")
            await expect(an.hook("chat-send")).to_be_hidden()
            await an.hook("copy-message").click()
            await expect(an.page.get_by_text("De tekst is gekopieerd.")).to_be_visible()
            assert await an.page.evaluate("navigator.clipboard.readText()") == "Uw dossier is"
        assert not await problems(an.page)
        async with citizen(scene.base) as bilal:
            socket = await next_citizen(bilal, an, "Bilal")
            await an.hook("dismiss").click()
            await socket.expect("status", dot="green")
            await expect(an.hook("chat-input")).to_have_value("")
            assert written(socket) == []


async def test_a_composition_a_paste_and_an_enter_that_come_late_go_nowhere(scene: Scene) -> None:
    async with in_conversation(scene) as (an, anna), citizen(scene.base) as bilal:
        browser = await an.context.new_cdp_session(an.page)
        await browser.send("Input.imeSetComposition", {"text": "geweigerd", "selectionStart": 9, "selectionEnd": 9})
        await anna.send(type="close")
        socket = await next_citizen(bilal, an, "Bilal")
        await expect(an.page.locator("#chat-name")).to_have_text("Anna")
        await browser.send("Input.insertText", {"text": "geweigerd wegens schulden"})
        for key in ("Enter", "Space", "Enter"):
            await an.page.keyboard.press(key)
        await expect(an.hook("news-accept")).to_be_visible()
        assert from_agent(socket) == []
        await an.hook("news-accept").click()
        await socket.expect("status", dot="green")
        assert written(socket) == []
        await expect(an.hook("chat-input")).to_have_value("")


async def test_an_empty_text_bar_does_not_hand_the_cursor_to_the_next_citizen(scene: Scene) -> None:
    async with in_conversation(scene) as (an, anna), citizen(scene.base) as bilal:
        await an.say("Tot ziens, Anna")
        await anna.expect("message", text="Tot ziens, Anna")
        await anna.send(type="close")
        socket = await next_citizen(bilal, an, "Bilal")
        await expect(an.page.locator("#chat-name")).to_have_text("Bilal")  # comes in front when nobody types any more
        await expect(an.page.locator("#chat-name")).to_be_focused()
        await an.page.keyboard.type("Nog iets, Anna")
        await an.page.keyboard.press("Enter")
        await expect(an.hook("chat-input")).to_have_value("")
        assert [m["text"] for m in socket.messages() if m["from"] == "agent"] == []


async def test_a_note_in_the_transfer_dialog_stays_there_when_the_chat_ends(scene: Scene) -> None:
    async with in_conversation(scene) as (an, anna), citizen(scene.base) as bilal:
        await an.hook("chat-transfer").click()
        await expect(an.page.get_by_role("dialog").get_by_role("radio").first).to_be_visible()
        await an.hook("transfer-note").click()
        async with typing(an, SENTENCE):
            await typed(an, 10)
            await anna.send(type="close")
            socket = await next_citizen(bilal, an, "Bilal")
            await expect(an.page.get_by_role("dialog")).to_contain_text("Nieuw gesprek met Bilal")
            await typed(an, 20)
        assert SENTENCE[:10] in await an.hook("transfer-note").input_value()
        await an.page.get_by_role("dialog").get_by_role("radio").first.check()
        await an.hook("transfer-submit").click()
        await expect(an.page.get_by_role("dialog")).to_contain_text("kan niet worden doorgegeven")
        assert SENTENCE[:10] in await an.hook("transfer-note").input_value()
        assert from_agent(socket) == []


async def test_when_the_session_ends_what_is_typed_is_no_user_name(scene: Scene) -> None:
    async with in_conversation(scene) as (an, _):
        an.expects("401")
        async with typing(an, SENTENCE):
            await typed(an, 10)
            await an.context.request.delete(f"{scene.base}/api/agent/session", headers={"Origin": scene.base})
            await expect(an.hook("login-username")).to_be_visible()
            await typed(an, 20)
        await expect(an.hook("login-username")).to_have_value("")
        assert await an.focus() == "login-title"
