"""Files that an agent chooses together: in the order chosen, past one that is refused, and none after the session."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.e2e.browser.people import Scene
from tests.e2e.browser.test_typing import in_conversation

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SIZES = {"een.txt": 3_000_000, "twee.txt": 10, "drie.exe": 300, "vier.txt": 1_500_000, "vijf.txt": 1}


async def test_files_arrive_in_the_order_chosen_and_a_refused_one_holds_none_back(scene: Scene, tmp_path: Path) -> None:
    files = [tmp_path / name for name in SIZES]
    for file in files:
        file.write_bytes(b"MZ\0\1" * 75 if file.suffix == ".exe" else b"x" * SIZES[file.name])
    async with in_conversation(scene) as (an, anna):
        an.expects("415")
        await an.upload(*files)
        await anna.expect("message", attachment=lambda file: file is not None and file["name"] == "vijf.txt")
        shown = [m["attachment"]["name"] for m in anna.messages() if m["from"] == "agent"]
        assert shown == ["een.txt", "twee.txt", "vier.txt", "vijf.txt"]
        refused = an.hook("upload")
        await expect(refused).to_have_count(1)
        await expect(refused).to_contain_text("drie.exe is niet opgeladen: dit soort bestand is niet toegelaten")
        async with an.page.expect_response(lambda answer: answer.status == 415):
            await an.hook("upload-again").click()
        await expect(an.hook("upload-again")).to_be_visible()
        await expect(refused).to_have_count(1)
        await expect(an.page.get_by_role("link", name="een.txt downloaden (3 MB)")).to_be_visible()


async def test_the_end_of_a_session_sends_none_of_the_files_that_wait(scene: Scene, tmp_path: Path) -> None:
    files = [tmp_path / "een.txt", tmp_path / "twee.txt"]
    for file in files:
        file.write_bytes(b"x")
    sent: list[str] = []
    begun = asyncio.Event()

    async def hold(route: Route) -> None:
        sent.append(route.request.url)
        begun.set()

    async with in_conversation(scene) as (an, _):
        await an.page.route("**/attachments", hold)
        await an.upload(*files)
        await begun.wait()
        an.expects("401")
        ended = await an.context.request.delete(f"{an.base}/api/agent/session", headers={"Origin": an.base})
        assert ended.status == 204
        await expect(an.page.get_by_text("Uw sessie is beëindigd.")).to_be_visible()
        await an.page.evaluate("fetch('/api/settings').then((later) => later.text())")  # a next file is before it
        assert len(sent) == 1
        await expect(an.page.locator("#announce")).not_to_contain_text("een.txt")
