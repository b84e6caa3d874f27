"""services/presence/openings.py: schedules from the files and the environment."""

import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from services.departments import ConfigurationError, Departments, load_departments
from services.presence.hours import is_open
from services.presence.openings import load_schedules
from services.presence.settings import PresenceSettings
from services.settings import explain

NAMES = dict.fromkeys(("nl", "fr", "de", "en"), "x")
CHRISTMAS = datetime(2026, 12, 25, 12, tzinfo=ZoneInfo("Europe/Brussels"))
SECRET = "a secret of the tests alone"


def departments(**first: object) -> Departments:
    return Departments.model_validate(
        {"default": "a", "departments": [{"id": "a", "names": NAMES, **first}, {"id": "b", "names": NAMES}]}
    )


def settings(**values: str) -> PresenceSettings:
    return PresenceSettings(token_secret=SECRET, **values)  # type: ignore[arg-type]


def test_the_departments_of_the_project_have_schedules() -> None:
    assert set(load_schedules(settings(), load_departments(Path("deploy/departments.toml")))) >= {"algemeen"}


def test_office_hours_are_for_departments_without_hours() -> None:
    schedules = load_schedules(settings(office_hours="always"), departments(hours="Mon 09:00-17:00"))
    assert schedules["a"].week is not None
    assert schedules["b"].week is None


@pytest.mark.parametrize(("code", "closed"), [("BE", True), ("be", True), ("", False), ("none", False)])
def test_public_holidays_are_those_of_the_country(code: str, closed: bool) -> None:
    schedules = load_schedules(settings(holidays=code), departments())
    assert is_open(schedules["a"], CHRISTMAS) is not closed


def test_closing_days_are_those_of_the_department() -> None:
    schedules = load_schedules(settings(holidays=""), departments(closed_on=[date(2026, 12, 25)]))
    assert not is_open(schedules["a"], CHRISTMAS)
    assert is_open(schedules["b"], CHRISTMAS)


def test_a_bad_calendar_is_named_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^HOLIDAYS: 'XX'[^\n]+$"):
        load_schedules(settings(holidays="XX"), departments())


def test_no_calendar_is_loaded_for_those_who_are_always_open() -> None:
    code = (
        "import sys; from pathlib import Path; from services.departments import load_departments as load; "
        "from services.presence.openings import load_schedules; "
        "from services.presence.settings import PresenceSettings; "
        "load_schedules(PresenceSettings(office_hours='always'), load(Path('deploy/departments.toml'))); "
        "print('holidays' in sys.modules)"
    )
    environment = {"TOKEN_SECRET": SECRET}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert shown.stdout == "False\n"


@pytest.mark.parametrize("hours", ["Mon-Fry 09:00-17:00", "Mon 9-17", ""])
def test_bad_office_hours_are_named_in_one_line(hours: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(office_hours=hours)
    (line,) = explain(caught.value)
    assert line.startswith("OFFICE_HOURS: ")
