"""What each service needs of `requirements/run.txt`; `python -m tests.deploy.closure` writes `<service>.txt` beside it.

Computed from what pyproject.toml declares and from what the installed packages say that they need. Each line has the
SHA-256 of the files that an image may install, so that pip refuses any other file (pip, "Secure installs"). They come
from `requirements/hashes.txt`, to which the command adds those of new pins, as the package index states them.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
SERVICES = ("gateway", "presence", "routing", "transcripts")
HEAD = "# What {} runs on, of run.txt; written by `python -m tests.deploy.closure`.\n"
HASHES = FOLDER / "hashes.txt"
HASHES_HEAD = (
    "# SHA-256 of the wheels of run.txt for images: Python 3.11 and 3.13 (Debian 12, 13), amd64 and arm64; written by\n"
    "# `python -m tests.deploy.closure`.\n"
)
PYTHONS = ("3.11", "3.13")
MACHINES = ("x86_64", "aarch64")
GLIBCS = ("17", "24", "26", "27", "28", "31", "34", "35", "36")  # manylinux_2_…; Debian 12 has 2.36


def normal(name: str) -> str:
    """The name as the registries compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def version() -> str:
    """The version of this code."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def pinned(file: Path) -> list[str]:
    """The pins `name==version` of a file, without comments and hashes."""
    lines = (line.removesuffix("\\").strip() for line in file.read_text().splitlines())
    return [line for line in lines if line and not line.startswith(("#", "--hash"))]


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
    """The file of this service: the lines of run.txt that it needs, with their hashes."""
    needed, known = closure(service), hashes()
    pins = [pin for pin in pinned(FOLDER / "run.txt") if normal(pin.split("==")[0]) in needed]
    return HEAD.format(service) + _lines(pins, known)


def hashes() -> dict[str, list[str]]:
    """The hashes of each pin in `hashes.txt`."""
    text = HASHES.read_text().replace(" \\\n", " ") if HASHES.exists() else ""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {pin: [one.removeprefix("--hash=sha256:") for one in more] for pin, *more in rows}


def _lines(pins: Iterable[str], known: dict[str, list[str]]) -> str:
    return "".join(" \\\n    ".join([pin, *(f"--hash=sha256:{one}" for one in known[pin])]) + "\n" for pin in pins)


def write_hashes() -> None:
    """Bring `hashes.txt` up to date with run.txt."""
    pins, known = pinned(FOLDER / "run.txt"), hashes()
    if missing := [pin for pin in pins if pin not in known]:
        known |= {pin: sorted(found) for pin, found in _asked(missing).items()}
    HASHES.write_text(HASHES_HEAD + _lines(pins, known))


def _asked(pins: list[str]) -> dict[str, set[str]]:
    """Ask pip which file of each pin it would install on each kind of image, and which hash it has."""
    found: dict[str, set[str]] = {pin: set() for pin in pins}
    by_name = {normal(pin.split("==")[0]): pin for pin in pins}
    with tempfile.TemporaryDirectory() as home:
        wanted, report = Path(home, "wanted.txt"), Path(home, "report.json")
        wanted.write_text("\n".join(pins))
        for python, machine in ((p, m) for p in PYTHONS for m in MACHINES):
            platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in GLIBCS] + [f"manylinux2014_{machine}"]
            command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
            command += ["--no-deps", "--only-binary=:all:", "--target", home, "--python-version", python]
            command += [part for platform in platforms for part in ("--platform", platform)]
            subprocess.run([*command, "--report", str(report), "-r", str(wanted)], check=True)
            for one in json.loads(report.read_text())["install"]:
                sha256 = one["download_info"]["archive_info"]["hashes"]["sha256"]
                found[by_name[normal(one["metadata"]["name"])]].add(sha256)
    return found


if __name__ == "__main__":
    write_hashes()
    for name in SERVICES:
        (FOLDER / f"{name}.txt").write_text(text(name))
