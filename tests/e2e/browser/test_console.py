"""The console with several chats, refused transfers, left questions, and what a supervisor sees."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from playwright.async_api import Route, expect

from tests.e2e.browser.people import DESKTOP, PHONE, Person, Scene, can_be_given, log_in, press
from tests.e2e.browser.test_accessibility import problems, violations
from tests.e2e.browser.test_typing import from_agent, in_conversation, written
from tests.support.accounts import Account
from tests.support.browsers.systems import running_browser_system
from tests.support.clients import begin
from tests.support.clients import citizen as api_citizen
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ZOOMED = (640, 400)  # 1280 by 800 at 200 %
ACCOUNTS = (Account("ada", capacity=2), Account("ben"), Account("sara", supervisor=True))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system with the agents ada (two chats at a time) and ben, and the supervisor sara."""
    with running_browser_system(tmp_path_factory.mktemp("office"), ACCOUNTS, broker, mongodb_url) as running:
        yield running


async def visitor(scene: Scene, name: str, question: str = "", dot: str = "green") -> Person:
    """A citizen in conversation with an agent; `grey`: one whom no agent has accepted yet."""
    citizen = await scene.citizen()
    await press(citizen, name, question)
    await citizen.dot(dot)
    return citizen


def held_back(asked: asyncio.Event, answer: asyncio.Event) -> Callable[[Route], Awaitable[None]]:
    """A route that sets `asked` when it has the server's answer, and passes it on as it was when `answer` is set."""

    async def late(route: Route) -> None:
        response = await route.fetch()
        asked.set()
        await answer.wait()
        await route.fulfill(response=response)

    return late


async def hand_over(agent: Person, colleague: str, note: str) -> None:
    await can_be_given(agent, colleague)
    await agent.hook("chat-transfer").click()
    await agent.page.get_by_role("radio", name=colleague).check()
    await agent.page.get_by_role("dialog").get_by_role("textbox").fill(note)
    await agent.hook("transfer-submit").click()


async def test_two_chats_at_once_are_kept_apart_and_both_answered(scene: Scene) -> None:
    ada = await scene.agent("ada")
    lien = await visitor(scene, "Lien", "Waar is mijn dossier?")
    await expect(ada.hook("chat-input")).to_be_visible()
    jan = await visitor(scene, "Jan", "Hoe laat sluit u?", dot="grey")
    await expect(ada.page.locator("#chat-name")).to_have_text("Lien")
    await expect(ada.item("Jan")).to_have_attribute("data-unread", "1")
    await expect(ada.page).to_have_title("(1) Nieuw gesprek met Jan – e-loket chat")
    await jan.say("Ik kom met de trein.")
    await expect(ada.item("Jan")).to_have_attribute("data-unread", "2")
    await ada.say("Lien, ik kijk het na.")
    await ada.hook("chat-input").fill("Half geschreven")

    await ada.item("Jan").focus()
    await ada.page.keyboard.press("Enter")
    await expect(ada.hook("chat-input")).to_be_focused()
    await expect(ada.item("Jan")).to_have_attribute("data-unread", "0")
    await ada.say("Om vijf uur, Jan.")
    await jan.dot("green")
    await lien.sees("Lien, ik kijk het na.")
    await jan.sees("Om vijf uur, Jan.")
    await lien.say("Dank u")
    await expect(ada.item("Lien")).to_have_attribute("data-unread", "1")
    await expect(ada.item("Jan")).to_have_attribute("data-unread", "0")

    await ada.item("Lien").click()
    await ada.sees("Dank u")
    await expect(ada.hook("chat-input")).to_have_value("Half geschreven")
    await ada.say("Het ligt klaar, Lien.")
    await lien.sees("Het ligt klaar, Lien.")
    assert await lien.shown() == ["Waar is mijn dossier?", "Lien, ik kijk het na.", "Dank u", "Het ligt klaar, Lien."]
    assert await jan.shown() == ["Hoe laat sluit u?", "Ik kom met de trein.", "Om vijf uur, Jan."]


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


