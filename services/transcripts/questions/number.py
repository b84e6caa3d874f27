"""RULES of the number of a left question: what a citizen reads out and an agent types.

It has eight characters of an alphabet of 23 in which no two look alike on paper: no 0 and O, 1 and I, 2 and Z, 5 and S,
8 and B, U and V. The last one is a check character (a weighted sum modulo 23, as that of ISBN-10 modulo 11): a number
with one wrong character, or with two exchanged ones, is not valid.
"""

from __future__ import annotations

import hashlib

ALPHABET = "34679ACDEFGHJKMNPQRTWXY"
LENGTH = 8
_BASE = len(ALPHABET)  # a prime, so that the check finds every such error


def number_of(question_id: str, attempt: int = 0) -> str:
    """Return the number of this question; another one for each attempt, where the first ones are taken."""
    value = int.from_bytes(hashlib.sha256(f"{question_id}\n{attempt}".encode()).digest())
    digits = [value // _BASE**place % _BASE for place in range(LENGTH - 1)]
    check = -_weighted(digits) * pow(LENGTH, -1, _BASE) % _BASE
    return "".join(ALPHABET[digit] for digit in (*digits, check))


def is_number(text: str) -> bool:
    """Return whether this text, in capitals, is a number without an error that the check finds."""
    if len(text) != LENGTH or not set(text) <= set(ALPHABET):
        return False
    return _weighted([ALPHABET.index(character) for character in text]) % _BASE == 0


def _weighted(digits: list[int]) -> int:
    return sum(weight * digit for weight, digit in enumerate(digits, 1))
