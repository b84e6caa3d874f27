"""services/presence/opening_hours.py: schedules from the files and the environment."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dateutil.easter  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.config.departments import Departments, load_departments
from services.common.config.opening_hours import Calendar, easter
from services.common.config.settings import explain
from services.common.config.toml_file import ConfigurationError
from services.presence.commands.calendar_table import main
from services.presence.opening_hours import Schedule, is_open, load_schedules, next_change, next_opening
from services.presence.settings import PresenceSettings
from tests.support.servers import ROOT

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
    assert set(load_schedules(settings(), load_departments(ROOT / "deploy/departments.toml"))) >= {"algemeen"}


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


def test_a_bad_calendar_is_named_on_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^HOLIDAYS: 'XX'[^\n]+$"):
        load_schedules(settings(holidays="XX"), departments())


def test_no_calendar_is_loaded_for_those_who_are_always_open() -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from services.common.config.departments import load_departments as load; "
        "from services.presence.opening_hours import load_schedules; "
        "from services.presence.settings import PresenceSettings; "
        "load_schedules(PresenceSettings(office_hours='always'), load(Path('deploy/departments.toml'))); "
        "print('holidays' in sys.modules)"
    )
    environment = {"TOKEN_SECRET": SECRET}
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    )
    assert shown.stdout == "False\n"


@pytest.mark.parametrize("hours", ["Mon-Fry 09:00-17:00", "Mon 9-17", ""])
def test_bad_office_hours_are_named_on_one_line(hours: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(office_hours=hours)
    (line,) = explain(caught.value)
    assert line.startswith("OFFICE_HOURS: ")


# ── the calendar ─────────────────────────────────────────────────────────────────────────────────────────────────────


def opened(at: str, schedule: Schedule) -> bool:
    return is_open(schedule, datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("Europe/Brussels")))


def of(all_: dict[str, object], own: dict[str, object] | None = None, code: str = "", **more: object) -> Schedule:
    made = departments(calendar=own or {}, **more)
    return load_schedules(settings(holidays=code), made.model_copy(update={"calendar": Calendar.model_validate(all_)}))[
        "a"
    ]


@pytest.mark.parametrize(
    ("code", "day"),
    [
        ("BE-VLG", "2028-07-11"),
        ("be-vlg", "2028-12-25"),
        ("BE-WAL", "2027-09-27"),
        ("BE-BRU", "2028-05-08"),
        ("BE-DG", "2027-11-15"),
        ("DE-BY", "2027-01-06"),
    ],
)
def test_a_region_has_its_own_holidays_beside_those_of_the_country(code: str, day: str) -> None:
    assert not opened(f"{day}T12:00", of({}, code=code))
    assert not opened(f"{day}T12:00", of({"holidays": code}))
    assert not opened(f"{day}T12:00", of({}, {"holidays": code}))
    if day != "2028-12-25":
        assert opened(f"{day}T12:00", of({}, code=code.partition("-")[0]))
    assert opened(f"{day}T12:00", of({"holidays": code}, {"holidays": ""}))


def test_yearly_days_days_relative_to_easter_dates_and_half_days() -> None:
    schedule = of(
        {
            "closed": ["11-02", "easter+1", "easter + 39".replace(" ", ""), date(2027, 5, 12)],
            "hours": {"12-24": "09:00-12:00"},
        }
    )
    for day in ("2027-11-02", "2028-11-02", "2027-03-29", "2028-04-17", "2027-05-06", "2027-05-12"):
        assert not opened(f"{day}T10:00", schedule), day
    assert opened("2028-05-12T10:00", schedule)
    assert opened("2027-12-24T11:59", schedule)
    assert not opened("2027-12-24T12:00", schedule)
    assert next_opening(schedule, datetime(2027, 12, 24, 12, tzinfo=ZoneInfo("Europe/Brussels"))) == datetime(
        2027, 12, 27, 8, tzinfo=UTC
    )


def test_what_a_department_says_comes_first_and_a_date_before_a_year() -> None:
    schedule = of(
        {"closed": ["12-24", "11-02"]}, {"hours": {"12-24": "09:00-12:00", "2027-12-24": "10:00-11:00"}}, code="BE"
    )
    assert opened("2026-12-24T09:30", schedule)
    assert not opened("2027-12-24T09:30", schedule)
    assert opened("2027-12-24T10:30", schedule)
    assert not opened("2027-11-02T10:30", schedule)
    assert opened("2027-12-25T10:30", of({"hours": {"12-25": "10:00-11:00"}}, code="BE"))


def test_a_bridge_day_lies_between_a_closing_day_and_a_free_one() -> None:
    schedule = of({"bridge": True}, code="BE")
    assert not opened("2027-05-07T10:00", schedule), "the Friday after Ascension"
    assert opened("2027-05-05T10:00", schedule)
    assert opened("2027-05-07T10:00", of({}, code="BE"))
    assert opened("2027-05-07T10:00", of({"bridge": True}, {"bridge": False}, code="BE"))
    assert opened("2027-05-07T10:00", of({"bridge": True, "hours": {"2027-05-07": "09:00-12:00"}}, code="BE"))
    assert opened("2027-03-10T10:00", of({"bridge": True}, hours="Mon,Wed,Fri 09:00-17:00")), "no holiday is near"


@pytest.mark.parametrize(
    ("calendar", "reported"),
    [
        ('closed = ["13-40"]', "calendar.closed.0: '13-40' is no day such as"),
        ('closed = ["2027-02-30"]', "calendar.closed.0: '2027-02-30' is no day such as"),
        ('closed = ["easter+999"]', "calendar.closed.0: "),
        ('closed = ["12-24"]\nhours = { "12-24" = "09:00-12:00" }', "'12-24' is closed and has hours"),
        (
            'hours = { "12-24" = "until noon" }',
            "calendar.hours.12-24: 'until noon' is not hours of one day",
        ),
        ('hours = { "12-24" = "22:00-02:00" }', "calendar.hours.12-24: "),
        ('open = ["12-24"]', "calendar.open: "),
        ('holidays = "BE-XYZ"', "calendar.holidays: 'BE-XYZ': BE has no region XYZ; it has "),
        ('holidays = "XX"', "calendar.holidays: 'XX' is not the code of a country"),
    ],
)
def test_a_wrong_calendar_is_refused_on_one_line_that_names_file_and_position(
    tmp_path: Path, calendar: str, reported: str
) -> None:
    file = tmp_path / "departments.toml"
    names = "{ nl = 'x', fr = 'x', de = 'x', en = 'x' }"
    file.write_text(f'default = "a"\n[calendar]\n{calendar}\n[[departments]]\nid = "a"\nnames = {names}\n')
    with pytest.raises(ConfigurationError) as caught:
        load_schedules(settings(departments_file=str(file)), load_departments(file))
    line = str(caught.value)
    assert line.startswith(f"DEPARTMENTS_FILE {file}: calendar"), line
    assert reported in line
    assert "\n" not in line


def test_easter_is_that_of_the_library() -> None:
    assert [easter(year) for year in range(1900, 2200)] == [dateutil.easter.easter(year) for year in range(1900, 2200)]


DAY = st.one_of(
    st.dates(date(2027, 1, 1), date(2027, 12, 31)).map(lambda d: d.isoformat()),
    st.dates(date(2028, 1, 1), date(2028, 12, 31)).map(lambda d: f"{d:%m-%d}"),
    st.integers(-250, 250).map(lambda n: f"easter{n:+d}"),
)
ONE_DAY = st.sampled_from(["09:00-12:00", "00:00-24:00", "02:30-03:30", "09:00-12:00,13:00-16:00"])


@given(
    closed=st.lists(DAY, max_size=6),
    hours=st.dictionaries(DAY, ONE_DAY, max_size=6),
    bridge=st.booleans(),
    at=st.datetimes(datetime(2027, 1, 1), datetime(2027, 12, 31)),
)
def test_the_next_change_is_the_first_one_whatever_the_calendar_says(
    closed: list[str], hours: dict[str, str], bridge: bool, at: datetime
) -> None:
    """Also over the days on which the clocks are put forward or back."""
    named = {"closed": [d for d in closed if d not in hours], "hours": hours, "bridge": bridge}
    schedule = of(named)
    now = at.replace(tzinfo=UTC)
    change = next_change(schedule, now)
    assert change is not None
    before = is_open(schedule, now)
    assert is_open(schedule, change) != before
    step = max(timedelta(minutes=15), (change - now) / 60)
    moment = now
    while moment < change:
        assert is_open(schedule, moment) == before
        moment += step
    assert is_open(schedule, change - timedelta(microseconds=1)) == before


def test_the_year_is_printed_for_each_department(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "departments.toml"
    names = "{ nl = 'Premies', fr = 'x', de = 'x', en = 'x' }"
    file.write_text(
        f'default = "a"\n[calendar]\nholidays = "BE-VLG"\nclosed = ["11-02"]\nbridge = true\n'
        f'hours = {{ "12-24" = "09:00-12:00" }}\n[[departments]]\nid = "a"\nnames = {names}\n'
    )
    monkeypatch.setenv("DEPARTMENTS_FILE", str(file))
    assert main(["2028"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "a (Premies), 2028"
    assert "  2028-07-11 dinsdag   gesloten (Feestdag van de Vlaamse Gemeenschap)" in shown
    assert "  2028-07-10 maandag   gesloten: brugdag" in shown
    assert "  2028-11-02 donderdag gesloten" in shown
    assert "  2028-11-03 vrijdag   gesloten: brugdag" in shown
    assert "  2028-12-24 zondag    open 09:00-12:00" in shown
    assert main(["soon"]) == 2
    file.write_text('default = "b"\n')
    assert main(["2028"]) == 78
    assert capsys.readouterr().err.splitlines()[-1].startswith("calendar: DEPARTMENTS_FILE ")
