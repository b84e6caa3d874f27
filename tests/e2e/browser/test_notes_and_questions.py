"""What agents leave each other: notes that stay with a chat, and questions that one of them deals with."""

import aiohttp
import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import Scene, log_in
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_console import chat_of, office, scene, visitor  # noqa: F401
from tests.e2e.browser.test_typing import in_conversation

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_a_note_stays_with_an_ended_chat_after_a_reload(scene: Scene) -> None:  # noqa: F811
    async with in_conversation(scene, username="ada") as (ada, anna):
        await ada.say("Goeiedag")
        await ada.hook("write-note").check()
        await ada.hook("note-input").fill("Identiteit nagekeken")
        await ada.hook("note-save").click()
        note = ada.hook("chat-messages").locator(".note .bubble")
        await expect(note).to_have_text(["Identiteit nagekeken"])
        await expect(ada.hook("chat-messages").locator(".note.sending")).to_have_count(0)
        await anna.send(type="close")
        await expect(ada.hook("dismiss")).to_be_visible()
        said = ada.hook("chat-messages").locator(".system .bubble")
        await expect(said.last).to_have_text("Anna heeft het gesprek beëindigd.")
        await expect(said.filter(has_text="U hebt het gesprek aangenomen.")).to_have_count(1)
        await ada.page.reload()
        await expect(note).to_have_text(["Identiteit nagekeken"])
        await ada.sees("Goeiedag")


async def test_a_left_question_is_claimed_read_released_and_done(scene: Scene) -> None:  # noqa: F811
    ada = await scene.agent("ada")
    citizen = await visitor(scene, "Lien", "Mag mijn factuur meetellen?")
    await ada.page.locator("summary", has_text="Menu").click()
    await ada.hook("logout").click()
    await ada.hook("confirm").click()
    await citizen.dot("grey")
    chat = await chat_of(citizen)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {chat['token']}"}) as session:
        body = {"contact": "lien@example.be", "text": "Mag mijn factuur meetellen?"}
        async with session.post(f"{scene.base}/api/chats/{chat['chat_id']}/question", json=body) as answer:
            assert answer.status == 201, await answer.text()
    await log_in(ada, "ada")
    ben = await scene.agent("ben")
    for agent in (ada, ben):
        await agent.hook("open-questions").click()
        await expect(agent.hook("question-claim")).to_be_visible()
    await ada.hook("question-claim").click()
    await expect(ada.hook("question-holder")).to_have_text("U behandelt deze vraag. U kunt het gesprek lezen.")
    await expect(ada.hook("question-messages")).to_contain_text("Mag mijn factuur meetellen?")
    assert not await problems(ada.page)
    ben.expects("409")
    await ben.hook("question-claim").click()
    await expect(ben.page.get_by_role("alert").filter(has_text="Ada was u voor")).to_be_visible()
    await expect(ben.hook("question-holder")).to_contain_text("Ada behandelt deze vraag sinds")
    await expect(ben.hook("question-done")).to_have_count(0)
    await ada.hook("question-release").click()
    await expect(ada.hook("question-claim")).to_be_visible()
    await expect(ada.hook("question-messages")).to_have_count(0)
    await ben.hook("overview-refresh").click()
    await ben.hook("question-claim").click()
    await expect(ben.hook("question-messages")).to_contain_text("Mag mijn factuur meetellen?")
    await ben.hook("question-done").click()
    await ben.hook("confirm").click()
    await expect(ben.hook("question")).to_have_count(0)
    await ada.hook("overview-refresh").click()
    await expect(ada.hook("question")).to_have_count(0)
