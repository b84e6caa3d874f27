"""Internal API of the departments that presence stores (`CONFIG_SOURCE=database`). No I/O.

Everything is answered with 409 `configuration_in_file` where the departments are in a file.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from services.common.config.toml_file import MOST_STORED
from services.common.events.types import ButtonColour, ButtonReason, Record, Whole

# presence
CONFIGURATION = "/internal/configuration"  # {} → Configuration
CONFIGURATION_CHECK = "/internal/configuration/check"  # Check → Checked | 409 changed | 422 invalid_configuration
CONFIGURATION_STORE = "/internal/configuration/store"  # Change → Version | 409 changed | 422 invalid_configuration
CONFIGURATION_VERSIONS = "/internal/configuration/versions"  # VersionsQuery → Versions
CONFIGURATION_VERSION = "/internal/configuration/version"  # VersionQuery → VersionDetail | 404 no_such_version
# transcripts
CONFIGURATION_NAMES = "/internal/configuration/names"  # NamesCheck → 204 | 422 invalid_configuration

PAGE = 50  # versions in one answer
MOST_CHANGES = 2_000  # lines of the difference of two versions
Act = Literal["begun", "changed", "imported", "restored"]
"""How a version came to be: of the file at the first start, on a page, by a whole text, from an earlier version."""
AuthorRole = Literal["administrator", "operator"]
Locale = Literal["nl", "fr", "de", "en"]
MOST_ITEMS = 40_000  # of a list in a form: no text has more
# A form shows whatever a valid text has, so its limits are those of a text.
Words = Annotated[str, Field(max_length=MOST_STORED)]
Names = Annotated[dict[Locale, Words], Field(max_length=4)]


class Author(Record):
    """Who makes a version: an administrator, or the operator with a command."""

    id: str = Field(max_length=100)
    name: str = Field(max_length=200)
    role: AuthorRole


class ContactForm(Record):
    """Another way to reach a department, as the form has it."""

    kind: Literal["phone", "email", "web", "visit", "post"]
    value: Words
    note: Names | None = None


class DepartmentForm(Record):
    """What the form of a department has. What it does not have stays as it is.

    Attributes:
        names: The names.
        hours: The opening hours; None: those of `OFFICE_HOURS`.
        closed: Closed days beside the public holidays: a date, a day of each year, or relative to Easter.
        day_hours: Hours of single days.
        contacts: Other ways to reach it.
        start: As in the departments file.
        accept: As in the departments file.
        busy: As in the departments file.
        longest: `queue.longest` of the departments file.
        patience: `queue.patience` of the departments file; None: `WAITING_LIMIT`.
        questions: As in the departments file.
        answer_within: As in the departments file, in working days.
        wrap_up: As in the departments file, in seconds.
        origins: As in the departments file. None: they stay as they are; a page or a service of a release that does not
            know them says so.
    """

    names: Names
    hours: Words | None = None
    closed: Annotated[list[Words], Field(max_length=MOST_ITEMS)] = Field(default_factory=list)
    day_hours: Annotated[dict[Words, Words], Field(max_length=MOST_ITEMS)] = Field(default_factory=dict)
    contacts: Annotated[list[ContactForm], Field(max_length=MOST_ITEMS)] = Field(default_factory=list)
    start: Literal["press", "form"] = "press"
    accept: Literal["by_agent", "automatic"] = "by_agent"
    busy: Literal["info_sheet", "queue"] = "info_sheet"
    longest: Annotated[int, Field(ge=0, le=10_000)] = 20
    patience: Annotated[float, Field(gt=0, le=86_400)] | None = None
    questions: bool = False
    answer_within: Annotated[int, Field(ge=1, le=30)] | None = None
    wrap_up: Annotated[float, Field(ge=0, le=600)] = 0
    origins: Annotated[list[Words], Field(max_length=MOST_ITEMS)] | None = None


class Version(Record):
    """A version: its number, when and how it came to be, and who made it.

    `about`: the department that was changed, or the number of the version that was restored.
    """

    version: Whole
    at: datetime
    by: Author
    act: Act
    about: str | None = None


class Configuration(Version):
    """The newest version: its text, and the forms of its departments by id, in the order of the text."""

    text: str
    departments: dict[str, DepartmentForm]


class Wanted(Record):
    """What is to become a version, made of version `base`: one of the three.

    Attributes:
        base: The number of the version that its author has seen.
        text: The departments in TOML.
        department: The department whose `form` has changed.
        form: Its form.
        restore: The number of the version to restore.
    """

    base: Whole
    text: Annotated[str, Field(max_length=MOST_STORED)] | None = None
    department: Annotated[str, Field(max_length=100)] | None = None
    form: DepartmentForm | None = None
    restore: Whole | None = None


class Check(Record):
    """Request to say what would be, without storing it: the buttons now, and the `year` of the `department`."""

    wanted: Wanted
    department: Annotated[str, Field(max_length=100)] | None = None
    year: Annotated[int, Field(ge=1971, le=2199)]


class ButtonNow(Record):
    """The button of a department as it would be now."""

    department: str
    names: Names
    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None = None


class PlannedDay(Record):
    """A day with other hours than its day of the week: `hours` such as `09:00-12:00`, none: closed.

    `holiday`: the name of the public holiday. `bridge`: it is closed between two days without work.
    """

    day: str
    hours: list[str]
    holiday: str | None = None
    bridge: bool = False


class Checked(Record):
    """What would be.

    `same`: it is what the newest version has already. `days`: None for a department that is always open, or where none
    was named.
    """

    text: str
    same: bool = False
    departments: list[str]
    buttons: list[ButtonNow]
    days: list[PlannedDay] | None = None


class Change(Record):
    """Request to store a version."""

    wanted: Wanted
    by: Author


class VersionsQuery(Record):
    """Request for versions before this one, the newest first; None: from the newest."""

    before: Whole | None = None


class Versions(Record):
    """Versions, the newest first, at most `PAGE`. `more`: there are earlier ones."""

    versions: list[Version]
    more: bool


class VersionQuery(Record):
    """Request for one version."""

    version: Whole


class ChangedLine(Record):
    """A line of the difference: removed (`-`), added (`+`), or around these (` `)."""

    mark: Literal["-", "+", " "]
    text: str


class VersionDetail(Version):
    """A version with its text and what it changed, by lines; None: the version before it is not stored any more."""

    text: str
    changes: list[ChangedLine] | None


class NamesCheck(Record):
    """Request to say whether the integrations file names departments that are not among these."""

    departments: list[Annotated[str, Field(max_length=100)]] = Field(max_length=10_000)
