"""Tests mirror modules: what `services/gateway/session.py` does is tested in `tests/gateway/test_session.py`."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ELSEWHERE = {
    "services/gateway/app.py": "only builds; tests/e2e runs what it has built",
    "services/said.py": "tests/test_facts.py and test_contracts.py hold every fact against its golden sample",
    "services/presence/app.py": "only builds; tests/e2e runs what it has built",
    "services/routing/app.py": "only builds; tests/e2e runs what it has built",
    "services/transcripts/app.py": "only builds; tests/e2e runs what it has built",
    "services/gateway/infofiche_words.py": "words only; tests/gateway/test_infofiche.py reads every page they make",
    "services/presence/api.py": "tests/presence/test_service.py asks all of it over HTTP",
    "services/presence/telling.py": "tests/presence/test_consumers.py and test_heartbeats.py hear what it tells",
    "services/routing/counting.py": "tests/routing/test_sweeps.py sees every repair counted",
    "services/routing/desk.py": "tests/routing/test_consumers.py works at it",
    "services/routing/telling.py": "tests/routing/test_consumers.py and test_sweeps.py hear what it tells",
    "services/presence/schema.py": "tests/test_schema.py does the steps of every service",
    "services/routing/schema.py": "tests/test_schema.py does the steps of every service",
    "services/transcripts/schema.py": "tests/test_schema.py does the steps of every service",
    "services/transcripts/counting.py": "names of metrics only",
    "services/transcripts/uploads.py": "tests/transcripts/test_api.py uploads over HTTP",
}
"""Modules that are tested somewhere else, and where. Keep it short."""


def modules() -> list[str]:
    found = [*(ROOT / "services").rglob("*.py"), *(ROOT / "deploy" / "onemachine").glob("*.py")]
    return sorted(str(file.relative_to(ROOT)) for file in found if file.name not in ("__init__.py", "__main__.py"))


def mirror(module: str) -> Path:
    """Where a module's tests are: the runner's stand one folder higher, since deploy/ has no other code."""
    path = Path(module)
    folder = Path("deploy") if path.parts[0] == "deploy" else path.parent.relative_to("services")
    return ROOT / "tests" / folder / f"test_{path.name}"


@pytest.mark.parametrize("module", modules())
def test_a_module_has_its_tests_in_the_same_place(module: str):
    assert mirror(module).is_file() or module in ELSEWHERE, f"write {mirror(module).relative_to(ROOT)}"


def test_no_exception_is_out_of_date():
    for module in ELSEWHERE:
        assert (ROOT / module).is_file(), f"{module} is gone"
        assert not mirror(module).is_file(), f"{module} has tests of its own now"


def test_modules_are_small():
    for module in modules():
        lines = len((ROOT / module).read_text().splitlines())
        assert lines <= 300, f"{module} has {lines} lines: make two modules with names from the domain"
