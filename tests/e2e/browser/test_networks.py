"""Networks that let only some things through, or answer instead of the server: what the page says and offers.

The test moves the clock of the page where it has to wait; promises in seconds are held by tests/web.
"""

import asyncio
import socket

import aiohttp
import pytest
from playwright.async_api import expect

from services.gateway.http.pages.static_files import static_files
from tests.e2e.browser.networks import Network, answer
from tests.e2e.browser.people import PHONE, Person, Scene, begun, press, until
from tests.e2e.browser.test_accessibility import problems
from tests.e2e.browser.test_faults import AWAY
from tests.support.clients import Agent, agent
from tests.support.servers import PATIENCE, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

END = """() => {
    const { shadowRoot } = document.querySelector("eloket-chat");
    for (const name of ["chat-close", "confirm"]) shadowRoot.querySelector(`[data-testid=${name}]`).click();
}"""
NO_HTTP = "/(stream|frames)$"
"""Where the frames of a chat go over HTTP."""
NUMBER = "tel:+3225550100"
REACH = 10  # seconds without a connection after which the page says so
RETRY = 3  # seconds between two tries, at most
ENDING = 10  # seconds for the server to end a chat
LOUD = (*AWAY, "Failed to load resource", "Failed to fetch dynamically imported module", "MIME type")


async def other_ways(person: Person, within: str) -> None:
    """The contact ways and the info sheet, in the language of the page, stand in what has this hook."""
    box = person.hook(within) if within != "alert" else person.page.get_by_role("alert")
    await expect(box.locator(f'a[href="{NUMBER}"]')).to_be_visible()
    await expect(box.get_by_role("link", name="Bekijk de infofiche")).to_have_attribute(
        "href", f"{person.base}/infofiche/algemeen?lang=nl"
    )


async def is_closed(helper: Agent, kept: dict[str, str]) -> bool:
    path = f"{helper.base}/api/chats/{kept['chat_id']}/transcript?format=json"
    bearer = {"Authorization": f"Bearer {kept['token']}"}
    async with aiohttp.ClientSession(headers=bearer) as session, session.get(path) as answer:
        return bool((await answer.json()).get("closed_at"))


async def keeps_none(citizen: Person) -> bool:
    return not await citizen.keeps_a_chat()


async def next_try(citizen: Person, between: Network) -> None:
    """Returns when the page of this citizen has tried a websocket once more."""
    before = between.requests.count("GET /ws/citizen")

    async def again() -> bool:
        return between.requests.count("GET /ws/citizen") > before

    async def moved_on() -> bool:
        await citizen.page.clock.fast_forward(RETRY * 1000)
        return await again()

    await until(moved_on)


# ── the proxy itself ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_comes_just_before_the_proxy_ends_is_closed() -> None:
    between = Network("http://127.0.0.1:9")
    await between.up()
    with socket.create_connection(("127.0.0.1", between.port), timeout=PATIENCE) as browser:
        for _ in range(2):  # asyncio accepts it in the first turn of the loop, and makes its transport in the next
            await asyncio.sleep(0)
        await between.close()
        assert await asyncio.to_thread(browser.recv, 1) == b""


# ── frames that are refused, by a websocket and over HTTP ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("upgrades", [("refuse", "html", "drop"), ("hang",), ("silent",)], ids=" ".join)
async def test_a_network_without_websockets_is_reported_with_other_ways_and_the_chat_can_be_ended(
    networked: Scene, between: Network, system: System, upgrades: tuple[str, ...]
) -> None:
    """To the page, a refusal, a page instead of a websocket and a connection that is closed are one thing."""
    between.upgrades, between.blocked = upgrades[0], NO_HTTP
    async with agent(system.base_url) as an:
        citizen = await networked.citizen(clock=True)
        citizen.expects(*LOUD)
        await citizen.whole()
        await press(citizen)
        kept = await citizen.kept_chat()
        await citizen.page.clock.run_for(REACH * 1000)
        await citizen.dot("red")
        assert await citizen.dots() == ["grey", "red"]
        await expect(citizen.hook("chat-far")).to_contain_text("Dit netwerk laat de chat niet door.")
        await expect(citizen.page.get_by_text("Er is geen verbinding met de chat.")).to_be_visible()
        await other_ways(citizen, "chat-far")
        await expect(citizen.hook("chat-messages")).to_contain_text("Welkom bij de chat.")  # read over HTTP
        for further in upgrades[1:]:
            between.upgrades = further
            await next_try(citizen, between)
        await expect(citizen.hook("chat-far")).to_contain_text("Dit netwerk laat de chat niet door.")
        if "refuse" in upgrades:
            assert not await problems(citizen.page)
        await citizen.page.evaluate(END)  # unless the server has ended it just now
        reason = citizen.page.locator(".ended .reason")
        await expect(reason).to_contain_text("beëindigd")
        await until(lambda: is_closed(an, kept))
        await citizen.page.reload()
        await expect(citizen.hook("chat-dot")).to_be_visible()
        await citizen.passes(REACH, reason.filter(has_text="beëindigd"))
        await citizen.dot("red")
        await citizen.hook("chat-dismiss").click()
        await citizen.button("green")