async def test_a_second_chat_is_in_sight_in_every_layout_counted_down_and_accepted_by_one_press(scene: Scene) -> None:
    async with in_conversation(scene, username="ada") as (ada, _), api_citizen(scene.base) as bilal:
        await keep_what_is_said(ada)
        await ada.page.keyboard.type("Dag Anna, ", delay=20)
        await begin(bilal, name="Bilal", question="Waar is mijn dossier?")
        socket = await bilal.join()
        await expect(ada.hook("news")).to_contain_text("Nieuw gesprek met Bilal")
        assert await ada.focus() == "chat-input"
        for width, height in (DESKTOP, ZOOMED, PHONE):
            await ada.page.set_viewport_size({"width": width, "height": height})
            await expect(ada.hook("news")).to_contain_text(re.compile(r"Nog \d+ seconden om het aan te nemen"))
            await expect(ada.hook("news")).to_be_in_viewport(ratio=1)
            await expect(ada.hook("news-accept")).to_be_in_viewport(ratio=1)
        assert not await problems(ada.page)
        await ada.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert from_agent(socket) == []
        await ada.hook("news-accept").click()
        await socket.expect("status", dot="green")
        assert written(socket) == []
        await expect(ada.hook("news")).to_have_count(0)
        await expect(ada.page.locator("#chat-name")).to_have_text("Bilal")
        said = await ada.page.evaluate("said")
        news = [text for place, text in said if place == "announce-new"]
        assert any("Nieuw gesprek met Bilal" in text for text in news), said
        assert not any("Nieuw bericht van Bilal" in text for _, text in said), said  # the new chat says it


async def test_a_refused_transfer_comes_back_and_all_are_notified(scene: Scene) -> None:
    ada = await scene.agent("ada")
    citizen = await visitor(scene, "Lien", "Waar is mijn dossier?")
    await expect(ada.hook("chat-input")).to_be_visible()
    ben = await scene.agent("ben")
    await hand_over(ada, "Ben", "Dossier 42, identiteit nagekeken")
    await expect(ben.hook("refuse")).to_be_visible()
    await expect(ben.page.locator(".banner.offer")).to_contain_text("Nota van Ada: Dossier 42, identiteit nagekeken")
    await ben.sees("Waar is mijn dossier?")
    await expect(ada.page.locator(".banner.ended")).to_contain_text("Het gesprek is doorgegeven.")
    assert not await problems(ben.page)

    for _ in range(40):
        await ben.page.keyboard.press("Tab")
        if await ben.focus() == "refuse":
            break
    await ben.page.keyboard.press("Enter")
    await expect(ben.page.locator(".banner.ended")).to_contain_text("U hebt dit gesprek geweigerd.")
    await expect(ben.page.locator("#chat-name")).to_be_focused()
    await expect(ada.hook("chat-messages")).to_contain_text("Uw collega heeft dit gesprek geweigerd.")
    await citizen.dot("green")
    await ada.say("Ik zoek het zelf op.")
    await citizen.sees("Ik zoek het zelf op.")
    await citizen.say("Dank u")
    await expect(citizen.hook("chat-messages")).not_to_contain_text("Dossier 42")


async def test_the_choice_of_a_department_renews_who_can_take_a_chat(scene: Scene) -> None:
    ada = await scene.agent("ada")
    await visitor(scene, "Lien", "Waar is mijn dossier?")
    await expect(ada.hook("chat-input")).to_be_visible()
    ben = await scene.agent("ben")
    await can_be_given(ada, "Ben")
    await ada.hook("chat-transfer").click()
    dialog = ada.page.get_by_role("dialog")
    await expect(dialog.get_by_role("radio", name="Ben")).to_be_enabled()
    await ben.hook("agent-state").click()
    await expect(ben.hook("agent-state")).to_have_attribute("data-state", "paused")
    await dialog.get_by_role("radio", name="Premies en toelagen").check()
    await expect(dialog.get_by_role("radio", name="Ben")).to_have_count(0)
    await expect(dialog.get_by_role("radio", name="Premies en toelagen")).to_be_focused()


