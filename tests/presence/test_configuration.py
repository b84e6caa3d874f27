"""`configuration.py`: what presence takes over from changed files, and `make departments-check`."""

from pathlib import Path

import pytest

from services.common.config.toml_file import ConfigurationError
from services.presence.commands import configuration_check
from services.presence.configuration import Configuration
from services.presence.settings import PresenceSettings
from tests.common.config.test_departments import GOOD, NAMES
from tests.presence.conftest import HASH, SECRET

SECOND = f'[[departments]]\nid = "premies"\n{NAMES}\nhours = "always"\nwrap_up = 30\n[departments.queue]\nlongest = 3\n'
ACCOUNT = f'[[accounts]]\nusername = "an"\nname = "An"\npassword_hash = "{HASH}"\ndepartments = ["premies"]\n'


def settings_of(tmp_path: Path, departments: str, accounts: str = "") -> PresenceSettings:
    (tmp_path / "departments.toml").write_text(departments)
    (tmp_path / "accounts.toml").write_text(accounts)
    return PresenceSettings(
        token_secret=SECRET,
        departments_file=tmp_path / "departments.toml",
        accounts_file=tmp_path / "accounts.toml" if accounts else None,
    )


def test_all_who_have_a_part_of_it_see_what_is_taken_over(tmp_path: Path) -> None:
    mine = Configuration.load(settings_of(tmp_path, GOOD + 'hours = "Mon 09:00-10:00"\n'))
    departments, schedules, longest, wrap_ups = mine.departments, mine.schedules, mine.longest, mine.wrap_ups
    other = Configuration.load(settings_of(tmp_path, SECOND.replace("[[dep", 'default = "premies"\n[[dep', 1), ACCOUNT))
    assert mine.take_over(other) == {"algemeen"}
    assert departments.ids == ["premies"]
    assert departments.get(None) is other.departments.get("premies")
    assert (schedules["premies"].week, list(schedules)) == (None, ["premies"])
    assert (longest, wrap_ups) == ({"premies": 3}, {"premies": 30})
    assert [account.username for account in mine.file.accounts] == ["an"]


def test_a_department_with_an_account_cannot_be_removed(tmp_path: Path) -> None:
    Configuration.load(settings_of(tmp_path, GOOD + SECOND, ACCOUNT))
    with pytest.raises(ConfigurationError, match="'an' serves 'premies', which is no department"):
        Configuration.load(settings_of(tmp_path, GOOD, ACCOUNT))


@pytest.mark.parametrize(
    ("departments", "accounts", "integrations", "why"),
    [
        (GOOD + SECOND, ACCOUNT, "", None),
        (GOOD, ACCOUNT, "", "which is no department"),
        (GOOD + 'hours = "sometimes"\n', "", "", "is not a day"),
        (f'calendar.holidays = "BE-XYZ"\n{GOOD}', "", "", "has no region XYZ"),
        (GOOD, "", 'secrets = ["env:X"]\ndepartments = ["premies"]', "there is no department 'premies'"),
    ],
)
def test_the_check_says_what_the_services_would(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    departments: str,
    accounts: str,
    integrations: str,
    why: str | None,
) -> None:
    settings_of(tmp_path, departments, accounts)
    monkeypatch.setenv("DEPARTMENTS_FILE", "/nowhere.toml")
    if accounts:
        monkeypatch.setenv("ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    if integrations:
        webhook = f'[[webhooks]]\nid = "crm"\nurl = "https://crm.be/"\nevents = ["chat.opened"]\n{integrations}\n'
        (tmp_path / "integrations.toml").write_text(webhook)
        monkeypatch.setenv("INTEGRATIONS_FILE", str(tmp_path / "integrations.toml"))
    status = configuration_check.main([str(tmp_path / "departments.toml")])
    shown = capsys.readouterr()
    if why is None:
        assert (status, shown.err) == (0, "")
        assert shown.out.endswith("can be used: algemeen, premies\n")
    else:
        assert (status, shown.out) == (78, "")
        assert shown.err.startswith("departments-check: ")
        assert why in shown.err


def test_the_check_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert configuration_check.main([]) == 2
    assert "say which file" in capsys.readouterr().err
