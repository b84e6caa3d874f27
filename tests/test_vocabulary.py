"""Names of modules and log events use the terms of docs/glossary.md."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.servers import ROOT

MODULES = sorted(path for top in ("services", "deploy") for path in (ROOT / top).rglob("*.py"))
NOT_TERMS = {
    *("fact", "facts", "said", "told", "telling", "parcel", "parcels", "settling", "desk", "ledger", "pace", "lines"),
    *("silences", "sweeps", "rounds", "beginning", "together", "lean", "backlog", "liveness", "attendance", "posting"),
}
IN_LOGS = re.compile(r"(^|_)(told|untold|fact|facts|parcel|settled|sweep|silence|desk|bad_day|gone)(_|$)")


def logged(tree: ast.AST) -> Iterator[str]:
    """The event names of this module's log lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            name, first = node.func.value, node.args[0]
            if isinstance(name, ast.Name) and name.id == "log" and isinstance(first, ast.Constant):
                yield str(first.value)


NOT_IN_NAMES = re.compile(
    r"(^|_)(desk|parcels?|seats?|liveness|telling|sweeps?|posting|upkeep|silences|ledger|fact|facts|bad_day)(_|$)"
)


def defined(tree: ast.AST) -> Iterator[str]:
    """The names of this module's classes, functions, arguments and attributes, in snake case."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
            case ast.arg(arg=name) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                yield name


def test_modules_have_names_of_the_field() -> None:
    wrong = {str(path.relative_to(ROOT)) for path in MODULES if NOT_TERMS & set(path.stem.split("_"))}
    assert not wrong


@pytest.mark.parametrize("name", ["event_not_told", "sweep_failed", "bad_day", "told"])
def test_the_check_of_log_events_finds_former_words(name: str) -> None:
    assert IN_LOGS.search(name)


def test_log_events_have_names_of_the_field() -> None:
    names = {name for path in MODULES for name in logged(ast.parse(path.read_text()))}
    assert len(names) > 50
    assert not {name for name in names if IN_LOGS.search(name)}


def test_names_in_the_services_are_those_of_the_field() -> None:
    files = [path for path in MODULES if path.is_relative_to(ROOT / "services")]
    names = {name for path in files for name in defined(ast.parse(path.read_text()))}
    assert len(names) > 1_000
    assert {name for name in names if NOT_IN_NAMES.search(name)} == {"facts_together"}  # a setting keeps its name
