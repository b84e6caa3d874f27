"""`services/gateway/identifying_numbers.py`: what is a number and what is none, and what the policies make of it."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn

from services.common.config.departments import Departments, NumberPolicy
from services.gateway.identifying_numbers import ACCOUNT_LENGTHS, CARDS, NumberRefused, NumberRules, find

ROOT = Path(__file__).parents[2]
SAMPLES: dict[str, Any] = json.loads((ROOT / "tests/support/identifying_numbers.json").read_text())
LONGEST_TEXT = 4_000
MASK = NumberPolicy()
NATIONAL, IBAN, CARD = "85.07.30-033.28", "BE71 0961 2345 6769", "4111 1111 1111 1111"


def rules(**policies: NumberPolicy) -> NumberRules:
    """The rules of departments with these policies."""
    names = dict.fromkeys(("nl", "fr", "de", "en"), "Dienst")
    departments = [{"id": id_, "names": names, "numbers": policy} for id_, policy in policies.items()]
    return NumberRules(Departments.model_validate({"default": next(iter(policies)), "departments": departments}))


ALL = rules(burgerzaken=MASK)


def mask(text: str) -> str:
    return ALL.apply(text, "burgerzaken")


def national(base: int, century: int) -> str:
    """The national number of nine digits and a century."""
    return f"{base:09}{97 - ((2_000_000_000 if century == 2000 else 0) + base) % 97:02}"


@pytest.mark.parametrize("sample", SAMPLES["found"], ids=lambda sample: sample["text"])
def test_a_number_is_found_however_it_is_written(sample: dict[str, Any]) -> None:
    assert [one.kind for one in find(sample["text"])] == sample["kinds"]
    assert mask(sample["text"]) == sample["masked"]


@pytest.mark.parametrize("text", SAMPLES["none"])
def test_what_only_looks_like_a_number_is_none(text: str) -> None:
    assert mask(text) == text


@given(
    year=st.integers(0, 99),
    month=st.sampled_from([0, *range(1, 13), *range(20, 33), *range(40, 53)]),
    day=st.integers(0, 28),
    count=st.integers(1, 998),
    born=st.sampled_from([1900, 2000]),
    writing=st.sampled_from(["{}{}{}{}{}", "{}.{}.{}-{}.{}", "{} {} {} {} {}", "{}{}{}-{}-{}", "{}/{}/{} {}{}"]),
)
def test_national_and_bis_numbers_of_both_centuries(
    year: int, month: int, day: int, count: int, born: int, writing: str
) -> None:
    born = 1900 if year > 25 else born
    number = national(int(f"{year:02}{month:02}{day:02}{count:03}"), born)
    written = writing.format(number[:2], number[2:4], number[4:6], number[6:9], number[9:])
    if re.fullmatch("324[5-9].*", written):
        return  # written like a telephone number
    assert [(one.kind, one.number) for one in find(f"nr {written}!")] == [("national", number)]


@given(
    start=st.sampled_from(["4", "51", "55", "2221", "2720", "34", "37", "6703", "6759", "36", "6011", "3528", "62"]),
    rest=st.text("0123456789", min_size=18, max_size=18),
    between=st.sampled_from(["", " ", "-", "\u00a0"]),
    length=st.integers(13, 19),
)
def test_cards_have_the_digits_and_lengths_of_their_brand(start: str, rest: str, between: str, length: int) -> None:
    lengths = next(lengths for first, lengths in CARDS if first.match(start + rest))
    digits = (start + rest)[: length - 1]
    digits += luhn.calc_check_digit(digits)
    written = between.join(digits[at : at + 4] for at in range(0, length, 4))
    assert (digits in [one.number for one in find(written)]) is (length in lengths)


FOREIGN = st.tuples(st.integers(10, 999), st.integers(10**7, 10**11)).map(lambda parts: f"{parts[0]} {parts[1]}")
TELEPHONE = st.one_of(
    FOREIGN.flatmap(lambda number: st.sampled_from([f"+{number}", "+" + number.replace(" ", ""), f"00{number}"])),
    st.from_regex(r"(\+32|0032|32) 4[5-9][0-9] [0-9]{2} [0-9]{2} [0-9]{2}", fullmatch=True),
    st.from_regex(r"(\+32|0032|32) ?4[5-9][0-9]{7}", fullmatch=True),
    st.from_regex(r"0[2-9][0-9]?[/ ]?[0-9]{3}[ .][0-9]{2}[ .][0-9]{2}", fullmatch=True),
    st.from_regex(r"04[5-9][0-9][/ .]?[0-9]{2}[ .]?[0-9]{2}[ .]?[0-9]{2}", fullmatch=True),
)
DATE = st.one_of(
    st.dates().map(str),
    st.datetimes().map(lambda at: f"{at:%d.%m.%Y %H:%M}"),
    st.datetimes().map(lambda at: f"{at:%d/%m/%Y - %H.%M}"),
    st.tuples(st.dates(), st.dates()).map(lambda days: f"{days[0]:%d-%m-%Y} - {days[1]:%d-%m-%Y}"),
    st.tuples(st.dates(), st.dates()).map(lambda days: f"{days[0]} {days[1]}"),
)
_HALF = st.text("34679ACDEFGHJKMNPQRTWXY", min_size=4, max_size=4)
CHAT_NUMBER = st.tuples(_HALF, _HALF).map(" ".join)


@settings(max_examples=500)
@given(st.one_of(TELEPHONE, DATE, CHAT_NUMBER, st.uuids().map(str)))
def test_telephone_numbers_dates_and_chat_numbers_stay(written: str) -> None:
    assert mask(f"Zie {written}, dank u.") == f"Zie {written}, dank u."


@given(st.text())
def test_any_text_is_masked_once_and_gets_no_longer(text: str) -> None:
    once = mask(text)
    assert mask(once) == once
    assert len(once) <= len(text)


@given(st.lists(st.sampled_from([NATIONAL, IBAN, CARD, "12", " ", "-", "BE", "x", "+", "\n"])).map("".join))
def test_a_masked_text_is_masked_already(text: str) -> None:
    assert mask(mask(text)) == mask(text)


def test_every_country_of_the_library_has_a_length() -> None:
    assert len(ACCOUNT_LENGTHS) >= 89
    assert {ACCOUNT_LENGTHS[country] for country in ("BE", "NL", "DE", "MT")} == {16, 18, 22, 31}


@pytest.mark.parametrize(
    "piece",
    ["1 ", "12", "85 ", "4111 ", "4111 1111 1111 1112 ", "BE71 ", "BE7109612345676", "850730-033.28 ", "+1", "B"],
)
def test_the_work_grows_with_the_length_alone(piece: str) -> None:
    half, whole = (_steps(piece * (length // len(piece))) for length in (LONGEST_TEXT // 2, LONGEST_TEXT))
    assert whole <= 2.2 * half + 100
    assert whole <= 150 * LONGEST_TEXT


def _steps(text: str) -> int:
    """The number of lines that are executed in the module and in python-stdnum."""
    count = 0
    ours = ("identifying_numbers", "stdnum")

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal count
        if not any(name in frame.f_code.co_filename for name in ours):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        find(text)
    finally:
        sys.settrace(before)
    return count


def test_a_department_refuses_masks_or_allows_each_kind() -> None:
    some = rules(
        een=NumberPolicy(national="allow", iban="refuse", card="mask"),
        twee=NumberPolicy(national="allow", iban="allow", card="allow"),
    )
    assert some.apply(f"{NATIONAL} en {CARD}", "een") == f"{NATIONAL} en ••••••••••••1111"
    with pytest.raises(NumberRefused) as refused:
        some.apply(f"{NATIONAL} {IBAN} {IBAN} {CARD}", "een")
    assert refused.value.kinds == ["iban"]
    assert IBAN not in str(refused.value)
    assert some.mask(f"{NATIONAL} {IBAN}", "een") == f"{NATIONAL} BE••••••••••6769"
    assert some.apply(f"{NATIONAL} {IBAN} {CARD}", "twee") == f"{NATIONAL} {IBAN} {CARD}"


@pytest.mark.parametrize("department", [None, "opgeheven"])
def test_a_department_that_is_not_known_masks(department: str | None) -> None:
    some = rules(een=NumberPolicy(national="allow", iban="refuse", card="allow"))
    assert some.apply(f"{NATIONAL} {IBAN}", department) == "•••••••••28 BE••••••••••6769"


def test_the_numbers_of_the_authority_itself_stay() -> None:
    some = rules(een=NumberPolicy.model_validate({"own": ["BE71 0961 2345 6769"], "iban": "refuse"}))
    assert some.apply("Betaal op be71-0961-2345-6769", "een") == "Betaal op be71-0961-2345-6769"
    with pytest.raises(NumberRefused):
        some.apply("NL91ABNA0417164300", "een")


def test_the_name_of_a_file_shows_what_every_department_allows() -> None:
    own = ["BE71096123456769"]
    some = rules(
        een=NumberPolicy.model_validate({"national": "allow", "card": "allow", "own": own}),
        twee=NumberPolicy.model_validate({"national": "allow", "card": "refuse", "own": [*own, "NL91ABNA0417164300"]}),
    )
    name = f"{NATIONAL} {CARD} BE71096123456769 NL91ABNA0417164300.pdf"
    assert some.mask_without_department(name) == f"{NATIONAL} ••••••••••••1111 BE71096123456769 NL••••••••••••4300.pdf"
    assert rules(een=MASK).mask_without_department("85073003328.pdf") == "•••••••••28.pdf"


def test_the_page_knows_the_same_countries() -> None:
    page = (ROOT / "services/gateway/web/widget/number-check.js").read_text()
    [structures] = re.findall(r'"(AD\w+(?: [A-Z]{2}\w+)+)"', page)
    lengths = {one[:2]: 4 + sum(map(int, re.findall(r"\d+", one[2:]))) for one in structures.split()}
    assert lengths == ACCOUNT_LENGTHS
