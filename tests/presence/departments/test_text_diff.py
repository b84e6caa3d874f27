"""`text_diff.py`: what a version has changed, by lines, in bounded time."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.common.internal_api.configuration import MOST_CHANGES
from services.presence.departments import text_diff
from services.presence.departments.text_diff import changed_lines

LINES = st.lists(st.sampled_from("abcd"), max_size=12)


def shown(before: str, after: str) -> list[str]:
    return [line.mark + line.text for line in changed_lines(before, after)]


def test_each_change_is_shown_with_a_line_around_it() -> None:
    before = "\n".join("abcdefghij")
    assert shown(before, before) == []
    assert shown("", "a\nb") == ["+a", "+b"]
    assert shown("a\nb", "") == ["-a", "-b"]
    assert shown(before, before.replace("c", "x")) == [" b", "-c", "+x", " d"]
    assert shown(before, before.replace("a", "x").replace("j\n", "j\ny")) == ["-a", "+x", " b"]
    assert shown(before, before.replace("c\n", "").replace("h", "h\nx")) == [" b", "-c", " d", " h", "+x", " i"]
    assert shown(before, before.replace("c", "x").replace("e", "y")) == [" b", "-c", "+x", " d", "-e", "+y", " f"]


@given(LINES, LINES)
def test_the_changes_lead_from_one_text_to_the_other(before: list[str], after: list[str]) -> None:
    found = changed_lines("\n".join(before), "\n".join(after))
    removed, added = (Counter(line.text for line in found if line.mark == mark) for mark in "-+")
    assert Counter(before) - removed + added == Counter(after)
    assert not removed - Counter(before)
    assert bool(found) == (before != after)


def test_texts_that_differ_too_much_are_replaced_and_cost_no_more_than_others() -> None:
    rng = random.Random(2)
    before, after = ("\n".join(["first", *(f"# {rng.randrange(300)}" for _ in range(20_000))]) for _ in range(2))
    found = shown(before, after)
    assert (found[0], len(found)) == (" first", MOST_CHANGES)
    assert {line[0] for line in found[1:]} == {"-"}


def test_equal_lines_between_many_changes_are_found() -> None:
    before = [f"key = {n}" for n in range(4_000)]
    after = [line + "0" if n % 40 == 0 else line for n, line in enumerate(before)]
    found = shown("\n".join(before), "\n".join(after))
    assert found[:7] == ["-key = 0", "+key = 00", " key = 1", " key = 39", "-key = 40", "+key = 400", " key = 41"]
    assert sum(line[0] != " " for line in found) == 200 < text_diff.MOST_EDITS
