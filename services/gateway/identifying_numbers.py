"""RULES of identifying numbers: find them in a text, and mask or refuse them by the policy of a department. No I/O.

An identifying number is a Belgian national register number or BIS number, an IBAN, or a payment card number. It is
found by its length, its way of writing and its check digits, which python-stdnum knows. `web/widget/number-check.js`
has the same rules for the page; `tests/support/identifying_numbers.json` has samples for both.

Each start of a number is tried once, with at most as many characters as the longest number has. The time is therefore
proportional to the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from stdnum import iban, luhn, numdb
from stdnum.be import bis, nn

from services.common.config.departments import Departments, NumberKind, NumberPolicy

BULLET = "•"
FEWEST_DIGITS = 7  # of a text with a number: an IBAN may have letters
SPACES = "\t \u00a0\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff\u00ad"
"""Spaces of all widths, and characters that are not seen: zero-width spaces, soft hyphens."""
MARKS = r"./\-\u00b7\u2010-\u2015\u2212\uff0d\uff0e\uff0f"
"""Dots, slashes and dashes."""
_SEPARATOR = f"[{SPACES}{MARKS}]{{0,3}}"
_PLAIN = {code: ord("0") + int(chr(code)) for code in range(0x80, 0x20000) if chr(code).isdecimal()}
_PLAIN |= {first + n: ord("A") + n for first in (0xFF21, 0xFF41, ord("a")) for n in range(26)}
"""Digits of all scripts, letters of full width and small ones, by those that stand for them."""
_DIGIT = re.compile(r"[0-9]")
_GROUP = re.compile(r"[0-9]+")
_JOINED = re.compile(_SEPARATOR)
_ACCOUNT = re.compile(rf"(?<![0-9A-Z])[A-Z]{{2}}{_SEPARATOR}[0-9]{{2}}")
_LETTER = re.compile(r"[A-Z]")
_PART = re.compile(r"[0-9A-Z]+")
_UUID = re.compile(r"(?<![0-9A-Z])[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}(?![0-9A-Z])")
_DIALLED = re.compile(rf"(?:\+|(?<![0-9])00){_SEPARATOR}\Z")
_DIALLED_WITHIN = 8  # characters before a number in which `_DIALLED` can match
_MOBILE = re.compile(r"324[5-9][0-9]{7}")
"""A Belgian mobile number with its country code and without a sign before it, as some write it."""
NATIONAL_LENGTH = 11
NATIONAL_GROUPS = (frozenset({2, 4, 6, 9}), frozenset({3, 6, 9}), frozenset({4, 8}))
"""After how many digits a national number may have separators: 85.07.30-033.28, 850 730 033 28, 8507 3003 328."""
CARD_GROUPS = (frozenset({4, 8, 12, 16}), frozenset({4, 10}))
"""The same for cards: 4111 1111 1111 1111, 3400 000000 00009."""
GROUPS = (*NATIONAL_GROUPS, *CARD_GROUPS)
CARDS = (
    (re.compile("4"), (16, 19)),  # Visa
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("5018|5020|5038|5893|6304|6703|6759|676[1-3]"), (13, 14, 15, 16, 17, 18, 19)),  # Maestro, Bancontact
    (re.compile("30[0-5]|3095|3[689]"), (14, 16, 19)),  # Diners Club
    (re.compile("6011|64[4-9]|65"), (16, 19)),  # Discover
    (re.compile("352[89]|35[3-8]"), (16, 19)),  # JCB
    (re.compile("62"), (16, 17, 18, 19)),  # UnionPay
)
"""First digits and lengths of card numbers (ISO/IEC 7812) by their brands."""
SHORTEST_CARD, LONGEST_CARD = 13, 19


@dataclass(frozen=True, slots=True)
class Found:
    """A number in a text.

    Attributes:
        kind: What it is.
        start: Where it begins in the text.
        end: Where it ends.
        number: Its digits, of an IBAN also its letters, without separators.
    """

    kind: NumberKind
    start: int
    end: int
    number: str

    @property
    def masked(self) -> str:
        """The masked form: a bullet for each character but the last digits, of an IBAN also but its country.

        Of a national number two digits stay, its check digits, of the others four. They are enough to tell two numbers
        apart in a conversation.
        """
        kept = 2 if self.kind == "national" else 4
        country = self.number[:2] if self.kind == "iban" else ""
        return country + BULLET * (len(self.number) - len(country) - kept) + self.number[-kept:]


class NumberRefused(Exception):
    """A text has numbers that the department refuses. `kinds` says which, each once."""

    def __init__(self, kinds: Iterable[NumberKind]) -> None:
        self.kinds = sorted(set(kinds))
        super().__init__(", ".join(self.kinds))


class NumberRules:
    """The policies of all departments, applied to texts."""

    def __init__(self, departments: Departments) -> None:
        self._departments = departments

    def apply(self, text: str, department: str | None) -> str:
        """Return a text in which the numbers that the department masks are masked.

        Args:
            text: The text.
            department: The id of the department of the chat or question; None, or a department that is not in the file
                (any more): every number is masked.

        Raises:
            NumberRefused: The text has a number that the department refuses.
        """
        policy = self._policy(department)
        found = _not_allowed(text, policy)
        if refused := [one.kind for one in found if policy.of(one.kind) == "refuse"]:
            raise NumberRefused(refused)
        return _masked(text, found)

    def mask(self, text: str, department: str | None) -> str:
        """Return a text in which the numbers that the department does not allow are masked.

        It is for texts that their writer could not change after a refusal: names, the state of a form, reasons.
        """
        return _masked(text, _not_allowed(text, self._policy(department)))

    def mask_without_department(self, text: str) -> str:
        """Return a text in which the numbers are masked that not every department allows.

        It is for names of files and for the reasons of reading: the gateway passes them on without knowing the
        department of their chat.
        """
        strictest = _strictest([department.numbers for department in self._departments.departments])
        return _masked(text, _not_allowed(text, strictest))

    def _policy(self, department: str | None) -> NumberPolicy:
        known = self._departments.get(department) if department else None
        return known.numbers if known else NumberPolicy()


def _strictest(policies: list[NumberPolicy]) -> NumberPolicy:
    common = frozenset(policies[0].own).intersection(*(policy.own for policy in policies))
    allowed = {
        kind: "allow" if all(policy.of(kind) == "allow" for policy in policies) else "mask"
        for kind in ("national", "iban", "card")
    }
    return NumberPolicy.model_validate({**allowed, "own": common})


def _not_allowed(text: str, policy: NumberPolicy) -> list[Found]:
    if policy.allows_all:
        return []
    return [one for one in find(text) if policy.of(one.kind) != "allow" and one.number not in policy.own]


def _masked(text: str, found: list[Found]) -> str:
    for one in reversed(found):
        text = text[: one.start] + one.masked + text[one.end :]
    return text


def find(text: str) -> list[Found]:
    """Return the identifying numbers of a text in their order. They do not overlap."""
    plain = text.translate(_PLAIN)  # one character for each: the places are those of the text
    if len(_DIGIT.findall(plain)) < FEWEST_DIGITS:
        return []
    taken = [(match.start(), match.end()) for match in _UUID.finditer(plain)]
    accounts = _accounts(plain)
    taken = sorted([*taken, *((one.start, one.end) for one in accounts)])
    return sorted([*accounts, *_numbers(plain, taken)], key=lambda one: one.start)


def _accounts(plain: str) -> list[Found]:
    found: list[Found] = []
    end = 0
    for match in _ACCOUNT.finditer(plain):
        if match.start() < end:
            continue
        length = ACCOUNT_LENGTHS.get(plain[match.start() : match.start() + 2], 0)
        stop, number = _take(plain, match.start(), length)
        if length and len(number) == length and iban.is_valid(number, check_country=False):
            end = stop
            found.append(Found("iban", match.start(), end, number))
    return found


def _take(plain: str, at: int, length: int) -> tuple[int, str]:
    """Return the first `length` letters and digits from a place on, and where they end.

    They may have separators between them. The last of them is the last of its word, otherwise the result is shorter.
    """
    number = ""
    while len(number) < length and (part := _PART.match(plain, at)):
        if len(number) + len(part[0]) > length:
            break
        number += part[0]
        end = part.end()
        joined = _JOINED.match(plain, end)
        at = joined.end() if joined else end
        if len(number) == length:
            return end, number
    return at, ""


def _numbers(plain: str, taken: list[tuple[int, int]]) -> list[Found]:
    groups = _free_groups(plain, taken)
    found: list[Found] = []
    index = 0
    while index < len(groups):
        one, used = _number_at(plain, groups, index)
        if one:
            found.append(one)
        index += used
    return found


def _free_groups(plain: str, taken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the places of the runs of digits that are in none of the places `taken`, which are in order."""
    groups: list[tuple[int, int]] = []
    rest = iter(taken)
    start, end = next(rest, (len(plain), len(plain)))
    for match in _GROUP.finditer(plain):
        while end <= match.start() and start < len(plain):
            start, end = next(rest, (len(plain), len(plain)))
        if match.end() <= start:
            groups.append((match.start(), match.end()))
    return groups


