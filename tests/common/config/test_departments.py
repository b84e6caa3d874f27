"""`departments.py`: the grammar of opening hours, and a file that is right as a whole or refused in a line."""

from datetime import UTC, datetime, time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.config.departments import LOCALES, Text, load_departments
from services.common.config.opening_hours import DAYS, Span, parse_hours
from services.common.config.toml_file import ConfigurationError
from tests.support.servers import ROOT

NAMES = 'names = { nl = "Algemeen", fr = "Général", de = "Allgemein", en = "General" }'
GOOD = f'default = "algemeen"\n[[departments]]\nid = "algemeen"\n{NAMES}\n'


def hours(text: str) -> dict[str, list[str]]:
    """The open days of this text, each with its spans as `09:00-17:00`."""
    week = parse_hours(text)
    assert week is not None
    assert len(week) == 7
    return {DAYS[i]: [f"{s.opens:%H:%M}-{s.closes:%H:%M}" for s in spans] for i, spans in enumerate(week) if spans}


def file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "departments.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_working_week() -> None:
    assert hours("Mon-Fri 09:00-17:00") == {day: ["09:00-17:00"] for day in DAYS[:5]}


@pytest.mark.parametrize("text", ["always", "Always", "  ALWAYS "])
def test_always_has_no_week(text: str) -> None:
    assert parse_hours(text) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Mon 13:00-17:00,09:00-12:00", {"Mon": ["09:00-12:00", "13:00-17:00"]}),
        (
            "Mon,Wed 09:00-12:00; Sat 10:00-12:00",
            {"Mon": ["09:00-12:00"], "Wed": ["09:00-12:00"], "Sat": ["10:00-12:00"]},
        ),
        ("Sat-Mon 10:00-11:00", {"Mon": ["10:00-11:00"], "Sat": ["10:00-11:00"], "Sun": ["10:00-11:00"]}),
        ("Fri 22:00-02:00", {"Fri": ["22:00-00:00"], "Sat": ["00:00-02:00"]}),
        ("Sun 22:00-02:00", {"Mon": ["00:00-02:00"], "Sun": ["22:00-00:00"]}),
        ("Tue 00:00-24:00;", {"Tue": ["00:00-00:00"]}),
        ("Mon 09:00-12:00; Mon 12:00-13:00", {"Mon": ["09:00-12:00", "12:00-13:00"]}),
    ],
)
def test_the_grammar(text: str, meant: dict[str, list[str]]) -> None:
    assert hours(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "Mon",
        "Mon-Fri",
        "Maandag 09:00-17:00",
        "mon 09:00-17:00",
        "Mon- 09:00-17:00",
        "Mon 9:00-17:00",
        "Mon 09:00-25:00",
        "Mon 24:00-24:00",
        "Mon 09:00-24:30",
        "Mon 09:60-10:00",
        "Mon 09:00-09:00",
        "Mon 09:00-12:00,11:00-13:00",
        "Mon 00:00-24:00,09:00-10:00",
        "Mon 22:00-02:00; Tue 01:00-03:00",
        "Mon 09:00-17:00,",
    ],
)
def test_what_is_not_in_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_hours(text)


@given(st.text(alphabet="MonTueSat0123456789:-,; ") | st.text())
def test_any_text_is_hours_or_a_value_error(text: str) -> None:
    try:
        week = parse_hours(text)
    except ValueError:
        return
    for spans in week or ():
        assert list(spans) == sorted(spans, key=lambda s: s.opens)
        assert all(one.closes != time(0) and one.closes <= two.opens for one, two in pairwise(spans))


@given(st.integers(0, 6), st.times(), st.times())
def test_one_span_covers_what_it_says(day: int, opens: time, closes: time) -> None:
    opens, closes = opens.replace(second=0, microsecond=0), closes.replace(second=0, microsecond=0)
    text = f"{DAYS[day]} {opens:%H:%M}-{closes:%H:%M}"
    if opens == closes and closes != time(0):
        with pytest.raises(ValueError, match="same time"):
            parse_hours(text)
        return
    week = parse_hours(text)
    assert week is not None
    if opens < closes or closes == time(0):
        assert week[day] == (Span(opens=opens, closes=closes),)
    else:
        assert week[day][-1] == Span(opens=opens, closes=time(0))
        assert week[(day + 1) % 7][0] == Span(opens=time(0), closes=closes)


