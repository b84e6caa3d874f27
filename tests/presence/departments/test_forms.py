"""`forms.py`: what the form of a department shows, and what it changes of the text."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.common.config.departments import Departments
from services.common.config.toml_text import CannotEdit
from services.common.internal_api.configuration import ContactForm, DepartmentForm
from services.presence.departments.forms import forms, with_form

TEXT = (Path(__file__).parents[3] / "deploy" / "departments.toml").read_text("utf-8")
RICH = """default = "a"
[[departments]]
id = "a"
names = { nl = "A", fr = "A", de = "A", en = "A" }
hours = "Mon-Fri 09:00-17:00"
closed_on = [2027-05-07]
wrap_up = 30
questions = true
answer_within = 2
[departments.calendar]
holidays = "BE-VLG"  # a region
closed = ["12-26", "easter+1"]
[departments.calendar.hours]
12-24 = "09:00-12:00"
[departments.queue]
longest = 5
overflow = { to = "b", after = 60 }
[[departments.contacts]]
kind = "phone"
value = "1"
# the other one
[[departments]]
id = "b"
names = { nl = "B", fr = "B", de = "B", en = "B" }
"""


def valid(text: str) -> Departments:
    return Departments.model_validate(tomllib.loads(text))


def edited(id_: str = "a", text: str = RICH, **changes: Any) -> str:
    made = with_form(text, id_, forms(text)[id_].model_copy(update=changes))
    valid(made)
    return made


def test_a_form_shows_what_the_text_says() -> None:
    shown = forms(RICH)["a"]
    assert (shown.hours, shown.longest, shown.patience, shown.wrap_up) == ("Mon-Fri 09:00-17:00", 5, None, 30)
    assert (shown.closed, shown.day_hours) == (["2027-05-07", "12-26", "easter+1"], {"12-24": "09:00-12:00"})
    assert (shown.questions, shown.answer_within) == (True, 2)
    assert shown.contacts == [ContactForm(kind="phone", value="1")]
    assert list(forms(TEXT)) == ["algemeen", "premies"]
    assert forms(RICH)["b"] == DepartmentForm(names=dict.fromkeys(("nl", "fr", "de", "en"), "B"), origins=[])


@pytest.mark.parametrize("text", [TEXT, RICH])
def test_a_form_that_changes_nothing_leaves_every_character(text: str) -> None:
    for id_ in forms(text):
        assert with_form(text, id_, forms(text)[id_]) == text


def test_the_members_that_changed_are_written_and_no_others() -> None:
    made = edited(hours="always", wrap_up=45.0)
    assert made == RICH.replace('"Mon-Fri 09:00-17:00"', '"always"').replace("wrap_up = 30", "wrap_up = 45")
    assert "hours" not in edited(hours=None).split("[departments.calendar]")[0]


def test_origins_are_written_replaced_and_removed_and_stay_where_the_form_has_none() -> None:
    one, two = "https://www.stad.example", "https://formulieren.stad.example:8443"
    made = edited(origins=[one, two])
    assert valid(made).departments[0].origins == (one, two)
    assert (forms(made)["a"].origins, forms(made)["b"].origins) == ([one, two], [])
    assert valid(edited(text=made, origins=[two])).departments[0].origins == (two,)
    assert edited(text=made, origins=[]) == RICH
    assert edited(text=made, origins=None) == made, "a page of a release that does not know them"
    faulty = with_form(RICH, "b", forms(RICH)["b"].model_copy(update={"origins": [one, f"{one}/pad"]}))
    with pytest.raises(ValidationError) as caught:
        Departments.model_validate(tomllib.loads(faulty))
    assert [(e["type"], e["loc"]) for e in caught.value.errors()] == [("origin", ("departments", 1, "origins", 1))]


def test_closed_days_and_hours_of_days_go_to_the_calendar() -> None:
    department = valid(edited(closed=["12-27"], day_hours={})).departments[0]
    assert (department.closed_on, department.calendar.closed, department.calendar.hours) == ((), ("12-27",), {})
    assert department.calendar.holidays == "BE-VLG"


def test_the_queue_keeps_what_the_form_does_not_have() -> None:
    queue = valid(edited(longest=7, patience=90.0)).departments[0].queue
    assert (queue.longest, queue.patience, queue.overflow and queue.overflow.to) == (7, 90, "b")
    assert valid(edited("b", longest=7)).departments[1].queue.longest == 7


def test_contacts_are_replaced_and_the_next_department_is_not() -> None:
    note = dict.fromkeys(("nl", "fr", "de", "en"), 'met "aanhaling"')
    contacts = [ContactForm(kind="email", value="x@example.be", note=note), ContactForm(kind="web", value="y")]
    made = edited(contacts=contacts)
    first, second = valid(made).departments
    assert [(c.kind, c.value) for c in first.contacts] == [("email", "x@example.be"), ("web", "y")]
    assert first.contacts[0].note
    assert first.contacts[0].note.nl == 'met "aanhaling"'
    assert (second.contacts, "# the other one\n[[departments]]" in made) == ((), True)
    assert valid(edited(contacts=[])).departments[0].contacts == ()


def test_a_form_shows_all_that_a_valid_text_may_have() -> None:
    names = dict.fromkeys(("nl", "fr", "de", "en"), "A" * 5_000)
    contacts = [ContactForm(kind="web", value="x" * 2_000)] * 80
    closed = [f"20{year:02}-{month:02}-01" for year in range(27, 62) for month in range(1, 13)]
    text = edited(names=names, contacts=contacts, closed=closed[:400])
    more = text.replace("[[departments]]\n", f"[[departments]]\nclosed_on = [{', '.join(closed)}]\n", 1)
    valid(more)
    shown = forms(more)["a"]
    assert (shown.names, len(shown.contacts), len(shown.closed)) == (names, 80, 820)


def test_a_department_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CannotEdit, match="there is no 'c'"):
        with_form(RICH, "c", forms(RICH)["b"])