def _number_at(plain: str, groups: list[tuple[int, int]], index: int) -> tuple[Found | None, int]:
    """Return the longest number that begins with this run of digits, if any, and how many runs it has, at least 1."""
    start, end = groups[index]
    if end - start > LONGEST_CARD:
        return None, 1
    digits, breaks = plain[start:end], set[int]()
    best: tuple[Found | None, int] = (None, 1)
    last = index
    while len(digits) <= LONGEST_CARD and any(breaks <= groups for groups in GROUPS):
        if kind := _kind(digits, breaks):
            best = Found(kind, start, groups[last][1], digits), last - index + 1
        last += 1
        if last == len(groups) or not _JOINED.fullmatch(plain, groups[last - 1][1], groups[last][0]):
            break
        breaks.add(len(digits))
        digits += plain[groups[last][0] : min(groups[last][1], groups[last][0] + LONGEST_CARD + 1)]
    if best[0] and (_within_code(plain, best[0]) or _DIALLED.search(plain[max(0, start - _DIALLED_WITHIN) : start])):
        return None, 1
    return best


def _within_code(plain: str, one: Found) -> bool:
    """Whether a number has a letter directly before and after it: it is a part of a hash, a token or another code."""
    return bool(_LETTER.fullmatch(plain[max(0, one.start - 1) : one.start]) and _LETTER.match(plain, one.end))


