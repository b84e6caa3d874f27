"""File names: the uploader's own name, as one line without a path, with an ending that fits the type."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from services.common.visible_text import JOINERS, is_tag, visible
from services.transcripts.attachments.kinds import Kind

MAX_NAME = 100  # characters
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_SPACES = re.compile(r"\s{2,}|[\u2028\u2029]")


def safe_name(name: str, kind: Kind) -> str:
    """Return a name that does not hide the file's type.

    It has at most `MAX_NAME` characters, with an ending that fits the type. It has no path and no control, invisible or
    direction-changing characters. Joiners stay between the letters and emoji that they join. All other characters stay:
    a browser that saves the file replaces what its system forbids.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    clean = _SPACES.sub(" ", visible(last)).strip(" .")
    ending = next((e for e in sorted(kind.endings, key=len, reverse=True) if clean.lower().endswith(e)), None)
    stem = clean[: -len(ending)] if ending else clean
    stem = _cut(stem, MAX_NAME - max(len(ending or ""), len(kind.endings[0])) - 1).strip(" .") or "attachment"
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    return stem + (clean[-len(ending) :] if ending else kind.endings[0])


def disposition(name: str) -> str:
    """Return the `Content-Disposition` of a download with this name (RFC 6266, RFC 8187)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._() -]", "_", plain).strip() or "download"
    plain = f"download{plain}" if plain.startswith(".") else plain
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _cut(text: str, length: int) -> str:
    """Return the first characters, without a part of a character sequence (an accent, a flag, a joined emoji)."""
    if len(text) <= length:
        return text
    end = length
    while end > length - 30 and end > 0 and _belongs(text, end):
        end -= 1
    return text[:end]


def _belongs(text: str, at: int) -> bool:
    """Return whether the character here belongs to the one before it (Unicode Standard Annex 29, in short)."""
    before, here = text[at - 1], text[at]
    if unicodedata.category(here)[0] == "M" or here in JOINERS or before == "\u200d" or is_tag(here):
        return True
    if 0x1F3FB <= ord(here) <= 0x1F3FF:  # a skin tone
        return True
    if _is_regional(here) and _is_regional(before):
        run = at
        while run and _is_regional(text[run - 1]):
            run -= 1
        return (at - run) % 2 == 1
    return False


def _is_regional(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF
