"""The conversation as a PDF that can be archived and read aloud: PDF/A-3a and PDF/UA-1, with its JSON attached.

Made by Typst in threads (it lets the interpreter go while it works), at most two at a time. Characters that none of the
fonts has would break the standard: they are replaced by their Unicode name in brackets.
"""

from __future__ import annotations

import asyncio
import re
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson

from services.contracts import Entry
from services.transcripts.rendering import Transcript, as_json, heading, one_line, said, who
from services.transcripts.rendering import local as local_time
from services.transcripts.system_texts import locale_of, word

if TYPE_CHECKING:
    import typst

AT_A_TIME = 2
MAX_WAITING = 20
_HERE = Path(__file__).parent
_TEMPLATE = _HERE / "transcript.typ"
_FONTS = _HERE / "fonts"
_COLOURS = {"citizen": "#1b4f9c", "agent": "#0b6b3a", "system": "#767676"}
_LONG = re.compile(r"(\S{60})(?=\S)")  # a word that may have to be broken, where a line may end unseen
_UNSEEN = ("VARIATION SELECTOR", "EMOJI MODIFIER")  # these only change the look of the character before them
_BREAKS = {
    "\t": "    ",
    "\r\n": "\n",
    "\r": "\n",
    "\u2028": "\n",
    "\u2029": "\n",
    "\x0b": "\n",
    "\x0c": "\n",
    "\x85": "\n",
}


class PressBusy(Exception):
    """Too many wait for a PDF already."""


class TypeCase:
    """The fonts, which characters they have, and the compilers, which keep their fonts."""

    def __init__(self, folders: list[Path]) -> None:
        import typst

        fonts = typst.Fonts(False, False, [str(f) for f in folders])
        self.families = sorted(fonts.families(), key=lambda family: (family != "DejaVu Sans", family))
        self.known = _characters(fonts)
        self.compilers: SimpleQueue[typst.Compiler] = SimpleQueue()
        for _ in range(AT_A_TIME):
            self.compilers.put(typst.Compiler(_TEMPLATE, root=_HERE, font_paths=fonts, ignore_system_fonts=True))


class PdfPress:
    """Makes PDFs. What it needs is loaded with the first: 22 MB, 0.1 s that a service without one does not spend."""

    def __init__(self, more_fonts: Path | None = None) -> None:
        self._folders = [_FONTS, *([more_fonts] if more_fonts else [])]
        self._loaded: TypeCase | None = None
        self._loading = threading.Lock()
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="pdf")
        self._under_way = 0

    @property
    def _case(self) -> TypeCase:
        with self._loading:
            self._loaded = self._loaded or TypeCase(self._folders)
            return self._loaded

    async def make(self, transcript: Transcript, zone: ZoneInfo) -> bytes:
        """The PDF; the event loop goes on meanwhile. Raises `PressBusy` when too many wait for theirs."""
        if self._under_way >= AT_A_TIME + MAX_WAITING:
            raise PressBusy
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.render, transcript, zone)
        finally:
            self._under_way -= 1

    def render(self, transcript: Transcript, zone: ZoneInfo) -> bytes:
        data = orjson.dumps(self._data(transcript, zone)).decode()
        compilers = self._case.compilers
        compiler = compilers.get()
        try:
            made: Any = compiler.compile(
                format="pdf",
                sys_inputs={"data": data, "json": as_json(transcript).decode()},
                pdf_standards=["a-3a", "ua-1"],
                timestamp=_stamp(transcript),
            )
        finally:
            compilers.put(compiler)
        return bytes(made)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def printable(self, text: str) -> str:
        """`text` with every character that the fonts lack replaced by its name; invisible ones are left out."""
        known = self._case.known
        for sign, line in _BREAKS.items():
            text = text.replace(sign, line)
        return "".join(c if c == "\n" or ord(c) in known else _named(c) for c in unicodedata.normalize("NFC", text))

    def _data(self, transcript: Transcript, zone: ZoneInfo) -> dict[str, Any]:
        t, locale = transcript, locale_of(transcript.locale)
        title = word(locale, "title")
        return {
            "title": title,
            "chat_id": t.chat_id,
            "locale": locale,
            "description": self.printable(f"{title}, {t.department_name}"),
            "fonts": self._case.families,
            "heading": [(label, self.printable(value)) for label, value in heading(t, zone)],
            "times": word(locale, "times"),
            "messages_title": word(locale, "messages"),
            "data_description": word(locale, "data"),
            "page": word(locale, "page"),
            "messages": [self._message(e, locale, zone) for e in t.entries],
        }

    def _message(self, entry: Entry, locale: str, zone: ZoneInfo) -> dict[str, Any]:
        words = said(entry, locale)
        return {
            "who": self.printable(one_line(who(entry, locale))),
            "at": local_time(entry.at, zone),
            "said": _LONG.sub("\\1\u200b", self.printable(words)),
            "rtl": _reads_from_right(words),
            "system": entry.party.value == "system",
            "colour": _COLOURS[entry.party.value],
        }


def _stamp(transcript: Transcript) -> datetime:
    """When what is in it was last true: the same conversation gives the same bytes."""
    last = transcript.entries[-1].at if transcript.entries else transcript.opened_at
    return last.replace(microsecond=0)


def _characters(fonts: typst.Fonts) -> frozenset[int]:
    """Every character that some family has in all its weights, without those that are no mark on paper."""
    families: dict[str, set[int]] = {}
    for info in fonts.fonts():
        if info.path:
            has = _cmap(Path(info.path), info.index)
            families[info.family] = families.get(info.family, has) & has
    found = set[int]().union(*families.values())
    return frozenset(c for c in found if unicodedata.category(chr(c)) not in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"))


def _cmap(path: Path, index: int) -> set[int]:
    from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]

    if path.suffix.lower() in (".ttc", ".otc"):
        with TTCollection(path, lazy=True) as collection:
            return set(collection.fonts[index].getBestCmap() or {})
    with TTFont(path, lazy=True) as font:
        return set(font.getBestCmap() or {})


def _named(character: str) -> str:
    name = unicodedata.name(character, "")
    if unicodedata.category(character) in ("Cf", "Cc", "Cs") or name.startswith(_UNSEEN):
        return ""
    return f"[{name.lower()}]" if name else f"[U+{ord(character):04X}]"


def _reads_from_right(text: str) -> bool:
    """As the first strong character says (Unicode Bidirectional Algorithm, rules P2 and P3)."""
    strong = next((d for d in map(unicodedata.bidirectional, text) if d in ("L", "R", "AL")), "L")
    return strong != "L"
