"""services/presence/agents/accounts.py: accounts from a file, demo accounts."""

from pathlib import Path

import pytest

from services.common.config.departments import ConfigurationError, load_departments
from services.presence.agents.accounts import demo_accounts, load_accounts
from tests.presence.conftest import HASH
from tests.support.servers import ROOT

DEPARTMENTS = load_departments(ROOT / "deploy/departments.toml")
GOOD = f"""
[[accounts]]
username = "karel"
name = "Karel"
departments = ["algemeen", "premies"]
capacity = 3
supervisor = true
locales = ["nl", "fr"]
password_hash = "{HASH}"
"""


def test_accounts_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (karel,) = load_accounts(tmp_path / "a.toml", DEPARTMENTS)
    assert (karel.name, karel.capacity, karel.supervisor) == ("Karel", 3, True)
    assert karel.departments == ("algemeen", "premies")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("[[accounts", "is not TOML"),
        ("", r"accounts: Field required"),
        (GOOD.replace('"karel"', '"Ka rel"'), r"accounts\.0\.username"),
        (GOOD.replace(HASH, "secret"), "services.presence.hash"),
        (GOOD.replace("capacity = 3", "capacity = 0"), r"accounts\.0\.capacity"),
        (GOOD.replace("capacity", "capasity"), r"accounts\.0\.capasity"),
        (GOOD.replace('"premies"', '"nowhere"'), "'karel' serves 'nowhere'"),
        (GOOD + GOOD, "'karel' is there twice"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_accounts(tmp_path / "a.toml", DEPARTMENTS)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_demo_agents() -> None:
    made = demo_accounts(2, DEPARTMENTS, HASH)
    named = {"an": "An", "bert": "Bert", "sofie": "Sofie"}
    assert {a.username: a.name for a in made} == {**named, "agent1": "Agent 1", "agent2": "Agent 2"}
    assert [a.username for a in made if a.supervisor] == ["sofie"]
    assert {(a.departments, a.capacity) for a in made} == {(("algemeen",), 1)}
    assert len({a.id for a in made}) == 5
