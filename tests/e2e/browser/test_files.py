"""Attachments and downloads through the browser: every byte as it was, both ways, and all four formats."""

import json
import os
from io import BytesIO
from pathlib import Path

import pytest
from playwright.async_api import expect
from pypdf import PdfReader

from tests.e2e.browser.people import DESKTOP, PHONE, Scene, press, talking
from tests.e2e.browser.test_accessibility import problems

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001"
    "e221bc330000000049454e44ae426082"
)


async def test_attachments_go_both_ways_byte_for_byte(scene: Scene, tmp_path: Path) -> None:
    citizen, agent = await talking(scene)
    for name, here, there in (("gevel é 1.png", citizen, agent), ("brief.png", agent, citizen)):
        file = tmp_path / name
        file.write_bytes(PNG + os.urandom(200_000))
        await here.upload(file)
        shown = there.hook("chat-messages").locator(".file", has_text=name)
        for person in (there, here):
            link = person.hook("chat-messages").locator(".file", has_text=name)
            await expect(link).to_be_enabled()
            assert await person.saved(link) == (name, file.read_bytes())
        await expect(shown).to_have_count(1)


async def test_a_file_that_is_not_taken_is_explained_and_the_others_go_on(scene: Scene, tmp_path: Path) -> None:
    citizen, agent = await talking(scene)
    wrong, right, huge = tmp_path / "programma.png", tmp_path / "lijst.csv", tmp_path / "groot.png"
    wrong.write_bytes(b"MZ\x90\x00" + bytes(5000))
    right.write_text("a;b\n1;2\n")
    huge.write_bytes(PNG + bytes(10 * 1024 * 1024))
    citizen.expects("415")
    await citizen.upload(wrong, huge, right)
    rows = citizen.page.locator(".upload")
    await expect(rows.filter(has_text="programma.png")).to_contain_text("Dit soort bestand kan niet")
    await expect(rows.filter(has_text="programma.png")).to_contain_text("Wel: pdf, png, jpeg")
    await expect(rows.filter(has_text="groot.png")).to_contain_text("Het bestand is te groot")
    await expect(agent.hook("chat-messages").locator(".file", has_text="lijst.csv")).to_be_visible()
    await rows.filter(has_text="groot.png").get_by_role("button", name="Verwijderen").click()
    await rows.filter(has_text="programma.png").get_by_role("button", name="Verwijderen").click()
    await expect(rows).to_have_count(0)
    await citizen.dot("green")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_many_refused_files_leave_the_bar_in_sight(scene: Scene, tmp_path: Path, size: tuple[int, int]) -> None:
    citizen, _ = await talking(scene)
    await citizen.page.set_viewport_size({"width": size[0], "height": size[1]})
    files = [tmp_path / f"programma {number}.png" for number in range(6)]
    for file in files:
        file.write_bytes(b"MZ\x90\x00" + bytes(5000))
    citizen.expects("415")
    await citizen.upload(*files)
    rows = citizen.page.locator(".upload.wrong")
    await expect(rows).to_have_count(len(files))
    for hook in ("chat-minimise", "chat-input", "chat-send", "chat-close"):
        await expect(citizen.hook(hook)).to_be_in_viewport(ratio=1)
        await citizen.hook(hook).click(trial=True)
    await expect(rows.last.get_by_role("button", name="Verwijderen")).to_be_in_viewport(ratio=1)
    assert not await problems(citizen.page)


async def test_what_does_not_fit_into_the_panel_is_reached_by_a_wheel(scene: Scene, tmp_path: Path) -> None:
    await scene.agent()
    citizen = await scene.citizen()
    await press(citizen)  # the card that asks for a name stays
    await citizen.dot("green")
    wrong = tmp_path / "programma.png"
    wrong.write_bytes(b"MZ\x90\x00" + bytes(5000))
    citizen.expects("415")
    await citizen.upload(wrong)
    await expect(citizen.page.locator(".upload.wrong")).to_be_visible()
    await citizen.hook("chat-download").click()
    await citizen.page.set_viewport_size({"width": DESKTOP[0], "height": 500})
    await expect(citizen.hook("name-card")).to_be_visible()
    await expect(citizen.hook("chat-close")).not_to_be_in_viewport(ratio=1)
    await citizen.hook("chat-dot").hover()
    await citizen.page.mouse.wheel(0, 2000)
    await expect(citizen.hook("chat-close")).to_be_in_viewport(ratio=1)
    await expect(citizen.hook("chat-send")).to_be_in_viewport(ratio=1)
    await expect(citizen.hook("chat-minimise")).to_be_in_viewport(ratio=1)


async def test_files_chosen_together_arrive_in_the_order_chosen(scene: Scene, tmp_path: Path) -> None:
    citizen, agent = await talking(scene)
    files = [tmp_path / f"blad {number}.png" for number in (3, 1, 5, 2, 4)]
    for file, size in zip(files, (900_000, 10, 600_000, 100, 300_000), strict=True):
        file.write_bytes(PNG + os.urandom(size))
    await citizen.upload(*files)
    names = agent.hook("chat-messages").locator(".file bdi, .file .name")
    await expect(names).to_have_count(len(files))
    assert await names.all_inner_texts() == [file.name for file in files]


async def test_a_message_with_what_cannot_be_sent_says_so_and_offers_no_retry(scene: Scene) -> None:
    citizen, _ = await talking(scene)
    await citizen.hook("chat-input").evaluate("(input) => { input.value = 'a\\0b'; input.form.requestSubmit(); }")
    failed = citizen.page.locator(".message.failed")
    await expect(failed).to_contain_text("tekens die niet kunnen worden verzonden")
    await expect(failed.get_by_role("button", name="Opnieuw verzenden")).to_have_count(0)
    await failed.get_by_role("button", name="Verwijderen").click()
    await expect(failed).to_have_count(0)


async def test_the_conversation_is_saved_in_four_formats_by_both(scene: Scene) -> None:
    citizen, agent = await talking(scene, "Mag dit? 😀")
    await agent.say("Ja, dat mag <altijd>.")
    await citizen.sees("Ja, dat mag <altijd>.")
    for person in (citizen, agent):
        for format in ("txt", "html", "pdf", "json"):
            await person.hook("chat-download").click()
            name, body = await person.saved(person.hook(f"download-{format}"))
            assert name.endswith(f".{format}")
            text = PdfReader(BytesIO(body)).pages[0].extract_text() if format == "pdf" else body.decode()
            assert "dat mag" in text
            assert ("<altijd>" in text) is (format != "html")
            if format == "json":
                said = [m["text"] for m in json.loads(body)["messages"] if m["from"] != "system"]
                assert said == ["Mag dit? 😀", "Ja, dat mag <altijd>."]
