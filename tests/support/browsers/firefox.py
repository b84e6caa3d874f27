"""Debian's Firefox ESR without a window, over WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/).

Firefox speaks the protocol itself, so no driver is needed. The connection is Selenium's. Playwright speaks the protocol
too, but with a command that Firefox ESR 153 does not have (`emulation.setMediaFeaturesOverride`).
"""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium.webdriver.remote.websocket_connection import WebSocketConnection

from tests.support.browsers.engines import running_program
from tests.support.servers import START_SECONDS, wait_for

PREFERENCES: dict[str, bool | int | str] = {
    "ui.prefersReducedMotion": 1,
    "intl.accept_languages": "nl-BE, nl",
    "dom.ipc.processCount": 1,  # one process for pages, and none kept in store: memory
    "dom.ipc.processPrelaunch.enabled": False,
    "browser.startup.page": 0,
    "browser.newtabpage.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.download.alwaysOpenPanel": False,  # it takes the focus from the page
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#",  # asks nobody for news
    "app.normandy.enabled": False,
}
POLL = 0.005  # seconds between two looks for an answer
FORCED = "browser.display.document_color_use"
"""2: the user's colours always, which pages see as `forced-colors: active`; 0: the page's."""
ADDRESS = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
WAYS = ("Down", "Up")
CALL = "async (text) => JSON.stringify(await (function () {{ {body} }}).apply(null, JSON.parse(text)))"
NODE = "(text) => (function () {{ {body} }}).apply(null, JSON.parse(text))"


class Firefox:
    """A running Firefox. Each `fresh()` is a container of its own, with its cookies and storage."""

    def __init__(self, address: str, downloads: Path) -> None:
        """`address`: of its websocket."""
        self.downloads = downloads
        self._connection = WebSocketConnection(address, START_SECONDS, POLL)  # type: ignore[no-untyped-call]  # it has no types
        self._send("session.new", capabilities={})
        self._send(
            "browser.setDownloadBehavior",
            downloadBehavior={"type": "allowed", "destinationFolder": str(downloads)},
        )
        self._container = self._page = ""
        [chrome] = self._send("browsingContext.getTree", maxDepth=0, **{"moz:scope": "chrome"})["contexts"]
        self._chrome: str = chrome["context"]

    def open(self, address: str) -> None:
        self._send("browsingContext.navigate", context=self._page, url=address, wait="complete")

    def run(self, body: str, *arguments: object) -> Any:
        found = self._call(CALL, body, arguments)
        return json.loads(found["value"]) if found["type"] == "string" else None

    def click(self, x: int, y: int) -> None:
        presses = [{"type": "pointerMove", "x": x, "y": y}, *({"type": f"pointer{way}", "button": 0} for way in WAYS)]
        self._act({"type": "pointer", "id": "mouse", "actions": presses})

    def type(self, text: str) -> None:
        presses = [{"type": f"key{way}", "value": character} for character in text for way in WAYS]
        self._act({"type": "key", "id": "keyboard", "actions": presses})

    def choose(self, body: str, *arguments: object, file: Path) -> None:
        field = {"sharedId": self._call(NODE, body, arguments)["sharedId"]}
        self._send("input.setFiles", context=self._page, element=field, files=[str(file)])

    def size(self, width: int, height: int) -> None:
        self._send("browsingContext.setViewport", context=self._page, viewport={"width": width, "height": height})

    def picture(self) -> bytes:
        return base64.b64decode(self._send("browsingContext.captureScreenshot", context=self._page)["data"])

    def forced_colours(self, on: bool) -> bool:
        expression = f"Services.prefs.setIntPref({json.dumps(FORCED)}, {2 if on else 0})"
        target = {"context": self._chrome}
        self._send("script.evaluate", expression=expression, target=target, awaitPromise=False)
        return True

    def addresses(self) -> list[str]:
        return [page["url"] for page in self._pages()]

    def fresh(self, base: str) -> None:
        if self._container:
            self._send("browser.removeUserContext", userContext=self._container)
        self._container = self._send("browser.createUserContext")["userContext"]
        self._page = self._send("browsingContext.create", type="tab", userContext=self._container)["context"]
        self._send("browsingContext.activate", context=self._page)

    def close(self) -> None:
        """Close the connection to the browser."""
        self._connection.close()  # type: ignore[no-untyped-call]  # it has no types

    def _pages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._send("browsingContext.getTree", maxDepth=0)["contexts"]
        return [page for page in found if page["userContext"] == self._container]

    def _act(self, source: dict[str, Any]) -> None:
        self._send("input.performActions", context=self._page, actions=[source])

    def _call(self, function: str, body: str, arguments: tuple[object, ...]) -> dict[str, Any]:
        answer = self._send(
            "script.callFunction",
            functionDeclaration=function.format(body=body),
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            target={"context": self._page},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        found: dict[str, Any] = answer["result"]
        return found

    def _send(self, method: str, **parameters: object) -> dict[str, Any]:
        answer = self._connection.send_cmd(method, parameters)  # type: ignore[no-untyped-call]  # it has no types
        assert "result" in answer, f"{method}: {answer}"
        found: dict[str, Any] = answer["result"]
        return found


@contextlib.contextmanager
def running_firefox(home: Path) -> Iterator[Firefox]:
    """Run Firefox while the context is open, with its profile and its downloads in this folder."""
    profile, downloads = home / "profile", home / "downloads"
    profile.mkdir()
    downloads.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines), "utf-8")
    command = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile)]
    command += ["--remote-debugging-port=0", "--remote-allow-system-access"]
    log = home / "firefox.log"
    with running_program(command, log, {"HOME": str(home), "MOZ_CRASHREPORTER_DISABLE": "1"}) as process:
        wait_for(lambda: bool(ADDRESS.search(log.read_bytes())) or process.poll() is not None, "Firefox to listen")
        told = ADDRESS.search(log.read_bytes())
        assert told, log.read_text("utf-8", "replace")
        firefox = Firefox(f"{told[1].decode()}/session", downloads)
        firefox.fresh("")
        try:
            yield firefox
        finally:
            firefox.close()
