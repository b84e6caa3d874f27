"""`services/transcripts/past_chats/words.py`: what counts as a word, the keys of a chat, and queries."""

import pytest

from services.transcripts.past_chats.words import (
    BEGINNINGS,
    LONGEST,
    MOST_QUERIED,
    MOST_WORDS,
    Query,
    QueryProblem,
    keys_of,
    parsed,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Één cliënt, ÉÉN Cliënt!", ["een", "client", "een", "client"]),
        ("l'attestation d’Œuvre", ["attestation", "oeuvre"]),
        ("STRASSE straße Straße", ["strasse", "strasse", "strasse"]),
        ("\N{LATIN SMALL LIGATURE FI}ets \N{FULLWIDTH LATIN CAPITAL LETTER A}B", ["fiets", "ab"]),
        (
            "an.peeters@voorbeeld.be 85.07.30-033.28",
            ["an", "peeters", "voorbeeld", "be", "85", "07", "30", "033", "28"],
        ),
        ("a 1 _ __ -- \N{GRINNING FACE}", []),
        ("İstanbul ISTANBUL \u0131ss\u0131z", ["istanbul", "istanbul", "issiz"]),
        ("Ελλάδα ελλαδα", ["ελλαδα", "ελλαδα"]),
        ("日本語", ["日本語"]),
        ("", []),
    ],
)
def test_words_are_without_case_and_accents(text: str, words: list[str]) -> None:
    assert list(words_of(text)) == words


def test_a_composed_and_a_decomposed_letter_are_one() -> None:
    assert list(words_of("caf\u00e9")) == list(words_of("cafe\u0301")) == ["cafe"]


def test_what_is_too_long_is_cut() -> None:
    assert list(words_of("a" * 5_000)) == ["a" * LONGEST]


def test_keys_are_the_words_and_their_beginnings() -> None:
    assert keys_of(["Formulier 12", "formulier"]) == (["12", "for*", "formu*", "formulier"], True)
    assert BEGINNINGS == (3, 5)


def test_a_chat_has_a_bounded_number_of_keys() -> None:
    keys, complete = keys_of(" ".join(f"{letter}{n:05d}" for n in range(1_000)) for letter in "abcdef")
    assert not complete
    assert len([key for key in keys if not key.endswith("*")]) == MOST_WORDS
    assert len(keys) <= 3 * MOST_WORDS
    assert "a00000" in keys
    assert "f00999" not in keys
    words = [f"a{n:05d}" for n in range(MOST_WORDS)]
    assert keys_of([" ".join(words), " ".join(words)])[1], "the same words again are no more words"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Peeters", Query((), "peeters")),
        ("An PEETERS", Query(("an",), "peeters")),
        ("peeters an", Query(("peeters", "an"))),
        ("peeters x", Query(("peeters",))),
        ("een één form", Query(("een",), "form")),
        ("12", Query(("12",))),
        (f"x{'y' * 60}", Query((), f"x{'y' * (LONGEST - 1)}")),
        ("", QueryProblem.TOO_SHORT),
        (" . a ?", QueryProblem.TOO_SHORT),
        (" ".join(f"w{n}" for n in range(MOST_QUERIED)), Query(tuple(f"w{n}" for n in range(MOST_QUERIED)))),
        (" ".join(f"w{n}" for n in range(MOST_QUERIED + 1)), QueryProblem.TOO_MANY),
        (" ".join(f"wo{n}" for n in range(MOST_QUERIED + 1)), QueryProblem.TOO_MANY),
    ],
)
def test_a_query_has_whole_words_and_a_beginning(text: str, query: Query | QueryProblem) -> None:
    assert parsed(text) == query


def test_each_query_has_an_equality_to_begin_with() -> None:
    assert Query(("an",), "for").equalities() == ("an", "for*")
    assert Query((), "form").equalities() == ("for*",)
    assert Query((), "formuli").equalities() == ("formu*",)
    assert Query((), "form").pattern() == "^form"
    assert [Query((), text).pattern() for text in ("for", "formu")] == [None, None]
    assert Query(("an",)).pattern() is None
