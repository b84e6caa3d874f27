"""Names, log events, docstrings, help texts and descriptions use the terms of docs/glossary.md.

Names in Python and in JavaScript: services, the browser code, and the tests of the browser code.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.servers import ROOT

WEB = ROOT / "services" / "gateway" / "web"
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
    r"(^|_)(desk|parcels?|seats?|liveness|telling|tells?|told|untold|hears?|heard|sweeps?|posting|upkeep|silences?"
    r"|ledger|facts?|bad_day|give_back|set_aside|somebody|whoever)(_|$)"
)
NOT_IN_TEXTS = re.compile(
    r"\b(parcels?|liveness|told|untold|sweeps?|upkeep|ledger|facts?|bad day|heard|hears?|silences?|silent|somebody"
    r"|whoever|he|his|him|himself)\b",
    re.IGNORECASE,
)
KEPT = {
    "facts_together",  # a setting
    "silence_limit",  # a setting
    "untold_since",  # a member of stored chats
    "tells_acceptance",  # a member of the internal API
    "told",  # in common/messaging
    "_heard",  # in common/messaging
    *("heard", "_tells", "_hears"),  # in docgen, of operations whose ids are published
}
KEPT_IN_BROWSER_TESTS = {
    *("told", "heard"),  # what a citizen reads on the screen, and what a screen reader says (`people.py`)
}
KEPT_IN_JAVASCRIPT = {
    *("DESK", "desk", "deskOf", "forgetDesk", "keepDesk", "keptDesk"),  # what an agent has on their page
    *("SILENCE", "silence", "untold", "onUntold", "giveBack", "facts", "hear", "heard", "tell", "told"),
    *("tellEnd", "tellHost", "tellPage", "tellPageOf"),
}
"""Names from before the glossary. The browser code gets no others."""
METRICS = {"Counter", "Gauge", "Histogram"}


def texts(tree: ast.AST) -> Iterator[str]:
    """What others read of this module: help texts of metrics, and descriptions of settings, members and routes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        parts = [k.value for k in node.keywords if k.arg in ("description", "summary", "title")]
        parts += node.args[1:2] if called in METRICS else []
        yield from (part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def defined(tree: ast.AST) -> Iterator[str]:
    """The names of this module's classes, functions, arguments and attributes, in snake case."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield snake(name)
            case ast.arg(arg=name) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                yield name


def snake(name: str) -> str:
    """A name in snake case."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


IN_QUOTES = re.compile(r"`[^`]*`|\{[^{}]*\}")
"""What a docstring quotes: names in code, and members of documents."""
IN_DOCSTRINGS = {"silent"}
"""What a docstring may say beside help texts: of a process that does not answer."""


def docstrings(tree: ast.AST) -> Iterator[str]:
    """The docstrings of this module, without what they quote."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text, quotes = ast.get_docstring(node) or "", 1
            while quotes:  # the members of a member come first
                text, quotes = IN_QUOTES.subn("", text)
            yield text


DECLARED = re.compile(
    r"\b(?:const|let|function\*?|class)\s+([A-Za-z_$][\w$]*)"  # a name
    r"|\b(?:const|let)\s*[\[{]([^\]}=]*)[\]}]\s*="  # several that are taken out of a value
    r"|^\s*(?:async\s+)?([A-Za-z_$][\w$]*)\s*\([^)]*\)\s*\{"  # a method
    r"|([A-Za-z_$][\w$]*)\s*[:=]\s*(?:async\s*)?(?:\([^)]*\)|[a-z_]\w*)\s*=>",  # a function
    re.MULTILINE,
)


def declared(script: str) -> set[str]:
    """The names that a JavaScript module declares."""
    found = (group for match in DECLARED.finditer(script) for group in match.groups() if group)
    return {name for group in found for name in re.findall(r"[A-Za-z_$][\w$]*", group)}


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
    assert {name for name in names if NOT_IN_NAMES.search(name)} == KEPT


def test_names_in_the_browser_tests_are_those_of_the_field() -> None:
    files = sorted((ROOT / "tests" / "e2e" / "browser").glob("*.py"))
    names = {name for path in files for name in defined(ast.parse(path.read_text("utf-8")))}
    assert len(names) > 500
    assert {name for name in names if NOT_IN_NAMES.search(name)} == KEPT_IN_BROWSER_TESTS


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("const told = 1; let { heardOf, b } = x;", {"told", "heardOf", "b"}),
        ("  async tellHost(a) {", {"tellHost"}),
        ("export const factsOf = (t, one) => [t];", {"factsOf"}),
        ("function* seats() {}\nconst x = { sweep: async one => one };", {"seats", "x", "sweep"}),
    ],
)
def test_the_names_that_a_script_declares_are_found(script: str, names: set[str]) -> None:
    assert declared(script) == names


def test_names_in_javascript_are_those_of_the_field() -> None:
    folders = [WEB / name for name in ("console", "demo", "info_sheet", "shared", "widget")] + [ROOT / "tests" / "web"]
    files = [path for folder in folders for path in folder.rglob("*.*js")]
    names = {name for path in files for name in declared(path.read_text("utf-8"))}
    assert len(names) > 1_000
    assert {name for name in names if NOT_IN_NAMES.search(snake(name))} == KEPT_IN_JAVASCRIPT


def test_docstrings_use_the_terms_of_the_field() -> None:
    found = {text for path in MODULES for text in docstrings(ast.parse(path.read_text("utf-8")))}
    assert len(found) > 2_000
    assert {text for text in found if {word.lower() for word in NOT_IN_TEXTS.findall(text)} - IN_DOCSTRINGS} == set()


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ('X = Counter("a", "Facts that were told")', True),
        ('x = Field(1, description="longest silence")', True),
        ('X = Counter("facts", "Events that were published")', False),
    ],
)
def test_the_check_of_texts_finds_former_words(code: str, wrong: bool) -> None:
    assert any(NOT_IN_TEXTS.search(text) for text in texts(ast.parse(code))) is wrong


def test_help_texts_and_descriptions_use_the_terms_of_the_field() -> None:
    found = {text for path in MODULES for text in texts(ast.parse(path.read_text("utf-8")))}
    assert len(found) > 80
    assert {text for text in found if NOT_IN_TEXTS.search(text)} == set()


def test_the_schemas_of_the_interfaces_use_the_terms_of_the_field() -> None:
    found = {
        text
        for path in (ROOT / "docs" / "api").glob("*.json")
        for text in re.findall(r'"(?:description|summary)": "([^"]*)"', path.read_text("utf-8"))
    }
    assert len(found) > 100
    assert {text for text in found if NOT_IN_TEXTS.search(text)} == set()
