"""`toml_text.py`: one member of one table changes, and nothing else does, comments neither."""

import tomllib
from typing import Any

import pytest

from services.common.config.toml_text import CannotEdit, added, changed

TEXT = """# all
default = "a"

[[departments]]  # the first
id = "a"
names = { nl = "A", fr = "A" }  # its names
# about the origins
origins = [
  "https://one.example",  # one
]

[departments.queue]
longest = 3

# about the number
[[departments.contacts]]
kind = "phone"
value = "1"

[departments.contacts.note]
nl = "x"

[[departments.contacts]]
kind = "email"
value = "2"

# the second
[[departments]]
id = "b"
queue.longest = 4
hours = "always"

[retention]
confirmed = 2026-11-29
"""


def change(name: str, value: Any, id_: str = "a") -> str:
    return changed(TEXT, "departments", "id", id_, {name: value})


def gone(text: str) -> list[str]:
    """The lines that are not there any more."""
    return [line for line in TEXT.splitlines() if line.strip() and line not in text.splitlines()]


def test_a_value_of_one_line_is_replaced() -> None:
    made = change("names", {"nl": 'Eén "A"', "fr": "A"})
    assert gone(made) == ['names = { nl = "A", fr = "A" }  # its names']
    assert tomllib.loads(made)["departments"][0]["names"]["nl"] == 'Eén "A"'


def test_a_value_of_several_lines_is_replaced() -> None:
    made = change("origins", [])
    assert gone(made) == ["origins = [", '  "https://one.example",  # one', "]"]
    assert "# about the origins\norigins = []\n" in made


def test_a_long_value_is_parsed_a_few_times_and_what_is_said_after_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each parse takes as long as the value is: one for each of its lines would hold presence up for seconds."""
    days = "".join(f'  "12-{n % 31 + 1:02}",  # day {n}\n  # of {n}\n' for n in range(300))
    text = f'[[departments]]\nid = "a"\nclosed_on = [\n{days}]\n\n# about the hours\nhours = "always"\n'
    parsed, loads = list[str](), tomllib.loads

    def counted(text: str) -> dict[str, Any]:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counted)
    made = changed(text, "departments", "id", "a", {"closed_on": None})
    assert made == '[[departments]]\nid = "a"\n\n# about the hours\nhours = "always"\n'
    assert len(parsed) < 10


def test_a_text_of_several_lines_that_looks_like_members_and_comments_is_replaced() -> None:
    text = '[[departments]]\nid = "a"\nhours = """\nx = 1\n\n# last"""\n# about b\nb = 1\n'
    made = changed(text, "departments", "id", "a", {"hours": "always"})
    assert made == '[[departments]]\nid = "a"\nhours = "always"\n# about b\nb = 1\n'


def test_a_new_member_comes_after_the_others_of_its_table() -> None:
    assert ']\nhours = "always"\n\n[departments.queue]' in change("hours", "always")


def test_an_array_of_tables_is_replaced_by_one_with_a_line_for_each() -> None:
    made = change("contacts", [{"kind": "web", "value": "https://x.example"}, {"kind": "phone", "value": "3"}])
    assert (
        'contacts = [\n  { kind = "web", value = "https://x.example" },\n  { kind = "phone", value = "3" },\n]' in made
    )
    assert "# the second\n[[departments]]" in made
    assert len(tomllib.loads(made)["departments"][0]["contacts"]) == 2


def test_tables_and_dotted_members_are_removed() -> None:
    assert gone(change("queue", None)) == ["[departments.queue]", "longest = 3"]
    without = change("contacts", None)
    of_contacts = TEXT[TEXT.index("[[departments.contacts]]") : TEXT.index("# the second")]
    assert gone(without) == [line for line in of_contacts.splitlines() if line]
    assert "contacts" not in tomllib.loads(without)["departments"][0]
    assert gone(change("queue", {"longest": 5}, "b")) == ["queue.longest = 4"]


def test_the_text_of_another_table_is_not_touched() -> None:
    made = change("hours", "Mon 09:00-10:00", "b")
    assert made == TEXT.replace('hours = "always"', 'hours = "Mon 09:00-10:00"')


def test_a_table_is_added_at_the_end() -> None:
    made = added(TEXT, "departments", {"id": "c", "wrap_up": 30, "questions": True})
    assert made == TEXT + '\n[[departments]]\nid = "c"\nwrap_up = 30\nquestions = true\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('departments = [{ id = "a" }]', "not all written as tables"),
        ('[[departments]]\nid = "x"', "there is no 'a'"),
        ('[[departments]]\nid = "a"\n[[departments]]\nid = "a"', "is there twice"),
        ('[[departments]]\nid = "a"\ntext = """\nhours = "x"\n"""\n', "without changing something else|not understood"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(text: str, why: str) -> None:
    with pytest.raises(CannotEdit, match=why):
        changed(text, "departments", "id", "a", {"hours": "always"})
