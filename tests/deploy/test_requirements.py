"""The pinned requirements and the Makefile keep the house rules."""

import ast
import functools
import importlib.metadata
import json
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.setup import bootstrap

ROOT = Path(__file__).resolve().parents[2]
FILES = ("run", "embedded", "dev", "manifests")
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][0-9A-Za-z.]*)")


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    matches = [PIN.fullmatch(line) for line in lines if not line.startswith("#")]
    assert all(matches), f"requirements/{name}.txt: each line is name==version"
    return {normal(match["name"]): match["version"] for match in matches if match}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_each_line_is_one_pin_and_a_name_has_one_version_everywhere() -> None:
    versions: dict[str, str] = {}
    for name in FILES:
        for package, version in pins(name).items():
            assert versions.setdefault(package, version) == version, package


def test_no_registry_address_anywhere() -> None:
    files = [*(ROOT / "requirements").iterdir(), ROOT / "pyproject.toml", ROOT / "Makefile", ROOT / ".ci" / "run"]
    files += (path for folder in ("local", "setup") for path in (ROOT / "deploy" / folder).glob("*.py"))
    for file in files:
        text = file.read_text()
        assert not re.search(r"--(extra-)?index-url|--find-links|https?://(?!127\.0\.0\.1|localhost|\{)", text), file


def test_the_tools_of_the_pages_are_pinned_and_their_lock_names_no_registry() -> None:
    web = ROOT / "services" / "gateway" / "web"
    package = json.loads((web / "package.json").read_text())
    tools = package["devDependencies"]
    locked = json.loads((web / "package-lock.json").read_text())["packages"]
    assert all(PIN.fullmatch(f"{Path(name).name}=={version}") for name, version in tools.items())
    assert {name: locked[f"node_modules/{name}"]["version"] for name in tools} == tools
    assert not [name for name, entry in locked.items() if "resolved" in entry]
    assert set(bootstrap.WEB_LINTERS) <= set(package["scripts"])


def test_what_the_project_declares_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = project["optional-dependencies"]
    run = [*project["dependencies"], *(line for group in groups if group not in FILES for line in groups[group])]
    for lines, file in ((run, "run"), (groups["dev"], "dev"), (groups["embedded"], "embedded")):
        for line in lines:
            name = normal(re.split(r"[\[<>=]", line)[0])
            assert name in pins(file), f"{name} is not in requirements/{file}.txt"


@pytest.mark.parametrize(
    ("folder", "files"), [("services", ["run"]), ("deploy", ["run", "manifests", "fonts"]), ("tests", FILES)]
)
def test_what_is_imported_is_pinned(folder: str, files: list[str]) -> None:
    """A fresh checkout has nothing else: an import that works here because it was installed by hand fails there."""
    available = {package for file in files for package in pins(file)}
    homes = homes_of_imports()
    for file in (ROOT / folder).rglob("*.py"):
        for name in imported(file) - set(sys.stdlib_module_names) - {"services", "deploy", "tests"}:
            assert {normal(home) for home in homes.get(name, [name])} & available, f"{file} imports {name}"


@functools.cache
def homes_of_imports() -> Mapping[str, list[str]]:
    """The packages by what they bring to import; a look at every installed file."""
    return importlib.metadata.packages_distributions()


def imported(file: Path) -> set[str]:
    """The top-level names that a module imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    from_names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in plain | from_names}


def test_the_gpl_server_is_for_development_only() -> None:
    assert "secantusdb" not in pins("run")
    sources = [*(ROOT / "services").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]
    assert not [file for file in sources if re.search(r"^\s*(import|from) secantus", file.read_text(), re.MULTILINE)]


def test_make_targets_have_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"run", "test", "lint", "docs", "check", "clean", "help"} <= targets
    assert targets == set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets


def test_every_javascript_test_is_run() -> None:
    for file in (ROOT / "tests" / "web").rglob("*.*js"):
        if "node:test" in file.read_text():
            assert re.fullmatch(r".*\.test\.m?js", file.name), f"`make test` runs only *.test.js and *.test.mjs: {file}"


def test_the_package_has_every_file_that_is_no_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = project["tool"]["setuptools"]["package-data"]
    packed = {path for name, patterns in data.items() for one in patterns for path in _folder(name).glob(one)}
    kept = {path for path in (ROOT / "services").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert {str(path.relative_to(ROOT)) for path in kept - packed if "node_modules" not in path.parts} == set()
    assert [name for name, patterns in data.items() if not all(any(_folder(name).glob(one)) for one in patterns)] == []


def _folder(package: str) -> Path:
    return ROOT.joinpath(*package.split("."))
