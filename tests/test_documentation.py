"""Files and modules that the documentation and docstrings name exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import VERSION
from tests.support.servers import ROOT

SKIPPED = {"node_modules", "__pycache__", ".venv", ".git", ".run"}
FILES = [
    path
    for top in ("services", "deploy", "tests", "docs", "requirements", ".ci")
    for path in (ROOT / top).rglob("*")
    if not SKIPPED.intersection(path.relative_to(ROOT).parts)
] + [path for path in ROOT.iterdir() if path.is_file()]
DEPLOY = ROOT / "deploy"
NAMES = {str(path.relative_to(ROOT)) for path in FILES}
ENDINGS = {"/".join(name.split("/")[n:]) for name in NAMES for n in range(name.count("/") + 1)}
PAGES = sorted(path for path in FILES if path.suffix == ".md" and "benchmarks" not in path.parts)
MODULES = sorted(path for path in FILES if path.suffix == ".py")

NAMED = re.compile(r"(?<![\w./:-])(?:\.\./|\./)*([\w-][\w./-]*\.(?:py|js|mjs|toml|typ|css))\b(?![\w/(])")
DOTTED = re.compile(r"\b(?:services|deploy|tests)(?:\.(?!md\b)[a-z_]+)+\b")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
FLOW = re.compile(r"^\| [^|]+ \| (\d+) \| ([^|]+) \|$", re.MULTILINE)
STEP = re.compile(r"^ +(?:Note over |\w+(?:--?>>|--?x)\w+:)", re.MULTILINE)
MOST_STEPS = 15
OPERATORS_OWN = {"accounts.toml", "integrations.toml"}  # files that an operator writes, and that a page explains how to


def missing(text: str) -> Iterator[str]:
    """Names of files in this text that are the end of no path in the repository."""
    for found in NAMED.finditer(text):
        if found[1] not in ENDINGS | OPERATORS_OWN:
            yield found[1]


def missing_modules(text: str) -> Iterator[str]:
    """Dotted names of modules in this text of which the first three parts are no module or package."""
    for found in DOTTED.finditer(text):
        path = ROOT.joinpath(*found[0].split(".")[:3])
        if not (path.is_dir() or path.with_suffix(".py").is_file()):
            yield found[0]


def docstrings(module: Path) -> str:
    """All docstrings of this module."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, kinds))
    return "\n".join(ast.get_docstring(node) or "" for node in nodes)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("`services/gateway/app.py` and `app.py`, gateway/app.py", []),
        ("as in `gateway/gone.py`", ["gateway/gone.py"]),
        ("`../deploy/departments.toml`, https://chat.example.be/unknown.js", []),
    ],
)
def test_the_check_finds_names_of_files_that_are_not_there(text: str, wrong: list[str]) -> None:
    assert list(missing(text)) == wrong


def test_the_check_finds_modules_that_are_not_there() -> None:
    text = "services.gateway.app, services.gateway.gone, `python -m services.docgen.openapi`"
    assert list(missing_modules(text)) == ["services.gateway.gone"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_and_links_only_what_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert (links, list(missing(text)), list(missing_modules(text))) == ([], [], [])


def test_docstrings_name_only_files_that_exist() -> None:
    assert len(MODULES) > 300
    wrong = {str(path.relative_to(ROOT)): list(missing(docstrings(path))) for path in MODULES}
    assert {name: names for name, names in wrong.items() if names} == {}


def test_the_table_of_flows_counts_the_files_that_it_lists() -> None:
    flows = FLOW.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    assert len(flows) == 4
    for count, files in flows:
        named = re.findall(r"`([^`]+)`", files)
        assert len(set(named)) == len(named) == int(count)


def test_a_flow_has_at_most_15_steps() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    diagrams = [part.split("```")[0] for part in text.split("```mermaid\nsequenceDiagram\n")[1:]]
    steps = [len(STEP.findall(diagram)) for diagram in diagrams]
    assert len(steps) == 4
    assert all(5 < n <= MOST_STEPS for n in steps), steps


def test_the_modules_that_use_amqp_without_faststream_have_a_reason() -> None:
    """`errors.py` names the exceptions, and the text above the table has `consumer.py`."""
    uses = re.compile(r"^(?:from|import) (?:aio_pika|aiormq)", re.MULTILINE)
    found = {p for p in (ROOT / "services").rglob("*.py") if uses.search(p.read_text("utf-8"))}
    named = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("| module | reason |")[1]
    assert {p.name for p in found if f"{p.name}`" not in named} == {"errors.py", "consumer.py"}


def test_no_text_of_a_sequence_diagram_has_a_character_that_ends_it() -> None:
    """Mermaid reads `;` as the end of a line and `#` as the beginning of a code: the diagram is not drawn."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    diagrams = [
        part.split("```")[0]
        for page in pages
        for part in page.read_text("utf-8").split("```mermaid\nsequenceDiagram\n")[1:]
    ]
    assert len(diagrams) >= 4
    assert [line for diagram in diagrams for line in diagram.splitlines() if set(line) & set(";#")] == []


def test_every_place_names_the_same_version() -> None:
    def text(path: str) -> str:
        return (ROOT / path).read_text("utf-8")

    images = ["deploy/compose.yaml", "deploy/Dockerfile", "docs/kubernetes.md"]
    images += [
        str(path.relative_to(ROOT)) for part in ("base", "overlays") for path in DEPLOY.joinpath(part).rglob("*")
    ]
    tag = re.compile(r"eloket-chat/(?:\$service|\w+)(?::| *,.*newTag: )([\w.]+)")
    tags = {found for path in images if path.endswith(("yaml", "file", "md")) for found in tag.findall(text(path))}
    project = re.search(r'^version = "(.+)"$', text("pyproject.toml"), re.MULTILINE)
    label = re.search(r"^ARG VERSION=(.+)$", text("deploy/Dockerfile"), re.MULTILINE)
    change = re.search(r"^## ([\d.]+)", text("CHANGELOG.md"), re.MULTILINE)
    assert len(tags) == 1
    assert project and label and change  # noqa: PT018
    assert tags | {project[1], label[1], change[1]} == {VERSION}