async def test_a_chat_that_ended_on_the_server_meanwhile_is_shown_as_ended(
    networked: Scene, between: Network, system: System
) -> None:
    """The server gives up a chat whose citizen does not connect; here its agent ends it, which takes no time."""
    between.upgrades, between.blocked = "refuse", NO_HTTP
    async with agent(system.base_url) as an:
        citizen = await networked.citizen(size=PHONE, clock=True)
        citizen.expects(*LOUD)
        await citizen.whole()
        await press(citizen)
        kept = await citizen.kept_chat()
        await an.socket.expect("assigned", chat=lambda c: c["chat_id"] == kept["chat_id"])
        await an.socket.send(type="close", chat_id=kept["chat_id"])
        await until(lambda: is_closed(an, kept))
        reason = citizen.page.locator(".ended .reason")
        await citizen.passes(REACH, reason.filter(has_text="omdat er geen verbinding tot stand kwam"))
        await other_ways(citizen, "chat-far")
        await citizen.page.reload()
        await expect(citizen.hook("chat-dot")).to_be_visible()
        await citizen.passes(REACH, reason.filter(has_text="beëindigd"))


async def test_the_end_of_a_chat_comes_on_the_page_also_when_nothing_comes_through(
    networked: Scene, between: Network, system: System
) -> None:
    async with agent(system.base_url) as an:
        citizen = await networked.citizen(clock=True)
        citizen.expects(*LOUD)
        await press(citizen)
        kept = await citizen.kept_chat()
        await an.socket.expect("assigned", chat=lambda c: c["chat_id"] == kept["chat_id"])
        await citizen.page.wait_for_function("""() => document.querySelector("eloket-chat").shadowRoot
            .querySelector("[data-testid=chat-messages] .message")""")  # it has been welcomed
        await between.down()
        await citizen.dot("red")
        await citizen.hook("chat-close").click()
        await citizen.hook("confirm").click()
        await expect(citizen.page.get_by_text("Het gesprek wordt beëindigd zodra")).to_be_visible()
        await citizen.page.clock.run_for(ENDING * 1000)
        reason = citizen.page.locator(".ended .reason")
        await expect(reason).to_have_text(
            "U hebt het gesprek beëindigd. De medewerker ziet dat zodra de verbinding terug is."
        )
        await between.up()
        await until(lambda: is_closed(an, kept))
        await expect(reason).to_have_text("U hebt het gesprek beëindigd.")


async def test_a_short_outage_of_a_chat_is_no_network_that_refuses(
    networked: Scene, between: Network, system: System
) -> None:
    async with agent(system.base_url) as an:
        citizen = await networked.citizen()
        citizen.expects(*LOUD)
        await press(citizen)
        chat_id = (await citizen.kept_chat())["chat_id"]
        await an.socket.expect("assigned", chat=lambda c: c["chat_id"] == chat_id)
        await an.socket.send(type="accept", chat_id=chat_id)
        await citizen.dot("green")
        await between.down()
        await citizen.dot("red")
        await citizen.say("tijdens de storing")
        await expect(citizen.page.get_by_text("De verbinding is verbroken. We proberen het opnieuw.")).to_be_visible()
        await expect(citizen.hook("chat-far")).to_be_hidden()
        await between.up()
        await citizen.dot("green")
        await citizen.sees("tijdens de storing")


