"""Retention periods of the departments file: defaults, what a department changes, confirmation, and what is refused."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.common.config.departments import Departments, load_departments
from services.common.config.retention import Periods
from services.common.config.toml_file import ConfigurationError

NAMES = 'names = { nl = "A", fr = "A", de = "A", en = "A" }'


def departments(tmp_path: Path, general: str = "", own: str = "") -> Departments:
    path = tmp_path / "departments.toml"
    path.write_text(
        f'default = "algemeen"\n{general}\n[[departments]]\nid = "algemeen"\n{NAMES}\n'
        f'[[departments]]\nid = "premies"\n{NAMES}\n{own}\n'
    )
    return load_departments(path)


def test_without_a_word_the_defaults_hold_and_nothing_is_confirmed(tmp_path: Path) -> None:
    assert departments(tmp_path).periods("premies") == Periods(confirmed=False)


def test_a_department_has_its_own_periods_beside_those_of_all(tmp_path: Path) -> None:
    made = departments(
        tmp_path,
        "[retention]\nconfirmed = 2026-11-29\nconversation = 400\nfiles = 90\nstatistics = 1000",
        "[departments.retention]\nconversation = 60\nquestions = 10",
    )
    assert made.periods("algemeen") == Periods(
        confirmed=True,
        conversation=timedelta(days=400),
        files=timedelta(days=90),
        notes=timedelta(days=400),
        statistics=timedelta(days=1000),
    )
    own = made.periods("premies")
    assert own.confirmed
    assert (own.conversation.days, own.questions.days) == (60, 10)
    assert own.of_part("files").days == 60  # they cannot outlive their conversation
    assert made.periods("of-a-former-department") == made.periods("algemeen")


def test_one_department_can_be_confirmed_before_the_others_or_not_yet(tmp_path: Path) -> None:
    early = departments(tmp_path, own="[departments.retention]\nconfirmed = true")
    assert [early.periods(d).confirmed for d in ("algemeen", "premies")] == [False, True]
    late = departments(tmp_path, "[retention]\nconfirmed = true", "[departments.retention]\nconfirmed = false")
    assert [late.periods(d).confirmed for d in ("algemeen", "premies")] == [True, False]


@pytest.mark.parametrize(
    ("general", "own", "said"),
    [
        ("[retention]\nconversation = 2", "", "retention.conversation: Input should be greater than or equal to 3"),
        ("[retention]\nconversation = true", "", "retention.conversation: Input should be a valid integer"),
        ("[retention]\nconversations = 30", "", "retention.conversations: Extra inputs are not permitted"),
        (
            "[retention]\nconversation = 30\nfiles = 31",
            "",
            "files (31 days) are deleted with the conversation (30 days)",
        ),
        ("", "[departments.retention]\naccess_log = 30", "retention.access_log: Extra inputs are not permitted"),
        ('[retention]\nconfirmed = "perhaps"', "", "retention.confirmed"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(tmp_path: Path, general: str, own: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        departments(tmp_path, general, own)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
