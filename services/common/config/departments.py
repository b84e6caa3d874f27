"""Departments file: names in four languages, contact ways, rules, and the pages that may embed the chat.

Every service reads the same TOML file at start, and again when it changes (`watch.py`), and validates it as a whole.
`ConfigurationError` names the error in one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from services.common.config.faults import wrong
from services.common.config.opening_hours import Calendar, Span, parse_hours
from services.common.config.retention import DepartmentRetention, Periods, Retention, periods
from services.common.config.toml_file import Source, load_toml
from services.common.events.types import AssuranceLevel

LOCALES = ("nl", "fr", "de", "en")
MOST_NOTICE = 300  # characters
MOST_OPTION_NAME = 60  # characters


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or value != f"{parts.scheme}://{parts.netloc}":
        raise wrong("origin", "must be an origin such as https://www.example.be, without a path")
    return value.lower()


def _hours(value: str) -> str:
    parse_hours(value)
    return value


class Text(BaseModel):
    """The same text in the four languages."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    nl: str = Field(min_length=1)
    fr: str = Field(min_length=1)
    de: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def in_(self, locale: str) -> str:
        """Return the text in this language; in Dutch when the language is none of the four."""
        words: str = getattr(self, locale if locale in LOCALES else "nl")
        return words


class Option(BaseModel):
    """A word of a list that a department gives its agents to choose from, such as a reason for a pause.

    Attributes:
        id: By which it is stored and counted. It stays when the names change.
        names: How people read it, at most 60 characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    names: Text

    @model_validator(mode="after")
    def _short(self) -> Option:
        if max(map(len, self.names.model_dump().values())) > MOST_OPTION_NAME:
            problem = "'{value}' has a name of more than {most} characters"
            raise wrong("option_long", problem, value=self.id, most=MOST_OPTION_NAME)
        return self


def _once(options: tuple[Option, ...]) -> tuple[Option, ...]:
    ids = [option.id for option in options]
    if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
        raise wrong("option_twice", "'{value}' is there twice", value=twice[0])
    return options


Options = Annotated[tuple[Option, ...], Field(max_length=30), AfterValidator(_once)]


class Contact(BaseModel):
    """Another way to reach the department. `value` is a number, an address or a page."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["phone", "email", "web", "visit", "post"]
    value: str = Field(min_length=1)
    note: Text | None = None


class Privacy(BaseModel):
    """What citizens read about the use of their data, before their first message (GDPR, article 13).

    Attributes:
        text: One or two sentences: who uses what, why, and for how long.
        url: The page with the whole statement, in each language.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: Text
    url: Text | None = None

    @model_validator(mode="after")
    def _web_page(self) -> Privacy:
        _require_pages(self.url)
        return self


def _require_pages(url: Text | None) -> None:
    for address in url.model_dump().values() if url else ():
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            problem = "'{value}' is not the address of a page, such as https://www.example.be/privacy"
            raise wrong("page", problem, value=address)


class Accessibility(BaseModel):
    """What the organisation says in the accessibility statement (Directive (EU) 2016/2102, article 7).

    Attributes:
        organisation: Its name, as a sentence begins with it.
        contacts: Ways to report a barrier; none: the contact ways of the default department.
        enforcement: Who handles complaints about the answer.
        enforcement_url: The page of that body, in each language.
        prepared: The day on which the organisation prepared or reviewed the statement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    organisation: Text
    contacts: tuple[Contact, ...] = Field((), max_length=10)
    enforcement: Text | None = None
    enforcement_url: Text | None = None
    prepared: date | None = None

    @model_validator(mode="after")
    def _web_page(self) -> Accessibility:
        _require_pages(self.enforcement_url)
        return self