# ── answers that are not the server's ────────────────────────────────────────────────────────────────────────────────


STRANGE = (
    answer("200 OK"),
    answer("201 Created", b'{"chat_id": "11111111-2222-4333-8444-555555555555", "token": ""}', "application/json"),
    answer("502 Bad Gateway"),
)
"""Answers to a press that are not the server's; tests/web has more of them."""


async def test_an_answer_to_the_press_that_is_no_chat_is_reported_and_the_next_press_works(
    networked: Scene, between: Network, system: System
) -> None:
    async with agent(system.base_url):
        citizen = await networked.citizen()
        citizen.expects(*LOUD)
        await citizen.button("green")
        await citizen.whole()
        for number, strange in enumerate(STRANGE):
            between.answers["POST /api/chats"] = strange
            async with citizen.page.expect_response("**/api/chats"):
                if number:
                    await citizen.say("Wat ik al schreef")  # asks for the chat again
                else:
                    await citizen.hook("chat-button").click()
            await expect(citizen.hook("chat-far")).to_contain_text("Het antwoord kwam niet van de chatdienst.")
            await other_ways(citizen, "chat-far")
            await citizen.dot("red")
            assert not await citizen.keeps_a_chat()
            await expect(citizen.hook("chat-input")).to_have_value("Wat ik al schreef" if number else "")
        between.answers = {}
        await citizen.hook("chat-input").press("Enter")
        await begun(citizen)
        await citizen.sees("Wat ik al schreef")


NO_CHATS = ('{"open":true}', "{", "null", '"x"', '{"chat_id":"1","token":"t","websocket":"/ws"}')


async def test_a_kept_record_that_is_no_chat_is_thrown_away(networked: Scene, system: System) -> None:
    async with agent(system.base_url):
        citizen = await networked.citizen()
        host = citizen.base.removeprefix("http://")
        for kept in NO_CHATS:
            await citizen.page.evaluate(
                "([name, value]) => localStorage.setItem(name, value)", [f"eloket-chat {host} chat", kept]
            )
            await citizen.page.reload()
            await citizen.button("green")
            await until(lambda: keeps_none(citizen))
        await press(citizen)
        assert (await citizen.kept_chat())["websocket"] == "/ws/citizen"


async def test_a_panel_that_does_not_load_says_so_with_other_ways_and_comes_with_the_next_press(
    networked: Scene, between: Network, system: System
) -> None:
    async with agent(system.base_url):
        citizen = await networked.citizen()
        citizen.expects(*LOUD)
        await citizen.button("green")
        await citizen.whole()
        for folder in ("", f"{static_files().digest}/"):
            between.answers[f"GET /static/{folder}loket-chat/panel.js"] = answer("200 OK")
        await citizen.hook("chat-button").click()
        await expect(citizen.hook("chat-reach")).to_contain_text("De chat kon niet worden geladen.")
        await other_ways(citizen, "chat-reach")
        assert not await problems(citizen.page)
        between.answers = {}
        await citizen.button("green")  # the first press keeps no agent from the next one
        await citizen.hook("chat-button").click()
        await begun(citizen)


async def test_a_download_that_is_answered_by_a_page_of_the_network_has_failed(
    networked: Scene, between: Network, system: System
) -> None:
    async with agent(system.base_url):
        citizen = await networked.citizen()
        await press(citizen, "", "Mag dit?")
        await citizen.sees("Mag dit?")
        path = f"/api/chats/{(await citizen.kept_chat())['chat_id']}/transcript"
        between.answers[f"GET {path}"] = answer("200 OK")
        notice = citizen.page.locator(".chat > .notice:not(.far)")
        await citizen.hook("chat-download").click()
        await citizen.hook("download-html").click()
        await expect(notice).to_contain_text("Downloaden is mislukt.")
        between.answers = {}
        await citizen.hook("chat-download").click()
        name, _ = await citizen.saved(citizen.hook("download-txt"))
        assert name.endswith(".txt")
        await expect(notice).to_be_hidden()
