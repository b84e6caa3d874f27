"""What agents do beside talking: give a chat to a colleague, pause, leave. The citizen keeps the conversation."""

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import Scene, can_be_given, talking

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_a_chat_goes_to_a_colleague_with_a_note_that_the_citizen_never_sees(scene: Scene) -> None:
    citizen, an = await talking(scene, "Waar is mijn dossier?")
    bert = await scene.agent("bert")
    await can_be_given(an, "Bert")
    await an.hook("chat-transfer").click()
    await an.page.get_by_role("radio", name="Bert").check()
    await an.page.get_by_role("dialog").get_by_role("textbox").fill("Vraagt naar dossier 42")
    await an.hook("transfer-submit").click()
    await expect(bert.hook("chat-messages").locator(".note .bubble")).to_have_text(["Vraagt naar dossier 42"])
    await bert.sees("Waar is mijn dossier?")
    await bert.say("Ik ben Bert, ik help u verder.")
    await citizen.sees("Ik ben Bert, ik help u verder.")
    await expect(citizen.page.get_by_text("U bent verbonden met Bert", exact=True)).to_be_visible()
    await expect(an.page.locator(".banner.ended")).to_contain_text("Het gesprek is doorgegeven.")
    await expect(citizen.hook("chat-messages")).not_to_contain_text("dossier 42")
    await citizen.hook("chat-download").click()
    for format in ("txt", "json"):
        _, body = await citizen.saved(citizen.hook(f"download-{format}"))
        assert "Ik ben Bert" in body.decode()
        assert "dossier 42" not in body.decode()
        await citizen.hook("chat-download").click()


async def test_a_pause_makes_the_button_blue_and_lets_the_conversation_go_on(scene: Scene) -> None:
    citizen, agent = await talking(scene)
    other = await scene.citizen()
    colleague = await scene.agent("bert")
    await other.button("green")
    await colleague.hook("agent-state").click()
    await expect(colleague.hook("agent-state")).to_have_attribute("data-state", "paused")
    await other.button("blue")
    await agent.hook("agent-state").click()
    await expect(agent.hook("agent-state")).to_have_attribute("data-state", "paused")
    await agent.say("Ik blijf bij u")
    await citizen.sees("Ik blijf bij u")
    await colleague.page.reload()
    await expect(colleague.hook("agent-state")).to_have_attribute("data-state", "paused")
    await colleague.hook("agent-state").click()
    await other.button("green")


async def test_an_agent_who_leaves_puts_the_citizen_at_the_head_of_the_queue(scene: Scene) -> None:
    citizen, an = await talking(scene, "Bent u er?")
    await an.page.locator("summary", has_text="Menu").click()
    await an.hook("logout").click()
    await an.hook("confirm").click()
    await expect(an.hook("login-submit")).to_be_visible()
    await citizen.dot("grey")
    await expect(citizen.page.get_by_text("U bent nummer 1 in de wachtrij")).to_be_visible()
    await citizen.say("Ik wacht even")
    bert = await scene.agent("bert")
    await citizen.dot("green")
    await bert.sees("Ik wacht even")
    await bert.sees("Bent u er?")


async def test_a_wrong_password_is_reported_and_nobody_is_logged_in(scene: Scene) -> None:
    stranger = await scene.stranger()
    await stranger.hook("login-username").fill("an")
    await stranger.hook("login-password").fill("fout")
    stranger.expects("401")
    await stranger.hook("login-submit").click()
    await expect(stranger.page.get_by_role("alert").filter(has_text="horen niet bij elkaar")).to_be_visible()
    await expect(stranger.hook("login-password")).to_be_focused()
    await stranger.page.reload()
    await expect(stranger.hook("login-submit")).to_be_visible()