class Notice(BaseModel):
    """A message to citizens for a period, on the button and on the info sheet.

    Attributes:
        start: When it appears first, with a time zone.
        end: When it disappears.
        text: The message.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    start: AwareDatetime
    end: AwareDatetime
    text: Text

    @model_validator(mode="after")
    def _in_order(self) -> Notice:
        if self.end <= self.start:
            raise wrong("notice_order", "ends before it starts")
        if (longest := max(map(len, self.text.model_dump().values()))) > MOST_NOTICE:
            problem = "has a text of {size} characters; at most {most} fit"
            raise wrong("notice_long", problem, size=longest, most=MOST_NOTICE)
        return self


class Overflow(BaseModel):
    """Rule of a queue: a chat that has waited for `after` seconds goes to department `to` when that has a free slot."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    to: str
    after: float = Field(120, gt=0, le=3600)


class QueueRules(BaseModel):
    """The rules of a department's queue.

    Attributes:
        longest: With so many waiting chats, neither a press that was a moment too late may join (0: never), nor a
            citizen who chooses to wait.
        patience: Seconds that a citizen may wait; None: `WAITING_LIMIT`.
        overflow: When chats go to another department.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    longest: int = Field(20, ge=0, le=10_000)
    patience: float | None = Field(None, gt=0, le=86_400)
    overflow: Overflow | None = None


NumberKind = Literal["national", "iban", "card"]
NumberRule = Literal["refuse", "mask", "allow"]


def _compact(number: str) -> str:
    compact = re.sub(r"[^0-9A-Z]", "", number.upper())
    if not 11 <= len(compact) <= 34:
        problem = "'{value}' is no account or other number, such as BE68 5390 0754 7034"
        raise wrong("own_number", problem, value=number[:40])
    return compact


class NumberPolicy(BaseModel):
    """What happens to identifying numbers that citizens and agents write (`services/gateway/identifying_numbers.py`).

    `refuse`: the text is refused. `mask`: all but the last digits are replaced before the text leaves the gateway.
    `allow`: the text stays as it is.

    Attributes:
        national: National register numbers and BIS numbers.
        iban: Account numbers (IBAN).
        card: Payment card numbers.
        own: Numbers of the authority itself, which stay as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    national: NumberRule = "mask"
    iban: NumberRule = "mask"
    card: NumberRule = "mask"
    own: frozenset[Annotated[str, AfterValidator(_compact)]] = Field(frozenset(), max_length=100)

    def of(self, kind: NumberKind) -> NumberRule:
        """Return the rule for numbers of this kind."""
        rule: NumberRule = getattr(self, kind)
        return rule

    @property
    def not_masked(self) -> dict[str, str]:
        """The kinds with another rule than `mask`."""
        rules = {"national": self.national, "iban": self.iban, "card": self.card}
        return {kind: rule for kind, rule in rules.items() if rule != "mask"}

    @property
    def allows_all(self) -> bool:
        """Whether no number has to be found."""
        return self.national == self.iban == self.card == "allow"


