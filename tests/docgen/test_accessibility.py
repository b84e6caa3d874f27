"""`services/docgen/accessibility.py`: the page has the criteria of the statement."""

import pytest

from services.docgen.accessibility import BEGIN, END, main, page, table
from services.gateway.http.pages.accessibility_page.page import CRITERIA


def test_the_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_what_stands_around_the_table_stays() -> None:
    assert page(f"before\n{BEGIN}old\n{END}after\n") == f"before\n{BEGIN}{table()}{END}after\n"
    assert all(f"| {row.criterion} | {row.level} |" in table() for row in CRITERIA)
