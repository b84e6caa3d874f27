"""Makes the fonts of the PDF, `services/transcripts/rendering/fonts/noto-*` and `twemoji.ttf`, from the published ones.

    python -m deploy.fonts FOLDER

`FOLDER` holds the published fonts, found by their names: of the Debian packages fonts-noto-core 20201225-1 and
fonts-noto-cjk 20220127+repack1-1, `twemoji.woff2` of twemoji-colr-font 15.0.3 and `NotoEmoji_400Regular.ttf` of
noto-emoji 0.4.7 (Google Fonts). Their SHA-256 are in `sources.txt`; other files are refused. Needs
`requirements/fonts.txt`. The same input gives the same bytes.

What is left out: hinting (paper has enough dots), and of the Chinese, Japanese and Korean font most of
extension A, and the shapes that differ by country (the simplified Chinese shape stands for all).
"""

from __future__ import annotations

import hashlib
import json
import sys
from io import BytesIO
from pathlib import Path

import uharfbuzz as harfbuzz  # type: ignore[import-not-found]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

from services.transcripts.rendering.font_selection import spans_of
from services.transcripts.rendering.pdf_worker import characters_of

HERE = Path(__file__).parent
FONTS = HERE.parents[1] / "services" / "transcripts" / "rendering" / "fonts"
CJK, CJK_FACE = "NotoSansCJK-Regular.ttc", 2  # the simplified Chinese face
CJK_SPANS = [
    (0x20, 0x7E),  # between the others
    (0x1100, 0x11FF),  # Hangul letters
    (0x2E80, 0x33FF),  # radicals, punctuation, kana, bopomofo, enclosed and compatibility forms
    (0x3400, 0x34FF),  # a little of extension A
    (0x4E00, 0x9FFF),  # the unified ideographs
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),  # compatibility ideographs
    (0xFE30, 0xFE4F),
    (0xFF00, 0xFFEF),  # full and half width forms
    (0x20000, 0x2FA1F),  # the font's further ideographs: characters of names, of Hong Kong
]

EMOJI = {"twemoji.woff2": "twemoji.ttf", "NotoEmoji_400Regular.ttf": "noto-emoji.ttf"}


def main(folder: Path) -> None:
    """Make all fonts from the published ones in this folder."""
    known = dict(line.split()[::-1] for line in (HERE / "sources.txt").read_text().splitlines())
    for name in known:
        if name in EMOJI or name == CJK:
            continue
        small(published(folder, name, known), FONTS / f"noto-{name[4:-12].lower()}.ttf")
    characters = {c for first, last in CJK_SPANS for c in range(first, last + 1)}
    small(published(folder, CJK, known), FONTS / "noto-cjk.otf", characters, CJK_FACE)
    for name, made in EMOJI.items():
        small(published(folder, name, known), FONTS / made)
    write_spans()


def write_spans() -> None:
    """Write `spans.json`: the families in order of preference, and the characters that each has."""
    files = sorted(FONTS.glob("*.[ot]tf"), key=_rank)
    known: dict[str, set[int]] = {}
    for file in files:
        family = str(TTFont(file, lazy=True)["name"].getBestFamilyName())
        has = characters_of(file, -1)
        known[family] = known.get(family, has) & has
    fonts = [
        {"family": family, "spans": spans_of(has), "pictures": "moji" in family} for family, has in known.items() if has
    ]
    (FONTS / "spans.json").write_text("[\n" + ",\n".join(json.dumps(font) for font in fonts) + "\n]\n")


def _rank(file: Path) -> tuple[int, str]:
    """Return the order of a font file: DejaVu, the scripts, Chinese, Japanese and Korean, then emoji, colour first."""
    last = ["noto-cjk.otf", "twemoji.ttf", "noto-emoji.ttf"]
    return (last.index(file.name) + 1 if file.name in last else 0, file.name)


def published(folder: Path, name: str, known: dict[str, str]) -> Path:
    """Return the published file of this name. Exit with a message when it is missing or another one."""
    found = next(iter(sorted(folder.rglob(name))), None)
    if found is None:
        sys.exit(f"{name} is not in {folder}")
    if hashlib.sha256(found.read_bytes()).hexdigest() != known.get(name):
        sys.exit(f"{found} is not the file that sources.txt names")
    return found


def small(source: Path, made: Path, characters: set[int] | None = None, face: int = 0) -> None:
    """Write the needed part of a font: these characters (None: all) and their shaping, without hinting."""
    data = source.read_bytes()
    if data[:4] == b"wOF2":
        font, plain = TTFont(source, recalcTimestamp=False), BytesIO()
        font.flavor = None
        font.save(plain)
        data = plain.getvalue()
    subset = harfbuzz.SubsetInput()
    subset.flags = harfbuzz.SubsetFlags.NO_HINTING | harfbuzz.SubsetFlags.NOTDEF_OUTLINE
    if characters is None:
        subset.keep_everything()
        subset.flags = harfbuzz.SubsetFlags.NO_HINTING | harfbuzz.SubsetFlags.NOTDEF_OUTLINE
    else:
        subset.unicode_set.update(characters)
        subset.layout_feature_tag_set.clear()
        subset.layout_feature_tag_set.add(int.from_bytes(b"ccmp", "big"))
    for table in ("DSIG", "FFTM", *(("BASE", "vhea", "vmtx", "VORG") if characters else ())):
        subset.drop_table_tag_set.add(int.from_bytes(table.encode(), "big"))
    made.write_bytes(harfbuzz.subset(harfbuzz.Face(harfbuzz.Blob(data), face), subset).blob.data)
    print(f"{made.name}: {made.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