class IdentificationRules(BaseModel):
    """How citizens identify in a chat: what the citizens' issuer is called, and how certain its logins are.

    Attributes:
        name: The name of the issuer, as citizens and agents read it.
        levels: The assurance level of each value of the claim `acr`. A login with any other value is not accepted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Text
    levels: dict[Annotated[str, Field(min_length=1, max_length=200)], AssuranceLevel] = Field(
        min_length=1, max_length=50
    )

    @model_validator(mode="after")
    def _short(self) -> IdentificationRules:
        if max(map(len, self.name.model_dump().values())) > MOST_OPTION_NAME:
            problem = "identification has a name of more than {most} characters"
            raise wrong("issuer_long", problem, most=MOST_OPTION_NAME)
        return self


Search = Literal["names", "messages", "off"]


class Department(BaseModel):
    """A department.

    What its `calendar` says of a day precedes the calendar of all departments.

    Attributes:
        id: The id.
        names: Its names.
        hours: Opening hours; None: those of `OFFICE_HOURS`.
        closed_on: Closed days beside the public holidays.
        calendar: Days with other hours.
        contacts: Other ways to reach it.
        origins: Origins of pages that may embed its chat; none: those that all departments list together.
        queue: The rules of its queue.
        accept: Whether an agent accepts each chat, or an assigned chat counts as accepted at once.
        busy: What a press does when all agents are in conversation: it opens the info sheet only, or the citizen may
            also choose to wait in the queue.
        questions: Whether citizens may leave a question while the button is blue.
        answer_within: Working days within which the department answers questions that citizens leave.
        privacy: The privacy notice; None: that of all departments.
        notices: Messages for a period. They precede those of all departments.
        start: Whether a press on the green button starts the chat, or opens a form that asks for name and question.
        retention: Its own retention periods.
        numbers: What happens to identifying numbers in texts.
        ask_reason: Who gives a reason before they read one of its conversations: nobody; supervisors who had no part in
            it (`others`); or also agents who had it before (`former`).
        wrap_up: Seconds after the end of a chat for which its agent still has its slot, to wrap it up; 0: none.
        remind_after: Seconds after which an agent is reminded of a citizen who waits for their answer; 0: never.
        alarm_after: Seconds after which supervisors see that a citizen waits for an answer; 0: never.
        reassign_after: Seconds after which a chat whose citizen waits for an answer goes to another agent; 0: never.
        search: The words by which its ended chats are found: those of messages and names, those of messages, or none.
        pause_reasons: The reasons of which its agents choose one when they pause; none: they are not asked.
        closing_reasons: The reasons of which the agent chooses one at the end of a chat; none: they are not asked.
        tags: The words that the agent may give a chat at its end.
        closing_required: Whether the console asks for a reason until it has one.
        identification: Whether its agents may ask a citizen to identify.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    names: Text
    hours: Annotated[str, AfterValidator(_hours)] | None = None
    closed_on: tuple[date, ...] = ()
    calendar: Calendar = Calendar()
    contacts: tuple[Contact, ...] = ()
    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()
    queue: QueueRules = QueueRules()
    accept: Literal["by_agent", "automatic"] = "by_agent"
    retention: DepartmentRetention = DepartmentRetention()
    wrap_up: float = Field(0, ge=0, le=600)
    search: Search = "names"
    start: Literal["press", "form"] = "press"
    busy: Literal["info_sheet", "queue"] = "info_sheet"
    questions: bool = False
    answer_within: int | None = Field(None, ge=1, le=30)
    privacy: Privacy | None = None
    notices: tuple[Notice, ...] = Field((), max_length=100)
    numbers: NumberPolicy = NumberPolicy()
    ask_reason: Literal["nobody", "others", "former"] = "nobody"
    remind_after: int = Field(120, ge=0, le=86_400)
    alarm_after: int = Field(300, ge=0, le=86_400)
    reassign_after: int = Field(0, ge=0, le=86_400)
    pause_reasons: Options = ()
    closing_reasons: Options = ()
    tags: Options = ()
    closing_required: bool = False
    identification: bool = False

    @model_validator(mode="after")
    def _kept_promises(self) -> Department:
        if self.questions and self.answer_within is None:
            problem = "'{value}' has questions = true and needs answer_within, a number of working days"
            raise wrong("needs_answer_within", problem, value=self.id)
        if self.busy == "queue" and not self.queue.longest:
            problem = "'{value}' has busy = \"queue\" and needs a queue.longest above 0"
            raise wrong("needs_queue", problem, value=self.id)
        if self.closing_required and not self.closing_reasons:
            problem = "'{value}' has closing_required = true and needs closing_reasons"
            raise wrong("needs_closing_reasons", problem, value=self.id)
        return self


