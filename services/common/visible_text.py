"""RULES of texts that others read as a label, such as the name of a person or a file: what is seen is all there is."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"  # zero width non-joiner and joiner
_FLAG = "\U0001f3f4"  # a black flag starts a flag of tag characters (Unicode Technical Standard 51, 1.4.6)
_UNSEEN = "\u034f\u115f\u1160\u3164\uffa0"  # fillers: letters and marks that are invisible


def label(text: str) -> str:
    """Return a text as one line: without invisible and direction-changing characters, with single spaces.

    Raises:
        ValueError: It contains NUL.
    """
    if "\0" in text:
        raise ValueError("must not contain NUL")
    return " ".join(visible("".join(" " if c.isspace() else c for c in text)).split())


def visible(text: str) -> str:
    """Return a text without control, invisible and direction-changing characters.

    Joiners stay between the letters and emoji that they join, and tags in the flags that they make.
    """
    kept: list[str] = []
    in_flag = False
    for at, character in enumerate(text):
        in_flag = character == _FLAG or (in_flag and is_tag(character))
        if character in JOINERS:
            before, after = "".join(kept[-1:]), text[at + 1 : at + 2]
            if _joins(before) and _joins(after):
                kept.append(character)
        elif (in_flag and is_tag(character)) or _is_visible(character):
            kept.append(character)
    return "".join(kept)


def _is_visible(character: str) -> bool:
    category, code = unicodedata.category(character), ord(character)
    if category == "Cn":  # a character of a later Unicode than this interpreter's, such as a new emoji
        return not (code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF or 0xE0000 <= code <= 0xE0FFF)
    return category not in ("Cc", "Cf", "Co", "Cs") and character not in _UNSEEN


def is_tag(character: str) -> bool:
    """Return whether this is a tag character, which is seen only as a part of a flag."""
    return 0xE0020 <= ord(character) <= 0xE007F


def _joins(character: str) -> bool:
    """Return whether a joiner can stand beside this character: a letter, a mark or a symbol that is seen."""
    if not character or character in _UNSEEN:
        return False
    return unicodedata.category(character)[0] in "LMS" or _is_new(character)


def _is_new(character: str) -> bool:
    return unicodedata.category(character) == "Cn" and _is_visible(character)
