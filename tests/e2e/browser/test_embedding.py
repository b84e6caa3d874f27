"""The widget on pages of other sites that do what pages do, and the API for their web masters (docs/embedding.md)."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.e2e.browser.host_pages import STRICT, HostPages, host_pages
from tests.e2e.browser.people import DESKTOP, PHONE, Person, Scene, focused, press, until
from tests.support.accounts import Account
from tests.support.browsers.systems import FORM, running_browser_system
from tests.support.clients import agent
from tests.support.servers import Broker, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

FIELDS = "".join(
    f'<p><label>Veld {n} <input id="f{n}" style="width: 100%; height: 40px"></label></p>' for n in range(30)
)
ELSEWHERE = "elders"
CONTENT = '<eloket-chat department="{}" locale="nl"><a id="own" href="tel:+3225550100">Bel ons</a></eloket-chat>'
RECORD = """<script>
  window.seen = [];
  for (const name of ["ready", "button", "opened", "closed", "started", "status", "message", "ended", "active"])
    document.addEventListener("eloket-chat-" + name, ({ detail }) => seen.push([name, detail]));
</script>"""
"""Keeps the events of the element."""
BOX = """(name) => {
    const part = document.querySelector("eloket-chat").shadowRoot.querySelector(name);
    const { x, y, width, height } = part.getBoundingClientRect();
    return [x, y, width, height];
}"""
STYLE = """([name, property]) =>
    getComputedStyle(document.querySelector("eloket-chat").shadowRoot.querySelector(name))[property]"""
ON_TOP = """(name) => {
    const { shadowRoot } = document.querySelector("eloket-chat");
    const { x, y, width, height } = shadowRoot.querySelector(name).getBoundingClientRect();
    const at = shadowRoot.elementFromPoint(x + width / 2, y + height / 2);
    return at !== null && shadowRoot.querySelector(name).contains(at);
}"""
"""Whether a press in the middle of this part reaches it."""
COVERED = """(id) => {
    const field = document.getElementById(id).getBoundingClientRect();
    const { shadowRoot } = document.querySelector("eloket-chat");
    return [...shadowRoot.querySelectorAll(".launcher:not([hidden]), dialog[open]")]
        .some((part) => {
            const box = part.getBoundingClientRect();
            return box.left < field.right && box.right > field.left && box.top < field.bottom && box.bottom > field.top;
        });
}"""


ASKS_FIRST = f'<eloket-chat department="{FORM}" locale="nl"></eloket-chat>'
"""The element of a department whose press opens a form."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of the host pages, known before their server listens."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="module")
def system(port: int, tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system of which two departments list the origin of the host pages, and one of these asks first."""
    home = tmp_path_factory.mktemp("embedding")
    departments = home / "departments.toml"
    origins = f'origins = ["http://127.0.0.1:{port}"]'
    text = Path("deploy/departments.toml").read_text().replace("origins = []", origins, 1)
    text = text.replace(f'id = "{FORM}"', f'id = "{FORM}"\nstart = "form"\n{origins}', 1)
    names = 'names = { nl = "E", fr = "E", de = "E", en = "E" }'
    other = f'\n[[departments]]\nid = "{ELSEWHERE}"\n{names}\norigins = ["https://www.example.be"]\n'
    departments.write_text(text + other)
    variables = {"DEPARTMENTS_FILE": str(departments)}
    with running_browser_system(home, [Account("ada", capacity=3)], broker, mongodb_url, **variables) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def host(port: int) -> AsyncIterator[HostPages]:
    async with host_pages(port) as made:
        yield made


async def visits(scene: Scene, address: str, size: tuple[int, int] = DESKTOP, **options: bool) -> Person:
    """A citizen on a host page."""
    someone = await scene.citizen(size=size, **options)  # type: ignore[arg-type]
    someone.sites.append(address.rsplit("/", 1)[0])
    await someone.page.goto(address)
    return someone


async def box(page: Page, name: str) -> list[float]:
    found: list[float] = await page.evaluate(BOX, name)
    return found


async def events(someone: Person, name: str) -> list[dict[str, object]]:
    """The details of the events of this name."""
    found = await someone.page.evaluate(
        "(name) => seen.filter(([one]) => one === name).map(([, detail]) => detail)", name
    )
    return list(found)


HOSTILE = {
    "font size": "<style>html { font-size: 62.5% }</style>",
    "larger": "<style>html { font-size: 30px } body { font-size: 3em; line-height: 3 }</style>",
    "transform": "<style>body { transform: translateY(0); height: 2000px }</style>",
    "filter": "<style>body { filter: blur(0); will-change: transform; height: 2000px; opacity: .99 }</style>",
    "inherited": """<style>* { all: unset }
        body { text-transform: uppercase; letter-spacing: 9px; word-spacing: 3em; text-align: center; direction: rtl;
               font: italic 900 40px serif; visibility: visible; color: hotpink; cursor: crosshair; white-space: pre }
        script, style, title, head { display: none }</style>""",
    "z-index": """<style>#veil { position: fixed; inset: 0; z-index: 2147483647; background: #fffe }</style>
        <div id="veil"></div>""",
}


async def test_a_page_changes_neither_size_nor_place_nor_text(scene: Scene, host: HostPages) -> None:
    await scene.agent("ada")
    plain = await visits(scene, host.add("/plain", scene.base, element=ASKS_FIRST))
    await plain.button("green")
    launcher = await box(plain.page, ".launcher")
    await plain.hook("chat-button").click()
    await expect(plain.hook("start-submit")).to_be_visible()
    panel = await box(plain.page, ".panel")
    assert (launcher[0] + launcher[2], launcher[1] + launcher[3]) == (DESKTOP[0] - 16, DESKTOP[1] - 16)
    assert panel[2:] == [400, 640]
    for name, head in HOSTILE.items():
        path = "/" + name.replace(" ", "-")
        await plain.page.goto(host.add(path, scene.base, f"<main>{FIELDS}</main>", head, ASKS_FIRST))
        await plain.button("green")
        assert await box(plain.page, ".launcher") == launcher, name
        assert await plain.page.evaluate(ON_TOP, ".launcher"), name
        await plain.hook("chat-button").click()
        await expect(plain.hook("start-submit")).to_be_visible()
        assert await box(plain.page, ".panel") == panel, name
        for part in (".panel p", ".panel label", ".panel button.primary"):
            for rule, value in {
                "fontSize": "16px",
                "textTransform": "none",
                "letterSpacing": "normal",
                "wordSpacing": "0px",
                "direction": "ltr",
                "fontStyle": "normal",
            }.items():
                assert await plain.page.evaluate(STYLE, [part, rule]) == value, (name, part, rule)
        assert await plain.page.evaluate(ON_TOP, ".panel"), name


async def test_a_page_moves_it_out_of_the_way_of_its_cookie_banner(scene: Scene, host: HostPages) -> None:
    banner = """<style>#cookies { position: fixed; inset: auto 0 0 0; height: 120px; background: #eee }
        .low { --eloket-chat-offset-bottom: 136px; --eloket-chat-offset-inline: 40px }
        #all { float: right }</style>
        <div id="cookies"><button id="all" onclick="this.textContent = 'ok'">Alles aanvaarden</button></div>"""
    element = '<eloket-chat class="low" side="left" department="algemeen" locale="nl"></eloket-chat>'
    someone = await visits(scene, host.add("/cookies", scene.base, body=banner, element=element))
    await someone.button("blue")
    x, y, _, height = await box(someone.page, ".launcher")
    assert (x, y + height) == (40, DESKTOP[1] - 136)
    await someone.page.locator("#all").click()
    await expect(someone.page.locator("#all")).to_have_text("ok")
    await someone.page.evaluate("document.querySelector('eloket-chat').removeAttribute('side')")
    x, _, width, _ = await box(someone.page, ".launcher")
    assert x + width == DESKTOP[0] - 40


async def test_what_is_typed_in_the_chat_does_not_reach_the_page(scene: Scene, host: HostPages) -> None:
    script = """<p><input id="search"></p><script>
        window.keys = [];
        for (const type of ["keydown", "keypress", "keyup", "input", "paste", "focusin"])
          document.addEventListener(type, (event) => {
            keys.push(type + " " + (event.key ?? ""));
            if (event.key === "/") { event.preventDefault(); document.querySelector("#search").focus(); }
          });
    </script>"""
    await scene.agent("ada")
    someone = await visits(scene, host.add("/keys", scene.base, body=script))
    await press(someone, "Lien / Jan", "of / niet")
    await someone.dot("green")
    await someone.hook("chat-input").press_sequentially("mijn / dossier")
    await someone.hook("chat-input").press("Enter")
    await someone.sees("mijn / dossier")
    await someone.hook("chat-close").press("Enter")
    await someone.page.keyboard.press("Escape")
    await focused(someone, "chat-close")  # the panel's own rules go on
    await someone.page.keyboard.press("Escape")
    await focused(someone, "chat-button")
    assert await someone.page.evaluate("keys") == []
    await someone.page.keyboard.press("Enter")
    await focused(someone, "chat-input")
    assert await someone.page.evaluate("keys") == []
    await someone.hook("chat-minimise").click()
    await focused(someone, "chat-button")
    await someone.page.keyboard.press("/")
    assert await someone.page.evaluate("document.activeElement.id") == "search"  # shortcuts work beside the chat


async def test_neither_launcher_nor_panel_covers_the_field_with_the_focus(scene: Scene, host: HostPages) -> None:
    await scene.agent("ada")
    for size in (PHONE, DESKTOP):
        someone = await visits(scene, host.add("/fields", scene.base, FIELDS, element=ASKS_FIRST), size)
        await someone.button("green")
        before = await box(someone.page, ".launcher")
        for n in range(30):
            await someone.page.keyboard.press("Tab")
            assert await someone.page.evaluate("document.activeElement.id") == f"f{n}"

            async def free(name: str = f"f{n}", who: Person = someone) -> bool:
                return not await who.page.evaluate(COVERED, name)

            await until(free)
        await someone.page.keyboard.press("Tab")
        await focused(someone, "chat-button")  # also when it had to leave the screen

        async def back(who: Person = someone, there: list[float] = before) -> bool:
            return await box(who.page, ".launcher") == there

        await until(back)
    await someone.page.keyboard.press("Enter")
    await expect(someone.hook("start-submit")).to_be_visible()
    await someone.page.locator("#f29").focus()
    await until(free)
    await expect(someone.hook("chat-minimise")).to_be_in_viewport()  # its head stays in sight
    await someone.page.evaluate("document.activeElement.blur()")
    await expect(someone.hook("start-submit")).to_be_visible()


async def test_on_a_phone_back_closes_the_panel_and_the_page_stays(scene: Scene, host: HostPages) -> None:
    routes = """<script>
        window.routes = [];
        history.replaceState({ key: "first", position: 1 }, "");
        history.pushState({ key: "second", position: 2 }, "", "#stap-2");
        addEventListener("popstate", ({ state }) => routes.push(state?.key ?? null));
    </script>"""
    await scene.agent("ada")
    someone = await visits(
        scene, host.add("/routes", scene.base, body=routes + FIELDS), PHONE, has_touch=True, is_mobile=True
    )
    await someone.button("green")
    _, _, width, height = await box(someone.page, ".launcher")
    assert (width, height) == (56, 56)
    await expect(someone.hook("chat-button")).to_have_accessible_name(re.compile("Chat met een medewerker"))
    panel = someone.page.locator("eloket-chat dialog")
    marked = "history.state.eloketChat === true"
    for _ in range(2):
        await someone.hook("chat-button").tap()
        await expect(panel).to_be_visible()
        await someone.page.wait_for_function(marked)
        await someone.page.go_back()
        await expect(panel).to_be_hidden()
        assert await someone.page.evaluate("[history.state.key, location.hash]") == ["second", "#stap-2"]
    await someone.hook("chat-button").tap()
    await someone.page.wait_for_function(marked)
    await someone.hook("chat-minimise").tap()
    await someone.page.wait_for_function("!history.state.eloketChat")
    assert set(await someone.page.evaluate("routes")) == {"second"}  # the router is told what it shows already
    await someone.page.go_back()
    assert await someone.page.evaluate("[routes.at(-1), history.state.key]") == ["first", "first"]
    # a page that closes the panel goes on to where it wants
    await someone.hook("chat-button").tap()
    await someone.page.wait_for_function(marked)
    await someone.page.evaluate("""async () => {
        await document.querySelector("eloket-chat").close();
        history.pushState({ key: "third" }, "", "#stap-3");
    }""")
    await expect(panel).to_be_hidden()
    await asyncio.sleep(0.5)
    assert await someone.page.evaluate("[history.state.key, location.hash]") == ["third", "#stap-3"]


async def test_the_keyboard_of_a_phone_leaves_the_bar_in_sight(scene: Scene, host: HostPages) -> None:
    await scene.agent("ada")
    someone = await visits(scene, host.add("/keyboard", scene.base), PHONE, has_touch=True, is_mobile=True)
    await press(someone)
    await someone.dot("green")
    await someone.hook("chat-input").tap()
    await someone.page.evaluate("""() => {
        Object.defineProperty(visualViewport, "height", { value: 400 });
        visualViewport.dispatchEvent(new Event("resize"));
    }""")
    for name in ("chat-input", "chat-send"):
        found = await someone.hook(name).bounding_box()
        assert found is not None
        assert found["y"] + found["height"] <= 400


async def test_mistakes_of_a_page_are_reported_in_one_line_and_harm_nothing(scene: Scene, host: HostPages) -> None:
    plain = CONTENT.format("algemeen")
    address = host.add("/wrong", scene.base, element=CONTENT.format("onbekend"))
    someone = await scene.citizen()
    someone.sites += [host.origin, host.unlisted]
    someone.expects("eloket-chat:", "404", "CORS", "ERR_FAILED")
    said: list[str] = []
    someone.page.on("console", lambda message: said.append(message.text) if message.type == "warning" else None)
    asked: list[str] = []
    someone.page.on("request", lambda request: asked.append(request.url))

    await someone.page.goto(address)
    await until_said(said, 1)
    await expect(someone.page.locator("#own")).to_be_visible()
    await expect(someone.hook("chat-button")).to_have_count(0)
    assert said == [f'eloket-chat: {scene.base} has no department "onbekend". The element shows its own content.']
    asked.clear()
    await asyncio.sleep(4)
    # The server is left alone; what is only fetched once may still come, on a slow machine.
    assert [address for address in asked if "/static/" not in address] == []
    await someone.page.evaluate("document.querySelector('eloket-chat').setAttribute('department', 'algemeen')")
    await someone.button("blue")

    said.clear()
    host.add("/unlisted", scene.base, element=plain)
    await someone.page.goto(f"{host.unlisted}/unlisted")
    await until_said(said, 1)
    await expect(someone.page.locator("#own")).to_be_visible()
    assert said == [
        f'eloket-chat: {scene.base} does not list {host.unlisted} among the origins of department "algemeen". '
        "The element shows its own content."
    ]

    said.clear()
    await someone.page.goto(host.add("/elsewhere", scene.base, element=CONTENT.format(ELSEWHERE)))
    await until_said(said, 1)
    await expect(someone.page.locator("#own")).to_be_visible()
    await expect(someone.hook("chat-button")).to_have_count(0)
    assert said == [
        f'eloket-chat: {scene.base} does not list {host.origin} among the origins of department "{ELSEWHERE}". '
        "The element shows its own content."
    ]

    said.clear()
    await someone.page.goto(host.add("/two", scene.base, element=CONTENT.format("algemeen") * 2))
    await someone.button("blue")
    await until_said(said, 1)
    assert said == ["eloket-chat: a page has one <eloket-chat>; this one is not shown."]
    assert await someone.page.locator("eloket-chat").nth(1).evaluate("(element) => element.shadowRoot") is None
    await someone.page.evaluate("document.querySelector('eloket-chat').remove()")
    await someone.button("blue")  # the other takes its place
    assert len(said) == 1


async def until_said(said: list[str], count: int) -> None:
    async def enough() -> bool:
        return len(said) >= count

    await until(enough)


async def test_under_a_strict_policy_everything_works(scene: Scene, host: HostPages, tmp_path: Path) -> None:
    ada = await scene.agent("ada")
    someone = await visits(scene, host.add("/strict", scene.base, policy=STRICT))
    await press(someone, "Lien", "Werkt dit?")
    await someone.dot("green")
    await ada.sees("Werkt dit?")
    assert await box(someone.page, ".panel") == [DESKTOP[0] - 416, DESKTOP[1] - 656, 400, 640]
    file = tmp_path / "brief.txt"
    file.write_text("Beste")
    await someone.upload(file)
    await expect(ada.hook("chat-messages").get_by_text("brief.txt").first).to_be_visible()
    await someone.page.evaluate("""() => {
        window.rung = [];
        window.OscillatorNode = class extends OscillatorNode {
            constructor(audio, options) { super(audio, options); rung.push(audio.state); }
        };
    }""")
    await someone.hook("chat-settings").click()
    await someone.hook("set-sound").check()
    await someone.page.wait_for_function("() => rung.includes('running')")


async def test_a_page_starts_a_chat_with_what_it_knows_and_follows_it(scene: Scene, host: HostPages) -> None:
    ada = await scene.agent("ada")
    element = (
        f'<eloket-chat hide-launcher department="{FORM}" locale="nl" form-id="p-1" form-title="Premie"></eloket-chat>'
    )
    body = '<button id="help">Hulp</button>' + RECORD
    someone = await visits(scene, host.add("/api", scene.base, body=body, element=element))
    await someone.page.wait_for_function("document.querySelector('eloket-chat').state?.colour === 'green'")
    await expect(someone.hook("chat-button")).to_be_hidden()
    assert (await events(someone, "ready"))[0]["open"] is False
    await someone.page.evaluate("""() => {
        const chat = document.querySelector("eloket-chat");
        chat.context = { step: "Stap 3", field: "Rekeningnummer", error: "IBAN-07" };
        document.querySelector("#help").onclick = () => chat.open();
    }""")
    await someone.page.locator("#help").click()
    await expect(someone.hook("start-submit")).to_be_visible()
    await someone.hook("chat-minimise").click()
    await someone.page.wait_for_function("document.activeElement.id === 'help'")
    assert [len(await events(someone, name)) for name in ("opened", "closed")] == [1, 1]

    given = {"name": "Lien Claes", "question": "Mijn IBAN is fout", "form": {"error": "IBAN-08"}}
    answer = await someone.page.evaluate("(given) => document.querySelector('eloket-chat').start(given)", given)
    assert answer["started"] is True
    await someone.dot("green")
    await someone.sees("Mijn IBAN is fout")
    await expect(someone.hook("chat-context")).to_have_text(
        "De medewerker ziet waar u in het formulier bent: Stap 3, Rekeningnummer, IBAN-08"
    )
    about = ada.page.locator(".about")
    for text in ("Premie", "Stap 3", "Rekeningnummer", "IBAN-08"):
        await expect(about).to_contain_text(text)
    again = await someone.page.evaluate("document.querySelector('eloket-chat').start({ question: 'nog eens' })")
    assert again == {"started": False, "code": "open"}

    await ada.say("Dag Lien")
    await someone.sees("Dag Lien")
    await ada.hook("chat-close").click()
    await ada.hook("confirm").click()
    await someone.dot("red")
    await someone.page.wait_for_function("seen.some(([name]) => name === 'ended')")
    chat = answer["chat_id"]
    assert await events(someone, "started") == [{"chat_id": chat}]
    assert await events(someone, "ended") == [{"chat_id": chat, "reason": "agent"}]
    messages = await events(someone, "message")
    assert [one["from"] for one in messages][-1:] == ["agent"]
    assert all("text" not in one for one in messages)
    dots = [one["dot"] for one in await events(someone, "status")]
    assert dots[0] == "grey"
    assert dots[-2:] == ["green", "red"]
    await someone.page.evaluate("document.querySelector('eloket-chat').close()")
    await expect(someone.page.locator("eloket-chat dialog")).to_be_hidden()
    state = await someone.page.evaluate("document.querySelector('eloket-chat').state")
    assert (state["open"], state["dot"]) == (False, "red")


async def test_the_session_of_the_page_lasts_as_long_as_the_chat(scene: Scene, host: HostPages) -> None:
    element = '<eloket-chat department="algemeen" locale="nl" {}></eloket-chat>'
    async with agent(scene.base, "ada"):
        await _two_pages(scene, host, element)


async def _two_pages(scene: Scene, host: HostPages, element: str) -> None:
    without = await visits(scene, host.add("/form", scene.base, element=element.format("")))
    await press(without)
    await without.dot("green")
    without.expects("401")

    async def over() -> bool:
        return bool(await without.page.evaluate("fetch('/session').then((answer) => answer.status === 401)"))

    await until(over)
    kept = 'keep-alive="/alive" keep-alive-seconds="1"'
    citizen = await visits(scene, host.add("/kept", scene.base, body=RECORD, element=element.format(kept)))
    await press(citizen)
    await citizen.dot("green")
    begun = host.pings

    async def lasted() -> bool:
        return host.pings - begun > host.session  # one each second at most: longer than the session

    await until(lasted)
    assert await citizen.page.evaluate("fetch('/session').then((answer) => answer.status)") == 200
    assert len(await events(citizen, "active")) >= host.session
    await citizen.hook("chat-close").click()
    await citizen.hook("confirm").click()
    await citizen.dot("red")
    pings = host.pings
    await asyncio.sleep(2.5)
    assert host.pings <= pings + 1  # it ends with the chat


OLD = """() => {
    for (const name of ["popover", "showPopover", "hidePopover", "togglePopover"]) delete HTMLElement.prototype[name];
    const real = CSSStyleSheet;
    window.CSSStyleSheet = class { constructor() { throw new TypeError("Illegal constructor"); } };
    delete ShadowRoot.prototype.adoptedStyleSheets;
    delete Document.prototype.adoptedStyleSheets;
    delete AbortSignal.timeout;
    delete HTMLFormElement.prototype.requestSubmit;
    delete crypto.randomUUID;
    delete window.CloseWatcher;
}"""
"""Takes away what Safari 15.4 does not have."""


async def test_an_older_browser_has_the_button_and_the_chat(scene: Scene, host: HostPages) -> None:
    await scene.agent("ada")
    someone = await scene.citizen()
    someone.sites.append(host.origin)
    await someone.context.add_init_script(f"({OLD})()")
    await someone.page.goto(host.add("/old", scene.base, body=FIELDS))
    await someone.button("green")
    assert await someone.page.evaluate(STYLE, [".launcher", "position"]) == "fixed"
    await press(someone, "Lien", "Hallo")
    await someone.dot("green")
    await someone.say("Met Enter")
    await someone.sees("Met Enter")
    assert await box(someone.page, ".panel") == [DESKTOP[0] - 416, DESKTOP[1] - 656, 400, 640]


async def test_a_browser_without_dialogs_keeps_the_content_of_the_element(scene: Scene, host: HostPages) -> None:
    someone = await scene.citizen()
    someone.sites.append(host.origin)
    await someone.context.add_init_script("delete window.HTMLDialogElement")
    await someone.page.goto(host.add("/older", scene.base, element=CONTENT.format("algemeen")))
    await expect(someone.page.locator("#own")).to_be_visible()
    assert await someone.page.evaluate("customElements.get('eloket-chat')") is None


async def test_a_page_without_reloads_keeps_the_chat_and_its_own_dialog_stays_in_front(
    scene: Scene, host: HostPages
) -> None:
    ada = await scene.agent("ada")
    body = '<dialog id="own"><button id="ok">Goed</button></dialog>'
    someone = await visits(scene, host.add("/spa", scene.base, body=body))
    await press(someone, "Lien", "Eerste")
    await someone.dot("green")
    await someone.hook("chat-input").fill("half af")
    for n in range(3):
        await someone.page.evaluate(
            """(n) => {
            const next = document.createElement("eloket-chat");
            next.setAttribute("department", "algemeen");
            next.setAttribute("locale", "nl");
            document.body.append(next);
            document.querySelector("eloket-chat").remove();
            history.pushState({ n }, "", "#" + n);
        }""",
            n,
        )
    await someone.dot("green")
    await expect(someone.hook("chat-input")).to_have_value("half af")
    await someone.hook("chat-input").press("Enter")
    await ada.sees("half af")
    await someone.page.evaluate("document.querySelector('#own').showModal()")
    await someone.page.locator("#ok").click()
    assert await someone.page.evaluate("document.activeElement.id") == "ok"
    await someone.page.keyboard.press("Escape")
    await expect(someone.page.locator("#own")).to_be_hidden()
    await expect(someone.hook("chat-input")).to_be_visible()
    assert await someone.page.evaluate(ON_TOP, ".panel")
