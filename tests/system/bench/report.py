"""The table of a run: filled in as it goes, shown as Markdown, kept in docs/benchmarks/."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from tests.support.servers import ROOT
from tests.system.bench.comparison import Figure, Table, Worse, spread

KEPT = ROOT / "docs" / "benchmarks"


class Report:
    """Figures in the order in which they were first measured."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}
        self.besides: dict[str, float] = {}

    def add(
        self,
        name: str,
        unit: str,
        value: float,
        baseline: bool = False,
        more_is_better: bool = False,
        travels: bool = False,
    ) -> None:
        """One more round of this figure, of ours or of the baseline."""
        figure = self.figures.setdefault(name, Figure(name, unit, [], [], more_is_better, travels))
        (figure.baseline if baseline else figure.rounds).append(round(value, 4))

    def beside(self, name: str, value: float) -> None:
        """Something that makes the figures doubtful when it is large; the worst of the rounds stays."""
        self.besides[name] = round(max(value, self.besides.get(name, value)), 3)

    def table(self, machine: str, about: dict[str, str]) -> Table:
        """All that was measured of ours."""
        self.beside("load average of the last minute, at the end", os.getloadavg()[0])
        return Table(machine, {n: f for n, f in self.figures.items() if f.rounds}, about, self.besides)


def markdown(table: Table, found: list[Worse], compared: str) -> str:
    """The whole table, what was measured beside it, and what the judge found."""
    about = [f"- {name}: {value}" for name, value in {"machine": table.machine, **table.about}.items()]
    rows = ["| figure | median | rounds differ by | relay | x relay |", "| --- | --- | --- | --- | --- |"]
    for figure in table.figures.values():
        rows.append(_row(figure))
    beside = [f"- {name}: {value:g}" for name, value in table.beside.items()]
    judged = [f"- {one}" for one in found] or ["- nothing beyond the noise"]
    parts = [["# What was measured"], about, rows, ["## Beside it, the worst of the rounds"], beside]
    parts += [[f"## What got worse since {compared}"], judged] if compared else [["No table to compare with."]]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _row(figure: Figure) -> str:
    differ = f"{spread(figure.rounds):.0%}" if len(figure.rounds) > 1 else "once"
    theirs, ratio = "", ""
    if figure.ratios:
        relay = Figure(figure.name, figure.unit, figure.baseline)
        ratios = Figure(figure.name, "", figure.ratios)
        theirs, ratio = f"{_short(relay.value)} {figure.unit}", f"{ratios.value:.2f}"
    return f"| {figure.name} | {_short(figure.value)} {figure.unit} | {differ} | {theirs} | {ratio} |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(table: Table, text: str, folder: Path, name: str) -> list[Path]:
    """Both forms; where they are."""
    files = [folder / f"{name}.json", folder / f"{name}.md"]
    folder.mkdir(parents=True, exist_ok=True)
    files[0].write_text(json.dumps(asdict(table), indent=1) + "\n")
    files[1].write_text(text)
    return files


def last(folder: Path = KEPT) -> tuple[str, Table] | None:
    """The name and the table that was kept last; their names begin with the time."""
    files = sorted(folder.glob("*.json"))
    return (files[-1].stem, read(files[-1])) if files else None


def read(file: Path) -> Table:
    """A table that was kept."""
    kept = json.loads(file.read_text())
    figures = {name: Figure(**figure) for name, figure in kept["figures"].items()}
    return Table(kept["machine"], figures, kept["about"], kept["beside"])
