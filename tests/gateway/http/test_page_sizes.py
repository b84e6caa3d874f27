"""What a page loads for `<eloket-chat>`: each module is counted as it is sent, compressed by itself.

`tests/e2e/browser/test_first_message.py` holds the same in a browser: nothing else is fetched, and nothing else needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urljoin

import pytest

from services.common.config.departments import LOCALES
from services.gateway.http.pages.static_files import WIDGET, static_files

IMPORT = re.compile(rb'(?:\bfrom|\bimport) ?"(\.[^"]+)"')
FILES = {"/widget.js": static_files().entries[WIDGET]} | {
    f"/static/{name}": file for name, file in static_files().files.items()
}
LAUNCHER = 4_750
PANEL = 23_100
PRESSED = 24_900
"""The limits in bytes: until the button has its colour, that with the panel, and that with all that a press needs."""
BESIDE = 8_650
TOOLS = 11_800
LATER = {
    "reason": ("blue-reason", 1_550),
    "blue": ("blue-panel", 11_550),
    "files": ("files", 4_550),
    "waiting": ("queue-info", 5_350),
    "inactive": ("inactivity-warning", 1_700),
    "after": ("after-chat", 2_950),
    "previews": ("previews", 2_200),
    "given": ("given-files", 1_300),
    "numbers": ("number-warning", 4_150),
    "masked": ("masked-numbers", 1_800),
    "identify": ("identify-card", 2_950),
    "privacy": ("privacy-notice", 1_200),
    "form": ("start-form", 3_250),
    "name": ("name-card", 1_500),
    "settings": ("settings", 6_200),
}
"""What comes later: the folder of its texts, its module, and the most bytes that it may add."""


def with_imports(paths: Iterable[str]) -> set[str]:
    """These modules, and all that come with them by their imports."""
    found: set[str] = set()
    rest = list(paths)
    while rest:
        path = rest.pop()
        if path not in found:
            found.add(path)
            rest += [urljoin(path, name.decode()) for name in IMPORT.findall(FILES[path].body)]
    return found


def weight(paths: Iterable[str]) -> int:
    return sum(len(FILES[path].packed or FILES[path].body) for path in paths)


def launcher(language: str) -> set[str]:
    """What is fetched until the button has its colour."""
    loaded = ["shared/dom", "loket-chat/launcher-style", f"loket-chat/text/button/{language}"]
    return with_imports(["/widget.js", *(f"/static/{name}.js" for name in loaded)])


def pressing(language: str) -> set[str]:
    """What a press needs beside the launcher and the panel. It is there before, unless the press is early."""
    return with_imports(["/static/loket-chat/launcher-actions.js"]) - opened(language)


def beside(language: str) -> set[str]:
    """What is loaded once the launcher is shown: a press, a server that is gone, a focus, a chat, tabs."""
    names = ["launcher-state", "reach", "avoid-focus", "page-events", "back-closes", "tabs"]
    paths = [f"/static/loket-chat/{name}.js" for name in [*names, f"text/launcher/{language}"]]
    return with_imports([*paths, "/static/shared/button-status.js"]) - opened(language) | pressing(language)


def opened(language: str) -> set[str]:
    """What is fetched until the first message can go."""
    panel = ["/static/loket-chat/panel.js", f"/static/loket-chat/text/panel/{language}.js"]
    return launcher(language) | with_imports(panel)


def tools(language: str) -> set[str]:
    """What the panel fetches as soon as it is there."""
    names = ["chat-tools", "lazy-panels", f"text/{language}"]
    return with_imports(f"/static/loket-chat/{name}.js" for name in names) - opened(language)


def later(part: str, language: str) -> set[str]:
    names = [LATER[part][0], f"text/{part}/{language}"]
    return with_imports(f"/static/loket-chat/{name}.js" for name in names) - opened(language) - tools(language)


@pytest.mark.parametrize("language", LOCALES)
def test_the_launcher_alone_and_with_the_panel_is_small(language: str) -> None:
    assert weight(launcher(language)) <= LAUNCHER
    assert weight(opened(language)) <= PANEL
    assert weight(opened(language) | pressing(language)) <= PRESSED


@pytest.mark.parametrize("language", LOCALES)
def test_what_is_loaded_after_the_launcher_and_after_the_panel_is_small(language: str) -> None:
    assert len(beside(language)) == 9
    assert weight(beside(language)) <= BESIDE
    assert weight(tools(language)) <= TOOLS


@pytest.mark.parametrize("part", LATER)
@pytest.mark.parametrize("language", LOCALES)
def test_what_comes_later_is_no_part_of_the_panel_and_small(part: str, language: str) -> None:
    module, most = LATER[part]
    assert f"/static/loket-chat/{module}.js" not in opened(language) | tools(language)
    assert weight(later(part, language)) <= most


def test_what_is_fetched_ahead_of_a_press_is_what_the_panel_needs() -> None:
    """All of it but what the launcher has, and no more: a browser that finds it one by one takes a second longer."""
    lists = re.findall(
        r"const (?:MODULES|TOOLS)=(\[.*?\]);", FILES["/static/loket-chat/launcher-actions.js"].body.decode()
    )
    named = [{f"/static/{name}.js" for name in re.findall(r'"(.+?)"', part)} for part in lists]
    assert named[0] == opened("nl") - launcher("nl") - {"/static/loket-chat/text/panel/nl.js"}
    assert named[1] == tools("nl") - {"/static/loket-chat/text/nl.js"}


def test_the_imports_were_followed() -> None:
    assert "/static/shared/dom.js" in launcher("nl")
    assert {"/static/shared/connection.js", "/static/shared/translator.js"} < opened("nl")
    assert len(opened("nl")) > len(launcher("nl")) + 8


def test_modules_come_from_our_own_server_alone() -> None:
    for path in opened("nl").union(beside("nl"), tools("nl"), *(later(part, "nl") for part in LATER)):
        assert not re.search(rb"(from|import\()\s*[\"'`]https?:", FILES[path].body), path