def test_the_file_that_is_delivered_is_good() -> None:
    departments = load_departments(ROOT / "deploy" / "departments.toml")
    default = departments.get(None)
    assert default is not None
    assert default.id == departments.default == "algemeen"
    assert departments.get("nowhere") is None
    for department in departments.departments:
        assert len({department.names.in_(locale) for locale in LOCALES}) == 4


def test_a_whole_department(tmp_path: Path) -> None:
    text = GOOD + (
        'hours = "Mon-Thu 09:00-12:00"\nclosed_on = [2026-12-24]\norigins = ["https://Loket.Example.be:8443"]\n'
        '[[departments.contacts]]\nkind = "phone"\nvalue = "+32 2 555 01 00"\n'
    )
    departments = load_departments(file(tmp_path, text))
    department = departments.departments[0]
    assert departments.origins() == {"https://loket.example.be:8443"}
    assert (department.hours, str(department.closed_on[0])) == ("Mon-Thu 09:00-12:00", "2026-12-24")
    assert department.contacts[0].value == "+32 2 555 01 00"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("default = ", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        ("a = " + "9" * 5_000, "is not TOML"),
        ("a = " + "[" * 5_000, "is not TOML: it is nested too deeply"),
        ('default = "algemeen"', "departments: Field required"),
        ('default = "algemeen"\ndepartments = []', "departments"),
        (GOOD.replace('default = "algemeen"', 'default = "x"'), "'x' is not among them"),
        (GOOD.replace('default = "algemeen"\n', ""), "default: Field required"),
        (GOOD + f'[[departments]]\nid = "algemeen"\n{NAMES}\n', "the same id"),
        (GOOD.replace('id = "algemeen"', 'id = "Algemeen Loket"'), "departments.0.id"),
        (GOOD.replace(', en = "General"', ""), "departments.0.names.en"),
        (GOOD.replace('fr = "Général"', 'fr = ""'), "departments.0.names.fr"),
        (GOOD + 'hours = "Mon 9-17"\n', "departments.0.hours"),
        (GOOD + 'opening = "always"\n', "departments.0.opening"),
        (GOOD + 'origins = ["https://example.be/"]\n', "departments.0.origins.0"),
        (GOOD + 'origins = ["ftp://example.be"]\n', "departments.0.origins.0"),
        (GOOD + 'origins = ["*"]\n', "departments.0.origins.0"),
        (GOOD + "closed_on = [2026-13-01]\n", "is not TOML"),
        (GOOD + '[[departments.contacts]]\nkind = "fax"\nvalue = "1"\n', "departments.0.contacts.0.kind"),
    ],
)
def test_a_mistake_is_reported_on_one_line_with_its_position(tmp_path: Path, text: str | bytes, told: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_departments(path)
    line = str(caught.value)
    assert line.startswith(f"DEPARTMENTS_FILE {path}: ")
    assert told in line
    assert "\n" not in line


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"DEPARTMENTS_FILE .*cannot be read \(No such file"):
        load_departments(tmp_path / "none.toml")


def test_an_unknown_language_is_dutch() -> None:
    words = Text(nl="hallo", fr="bonjour", de="hallo!", en="hello")
    assert [words.in_(locale) for locale in ("nl", "fr", "de", "en", "es", "")] == [
        "hallo",
        "bonjour",
        "hallo!",
        "hello",
        "hallo",
        "hallo",
    ]


