"""Generates the table of WCAG 2.2 in `docs/accessibility.md` from the criteria of the accessibility statement.

`python -m services.docgen.accessibility` writes it; with `--check` it only says whether it is current.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from services.docgen.pages import update
from services.gateway.http.pages.accessibility_page.page import ASSESSED, CRITERIA

FILE = Path(__file__).parents[2] / "docs" / "accessibility.md"
BEGIN, END = "<!-- criteria: begin -->\n", "<!-- criteria: end -->\n"


def table() -> str:
    """Return the counts and a row for each criterion."""
    counts = Counter(row.result for row in CRITERIA)
    lines = [
        f"Assessed on {ASSESSED}: {counts['met']} met, {counts['partly']} partly, "
        f"{counts['not applicable']} not applicable, of {len(CRITERIA)}.",
        "",
        "| criterion | level | name | result | remark | test |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.criterion} | {row.level} | {row.name} | {row.result} | {row.remark} | "
        f"{f'`{row.test}`' if row.test else ''} |"
        for row in CRITERIA
    ]
    return "\n".join(lines) + "\n"


def page(present: str) -> str:
    """Return the page with a current table between its two marks."""
    before, _, rest = present.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main(arguments: list[str]) -> int:
    """Generate or check the table. Return the exit status: 1 when `--check` found that the file is not current."""
    return update(FILE, page(FILE.read_text("utf-8")), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
