"""The job of a PDF worker process: make a PDF of a conversation that is passed as data.

Typst makes it from one template, in which everything that participants wrote is data and never markup. The module
imports little: a worker starts quickly, and most of its memory is for the PDF.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from services.transcripts.rendering.font_selection import NOTE, Font, Lettering, Run, marks, spans_of

if TYPE_CHECKING:
    import typst

HERE = Path(__file__).parent
FONTS = HERE / "fonts"
SPANS = FONTS / "spans.json"  # the characters of each font, so that a start need not read 60 font files
_TEMPLATE = HERE / "transcript.typ"
# Where a long word may be broken without a hyphen: not before a mark, which belongs to its letter.
_BY_LETTERS = {n: re.compile(rf"(\S{{{n},64}}?)(?=[^\s{''.join(marks())}])") for n in (60, 24)}


def begin() -> Callable[[bytes], bytes]:
    """Load the fonts and return the job function, for `Workers`.

    The first job may name a directory with further fonts.
    """
    return Typesetter().job


class Typesetter:
    """The fonts, and the compiler, which keeps them loaded."""

    def __init__(self, more: Path | None = None) -> None:
        self._load(more)

    def _load(self, more: Path | None) -> None:
        import typst

        self._more = more
        fonts = typst.Fonts(False, False, [str(FONTS), *([str(more)] if more else [])])
        self.lettering = Lettering(fonts_of(fonts, more))
        self._compiler = typst.Compiler(_TEMPLATE, root=HERE, font_paths=fonts, ignore_system_fonts=True)

    def job(self, job: bytes) -> bytes:
        """Return the PDF of a job that `pdf.py` made."""
        asked = orjson.loads(job)
        more = Path(asked["fonts"]) if asked["fonts"] else None
        if more != self._more:
            self._load(more)
        return self.typeset(asked["data"], asked["json"], datetime.fromisoformat(asked["at"]))

    def typeset(self, data: dict[str, Any], attached: str, at: datetime) -> bytes:
        """Return the PDF. When a glyph is missing all the same, characters outside the first font become notes."""
        import typst

        try:
            return self._compile(self._lettered(data, self.lettering), attached, at)
        except typst.TypstError:
            return self._compile(self._lettered(data, Lettering(self.lettering.fonts[:1])), attached, at)

    def _compile(self, data: dict[str, Any], attached: str, at: datetime) -> bytes:
        made: Any = self._compiler.compile(
            format="pdf",
            sys_inputs={"data": orjson.dumps(data).decode(), "json": attached},
            pdf_standards=["a-3a", "ua-1"],
            timestamp=at,
        )
        return bytes(made)

    def _lettered(self, data: dict[str, Any], lettering: Lettering) -> dict[str, Any]:
        forms, noted = data["unprintable_characters"], False

        def runs(text: str) -> list[Run]:
            nonlocal noted
            made = lettering.runs(text)
            noted = noted or any(font == NOTE for font, _ in made)
            return [(0, note(forms, part)) if font == NOTE else (font, _breakable(font, part)) for font, part in made]

        made = {
            **data,
            "families": [font.family for font in lettering.fonts],
            "description": plain(lettering, data["description"]),
            "heading": [(label, runs(value)) for label, value in data["heading"]],
            "messages": [{**m, "who": runs(m["who"]), "said": runs(m["said"])} for m in data["messages"]],
        }
        return {**made, "noted": data["unprintable"] if noted else None}


def note(forms: dict[str, str], count: str) -> str:
    """Return the text that replaces so many characters that no font has.

    In each of the four languages the plural form of 1 is `one`, and that of more than 1 can be `other` (CLDR).
    """
    return f"[{forms['one' if count == '1' else 'other'].replace('{n}', count)}]"


def plain(lettering: Lettering, text: str) -> str:
    """Return `text` without characters that cannot be shown, for places where no font can be chosen."""
    return "".join(part for font, part in lettering.runs(text) if font != NOTE)


def fonts_of(found: typst.Fonts, more: Path | None) -> list[Font]:
    """Return the built-in fonts in order of preference, then those of the directory `more`."""
    ours = [Font(**font) for font in orjson.loads(SPANS.read_bytes())]
    if not more:
        return ours
    known: dict[str, set[int]] = {}
    for info in found.fonts():
        if info.path and Path(info.path).is_relative_to(more):
            has = characters_of(Path(info.path), info.index)
            known[info.family] = known.get(info.family, has) & has
    names = {font.family for font in ours}
    return ours + [Font(family, spans_of(has)) for family, has in sorted(known.items()) if has and family not in names]


def characters_of(path: Path, index: int) -> set[int]:
    """Return the characters of a font file (`index`: of the face in a collection)."""
    from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]

    if path.suffix.lower() in (".ttc", ".otc"):
        with TTCollection(path, lazy=True) as collection:
            return set(collection.fonts[index].getBestCmap() or {})
    with TTFont(path, lazy=True) as font:
        return set(font.getBestCmap() or {})


def _breakable(font: int, text: str) -> str:
    """Allow breaks in long words. Letters of other fonts than the first may be wider."""
    return _BY_LETTERS[24 if font else 60].sub("\\1\u200b", text)
