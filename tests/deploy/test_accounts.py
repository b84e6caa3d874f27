"""`make agent`: changes of the accounts file that leave the rest of it alone, and are validated beforehand."""

import asyncio
import fcntl
import io
import os
import re
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.accounts import __main__ as command
from deploy.accounts.toml_text import CannotEdit, Value, added, changed
from services.common.config.departments import load_departments
from services.presence.agents.accounts import load_accounts_file
from services.presence.agents.passwords import Passwords
from tests.presence.conftest import HASH
from tests.support.servers import PATIENCE, ROOT

DEPARTMENTS = load_departments(ROOT / "deploy" / "departments.toml")
FILE = f"""# Accounts of the town.

[[accounts]]  # the first
username = "an"
name = "An"   # citizens read it
password_hash = "{HASH}"
departments = [
  "algemeen",  # since 2024
  "premies",
]
# capacity = 3

# Bert is new.
[[accounts]]
username = "bert"
name = "Bert"
password_hash = "{HASH}"
departments = ["algemeen"]
supervisor = true

[oidc]
roles_claim = "roles"
[[oidc.roles]]
value = "agent"
departments = ["algemeen"]
"""
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.one_of(TEXTS, st.integers(0, 50), st.booleans(), st.lists(TEXTS, max_size=3))


