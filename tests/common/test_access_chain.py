"""The chain of the access log: whatever is changed, removed, inserted or exchanged in it shows, and where."""

from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.common.access_chain import FIRST, PRUNED, Flaw, Head, Verifier, chained, hash_of

ENTRIES = [{"act": "transcript_read", "who": who, "at": f"2026-11-29T10:00:0{n}.000Z"} for n, who in enumerate("abcde")]


def log(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return chained(Head(), entries or ENTRIES)


def problems(entries: list[dict[str, Any]], head: Head | None = None) -> list[str]:
    verifier = Verifier()
    for start in range(0, len(entries), 2):  # in pages
        verifier.take(entries[start : start + 2])
    return [str(flaw) for flaw in verifier.end(head)]


def test_an_intact_log_has_no_problems_and_its_last_entry_as_head() -> None:
    made = log()
    verifier = Verifier()
    verifier.take(made)
    assert verifier.end(Head(5, made[-1]["hash"])) == []
    assert verifier.head == Head(5, made[-1]["hash"])
    assert made[0]["prev"] == FIRST
    assert problems([]) == []


def test_the_canonical_form_does_not_change() -> None:
    """What was logged once is verified for years: this hash was calculated by another program.

    printf '{"act":"file_read","prev":"0","seq":1,"who":"Zoë"}' | sha256sum
    """
    entry = {"seq": 1, "who": "Zoë", "act": "file_read", "prev": "0", "hash": "whatever"}
    assert hash_of(entry) == "fd53efd1b56f71a0f3921f26a2f70bd97774d17a97aa64d3339a3af5d435f4c8"


@given(st.integers(0, 4), st.sampled_from(["who", "at", "act", "prev", "hash"]), st.text(max_size=5))
@example(0, "who", "a")  # the value that is there: no change
def test_every_change_of_a_member_shows(index: int, member: str, value: str) -> None:
    made = log()
    assume(value != made[index][member])
    made[index] = {**made[index], member: value}
    assert problems(made)


@given(st.integers(0, 4), st.text(min_size=1, max_size=5))
def test_an_altered_entry_shows_even_when_its_own_hash_was_made_again(index: int, value: str) -> None:
    made = log()
    made[index] = {**made[index], "reason": value}
    made[index]["hash"] = hash_of(made[index])
    found = problems(made, Head(5, log()[-1]["hash"]))
    assert found == ([f"entry {index + 2} does not follow entry {index + 1}"] if index < 4 else [
        "entry 5 is another one than was noted"
    ])  # fmt: skip


def test_what_is_missing_shows_by_its_numbers() -> None:
    made = log()
    assert problems(made[:2] + made[3:]) == ["entries 3 to 3 are missing"]
    assert problems(made[1:]) == ["the entries before 2 are missing, and no entry says that they were deleted"]
    assert problems(made[:3]) == []  # at the end it shows only beside a head that was noted
    assert problems(made[:3], Head(5, made[4]["hash"])) == ["entries 4 to 5 are missing at the end"]
    assert problems([made[0], made[2], made[1], *made[3:]])


def test_a_part_of_the_log_is_verified_alone() -> None:
    made, verifier = log(), Verifier()
    verifier.take(made[1:4])
    assert verifier.end(part=True) == []
    verifier = Verifier()
    verifier.take([made[1], made[3]])
    assert verifier.end(part=True) == [Flaw("missing", 3, 3)]


def test_a_beginning_that_was_deleted_after_its_period_is_no_problem_if_the_log_says_so() -> None:
    first = log()
    last = Head(3, first[2]["hash"])
    made = first + chained(Head(5, first[4]["hash"]), [{"act": PRUNED, "item": str(last)}, ENTRIES[0]])
    assert problems(made) == []
    assert problems(made[3:]) == []
    assert problems(made[2:])
    assert problems(made[4:])
