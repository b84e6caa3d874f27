"""services/presence/agents/accounts.py: accounts from a file, demo accounts."""

from pathlib import Path

import pytest

from services.common.config.departments import load_departments
from services.common.config.toml_file import ConfigurationError
from services.presence.agents.accounts import load_accounts_file
from services.presence.demo_accounts import demo_accounts
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

ROLES = """
[oidc]
roles_claim = "roles"

[[oidc.roles]]
value = "agent"
departments = ["premies"]
"""


def test_a_file_may_have_the_roles_of_an_issuer_beside_accounts_or_alone(tmp_path: Path) -> None:
    for text in (GOOD + ROLES, ROLES):
        (tmp_path / "a.toml").write_text(text)
        file = load_accounts_file(tmp_path / "a.toml", DEPARTMENTS)
        assert file.oidc is not None
        assert file.oidc.roles[0].departments == ("premies",)
        assert len(file.accounts) == text.count("[[accounts]]")


def test_accounts_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (karel,) = load_accounts_file(tmp_path / "a.toml", DEPARTMENTS).accounts
    assert (karel.name, karel.capacity, karel.supervisor) == ("Karel", 3, True)
    assert karel.departments == ("algemeen", "premies")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("[[accounts", "is not TOML"),
        ("", r"neither \[\[accounts\]\] nor \[oidc\]"),
        (GOOD.replace('"karel"', '"Ka rel"'), r"accounts\.0\.username"),
        (GOOD.replace(HASH, "geheim"), "services.presence.hash"),
        (GOOD.replace("capacity = 3", "capacity = -1"), r"accounts\.0\.capacity"),
        (GOOD.replace("capacity", "capasity"), r"accounts\.0\.capasity"),
        (GOOD.replace('"premies"', '"nowhere"'), "'karel' serves 'nowhere'"),
        (GOOD.replace('"fr"', '"Nederlands en Frans"'), r"accounts\.0\.locales\.1"),
        (GOOD + GOOD, "'karel' is there twice"),
        (GOOD + 'totp_secret = "JBSWY3DP"', r"accounts\.0\.totp_secret.*too short"),
        (GOOD + "break_glass = true", "needs a totp_secret"),
        (GOOD + ROLES.replace('"premies"', '"nowhere"'), "'agent' serves 'nowhere'"),
        (GOOD + ROLES.replace("roles_claim", "roles_clam"), r"oidc\.roles_claim"),
        ('[oidc]\nroles_claim = "roles"\nroles = []', r"oidc\.roles"),
    ],
)
def test_a_bad_file_is_reported_on_one_line(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_accounts_file(tmp_path / "a.toml", DEPARTMENTS)
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_the_demo_agents() -> None:
    made = demo_accounts(2, DEPARTMENTS, HASH)
    named = {"an": "An", "bert": "Bert", "sofie": "Sofie"}
    assert {a.username: a.name for a in made} == {**named, "agent1": "Agent 1", "agent2": "Agent 2"}
    assert [a.username for a in made if a.supervisor] == ["sofie"]
    assert {(a.departments, a.capacity) for a in made} == {(("algemeen",), 1)}
    assert len({a.id for a in made}) == 5
