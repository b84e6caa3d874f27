"""RULES of the words by which past chats are found: the words of a text, the keys of a chat, a query. No I/O.

A word is a run of letters and digits, without accents and in small letters. A chat has as keys its words, and the
beginnings of its words with an asterisk (`for*`, `formu*`), so that each word of a query, and the beginning of one, is
found by an equality.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

SHORTEST = 2  # characters of a word that counts
LONGEST = 40  # characters of a word; the rest of it does not count
BEGINNINGS = (3, 5)  # characters of the beginnings that are keys
MOST_WORDS = 600  # of one chat
MOST_QUERIED = 8  # words in a query
_MARK = "*"
_WORD = re.compile(r"[^\W_]+")
_WHOLE = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i"})
"""Letters that Unicode does not decompose, as they are written without them."""


def normalised(text: str) -> str:
    """Return a text in small letters without accents (Unicode NFKD), so that ways to write a word are equal."""
    small = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in small if not unicodedata.combining(c)).translate(_WHOLE)


def words_of(text: str) -> Iterator[str]:
    """Return the words of a text in order, with repetitions, cut to `LONGEST`."""
    return (word[:LONGEST] for word in _WORD.findall(normalised(text)) if len(word) >= SHORTEST)


def keys_of(texts: Iterable[str]) -> tuple[list[str], bool]:
    """Return the keys of a chat with these texts, sorted, and whether all its words are in them.

    Of more than `MOST_WORDS` words the first ones count.
    """
    words = set[str]()
    for text in texts:
        for word in words_of(text):
            if len(words) == MOST_WORDS and word not in words:
                return _with_beginnings(words), False
            words.add(word)
    return _with_beginnings(words), True


def _with_beginnings(words: set[str]) -> list[str]:
    beginnings = {word[:length] + _MARK for word in words for length in BEGINNINGS if len(word) >= length}
    return sorted(words | beginnings)


class QueryProblem(StrEnum):
    """Why a query is refused: the code of the problem document."""

    TOO_SHORT = "query_too_short"
    TOO_MANY = "too_many_words"


@dataclass(frozen=True)
class Query:
    """What a chat has to have: all of these words, and a word that begins so.

    Attributes:
        words: Whole words.
        beginning: The beginning of a word; None: every word of the query is a whole one.
    """

    words: tuple[str, ...] = ()
    beginning: str | None = None

    def equalities(self) -> tuple[str, ...]:
        """Return the keys that every chat has which this query finds."""
        if self.beginning is None:
            return self.words
        length = max(n for n in BEGINNINGS if n <= len(self.beginning))
        return (*self.words, self.beginning[:length] + _MARK)

    def pattern(self) -> str | None:
        """Return the pattern of a key that a chat has to have beside `equalities`; None: there is no more to match."""
        if self.beginning is None or len(self.beginning) in BEGINNINGS:
            return None
        return f"^{re.escape(self.beginning)}"


def parsed(text: str) -> Query | QueryProblem:
    """Return the query in this text. Its last word may be the beginning of a word, from three characters on."""
    found = list(words_of(text))
    if not found:
        return QueryProblem.TOO_SHORT
    *_, last = _WORD.findall(normalised(text))
    beginning = last[:LONGEST] if len(last) >= BEGINNINGS[0] else None
    whole = dict.fromkeys(found[:-1] if beginning else found)
    if len(whole) + bool(beginning) > MOST_QUERIED:
        return QueryProblem.TOO_MANY
    return Query(tuple(whole), beginning)
