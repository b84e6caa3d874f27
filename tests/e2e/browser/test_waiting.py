"""A citizen in the queue: what they read, how they leave a question without a mouse, and what becomes of it."""

import re

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import Person, Scene, focused, press, talking
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_keyboard import keys, tab_to
from tests.support.clients import Agent, Citizen, Frame, agent, begin, citizen, pair, say
from tests.support.servers import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ASKED = "Mag een factuur van vorig jaar nog meetellen?"
HANDLED = 3  # chats without which nothing is known of the pace


async def handle(visitor: Citizen, helper: Agent) -> None:
    """A chat from beginning to end."""
    theirs, ours = await pair(visitor, helper)
    await say(ours, "Dag", visitor.chat_id)
    await theirs.send(type="close")
    await ours.expect("closed", chat_id=visitor.chat_id)


async def left(person: Agent) -> list[Frame]:
    answer = await person.http.get(f"{person.base}/api/questions")
    assert answer.status == 200, await answer.text()
    return list((await answer.json())["questions"])


async def fill_in(someone: Person) -> None:
    """From the text bar to a question that was left, by the keyboard alone."""
    await tab_to(someone, "leave-question", "Shift+Tab", most=3)
    await keys(someone, "Enter")
    await focused(someone, "question-contact")
    await keys(someone, "Enter")
    await expect(someone.hook("question-contact")).to_have_attribute("aria-invalid", "true")
    await focused(someone, "question-contact")
    assert await someone.hook("question-contact").get_attribute("aria-describedby") == "left-contact-wrong"
    await expect(someone.page.locator("#left-contact-wrong")).to_contain_text("e-mailadres of telefoonnummer")
    await someone.page.keyboard.type("lien@example.be")
    await keys(someone, "Escape")
    await focused(someone, "leave-question")
    await keys(someone, "Enter")
    await focused(someone, "question-contact")
    await keys(someone, "Tab")
    await focused(someone, "question-text")
    await expect(someone.hook("question-text")).to_have_value(ASKED)
    await keys(someone, "Tab")
    assert await someone.focus() == "question-send"
    await keys(someone, "Enter")


async def test_who_waits_reads_the_estimate_and_leaves_a_question(scene: Scene, system: System) -> None:
    base = system.base_url
    async with agent(base) as an:
        for _ in range(HANDLED):
            async with citizen(base) as visitor:
                await handle(visitor, an)
        someone = await scene.citizen()
        await press(someone, "Lien Claes", ASKED)
        await someone.dot("green")
        async with agent(base, "bert") as bert, citizen(base) as other:
            await begin(other)
            await (await other.join()).expect("status", dot="green")
            await an.log_out()
            wait = someone.hook("chat-wait")
            words = re.compile(r"^U bent nummer 1 in de wachtrij\. Geschatte wachttijd: ongeveer \d+ minu(ut|ten)\.$")
            await expect(wait).to_have_text(words)
            await expect(wait).to_have_attribute("role", "status")
            info = someone.page.get_by_role("link", name="Bekijk de infofiche")
            await expect(info).to_have_attribute("href", f"{base}/infofiche/algemeen?lang=nl")
            await expect(info).to_have_attribute("target", "_blank")
            assert not await problems(someone.page)
            await someone.hook("chat-input").focus()
            await fill_in(someone)
            await someone.dot("red")
            reason = someone.page.locator(".ended .reason")
            await expect(reason).to_contain_text("Uw vraag is goed ontvangen.")
            await expect(reason).to_be_focused()
            await expect(someone.hook("leave-question")).to_be_hidden()
            assert not await problems(someone.page)
            [question] = [one for one in await left(bert) if one["contact"] == "lien@example.be"]
            assert (question["text"], question["name"], question["department"]) == (ASKED, "Lien Claes", "algemeen")
            assert await someone.shown() == [ASKED]
            await someone.page.reload()
            await expect(reason).to_contain_text("Uw vraag is goed ontvangen.")
            done = f"{base}/api/questions/{question['chat_id']}/done"
            assert (await bert.http.post(done, headers={"Origin": base})).status == 204


async def test_an_agent_who_comes_meanwhile_gets_what_was_typed(scene: Scene) -> None:
    someone, an = await talking(scene, ASKED)
    an.expects("401")
    await an.context.request.delete(f"{scene.base}/api/agent/session", headers={"Origin": scene.base})
    await someone.hook("leave-question").click()
    await someone.hook("question-text").fill("Of telt alleen dit jaar?")
    bert = await scene.agent("bert")
    await someone.dot("green")
    await focused(someone, "chat-input")
    await expect(someone.hook("question-text")).to_be_hidden()
    await expect(someone.hook("chat-input")).to_have_value("Of telt alleen dit jaar?")
    await keys(someone, "Enter")
    await bert.sees("Of telt alleen dit jaar?")


async def test_a_chat_goes_on_when_what_comes_beside_it_cannot_be_loaded(scene: Scene) -> None:
    someone = await scene.citizen()
    someone.expects("ERR_FAILED")
    await someone.page.route(re.compile("lazy-panels.js|queue-info.js"), lambda route: route.abort())
    an = await scene.agent()
    await press(someone, "", ASKED)
    await someone.dot("green")
    an.expects("401")
    await an.context.request.delete(f"{scene.base}/api/agent/session", headers={"Origin": scene.base})
    await someone.dot("grey")
    await someone.say("Ik wacht")
    bert = await scene.agent("bert")
    await someone.dot("green")
    await bert.sees("Ik wacht")
    await bert.say("Hier ben ik")
    await someone.sees("Hier ben ik")
