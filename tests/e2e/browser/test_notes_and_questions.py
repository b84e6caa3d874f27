"""What agents leave each other: notes that stay with a chat, and questions that one of them deals with."""

import re

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from tests.e2e.browser.people import Person, Scene, log_in, talking
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_typing import in_conversation

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


QUESTION = "Mag de factuur van de architect meetellen?"


async def test_a_note_stays_with_an_ended_chat_after_a_reload(scene: Scene) -> None:
    async with in_conversation(scene) as (an, anna):
        await an.say("Goeiedag")
        field = an.hook("chat-input")
        await expect(field).to_have_accessible_description(re.compile("^Enter verzendt.*bestanden ook plakken"))
        await an.hook("write-note").check()
        field = an.hook("note-input")  # which takes no files
        await expect(field).to_have_accessible_description(re.compile(r"^Enter bewaart de nota[^.]*\.\s*$"))
        await an.hook("note-input").fill("Identiteit nagekeken")
        await an.hook("note-save").click()
        note = an.hook("chat-messages").locator(".note .bubble")
        await expect(note).to_have_text(["Identiteit nagekeken"])
        await expect(an.hook("chat-messages").locator(".note.sending")).to_have_count(0)
        await anna.send(type="close")
        await expect(an.hook("dismiss")).to_be_visible()
        said = an.hook("chat-messages").locator(".system .bubble")
        await expect(said.last).to_have_text("Anna heeft het gesprek beëindigd.")
        await expect(said.filter(has_text="U hebt het gesprek aangenomen.")).to_have_count(1)
        await an.page.reload()
        await expect(note).to_have_text(["Identiteit nagekeken"])
        await an.sees("Goeiedag")


async def test_a_left_question_is_claimed_read_released_and_done(scene: Scene) -> None:
    citizen, an = await talking(scene, QUESTION, "Lien")
    await an.page.locator("summary", has_text="Menu").click()
    await an.hook("logout").click()
    await an.hook("confirm").click()
    await citizen.dot("grey")
    chat = await citizen.kept_chat()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {chat['token']}"}) as session:
        body = {"contact": "lien@example.be", "text": QUESTION}
        async with session.post(f"{scene.base}/api/chats/{chat['chat_id']}/question", json=body) as answer:
            assert answer.status == 201, await answer.text()
    await log_in(an, "an")
    bert = await scene.agent("bert")

    def part(agent: Person, name: str) -> Locator:
        return agent.hook("question").filter(has_text=QUESTION).get_by_test_id(name)

    for agent in (an, bert):
        await agent.hook("open-questions").click()
        await expect(part(agent, "question-claim")).to_be_visible()
    await part(an, "question-claim").click()
    await expect(part(an, "question-holder")).to_have_text("U behandelt deze vraag. U kunt het gesprek lezen.")
    await expect(part(an, "question-messages")).to_contain_text(QUESTION)
    assert not await problems(an.page)
    bert.expects("409")
    await part(bert, "question-claim").click()
    await expect(bert.page.get_by_role("alert").filter(has_text="An was u voor")).to_be_visible()
    await expect(part(bert, "question-holder")).to_contain_text("An behandelt deze vraag sinds")
    await expect(part(bert, "question-done")).to_have_count(0)
    await part(an, "question-release").click()
    await expect(part(an, "question-claim")).to_be_visible()
    await expect(part(an, "question-messages")).to_have_count(0)
    await bert.hook("overview-refresh").click()
    await part(bert, "question-claim").click()
    await expect(part(bert, "question-messages")).to_contain_text(QUESTION)
    await part(bert, "question-done").click()
    await bert.hook("confirm").click()
    await expect(bert.hook("question").filter(has_text=QUESTION)).to_have_count(0)
    await an.hook("overview-refresh").click()
    await expect(an.hook("question").filter(has_text=QUESTION)).to_have_count(0)
