"""`questions/number.py`: a number that can be read out, and whose errors are found."""

from hypothesis import given
from hypothesis import strategies as st

from services.transcripts.questions.number import ALPHABET, LENGTH, is_number, number_of
from tests.transcripts.conftest import new_id

NUMBERS = st.uuids().map(lambda one: number_of(str(one)))


def test_a_number_is_that_of_its_question_and_attempt() -> None:
    one, two = new_id(), new_id()
    assert number_of(one) == number_of(one)
    assert len({number_of(one), number_of(two), number_of(one, 1), number_of(one, 2)}) == 4
    assert not set("01258BIOLSUVZ") & set(ALPHABET)
    assert number_of("b3b4ec33-9d2c-4a5b-8a6e-0f6f2f6d7c11") == "JTT9TQ4E", "replicas of all releases agree"


@given(NUMBERS, st.integers(0, LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_found(number: str, place: int, other: str) -> None:
    assert is_number(number)
    changed = number[:place] + other + number[place + 1 :]
    assert is_number(changed) == (changed == number)


@given(NUMBERS, st.integers(0, LENGTH - 1), st.integers(0, LENGTH - 1))
def test_two_exchanged_characters_are_found(number: str, one: int, two: int) -> None:
    characters = list(number)
    characters[one], characters[two] = characters[two], characters[one]
    assert is_number("".join(characters)) == (characters == list(number))


def test_what_has_another_form_is_no_number() -> None:
    assert not any(map(is_number, ("", "AAAA", "0" * LENGTH, "A" * (LENGTH + 1))))