def test_a_department_offers_nothing_more_while_blue_unless_it_says_so(tmp_path: Path) -> None:
    plain = load_departments(file(tmp_path, GOOD)).departments[0]
    assert (plain.busy, plain.questions, plain.answer_within) == ("info_sheet", False, None)
    more = 'busy = "queue"\nquestions = true\nanswer_within = 2\n'
    found = load_departments(file(tmp_path, GOOD + more)).departments[0]
    assert (found.busy, found.questions, found.answer_within) == ("queue", True, 2)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("questions = true", "needs answer_within, a number of working days"),
        ("questions = true\nanswer_within = 0", "greater than or equal to 1"),
        ("answer_within = 31", "less than or equal to 30"),
        ('answer_within = "2 working days"', "valid integer"),
        ('busy = "wait"', "'info_sheet' or 'queue'"),
        ('busy = "queue"\nqueue = { longest = 0 }', "needs a queue.longest above 0"),
    ],
)
def test_an_offer_that_cannot_be_kept_is_refused_on_one_line(tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        load_departments(file(tmp_path, GOOD + more))
    assert "\n" not in str(refused.value)
    assert "departments.0" in str(refused.value)


TEXT = 'text = { nl = "N", fr = "F", de = "D", en = "E" }'


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (f"[[departments.notices]]\nstart = 2026-12-01T09:00:00Z\nend = 2026-12-01T08:00:00Z\n{TEXT}", "ends before"),
        (f"[[departments.notices]]\nstart = 2026-12-01T09:00:00\nend = 2026-12-02T08:00:00Z\n{TEXT}", "timezone"),
        (
            "[[departments.notices]]\nstart = 2026-12-01T09:00:00Z\nend = 2026-12-02T08:00:00Z\n"
            + TEXT.replace('"D"', f'"{"D" * 301}"'),
            "301 characters",
        ),
        (
            f"[departments.privacy]\n{TEXT}\nurl = {{ nl = 'javascript:x', fr = 'x', de = 'x', en = 'x' }}",
            "address of a page",
        ),
    ],
)
def test_a_notice_or_privacy_text_that_is_wrong_is_refused(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load_departments(file(tmp_path, f"{GOOD}{more}\n"))


def test_the_notice_of_the_department_precedes_that_of_all_and_the_latest_counts(tmp_path: Path) -> None:
    def notice(table: str, start: int, end: int, word: str) -> str:
        words = TEXT.replace('"N"', f'"{word}"')
        return f"[[{table}]]\nstart = 2026-12-{start:02}T00:00:00Z\nend = 2026-12-{end:02}T00:00:00Z\n{words}\n"

    of_all = notice("notices", 1, 20, "all")
    own = notice("departments.notices", 5, 9, "own") + notice("departments.notices", 6, 8, "later")
    head, _, rest = GOOD.partition("[[departments]]")
    found = load_departments(file(tmp_path, f"{head}{of_all}[[departments]]{rest}{own}"))
    department = found.departments[0]
    seen = [found.notice_of(department, datetime(2026, 12, day, tzinfo=UTC)) for day in (1, 5, 6, 8, 9, 20)]
    assert [n.text.nl if n else None for n in seen] == ["all", "own", "later", "own", "all", None]


def test_identifying_numbers_are_masked_unless_the_department_says_otherwise(tmp_path: Path) -> None:
    usual = load_departments(file(tmp_path, GOOD)).departments[0].numbers
    assert (usual.national, usual.iban, usual.card, usual.not_masked) == ("mask", "mask", "mask", {})
    policy = '[departments.numbers]\nnational = "allow"\ncard = "refuse"\nown = ["BE68 5390 0754 7034"]\n'
    own = load_departments(file(tmp_path, f"{GOOD}{policy}")).departments[-1].numbers
    assert own.not_masked == {"national": "allow", "card": "refuse"}
    assert own.own == {"BE68539007547034"}
    assert not own.allows_all


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ('national = "hide"', "'refuse', 'mask' or 'allow'"),
        ('passport = "mask"', "Extra inputs"),
        ('own = ["BE68"]', "'BE68' is no account or other number"),
    ],
)
def test_a_policy_of_numbers_that_is_wrong_is_refused(tmp_path: Path, policy: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load_departments(file(tmp_path, f"{GOOD}[departments.numbers]\n{policy}\n"))
