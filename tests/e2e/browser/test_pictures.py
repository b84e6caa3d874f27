"""The conversation that the README shows. With SCREENSHOTS=1 its pictures are made again, in docs/images/."""

import base64
import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.browser.people import PHONE, Person, Scene, press, shows_typing

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
LARGEST = 300_000  # bytes
LETTER = "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
PAIR = """<!doctype html><style>
  body { margin: 0; padding: 28px; width: 1224px; background: #dfe5ec; color: #1a2632; font: 600 17px sans-serif; }
  main { display: flex; gap: 28px; } figure { margin: 0; } figcaption { margin: 0 0 10px; }
  img { display: block; border-radius: 10px; box-shadow: 0 2px 14px #0004; }
</style><main>
  <figure><figcaption>De burger</figcaption><img width="420" src="data:image/png;base64,%s"></figure>
  <figure><figcaption>De medewerker</figcaption><img width="776" src="data:image/png;base64,%s"></figure>
</main>"""


async def converse(citizen: Person, agent: Person, file: Path) -> None:
    await press(citizen, "Lien Claes", "Mag een factuur van vorig jaar nog meetellen voor de premie?")
    await agent.sees("Mag een factuur van vorig jaar nog meetellen voor de premie?")
    for here, there, text in (
        (agent, citizen, "Goeiedag Lien, dat mag. Hebt u de factuur bij de hand?"),
        (citizen, agent, "Ja, ik stuur ze meteen door."),
    ):
        await here.say(text)
        await there.sees(text)
    await citizen.upload(file)
    await expect(agent.hook("chat-messages").locator(".file", has_text=file.name)).to_be_visible()
    await agent.say("Dank u, ik voeg ze toe aan uw aanvraag.")
    await citizen.sees("Dank u, ik voeg ze toe aan uw aanvraag.")
    await expect(agent.hook("chat-messages").get_by_text("Gelezen door de burger")).to_be_visible()
    await shows_typing(citizen, "Hartelijk dank", agent.page.locator("form .typing", has_text="is aan het typen"))


def save(name: str, body: bytes) -> None:
    assert len(body) < LARGEST, f"{name} has {len(body)} bytes"
    if os.environ.get("SCREENSHOTS") == "1":
        IMAGES.mkdir(parents=True, exist_ok=True)
        (IMAGES / name).write_bytes(body)


async def test_a_conversation_side_by_side(scene: Scene, tmp_path: Path) -> None:
    agent = await scene.agent(size=(960, 700), device_scale_factor=2)
    citizen = await scene.citizen(size=(520, 700), device_scale_factor=2)
    file = tmp_path / "factuur-2025.pdf"
    file.write_text(LETTER)
    await converse(citizen, agent, file)
    shots = [base64.b64encode(await person.page.screenshot()).decode() for person in (citizen, agent)]
    context = await scene.browser.new_context(viewport={"width": 1280, "height": 700}, device_scale_factor=1.5)
    page = await context.new_page()
    await page.set_content(PAIR % tuple(shots))
    save("journey.png", await page.locator("body").screenshot())
    await context.close()


async def test_a_conversation_on_a_phone(scene: Scene, tmp_path: Path) -> None:
    agent = await scene.agent()
    citizen = await scene.citizen(size=PHONE, device_scale_factor=2, has_touch=True, is_mobile=True)
    file = tmp_path / "factuur-2025.pdf"
    file.write_text(LETTER)
    await converse(citizen, agent, file)
    save("phone.png", await citizen.page.screenshot())
