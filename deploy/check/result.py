"""One line of the table of `make kubernetes-check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """What was asked and what was found. `todo` is empty when all is right; `asked` is False when it was not asked."""

    what: str
    found: str
    todo: str = ""
    asked: bool = True

    @property
    def state(self) -> str:
        """The word in the table: right, WRONG or not asked."""
        return "WRONG" if self.todo else "right" if self.asked else "not asked"


def table(results: Sequence[Result]) -> str:
    """Return the table, with what to do below each row that is wrong."""
    width = max(len(one.what) for one in results)
    lines = []
    for one in results:
        lines.append(f"{one.state:<9}  {one.what:<{width}}  {one.found}")
        if one.todo:
            lines.append(f"{'':<9}  {'':<{width}}  -> {one.todo}")
    return "\n".join(lines)
