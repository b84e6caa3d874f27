"""What agents leave each other: notes that stay with a chat, and questions that one of them deals with."""

import re

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from tests.e2e.browser.people import PHONE, Person, Scene, log_in, talking
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


FOCUS_IS_KEPT = "document.activeElement !== document.body"


async def left(scene: Scene, text: str, name: str) -> Person:
    """The agent `an`, logged in again, after this citizen lost them and left a question."""
    citizen, an = await talking(scene, text, name)
    await an.page.locator("summary", has_text="Menu").click()
    await an.hook("logout").click()
    await an.hook("confirm").click()
    await citizen.dot("grey")
    chat = await citizen.kept_chat()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {chat['token']}"}) as session:
        body = {"contact": "lien@example.be", "text": text}
        async with session.post(f"{scene.base}/api/chats/{chat['chat_id']}/question", json=body) as answer:
            assert answer.status == 201, await answer.text()
    await log_in(an, "an")
    return an


async def test_a_left_question_is_claimed_read_released_and_done(scene: Scene) -> None:
    an = await left(scene, QUESTION, "Lien")
    bert = await scene.agent("bert")

    def part(agent: Person, name: str) -> Locator:
        return agent.hook("question").filter(has_text=QUESTION).get_by_test_id(name)

    for agent in (an, bert):
        await agent.hook("open-questions").click()
        await expect(part(agent, "question-claim")).to_be_visible()
    await part(an, "question-claim").dblclick()
    await expect(part(an, "question-holder")).to_have_text("U behandelt deze vraag. U kunt het gesprek lezen.")
    await expect(part(an, "question-messages")).to_contain_text(QUESTION)
    assert not await problems(an.page)
    bert.expects("409")
    await part(bert, "question-claim").click()
    await expect(bert.page.get_by_role("alert").filter(has_text="An was u voor")).to_be_visible()
    await expect(part(bert, "question-holder")).to_contain_text("An behandelt deze vraag sinds")
    await expect(part(bert, "question-done")).to_have_count(0)
    assert await bert.page.evaluate(FOCUS_IS_KEPT), "the button that was pressed is gone"
    await part(an, "question-release").click()
    await expect(part(an, "question-claim")).to_be_visible()
    await expect(part(an, "question-messages")).to_have_count(0)
    await bert.hook("overview-refresh").click()
    await part(bert, "question-claim").click()
    await expect(part(bert, "question-messages")).to_contain_text(QUESTION)
    await part(bert, "question-done").click()
    await bert.hook("confirm").click()
    await expect(bert.hook("question").filter(has_text=QUESTION)).to_have_count(0)
    an.expects("404")
    await part(an, "question-claim").click()  # of a question that is done by now
    await expect(an.hook("question").filter(has_text=QUESTION)).to_have_count(0)
    await expect(an.page.locator("#overview-title")).to_be_focused()


ANOTHER = "Tot wanneer kan ik de premie aanvragen?"


