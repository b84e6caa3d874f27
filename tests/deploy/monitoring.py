"""What the files in deploy/monitoring/ name, for the tests that hold it against the services and a real Prometheus."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.manifests import promql

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")


@dataclass(frozen=True)
class Query:
    """One expression of a panel or rule, with the names of labels that it or its legend speaks of."""

    where: str
    expression: str
    legend: str = ""

    @property
    def selectors(self) -> list[str]:
        return [name + matchers for name, matchers in promql.selectors(self.expression)]

    @property
    def labels(self) -> set[str]:
        grouped = {label.strip() for part in GROUPED.findall(self.expression) for label in part.split(",")}
        return (grouped | set(re.findall(r"\{\{(\w+)\}\}", self.legend))) - {""}


def panels() -> Iterator[dict[str, Any]]:
    """Every panel of the dashboard, but those of the row that others' exporters fill."""
    return (panel for panel in dashboard()["panels"] if panel["type"] != "row")


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return found


def shown(step: str = "10s") -> list[Query]:
    """The dashboard's queries as Grafana sends them, all installations, departments and services chosen."""
    fill = {"$namespace": ".*", "$department": ".*", "$job": ".*", "$__rate_interval": step}
    queries = []
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in fill.items():
                expression = expression.replace(name, value)
            queries.append(Query(panel["title"], expression, target["legendFormat"]))
    return queries


def alert_names(file: str = "alerts.yaml") -> list[str]:
    return re.findall(r"- alert: (\w+)", (FOLDER / file).read_text())
