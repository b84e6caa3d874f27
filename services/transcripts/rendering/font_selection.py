"""RULES of font selection: which font shows which text, and what replaces text that no font has. No I/O.

A font is a family with the characters that it has. Text is split into runs, each in one font that has all of its
characters: shaping (joined letters, vowel signs, emoji sequences) only works within a font, and the standard for
archives forbids a missing glyph.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Run = tuple[int, str]  # the position of the font, the text
Spans = Sequence[Sequence[int]]  # first and last of each span of characters
NOTE = -1  # instead of a font; the text is the number of characters that cannot be shown

_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_MODIFIER = "[\U0001f3fb-\U0001f3ff]"
_PICTURE = "[\U0001f000-\U0001faff\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299]"
# Pictures without a variation selector: Emoji_Presentation below U+1F000 (emoji-data.txt of Unicode 16).
_BY_ITSELF = (
    "[\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be"
    "\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757"
    "\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
_ENDING = f"(?:\ufe0f|{_MODIFIER})?[\U000e0020-\U000e007f]*"
_EMOJI = re.compile(
    "("
    "[\U0001f1e6-\U0001f1ff]{2}"  # a flag
    "|[0-9#*]\ufe0f?\u20e3"  # a key
    f"|(?:{_BY_ITSELF}|{_PICTURE}(?=\ufe0f|{_MODIFIER})){_ENDING}(?:\u200d{_PICTURE}{_ENDING}){{0,9}}"
    ")"
)
_JOINERS = "\u200c\u200d"
_INVISIBLE = re.compile("[\ufe00-\ufe0f\U000e0000-\U000e0fff\u200d\u20e3]|(?<=.)" + _MODIFIER)  # within a sequence
_SPACES = re.compile(r"(\s+)")
_REMEMBERED = 20_000  # words and letters whose font is known


@dataclass(frozen=True, slots=True)
class Font:
    """A font. `pictures`: it shows emoji, and is used for letters only when no other font has them."""

    family: str
    spans: Spans
    pictures: bool = False


class Lettering:
    """Selects fonts. `fonts` are in order of preference."""

    def __init__(self, fonts: Sequence[Font]) -> None:
        self.fonts = fonts
        self._has = [_any_of(font.spans) for font in fonts]
        self._pictures = [n for n, font in enumerate(fonts) if font.pictures]
        self._letters = [n for n, font in enumerate(fonts) if not font.pictures] + self._pictures
        self._known: dict[str, int | None] = {}

    def runs(self, text: str) -> list[Run]:
        """Return `text` in runs.

        Each stretch that no font has becomes a note: `(NOTE, "3")` for 3 characters. Invisible characters are left out,
        except joiners that the font has.
        """
        text = unicodedata.normalize("NFC", _BREAKS.sub("\n", text).replace("\t", "    "))
        plain = self._has[0].fullmatch(text.replace("\n", " "))
        if plain and not _EMOJI.search(text) and not _too_many_marks().search(text):
            return [(0, text)] if text else []
        shortened = _too_many_marks().sub("\\1", text)
        made = _Runs(lost=len(text) - len(shortened))
        for n, part in enumerate(_EMOJI.split(shortened)):
            if n % 2 == 0 or not self._picture(part, made):
                self._words(part, made)
        return made.ended()

    def _picture(self, sequence: str, made: _Runs) -> bool:
        shown = _INVISIBLE.sub("", sequence)
        for n in self._pictures:
            if self._has[n].fullmatch(shown):
                made.add(n, sequence)
                return True
        return False

    def _words(self, text: str, made: _Runs) -> None:
        for n, part in enumerate(_SPACES.split(text)):
            if n % 2:
                font = made.font if made.font is not None and self._has[made.font].fullmatch(" ") else 0
                made.space("".join(c if c == "\n" else " " for c in part), font)
                continue
            word = "".join(c for c in part if c in _JOINERS or not _is_invisible(c))
            if word and not self._add(word, made):
                for cluster in _clusters(word):
                    if not self._add(cluster, made):
                        self._add_letter(cluster, made)

    def _add(self, text: str, made: _Runs) -> bool:
        """Add the text when one font has all of it. Return whether one has.

        Text without letters uses the font of the text before it, when that font has it.
        """
        bare = text.replace("\u200c", "").replace("\u200d", "")
        font: int | None
        if not bare:
            return True
        if made.font is not None and not any(map(str.isalpha, bare)) and self._has[made.font].fullmatch(bare):
            font = made.font
        else:
            font = self._font_of(bare)
        if font is None:
            return False
        if bare != text and not self._has[font].fullmatch(text):
            text = bare
        made.add(font, text)
        return True

    def _add_letter(self, cluster: str, made: _Runs) -> None:
        """Add a letter without the marks that its font does not have.

        Count it as missing when no font has the letter.
        """
        font = self._font_of(cluster[0])
        if font is None:
            made.miss(sum(c not in _JOINERS for c in cluster))
            return
        kept = "".join(c for c in cluster if self._has[font].fullmatch(c))
        made.add(font, kept)
        made.lost += len(cluster) - len(kept)

    def _font_of(self, text: str) -> int | None:
        if text in self._known:
            return self._known[text]
        font = next((n for n in self._letters if self._has[n].fullmatch(text)), None)
        if len(text) < 100:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[text] = font
        return font


@dataclass(slots=True)
class _Runs:
    """Runs under construction.

    `lost`: marks that the font of their letter does not have; the note about them comes last.
    """

    runs: list[tuple[int, list[str]]] = field(default_factory=list)
    lost: int = 0
    _missed: int = 0
    _held: str = ""

    @property
    def font(self) -> int | None:
        """The font of the last run, unless characters are missing after it."""
        return self.runs[-1][0] if self.runs and self.runs[-1][0] != NOTE and not self._missed else None

    def add(self, font: int, text: str) -> None:
        """Add text in this font."""
        self._note()
        if self.runs and self.runs[-1][0] == font:
            self.runs[-1][1].append(text)
        else:
            self.runs.append((font, [text]))

    def space(self, text: str, font: int) -> None:
        """Add a space. Between two stretches that cannot be shown it belongs to them."""
        if self._missed:
            self._held += text
        else:
            self.add(font, text)

    def miss(self, characters: int) -> None:
        """Count characters that no font has."""
        self._missed += characters
        self._held = ""

    def ended(self) -> list[Run]:
        """Return the finished runs."""
        self._note()
        made = [(font, "".join(parts)) for font, parts in self.runs]
        return [*made, (NOTE, str(self.lost))] if self.lost else made

    def _note(self) -> None:
        if not self._missed:
            return
        held, missed = self._held, self._missed
        self._held, self._missed = "", 0
        self.runs.append((NOTE, [str(missed)]))
        if held:
            self.add(0, held)


def _any_of(spans: Spans) -> re.Pattern[str]:
    inside = "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in spans)
    return re.compile(f"[{inside}]+")


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cf", "Cc", "Cs") or "\ufe00" <= character <= "\ufe0f"


def _clusters(word: str) -> Iterator[str]:
    """Yield each letter with its marks and joiners."""
    cluster = ""
    for character in word:
        if cluster and not (character in _JOINERS or unicodedata.category(character).startswith("M")):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def spans_of(characters: set[int]) -> list[list[int]]:
    """Return first and last of each range of characters, without invisible ones."""
    spans: list[list[int]] = []
    for c in sorted(characters):
        if unicodedata.category(chr(c)) in _NO_MARK and chr(c) not in _JOINERS:
            continue
        if spans and spans[-1][1] == c - 1:
            spans[-1][1] = c
        else:
            spans.append([c, c])
    return spans


_NO_MARK = ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")


def marks() -> list[str]:
    """Return the characters that belong to the letter before them."""
    return [*_JOINERS, *(c for c in map(chr, range(0x300, 0x1F000)) if unicodedata.category(c).startswith("M"))]


@functools.cache
def _too_many_marks() -> re.Pattern[str]:
    """Match the marks of a letter beyond the sixteenth.

    PDF readers fail on a letter with hundreds of marks; no language has more than a few. It is made at first use: to
    find the marks takes a fifth of a second, and only the process that renders needs them.
    """
    found = "".join(marks())
    return re.compile(f"([{found}]{{16}})[{found}]+")


def reads_from_right(text: str) -> bool:
    """Return whether the text is right-to-left, by its first strong character.

    Source: Unicode Bidirectional Algorithm, rules P2 and P3.
    """
    strong = next((d for d in map(unicodedata.bidirectional, text) if d in ("L", "R", "AL")), "L")
    return strong != "L"
