"""Debian's WebKitGTK in its MiniBrowser, over WebDriver, on a display of its own that nobody sees (Xvfb)."""

import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.file_detector import UselessFileDetector
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.webkitgtk.options import Options

from deploy.local import ports
from deploy.setup.apt import minibrowser
from tests.support.browsers.engines import WAIT, running_program
from tests.support.servers import START_SECONDS, wait_for

SCREEN = (1400, 1000)  # pixels: wider and higher than a window of the tests
THEME = "* { min-width: 0; min-height: 0; margin: 0; padding: 0; border-width: 0; }"
"""The toolbar as narrow as it goes: else no window is as narrow as a phone."""
SETTINGS = "[Settings]\ngtk-enable-animations=0\n"
"""Pages see it as `prefers-reduced-motion: reduce`."""
ENVIRONMENT = {"GDK_BACKEND": "x11", "LANG": "C.UTF-8", "LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1"}
EMPTY = "/static/demo/icon.svg"
"""A page of the system without a script: nothing of it writes into the storage while that is emptied."""


class WebKit:
    """A running MiniBrowser with one window."""

    def __init__(self, driver: WebDriver, downloads: Path) -> None:
        self.downloads = downloads
        self._driver = driver
        self._window = driver.current_window_handle
        driver.file_detector = UselessFileDetector()  # the browser reads the file where it is
        driver.set_script_timeout(WAIT)
        driver.set_page_load_timeout(WAIT)

    def open(self, address: str) -> None:
        self._driver.get(address)

    def run(self, body: str, *arguments: object) -> Any:
        return self._driver.execute_script(body, *arguments)

    def click(self, x: int, y: int) -> None:
        chain = ActionChains(self._driver, duration=0)
        mouse = chain.w3c_actions.pointer_action
        mouse.move_to_location(x, y)  # type: ignore[no-untyped-call]  # it has no types
        mouse.click()
        chain.perform()

    def type(self, text: str) -> None:
        ActionChains(self._driver, duration=0).send_keys(text).perform()

    def choose(self, body: str, *arguments: object, file: Path) -> None:
        self.run(body, *arguments).send_keys(str(file))

    def size(self, width: int, height: int) -> None:
        """The window is higher than the page by its toolbar.

        It is put in the middle of the screen, where the display's pointer is: that gives the window the focus.
        """
        self._put(width, height)
        self._put(width, 2 * height - self.run("return innerHeight;"))

    def _put(self, width: int, height: int) -> None:
        self._driver.set_window_rect((SCREEN[0] - width) // 2, (SCREEN[1] - height) // 2, width, height)

    def picture(self) -> bytes:
        return base64.b64decode(self._driver.get_screenshot_as_base64())

    def forced_colours(self, on: bool) -> bool:
        return False  # WebKit has none

    def addresses(self) -> list[str]:
        found = []
        for window in self._driver.window_handles:
            self._driver.switch_to.window(window)
            found.append(self._driver.current_url)
        self._driver.switch_to.window(self._window)
        return found

    def fresh(self, base: str) -> None:
        for window in self._driver.window_handles:
            if window != self._window:
                self._driver.switch_to.window(window)
                self._driver.close()
        self._driver.switch_to.window(self._window)
        self._driver.get(base + EMPTY)
        self._driver.delete_all_cookies()
        self.run("localStorage.clear(); sessionStorage.clear();")


@contextlib.contextmanager
def running_webkit(home: Path) -> Iterator[WebKit]:
    """Run a MiniBrowser while the context is open, with its settings and its downloads in this folder."""
    browser, downloads = minibrowser(), home / "downloads"
    assert browser is not None, "webkit2gtk-driver is not installed: `make test` sees to it"
    downloads.mkdir()
    (home / "config").mkdir()
    (home / "config" / "user-dirs.dirs").write_text(f'XDG_DOWNLOAD_DIR="{downloads}"\n', "utf-8")
    for toolkit in ("gtk-3.0", "gtk-4.0"):
        (home / "config" / toolkit).mkdir()
        (home / "config" / toolkit / "settings.ini").write_text(SETTINGS, "utf-8")
        (home / "config" / toolkit / "gtk.css").write_text(THEME, "utf-8")
    folders = {f"XDG_{name.upper()}_HOME": str(home / name) for name in ("config", "cache", "data")}
    port = ports.pick()
    command = ["WebKitWebDriver", f"--port={port}"]
    with (
        _display(home / "display.log") as display,
        running_program(command, home / "webkit.log", ENVIRONMENT | folders | {"HOME": str(home), "DISPLAY": display}),
    ):
        wait_for(lambda: not ports.is_free(port), "WebKitGTK's driver to listen")
        options = Options()
        options.binary_location = str(browser)
        options.add_argument("--automation")
        server = ClientConfig(remote_server_addr=f"http://127.0.0.1:{port}", timeout=int(START_SECONDS))
        driver = WebDriver(command_executor=RemoteConnection(client_config=server), options=options)
        yield WebKit(driver, downloads)


@contextlib.contextmanager
def _display(log: Path) -> Iterator[str]:
    """The name of a display that runs while the context is open: a free one, told when it can be used."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24", "-nolisten", "tcp"]
    with running_program(command, log, {}, [writing]), os.fdopen(reading) as told:
        os.close(writing)
        yield f":{told.readline().strip()}"