async def test_a_reload_of_the_console_loses_nothing(scene: Scene) -> None:
    ada = await scene.agent("ada")
    citizen = await visitor(scene, "Lien", "Vraag")
    await ada.say("Antwoord")
    await citizen.sees("Antwoord")
    texts = await citizen.told()
    await ada.hook("write-note").check()
    await ada.hook("note-input").fill("eerst bewaard")
    await ada.hook("note-save").click()
    await expect(ada.hook("chat-messages").locator(".note:not(.sending)")).to_have_count(1)
    await ada.hook("note-input").fill("nog niet bewaard")
    await ada.hook("write-message").check()
    await ada.hook("chat-input").fill("nog niet verzonden")
    await ada.page.reload()
    await ada.sees("Antwoord")
    await expect(ada.hook("chat-input")).to_have_value("nog niet verzonden")
    await expect(ada.hook("chat-messages").locator(".note .bubble")).to_have_text(["eerst bewaard"])
    await ada.hook("write-note").check()
    await expect(ada.hook("note-input")).to_have_value("nog niet bewaard")
    await ada.hook("write-message").check()
    await ada.hook("chat-input").press("Enter")
    await citizen.sees("nog niet verzonden")
    assert await citizen.told() == texts  # that the agent was away is shown nowhere
    assert "bewaard" not in await citizen.page.content() + " ".join(await citizen.shown())


async def test_a_left_question_is_counted_answered_and_gone_for_all(scene: Scene) -> None:
    ada = await scene.agent("ada")
    citizen = await visitor(scene, "Lien", "Mag mijn factuur meetellen?")
    await ada.page.locator("summary", has_text="Menu").click()
    await ada.hook("logout").click()
    await ada.hook("confirm").click()
    await citizen.dot("grey")
    chat = await citizen.kept_chat()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {chat['token']}"}) as session:
        body = {"contact": "lien@example.be", "text": "Mag mijn factuur meetellen?"}
        async with session.post(f"{scene.base}/api/chats/{chat['chat_id']}/question", json=body) as answer:
            assert answer.status == 201, await answer.text()
    await citizen.dot("red")

    await log_in(ada, "ada")
    ben = await scene.agent("ben", size=PHONE)
    for agent in (ada, ben):
        await expect(agent.hook("question-count")).to_have_text("1")
        await agent.hook("open-questions").click()
        await expect(agent.hook("question")).to_contain_text("Mag mijn factuur meetellen?")
        await expect(agent.page.get_by_role("link", name="lien@example.be")).to_have_attribute(
            "href", "mailto:lien@example.be"
        )
    assert not await problems(ada.page)
    await ada.hook("question-done").click()
    await ada.hook("confirm").click()
    await expect(ada.hook("question")).to_have_count(0)
    await expect(ada.hook("question-count")).to_have_count(0)
    await expect(ada.hook("undo-bar")).to_be_focused()
    await ben.hook("overview-refresh").click()
    await expect(ben.hook("question")).to_have_count(0)


async def test_a_supervisor_reads_why_an_agent_got_a_chat_and_others_do_not(scene: Scene) -> None:
    ada = await scene.agent("ada")
    await visitor(scene, "Lien")
    await expect(ada.hook("chat-input")).to_be_visible()
    await expect(ada.hook("open-assignments")).to_have_count(0)
    sara = await scene.agent("sara")
    await sara.hook("open-assignments").click()
    row = sara.hook("assignments").get_by_role("row").nth(1)
    await expect(row).to_contain_text("Ada")
    await expect(row).to_contain_text("was als enige vrij")
    await expect(row).to_contain_text("1 kandidaat · had 0 gesprekken")
    await row.get_by_role("link").focus()
    async with sara.page.expect_response("**/api/assignments?*"):
        await sara.hook("overview-refresh").dispatch_event("click")  # as each minute by itself
    await expect(row.get_by_role("link")).to_be_focused()
    assert not await problems(sara.page)
    await sara.hook("assignments-department").select_option(label="Premies en toelagen")
    await expect(sara.page.get_by_text("Er zijn nog geen toewijzingen.")).to_be_visible()
    await sara.hook("overview-back").click()
    await expect(sara.hook("open-assignments")).to_have_attribute("aria-expanded", "false")


