"""Networks that let no websocket through: the page goes over HTTP by itself, and a conversation is as any other."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.browser.networks import Network
from tests.e2e.browser.people import Person, Scene, press, until
from tests.e2e.browser.test_networks import LOUD
from tests.support.clients import Agent, agent, say
from tests.support.servers import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NETWORKS: dict[str, dict[str, object]] = {
    "refuses": {"upgrades": "refuse"},
    "hangs": {"upgrades": "hang"},
    "silent": {"upgrades": "silent"},
    "buffers": {"upgrades": "refuse", "buffers": True},
    "cuts": {"upgrades": "refuse", "cuts": 4.0},
}


def used(between: Network, what: str) -> int:
    return sum(request.endswith(what) for request in between.requests)


async def answers(an: Agent, citizen: Person, chat_id: str, text: str) -> None:
    await say(an.socket, text, chat_id)
    await citizen.sees(text)


@pytest.mark.parametrize("kind", NETWORKS)
async def test_a_whole_conversation_without_a_websocket(
    networked: Scene, between: Network, system: System, tmp_path: Path, kind: str
) -> None:
    for name, value in NETWORKS[kind].items():
        setattr(between, name, value)
    async with agent(system.base_url) as an:
        citizen = await networked.citizen()
        citizen.expects(*LOUD)
        await press(citizen, "Lien Claes", "Mag een factuur van vorig jaar?")
        await citizen.dot("green")
        chat_id = (await citizen.kept_chat())["chat_id"]
        await citizen.sees("Mag een factuur van vorig jaar?")
        for number in range(3):
            await citizen.say(f"vraag {number}")
            await an.socket.expect("message", text=f"vraag {number}")
            await answers(an, citizen, chat_id, f"antwoord {number}")
        file = tmp_path / "lijst.csv"
        file.write_text("a;b\n1;2\n")
        await citizen.upload(file)
        await an.socket.expect("message", attachment=lambda one: bool(one) and one["name"] == "lijst.csv")
        await citizen.hook("chat-input").press_sequentially("ja")
        await an.socket.expect("typing", active=True)
        if between.cuts:
            streams = used(between, "/stream")

            async def cut_twice() -> bool:
                return used(between, "/stream") >= streams + 2

            await until(cut_twice)
            await answers(an, citizen, chat_id, "na de onderbreking")
        assert "red" not in await citizen.dots()
        sockets = used(between, "/ws/citizen")
        await citizen.page.reload()
        await citizen.dot("green")
        await answers(an, citizen, chat_id, "na het herladen")
        assert used(between, "/ws/citizen") == sockets, "it knows that no websocket comes through"
        assert used(between, "/stream")
        wanted = ["Mag een factuur van vorig jaar?"]
        wanted += [text for number in range(3) for text in (f"vraag {number}", f"antwoord {number}")]
        if between.cuts:
            wanted.append("na de onderbreking")
        assert [text for text in await citizen.shown() if "lijst.csv" not in text] == [*wanted, "na het herladen"]
        assert "red" not in await citizen.dots()
        await citizen.hook("chat-close").click()
        await citizen.hook("confirm").click()
        await citizen.dot("red")
        await expect(citizen.page.get_by_text("U hebt het gesprek beëindigd.")).not_to_have_count(0)
        await an.socket.expect("closed", reason="citizen")
