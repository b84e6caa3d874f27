"""What each service needs of `requirements/run.txt`; `python -m tests.deploy.closure` writes `<service>.txt` beside it.

Computed from what pyproject.toml declares and from what the installed packages say that they need.
"""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
SERVICES = ("gateway", "presence", "routing", "transcripts")
HEAD = "# What {} runs on, of run.txt; written by `python -m tests.deploy.closure`.\n"


def normal(name: str) -> str:
    """The name as the registries compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(service: str) -> set[str]:
    """The packages that this service needs, with all that they need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for line in [*project["dependencies"], *project["optional-dependencies"][service]]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        one = wanted.pop()
        known = (normal(one.name), frozenset(one.extras))
        if known not in seen:
            seen.add(known)
            wanted += [need for line in importlib.metadata.requires(one.name) or [] if (need := _needed(line, one))]
    return {name for name, _ in seen}


def _needed(line: str, by: Requirement) -> Requirement | None:
    need = Requirement(line)
    here = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (*by.extras, ""))
    return need if here else None


def text(service: str) -> str:
    """The file of this service: the lines of run.txt that it needs."""
    needed = closure(service)
    lines = [line for line in (FOLDER / "run.txt").read_text().splitlines() if not line.startswith("#")]
    return HEAD.format(service) + "".join(f"{line}\n" for line in lines if normal(line.split("==")[0]) in needed)


if __name__ == "__main__":
    for name in SERVICES:
        (FOLDER / f"{name}.txt").write_text(text(name))