async def test_an_abuser_is_blocked_with_a_reason_and_reads_so(scene: Scene) -> None:
    """From the dialog of ending, by the keyboard; a reason is asked for, and the citizen's next press is refused."""
    ada = await scene.agent("ada")
    citizen = await visitor(scene, "Lien", "Scheldwoorden")
    await expect(ada.hook("chat-input")).to_be_visible()
    await ada.hook("chat-close").click()
    await ada.hook("close-and-block").click()
    await expect(ada.page.get_by_role("dialog")).to_contain_text("Lien kan een tijd geen nieuw gesprek beginnen.")
    assert await problems(ada.page) == []

    await ada.hook("block-confirm").click()
    await expect(ada.hook("block-reason")).to_be_focused()
    await expect(ada.page.get_by_role("alert").get_by_text("Vul een reden in.")).to_be_visible()
    await ada.hook("block-15").check()
    await ada.hook("block-address").uncheck()  # the other tests come from the same address
    await ada.hook("block-reason").fill("Scheldt")
    await ada.hook("block-reason").press("Tab")
    await ada.hook("block-confirm").press("Enter")
    await citizen.dot("red")
    await expect(ada.hook("dismiss")).to_be_visible()

    citizen.expects("403")
    await citizen.hook("chat-restart").click()
    await expect(citizen.hook("chat-far")).to_contain_text("tijdelijk geen chat")
    await citizen.dot("red")


@pytest.mark.parametrize("size", [PHONE, (320, 640)], ids=["360", "320"])
async def test_the_menu_fits_a_small_screen(scene: Scene, size: tuple[int, int]) -> None:
    ada = await scene.agent("ada", size=size)
    await ada.page.locator("summary", has_text="Menu").click()
    await expect(ada.page.locator(".menu > .sheet")).to_be_in_viewport(ratio=1)
    box = await ada.page.locator(".menu > .sheet").bounding_box()
    assert box
    assert 0 <= box["x"] < box["x"] + box["width"] <= size[0]


async def test_the_last_message_of_a_chat_in_the_list_can_be_read_in_the_dark(scene: Scene) -> None:
    ada = await scene.agent("ada")
    await visitor(scene, "Lien", "Waar is mijn dossier?")
    await expect(ada.item("Lien")).to_contain_text("Waar is mijn dossier?")
    await ada.page.emulate_media(color_scheme="dark")
    assert not await violations(ada.page, ("color-contrast",))


async def test_logging_out_everywhere_ends_the_other_browser_too(scene: Scene) -> None:
    ada, elsewhere = await scene.agent("ada"), await scene.agent("ada")
    await ada.page.locator("details.menu summary").click()
    await ada.hook("logout-everywhere").click()
    await expect(ada.page.get_by_role("dialog")).to_contain_text("op elk toestel")
    await ada.hook("confirm").click()
    await expect(ada.page.get_by_text("U bent afgemeld.")).to_be_visible()
    elsewhere.expects("401")
    await expect(elsewhere.page.get_by_text("Uw sessie is beëindigd.")).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "360"])
async def test_people_see_where_they_are_logged_in_and_end_the_others(scene: Scene, size: tuple[int, int]) -> None:
    ada, elsewhere = await scene.agent("ada", size=size), await scene.agent("ada")
    await ada.page.locator("details.menu summary").click()
    await ada.hook("own-sessions").press("Enter")
    await expect(ada.hook("session")).to_have_count(2)
    first = ada.hook("session").first
    await expect(first).to_contain_text("Chrome, Linux (deze sessie)")
    await expect(first).to_contain_text("Adres: 127.0.0.*")
    await expect(first.get_by_role("button")).to_have_count(0)
    assert await problems(ada.page) == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await ada.page.evaluate(wide) == 0
    elsewhere.expects("401")
    asked, ended = asyncio.Event(), asyncio.Event()
    await ada.page.route("**/api/agent/sessions", held_back(asked, ended), times=1)
    await ada.hook("sessions-refresh").press("Enter")
    await asked.wait()
    async with ada.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        await ada.hook("session-end").press("Enter")
    await asyncio.sleep(1)  # in which a list that is asked for after the end is there
    async with ada.page.expect_response("**/api/agent/sessions"):
        ended.set()
    await expect(ada.hook("sessions-state")).to_have_text("De sessie is beëindigd.")
    await expect(ada.hook("session")).to_have_count(1)
    await expect(ada.hook("sessions-shut")).to_be_focused()
    await expect(elsewhere.page.get_by_text("Uw sessie is beëindigd.")).to_be_visible()
    await ada.hook("sessions-shut").press("Enter")
    await expect(ada.hook("agent-state")).to_have_attribute("data-state", "available")


