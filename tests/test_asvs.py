"""The table of the ASVS in `docs/security.md`: whole, with a reason in each row, and counted right."""

import re
from collections import Counter

from tests.support.servers import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
CHAPTERS = (27, 11, 19, 10, 9, 35, 18, 7, 7, 29, 14, 9, 13, 9, 13, 16, 7)
"""How many requirements of levels 1 and 2 each chapter of version 5.0.0 has."""
LEVELS = {"1": 70, "2": 183}
STATES = ("met", "not met", "not applicable")
ROWS = re.findall(r"^\| (\d+)\.(\d+\.\d+) \| ([12]) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_every_requirement_of_levels_1_and_2_is_there_once() -> None:
    assert len({(chapter, number) for chapter, number, *_ in ROWS}) == len(ROWS) == sum(CHAPTERS)
    assert Counter(int(row[0]) for row in ROWS) == dict(enumerate(CHAPTERS, 1))
    assert Counter(row[2] for row in ROWS) == LEVELS


def test_every_row_has_a_state_and_what_is_met_names_what_shows_it() -> None:
    assert {row[4] for row in ROWS} == set(STATES)
    assert all(row[5].strip() for row in ROWS)


def test_the_counts_are_right() -> None:
    def line(name: str, states: Counter[str]) -> str:
        return f"| {name} | {' | '.join(str(states[state]) for state in STATES)} | {states.total()} |"

    assert line("all", Counter(row[4] for row in ROWS)) in PAGE
    for level in LEVELS:
        assert line(f"of level {level}", Counter(row[4] for row in ROWS if row[2] == level)) in PAGE
    for chapter in range(1, len(CHAPTERS) + 1):
        states = Counter(row[4] for row in ROWS if int(row[0]) == chapter)
        assert re.search(rf"^\| {chapter} [^|]+ {re.escape(line('', states)[3:])}$", PAGE, re.MULTILINE), chapter