def _kind(digits: str, breaks: set[int]) -> NumberKind | None:
    if len(digits) == NATIONAL_LENGTH:
        return "national" if _is_national(digits, breaks) else None
    if len(digits) < SHORTEST_CARD or not any(breaks <= groups for groups in CARD_GROUPS):
        return None
    return "card" if is_card(digits) else None


def _is_national(digits: str, breaks: set[int]) -> bool:
    if not any(breaks <= groups for groups in NATIONAL_GROUPS) or (breaks <= {2} and _MOBILE.fullmatch(digits)):
        return False
    return nn.is_valid(digits) or bis.is_valid(digits)


def is_card(digits: str) -> bool:
    """Whether digits are a card number: first digits and length of a brand, and the check digit (Luhn)."""
    known = any(len(digits) in lengths and first.match(digits) for first, lengths in CARDS)
    return known and luhn.is_valid(digits)


def _account_lengths() -> dict[str, int]:
    """Return the length of the IBANs of each country that python-stdnum knows."""
    letters = [chr(ord("A") + n) for n in range(26)]
    countries = numdb.get("iban")
    lengths: dict[str, int] = {}
    for country in (one + two for one in letters for two in letters):
        structure = countries.info(country)[0][1].get("bban", "")
        if structure:
            lengths[country] = 4 + sum(int(length) for length in re.findall(r"(\d+)!", structure))
    return lengths


ACCOUNT_LENGTHS = _account_lengths()