async def test_a_question_that_is_done_is_undone_and_found_in_the_archive(scene: Scene) -> None:
    an = await left(scene, ANOTHER, "Mia")
    page, question = an.page, an.hook("question").filter(has_text=ANOTHER)
    await an.hook("open-questions").click()
    await question.get_by_test_id("question-claim").click()
    await expect(question.get_by_test_id("question-messages")).to_contain_text(ANOTHER)
    await question.get_by_test_id("question-done").click()
    await an.hook("confirm").click()
    await expect(question).to_have_count(0)
    bar = an.hook("undo-bar")
    await expect(bar).to_be_focused()
    await expect(bar).to_contain_text("De vraag van Mia is afgehandeld.")
    await expect(page.get_by_text("De vraag is afgehandeld en staat niet meer in de lijst.")).to_have_count(1)
    assert not await problems(page)
    await page.keyboard.press("Tab")
    await expect(an.hook("question-undo")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(question.locator("h3")).to_be_focused()
    await expect(bar).to_be_hidden()
    await expect(page.get_by_text("De vraag staat weer in de lijst met achtergelaten vragen.")).to_have_count(1)
    await expect(question.get_by_test_id("question-holder")).to_have_text(
        "U behandelt deze vraag. U kunt het gesprek lezen."
    )
    await question.get_by_test_id("question-done").click()
    await an.hook("confirm").click()
    await expect(question).to_have_count(0)

    archived = an.hook("archived-question").filter(has_text=ANOTHER)
    await an.hook("open-archive").press("Enter")
    await expect(page.locator("#overview-title")).to_be_focused()
    await expect(archived.get_by_test_id("archived-by")).to_contain_text("Door u afgehandeld")
    number = re.sub(r"\s", "", await archived.get_by_test_id("question-number").inner_text())[-8:]
    await an.hook("archive-number").fill(f"{number[:4]} {number[4:]}".lower())
    await an.hook("archive-number").press("Enter")
    await expect(an.hook("archive-state")).to_have_text("1 vraag getoond.")
    await expect(an.hook("archived-question")).to_have_count(1)
    await archived.get_by_test_id("archive-read").click()
    await expect(archived.get_by_test_id("question-messages")).to_contain_text(ANOTHER)
    assert not await problems(page)
    an.expects("422")
    await an.hook("archive-number").fill(number[:6] + number[7] + number[6] if number[6] != number[7] else "A" * 8)
    await an.hook("archive-search").click()
    await expect(page.get_by_role("alert").filter(has_text="Dit nummer klopt niet.")).to_be_visible()
    await an.hook("archive-clear").click()
    await expect(an.hook("archive-number")).to_be_focused()
    await expect(archived).to_have_count(1)

    bert = await scene.agent("bert", size=PHONE)
    await bert.hook("open-questions").click()
    await bert.hook("open-archive").click()
    seen = bert.hook("archived-question").filter(has_text=ANOTHER)
    await expect(seen.get_by_test_id("archived-by")).to_contain_text("Afgehandeld door An")
    await expect(seen.get_by_test_id("archive-undo")).to_have_count(0)
    await expect(seen.get_by_test_id("archive-read")).to_have_count(0)
    assert not await problems(bert.page)

    await archived.get_by_test_id("archive-undo").click()
    await expect(archived).to_have_count(0)
    assert await page.evaluate(FOCUS_IS_KEPT)
    await an.hook("archive-questions").click()
    await expect(question).to_have_count(1)
    await bert.hook("archive-questions").click()
    await expect(bert.hook("question").filter(has_text=ANOTHER).get_by_test_id("question-holder")).to_contain_text(
        "An behandelt deze vraag sinds"
    )
    await question.get_by_test_id("question-done").click()
    await an.hook("confirm").click()
    await expect(question).to_have_count(0)


ABSENT = "Wie bekijkt mijn dossier tijdens de vakantie?"


async def test_a_supervisor_releases_a_question_and_undoes_for_a_colleague(scene: Scene) -> None:
    an = await left(scene, ABSENT, "Noor")
    sofie = await scene.agent("sofie")
    ours, hers = (agent.hook("question").filter(has_text=ABSENT) for agent in (an, sofie))
    await an.hook("open-questions").click()
    await ours.get_by_test_id("question-claim").click()
    await expect(ours.get_by_test_id("question-release")).to_be_visible()
    await sofie.hook("open-questions").click()
    await sofie.hook("overview-refresh").click()
    await hers.get_by_test_id("question-release").click()
    await expect(sofie.page.get_by_role("dialog")).to_contain_text("An behandelt de vraag van Noor.")
    assert not await problems(sofie.page)
    await sofie.hook("confirm").click()
    await expect(hers.get_by_test_id("question-claim")).to_be_focused()
    await ours.get_by_test_id("question-done").click()  # an has not seen it, and nobody else has it
    await an.hook("confirm").click()
    await expect(an.hook("undo-bar")).to_be_focused()

    await sofie.hook("open-archive").click()
    archived = sofie.hook("archived-question").filter(has_text=ABSENT)
    await expect(archived.get_by_test_id("archived-by")).to_contain_text("Afgehandeld door An")
    await archived.get_by_test_id("archive-undo").click()
    await expect(sofie.page.get_by_role("dialog")).to_contain_text("An heeft de vraag van Noor afgehandeld.")
    await sofie.hook("confirm").click()
    await expect(archived).to_have_count(0)
    assert await sofie.page.evaluate(FOCUS_IS_KEPT)
    await sofie.hook("archive-questions").click()
    await hers.get_by_test_id("question-claim").click()
    await expect(hers.get_by_test_id("question-release")).to_be_visible()
    await an.hook("question-undo").click()  # what sofie has undone is open already, and hers
    await expect(ours.get_by_test_id("question-holder")).to_contain_text("Sofie behandelt deze vraag sinds")
    await hers.get_by_test_id("question-done").click()
    await sofie.hook("confirm").click()
    await expect(hers).to_have_count(0)