async def test_the_list_shows_the_last_message_and_since_when_the_citizen_waits(scene: Scene) -> None:
    agent = await scene.agent("ada")
    citizen = await visitor(scene, "Lien", "Waar vind ik het formulier?")
    item = agent.hook("chat-item")
    await expect(item).to_contain_text("Waar vind ik het formulier?")
    await expect(item).to_contain_text("Wacht op antwoord sinds")
    await agent.say("Op de website.")
    await citizen.sees("Op de website.")
    await expect(item).to_contain_text("Antwoord: Op de website.")
    await expect(item).not_to_contain_text("Wacht op antwoord")


async def test_an_ended_chat_that_cannot_be_read_says_so_and_is_read_at_the_next_press(scene: Scene) -> None:
    ada = await scene.agent("ada")
    lien = await visitor(scene, "Lien", "Waar is mijn dossier?")
    await lien.hook("chat-close").click()
    await lien.hook("confirm").click()
    await expect(ada.hook("dismiss").first).to_be_visible()
    ada.expects("net::ERR_FAILED")
    await ada.page.route("**/transcript?*", lambda route: route.abort())
    await ada.page.reload()
    await expect(ada.hook("chat-messages")).to_have_text(re.compile("^Het gesprek kon niet worden opgehaald."))
    await ada.page.unroute_all(behavior="wait")
    await ada.item("Lien").click()
    await ada.sees("Waar is mijn dossier?")


async def test_a_chat_that_moves_up_the_list_keeps_the_focus(scene: Scene) -> None:
    ada = await scene.agent("ada")
    await visitor(scene, "Lien")
    jan = await visitor(scene, "Jan", dot="grey")
    await ada.item("Jan").click()
    await jan.dot("green")
    await ada.item("Lien").click()
    names = ada.hook("chat-item").locator(".name")
    await expect(names).to_have_text(["Lien", "Jan"])
    await ada.item("Jan").focus()
    await jan.say("Bent u daar nog?")
    await expect(names).to_have_text(["Jan", "Lien"])
    await expect(ada.item("Jan")).to_be_focused()


async def test_what_is_answered_after_the_end_of_a_session_changes_nothing(scene: Scene) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    ada, elsewhere = await scene.stranger(), await scene.agent("ada")
    await ada.page.route("**/api/agents?*", held_back(asked, answer))
    await log_in(ada, "ada")
    await asked.wait()
    await elsewhere.page.locator("details.menu summary").click()
    await elsewhere.hook("logout-everywhere").click()
    await elsewhere.hook("confirm").click()
    ada.expects("401")
    await expect(ada.page.get_by_text("Uw sessie is beëindigd.")).to_be_visible()
    await ada.hook("login-username").fill("ben")
    title = await ada.page.title()
    async with ada.page.expect_response("**/api/agents?*"):
        answer.set()
    await ada.page.evaluate("fetch('/api/settings').then((later) => later.text())")  # after it
    await expect(ada.hook("login-username")).to_have_value("ben")
    assert await ada.page.title() == title


async def test_links_end_where_the_sentence_goes_on_and_show_their_host(scene: Scene) -> None:
    agent = await scene.agent("ada")
    citizen = await visitor(
        scene,
        "\u202eLien\u200b Claes",
        "(https://nl.wikipedia.org/wiki/Gent_(stad)), www.gent.be of an@gent.be? https://gent.be@evil.example/x.",
    )
    await agent.sees(
        "(https://nl.wikipedia.org/wiki/Gent_(stad)), www.gent.be of an@gent.be? "
        "https://gent.be@evil.example/x (evil.example)."
    )
    for person in (citizen, agent):
        links = person.hook("chat-messages").locator(".bubble a")
        assert await links.evaluate_all("(all) => all.map(({ textContent, href }) => [textContent, href])") == [
            ["https://nl.wikipedia.org/wiki/Gent_(stad)", "https://nl.wikipedia.org/wiki/Gent_(stad)"],
            ["www.gent.be", "https://www.gent.be/"],
            ["an@gent.be", "mailto:an@gent.be"],
            ["https://gent.be@evil.example/x", "https://gent.be@evil.example/x"],
        ]
    await expect(agent.hook("chat-item").locator(".name")).to_have_text("Lien Claes")
    await expect(agent.hook("chat-input")).to_have_attribute("lang", "nl")
    await expect(agent.page.locator(".about")).to_contain_text(f"({urlsplit(scene.base).netloc})")
