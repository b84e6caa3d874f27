"""The family of a browser and of its operating system, from `User-Agent`: what a person recognises, and no more.

Versions and models are left out: they are not needed for that, and they identify a machine.
"""

from __future__ import annotations

MOST = 512  # characters of the header that are looked at
OTHER = "other"
# The first that is found counts: browsers name those of which they are made.
_BROWSERS = (
    ("edge", ("Edg/", "EdgA/", "EdgiOS/")),
    ("opera", ("OPR/", "OPT/")),
    ("samsung", ("SamsungBrowser/",)),
    ("firefox", ("Firefox/", "FxiOS/")),
    ("chrome", ("Chrome/", "CriOS/", "Chromium/")),
    ("safari", ("Safari/",)),
)
_SYSTEMS = (
    ("ios", ("iPhone", "iPad", "iPod")),
    ("android", ("Android",)),
    ("windows", ("Windows",)),
    ("macos", ("Macintosh", "Mac OS X")),
    ("chromeos", ("CrOS",)),
    ("linux", ("Linux", "X11")),
)


def browser_kind(user_agent: str) -> dict[str, str]:
    """Return the `browser` and the `system` of this header: a word of the lists above, or `other`."""
    text = user_agent[:MOST]
    return {"browser": _first(_BROWSERS, text), "system": _first(_SYSTEMS, text)}


def _first(kinds: tuple[tuple[str, tuple[str, ...]], ...], text: str) -> str:
    return next((kind for kind, marks in kinds if any(mark in text for mark in marks)), OTHER)