def run(file: Path, *arguments: str, typed: str = "", monkeypatch: pytest.MonkeyPatch | None = None) -> int:
    if monkeypatch:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return command.main(["--file", str(file), *arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text(FILE)
    path.chmod(0o640)
    return path


def test_only_the_lines_of_the_change_are_other_ones() -> None:
    after = changed(FILE, "an", {"departments": ["algemeen"], "capacity": 3, "name": "An-Sofie"})
    gone = ['name = "An"   # citizens read it', "departments = [", '  "algemeen",  # since 2024', '  "premies",', "]"]
    new = ['name = "An-Sofie"', 'departments = ["algemeen"]', "capacity = 3"]
    before_lines, after_lines = FILE.split("\n"), after.split("\n")
    assert [line for line in before_lines if line not in after_lines] == gone
    assert [line for line in after_lines if line not in before_lines] == [new[0], new[2]]
    assert after.index('departments = ["algemeen"]') < after.index("# capacity = 3") < after.index("# Bert is new.")


def test_a_member_is_removed_and_an_account_is_added_at_the_end() -> None:
    assert "supervisor" not in changed(FILE, "bert", {"supervisor": None})
    after = added(FILE, {"username": "cas", "departments": ["premies"]})
    assert after == FILE + '\n[[accounts]]\nusername = "cas"\ndepartments = ["premies"]\n'
    assert added("", {"username": "cas"}) == '[[accounts]]\nusername = "cas"\n'


@given(
    name=st.sampled_from(("name", "departments", "capacity", "notes")),
    value=VALUES,
    which=st.sampled_from(("an", "bert")),
)
def test_the_file_is_as_before_but_for_the_change(name: str, value: Value, which: str) -> None:
    expected = tomllib.loads(FILE)
    next(a for a in expected["accounts"] if a["username"] == which)[name] = value
    assert tomllib.loads(changed(FILE, which, {name: value})) == expected


@pytest.mark.parametrize(
    "text",
    [
        'accounts = [{username = "an"}]',
        '[[accounts]]\nusername = "an"\nname = """\n[[accounts]]\n"""\n',
        '[[accounts]]\nusername = "an"\n[[accounts]]\nusername = "an"\n',
    ],
)
def test_a_file_that_is_written_otherwise_is_left_alone(text: str) -> None:
    with pytest.raises(CannotEdit):
        changed(text, "an", {"name": "An"})


def test_an_account_is_added_changed_disabled_and_enabled(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "a long enough sentence"
    arguments = ["--name=Cas", "--department=premies", "--capacity=2", "--totp", "--language=nl", "--language=fr"]
    assert run(file, "add", "cas", *arguments, typed=f"{secret}\n", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr().out
    *_, cas = load_accounts_file(file, DEPARTMENTS).accounts
    assert (cas.name, cas.departments, cas.capacity, cas.locales) == ("Cas", ("premies",), 2, ("nl", "fr"))
    assert asyncio.run(Passwords().verify(cas.password_hash, secret))
    assert cas.totp_secret is not None
    assert f"secret={cas.totp_secret}" in shown
    assert secret not in shown
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [one.name for one in file.parent.iterdir()] == ["accounts.toml"], "nothing is left beside it"

    assert run(file, "change", "cas", "--generate-password", "--supervisor", "--no-totp") == 0
    (password,) = re.findall("^password: (.+)$", capsys.readouterr().out, re.M)
    *_, changed_cas = load_accounts_file(file, DEPARTMENTS).accounts
    assert asyncio.run(Passwords().verify(changed_cas.password_hash, password))
    assert (changed_cas.supervisor, changed_cas.totp_secret, changed_cas.name) == (True, None, "Cas")
    assert changed_cas.must_change_password, "what was generated and shown is for one login"
    assert not cas.must_change_password
    assert run(file, "change", "cas", "--password", typed=f"{secret}\n", monkeypatch=monkeypatch) == 0
    *_, typed_cas = load_accounts_file(file, DEPARTMENTS).accounts
    assert not typed_cas.must_change_password
    capsys.readouterr()

    assert run(file, "disable", "an") == 0
    assert [a.disabled for a in load_accounts_file(file, DEPARTMENTS).accounts] == [True, False, False]
    capsys.readouterr()
    assert run(file, "list") == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == ["an", "bert", "cas"]
    assert [line.endswith("disabled") for line in listed] == [True, False, False]
    assert HASH not in "".join(listed)
    assert run(file, "enable", "an") == 0
    assert not any(a.disabled for a in load_accounts_file(file, DEPARTMENTS).accounts)
    assert "# Accounts of the town." in file.read_text()


def test_a_new_account_with_a_generated_password_has_it_for_one_login(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "add", "cas", "--department=premies", "--generate-password") == 0
    assert "for one login" in capsys.readouterr().out
    *_, cas = load_accounts_file(file, DEPARTMENTS).accounts
    assert cas.must_change_password


def test_the_first_account_makes_the_file_which_only_its_owner_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.toml"
    assert run(file, "add", "audra", "--role=auditor", typed="a long enough sentence", monkeypatch=monkeypatch) == 0
    assert "give the user of presence the right to" in capsys.readouterr().out
    assert [a.role for a in load_accounts_file(file, DEPARTMENTS).accounts] == ["auditor"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "typed", "why"),
    [
        (("add", "an", "--department=algemeen"), "a long enough sentence", "already"),
        (("add", "cas", "--department=nowhere"), "a long enough sentence", "which is no department"),
        (("add", "cas"), "a long enough sentence", "at least one is needed"),
        (("add", "cas", "--department=algemeen"), "short", "at least 12 characters"),
        (("add", "cas", "--department=algemeen"), "qwertyuiop123", "list of common passwords"),
        (("add", "cas.peeters", "--department=algemeen", "--name=Cas Peeters"), "ik ben Peeters", "easy to guess"),
        (("change", "an", "--password"), "het stadhuis links", "easy to guess"),
        (("add", "Cas Peeters", "--department=algemeen"), "a long enough sentence", "username"),
        (("change", "nobody", "--capacity=2"), "", "no account 'nobody'"),
        (("change", "an"), "", "say what to change"),
        (("change", "an", "--capacity=0"), "", "capacity = 0 is for a supervisor"),
        (("disable", "nobody"), "", "no account 'nobody'"),
    ],
)
def test_what_presence_would_not_take_is_not_written(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    typed: str,
    why: str,
) -> None:
    monkeypatch.setenv("PASSWORD_WORDS", "Stadhuis")
    assert run(file, *arguments, typed=typed, monkeypatch=monkeypatch) == 1
    said = capsys.readouterr().err
    assert why in said
    assert file.read_text() == FILE
    assert [one.name for one in file.parent.iterdir()] == ["accounts.toml"]
    if "ACCOUNTS_FILE" in said:
        assert said.startswith(f"refused: ACCOUNTS_FILE {file}: "), "the message names no file that is gone"


def test_a_password_that_was_not_written_is_not_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "add", "cas", "--department=nowhere", "--generate-password", "--totp") == 1
    assert capsys.readouterr().out == ""


def test_a_file_that_was_changed_meanwhile_is_left_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = command.AccountsText(file, DEPARTMENTS, new=False)
    file.write_text(FILE + "# by hand\n")
    with pytest.raises(command.Refused, match="changed meanwhile"):
        ours.write(changed(ours.text, "an", {"capacity": 2}))
    assert file.read_text() == FILE + "# by hand\n"


def test_accounts_in_the_database_are_not_changed_in_a_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONFIG_SOURCE", "database")
    assert run(file, "disable", "an") == 1
    assert "the accounts are in the database" in capsys.readouterr().err
    assert file.read_text() == FILE


def test_a_file_has_to_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("ACCOUNTS_FILE", raising=False)
    assert command.main(["list"]) == 1
    assert "say which file" in capsys.readouterr().err


def test_of_two_commands_at_the_same_moment_no_change_is_lost(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaces, locks, codes = threading.Event(), threading.Event(), dict[str, int]()
    replace, flock = os.replace, fcntl.flock

    def late_replace(source: str, target: Path) -> None:
        if not replaces.is_set():
            replaces.set()
            assert locks.wait(PATIENCE), "the other command compares the file without the lock"
        replace(source, target)

    def noted_flock(folder: int, operation: int) -> None:
        if replaces.is_set():  # of the second command
            locks.set()
        flock(folder, operation)

    def disable(username: str) -> None:
        codes[username] = run(file, "disable", username)

    monkeypatch.setattr(os, "replace", late_replace)
    monkeypatch.setattr(fcntl, "flock", noted_flock)
    first = threading.Thread(target=disable, args=("an",))
    first.start()
    assert replaces.wait(PATIENCE)
    disable("bert")
    first.join()
    assert codes == {"an": 0, "bert": 1}, "the second one is told to repeat the command"
    disable("bert")
    disabled = {one.username for one in load_accounts_file(file, DEPARTMENTS).accounts if one.disabled}
    assert (codes["bert"], disabled) == (0, {"an", "bert"})
