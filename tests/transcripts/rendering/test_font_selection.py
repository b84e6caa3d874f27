"""Mirrors services/transcripts/rendering/font_selection.py, with the fonts that are shipped."""
# ruff: noqa: RUF001  (letters of many scripts, on purpose)

import json
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transcripts.rendering.font_selection import NOTE, Font, Lettering, reads_from_right, spans_of
from services.transcripts.rendering.pdf_worker import SPANS

LETTERING = Lettering([Font(**font) for font in json.loads(SPANS.read_bytes())])
FAMILIES = [font.family for font in LETTERING.fonts]

LANGUAGES = {
    "Nederlands, français, Deutsch: é à ü ß œ ñ € – “ja”": "DejaVu Sans",
    "Привіт, Ελλάδα, Türkçe ğış, Tiếng Việt, Žluťoučký": "DejaVu Sans",
    "你好，简体中文": "Noto Sans CJK SC",
    "您好，繁體中文": "Noto Sans CJK SC",
    "日本語のテスト、カタカナ": "Noto Sans CJK SC",
    "안녕하세요": "Noto Sans CJK SC",
    "हिन्दी में नमस्ते": "Noto Sans Devanagari",
    "বাংলা ভাষা": "Noto Sans Bengali",
    "สวัสดีครับ รายงาน": "Noto Sans Thai",
    "ሰላም ነው": "Noto Sans Ethiopic",
    "வணக்கம் தமிழ்": "Noto Sans Tamil",
    "ਸਤ ਸ੍ਰੀ ਅਕਾਲ": "Noto Sans Gurmukhi",
    "ગુજરાતી": "Noto Sans Gujarati",
    "తెలుగు": "Noto Sans Telugu",
    "ಕನ್ನಡ": "Noto Sans Kannada",
    "മലയാളം": "Noto Sans Malayalam",
    "ជំរាបសួរ": "Noto Sans Khmer",
    "ආයුබෝවන්": "Noto Sans Sinhala",
    "བཀྲ་ཤིས་བདེ་ལེགས": "Noto Serif Tibetan",
    "မင်္ဂလာပါ": "Noto Sans Myanmar",
    "ދިވެހި": "Noto Sans Thaana",
    "ܫܠܡܐ": "Noto Sans Syriac",
    "𞤀𞤣𞤤𞤢𞤥": "Noto Sans Adlam",
}
PICTURES = ["😀", "👍🏽", "👨‍👩‍👧", "🇧🇪", "🇺🇦", "❤️", "☎️", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑🏿‍🤝‍🧑🏻", "🏳️‍🌈", "👩🏾‍⚕️", "✅", "🫠"]


def families(text: str) -> list[tuple[str, str]]:
    return [("" if n == NOTE else FAMILIES[n], part) for n, part in LETTERING.runs(text)]


@pytest.mark.parametrize(("text", "family"), LANGUAGES.items())
def test_each_language_is_in_one_font_that_has_all_of_it(text: str, family: str) -> None:
    assert families(text) == [(family, text)]


@pytest.mark.parametrize(
    "text", ["مرحبا بالعالم", "می\u200cخواهم", "שלום", "საქართველო", "Հայաստան", "اردو ٹیکسٹ پڑھیں"]
)
def test_joined_letters_stay_in_one_font_with_their_joiners(text: str) -> None:
    [(family, part)] = families(text)
    assert (bool(family), part) == (True, text)


@pytest.mark.parametrize("picture", PICTURES)
def test_an_emoji_with_all_that_belongs_to_it_is_one_picture(picture: str) -> None:
    made = families(f"a {picture} b")
    assert made == [("DejaVu Sans", "a "), ("Twemoji Mozilla", picture), ("DejaVu Sans", " b")]


def test_letters_of_mathematics_and_music() -> None:
    assert not [1 for font, _ in LETTERING.runs("𝒜 𝔅 ℝ ∑ 𝄞 ♩ → ☐ ✓ ⅓") if font == NOTE]


def test_a_stretch_without_a_font_is_one_note() -> None:
    assert LETTERING.runs("a \U00013000\U00013001 \U00013002 b") == [(0, "a "), (NOTE, "3"), (0, " b")]
    assert LETTERING.runs("\ue000" * 4000) == [(NOTE, "4000")]
    assert LETTERING.runs("\ue000\n\ue000") == [(NOTE, "2")]


def test_marks_that_no_font_has_on_their_letters_are_one_note() -> None:
    marked = "क\u0308" * 100
    made = LETTERING.runs(marked)
    assert made == [(FAMILIES.index("Noto Sans Devanagari"), "क" * 100), (NOTE, "100")]


def test_a_letter_has_so_many_marks_and_a_picture_so_many_parts() -> None:
    assert LETTERING.runs("a" + "\u0301\u0489" * 1_000) == [(0, "á" + ("\u0489\u0301" * 8)), (NOTE, "1983")]
    assert max(len(part) for _, part in LETTERING.runs("👧" + "\u200d👧" * 9)) == 19
    assert "\u200d\u200d" not in "".join(part for _, part in LETTERING.runs("👧" + "\u200d👧" * 2_000))


def test_invisible_characters_are_left_out() -> None:
    assert LETTERING.runs("a\u200bb\u202ec\x00\x7f\ufeff") == [(0, "abc")]
    assert LETTERING.runs("a\r\nb\u2029c\td") == [(0, "a\nb\nc    d")]
    assert LETTERING.runs("\u200b\u200d\u2060") == LETTERING.runs("") == []


@given(st.text(max_size=200))
def test_every_character_of_a_run_is_in_its_font_and_nothing_is_lost_silently(text: str) -> None:
    visible = [c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c)[0] not in "CZM"]
    made = LETTERING.runs(text)
    shown = "".join(part for font, part in made if font != NOTE)
    missed = sum(int(part) for font, part in made if font == NOTE)
    assert sum(c in shown for c in visible) + missed >= len(visible)
    assert all(a[0] != b[0] or a[0] == NOTE for a, b in pairwise(made))


def test_spans() -> None:
    assert spans_of({0x41, 0x42, 0x44, 0x0A, 0x200B}) == [[0x41, 0x42], [0x44, 0x44]]
    tiny = Lettering([Font("A", [[0x20, 0x20], [0x41, 0x42]])])
    assert tiny.runs("ABC BA") == [(0, "AB"), (NOTE, "1"), (0, " BA")]


def test_the_first_strong_letter_says_the_direction() -> None:
    assert reads_from_right("123 مرحبا hello")
    assert not reads_from_right("hello مرحبا")
    assert not reads_from_right("")