class Departments(BaseModel):
    """All departments. `default` is used when a request names none.

    `privacy`, `accessibility`, `notices` and `identification` are those of all. A process has one such object, which
    takes over what the file says after a change. Its parts never change; code that needs them looked up again asks it
    again.
    """

    model_config = ConfigDict(extra="forbid")
    default: str
    calendar: Calendar = Calendar()
    privacy: Privacy | None = None
    accessibility: Accessibility | None = None
    notices: tuple[Notice, ...] = Field((), max_length=100)
    retention: Retention = Retention()
    identification: IdentificationRules | None = None
    departments: tuple[Department, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Departments:
        ids = [d.id for d in self.departments]
        if len(set(ids)) != len(ids):
            twice = next(id_ for id_ in ids if ids.count(id_) > 1)
            raise wrong("department_twice", "two departments have the same id, '{value}'", value=twice)
        if self.default not in ids:
            problem = "the default department '{value}' is not among them"
            raise wrong("default_unknown", problem, value=self.default)
        for d in self.departments:
            if d.queue.overflow and (d.queue.overflow.to not in ids or d.queue.overflow.to == d.id):
                problem = "'{name}' overflows to '{value}', which is no other department"
                raise wrong("overflow_unknown", problem, name=d.id, value=d.queue.overflow.to)
            if d.identification and self.identification is None:
                problem = "'{value}' has identification = true and needs a section [identification]"
                raise wrong("needs_identification", problem, value=d.id)
        return self

    def take_over(self, other: Departments) -> None:
        """Become as `other`, at once for all code that has this object."""
        for name in Departments.model_fields:
            setattr(self, name, getattr(other, name))

    @property
    def ids(self) -> list[str]:
        """The ids of all departments, in the order of the file."""
        return [d.id for d in self.departments]

    def get(self, id_: str | None) -> Department | None:
        """Return the department with this id, the default one for None, or None when there is no such department."""
        wanted = self.default if id_ is None else id_
        return next((d for d in self.departments if d.id == wanted), None)

    def pause_reasons(self, ids: Iterable[str]) -> dict[str, Text]:
        """Return the names of the pause reasons of these departments, by id."""
        return self.options(ids, "pause_reasons")

    def options(self, ids: Iterable[str], name: Literal["pause_reasons", "closing_reasons", "tags"]) -> dict[str, Text]:
        """Return the names in one of the lists of these departments, by id.

        Of a word that several departments have, the names are those of the first one.
        """
        found: dict[str, Text] = {}
        for id_ in ids:
            department = self.get(id_)
            options: tuple[Option, ...] = getattr(department, name) if department else ()
            for option in options:
                found.setdefault(option.id, option.names)
        return found

    def periods(self, id_: str) -> Periods:
        """Return the retention periods of a department; those of all for one that is not in the file (any more)."""
        department = self.get(id_)
        return periods(self.retention, department.retention if department else None)

    def general_periods(self) -> Periods:
        """Return the retention periods that apply where a department has none of its own."""
        return periods(self.retention)

    def spans_on(self, department: Department, day: date) -> tuple[Span, ...] | None:
        """Return the hours of a day by the department's calendar or that of all; None when neither mentions the day."""
        own = department.calendar.spans_on(day, department.closed_on)
        return self.calendar.spans_on(day) if own is None else own

    def privacy_of(self, department: Department) -> Privacy | None:
        """Return the privacy notice of a department, or None when it has none."""
        return department.privacy or self.privacy

    def notice_of(self, department: Department, now: datetime) -> Notice | None:
        """Return the message to show now, or None. Of several the one that started last is shown."""
        for notices in (department.notices, self.notices):
            if current := [n for n in notices if n.start <= now < n.end]:
                return max(current, key=lambda n: n.start)
        return None

    def origins(self) -> frozenset[str]:
        """Return every origin that a department lists."""
        return frozenset(o for d in self.departments for o in d.origins)

    def origins_of(self, department: Department | None) -> frozenset[str]:
        """Return the origins of the pages that may embed the chat of this department.

        They are those of its own list. One without a list has those of all lists together; so has None, which is a
        department that is not known (any more).
        """
        return frozenset(department.origins) if department and department.origins else self.origins()


def load_departments(source: Source) -> Departments:
    """Return the departments of this file or text.

    Raises:
        ConfigurationError: It is invalid; the message names the file or the version, the place and the problem.
    """
    setting = "DEPARTMENTS_FILE" if isinstance(source, Path) else "departments,"
    return load_toml(setting, source, Departments, with_faults=True)
