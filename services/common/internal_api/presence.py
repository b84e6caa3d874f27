"""Internal API of presence, as the gateway uses it: paths, requests and answers. No I/O.

All are POST with a JSON body and a signed service token, so that no id or token appears in an access log.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from services.common.events.agents import ButtonChanged, WrapUp
from services.common.events.types import AgentState, ButtonReason, Hold, Record, Whole
from services.common.internal_api.sessions import Client

# presence
SESSION_OPEN = "/internal/sessions/open"  # Credentials → OpenSession | 401 bad_credentials | 429 rate_limited
SESSION_LOOKUP = "/internal/sessions/lookup"  # SessionSought → OpenSession | 401 unauthenticated
PASSWORD_CHANGE = "/internal/sessions/password"  # PasswordChange → 204 | 401 | 403 | 422 | 429  # noqa: S105
SESSION_END = "/internal/sessions/end"  # SessionEnd → 204
AGENTS = "/internal/agents"  # AgentsQuery → Agents
NAMES = "/internal/names"  # NamesQuery → Names
BUTTONS = "/internal/buttons"  # {} → Buttons
HOLD = "/internal/places/hold"  # HoldQuery → Held
RESERVE = "/internal/places/reserve"  # ReserveQuery → Reserved
RELEASE = "/internal/places/release"  # ReleaseQuery → 204
ANSWER_DAY = "/internal/departments/answer-day"  # AnswerDayQuery → AnswerDay
LOGIN_WAYS = "/internal/logins/ways"  # {} → LoginWays
OIDC_BEGIN = "/internal/oidc/begin"  # OidcBegin → OidcFlow | 404 not_found | 503 unavailable
OIDC_FINISH = "/internal/oidc/finish"  # OidcAnswer → OidcOutcome | 401 oidc_… | 429 rate_limited | 503 unavailable
OIDC_CHOICES = "/internal/oidc/choices"  # OidcPending → OidcChoices | 401 oidc_expired
OIDC_CHOOSE = "/internal/oidc/choose"  # OidcChosen → OpenSession | 401 oidc_expired
IDENTIFY_BEGIN = "/internal/identifications/begin"  # IdentificationWanted → IdentificationTicket | 404 not_found
IDENTIFY_OPEN = "/internal/identifications/open"  # TicketShown → IdentificationFlow | 401 | 404 not_found | 503
IDENTIFY_FINISH = "/internal/identifications/finish"  # OidcAnswer → IdentificationOutcome | 401 | 404 | 503
OIDC_LOGOUT = "/internal/oidc/logout"  # OidcLogout → 204 | 400 invalid | 503 unavailable
CLIENT_KEYS = "/internal/oidc/client-keys"  # ClientKeysQuery → ClientKeySet | 404 not_found


OfficerRole = Literal["administrator", "auditor"]
OFFICER_ROLES: tuple[OfficerRole, ...] = get_args(OfficerRole)
"""The roles of those who log in without being agents."""

MOST_PASSWORD = 1_024  # bytes of a password, in UTF-8


def short_enough(password: str) -> str:
    """Return the password.

    Raises:
        ValueError: It is longer than any password that is hashed.
    """
    if len(password.encode("utf-8", "surrogatepass")) > MOST_PASSWORD:
        raise ValueError(f"must be at most {MOST_PASSWORD} bytes in UTF-8")
    return password


class Credentials(Record):
    """Credentials of a login.

    `address`: the key of the client's address. `device`: the browser's device cookie. `code`: the one-time password.
    `new`: the password that replaces one that has to be changed at the login; else it changes nothing. `former`: the
    token of the session that the browser has; it ends when another one begins. `client`: the browser, for the list of
    the person's sessions.
    """

    username: str = Field(max_length=100)
    password: Annotated[str, Field(max_length=500), AfterValidator(short_enough)]
    address: str = ""
    device: str = Field(default="", max_length=2_048)
    code: str = Field(default="", max_length=20)
    new: Annotated[str, Field(max_length=500), AfterValidator(short_enough)] = ""
    former: str = Field(default="", max_length=200)
    client: Client = Client()


class SessionToken(Record):
    """The token of a session."""

    token: str


class SessionSought(SessionToken):
    """Request for the session of a token.

    `roles`: the roles that the caller knows beside those of agents. The session of an officer is only found by a caller
    who knows their role. A gateway before version 2.0 knows none: it would take the officer for an agent.
    """

    roles: list[str] = Field(default_factory=list, max_length=20)


class SessionEnd(SessionToken):
    """Request to end a session. `everywhere`: all sessions of its agent end."""

    everywhere: bool = False


class PasswordChange(SessionToken):
    """Request to replace the password of the session's agent or officer. `address`, `device`: as in `Credentials`."""

    old: Annotated[str, Field(max_length=500), AfterValidator(short_enough)]
    new: Annotated[str, Field(max_length=500), AfterValidator(short_enough)]
    address: str = ""
    device: str = Field(default="", max_length=2_048)


class AgentView(Record):
    """An agent as colleagues and the gateway see them.

    `free`: slots that a chat could take now. `wrap_ups`: the chats that they wrap up. `pause_reason`: the id of the
    reason that they chose, while they are paused.
    """

    id: str
    name: str
    departments: list[str]
    capacity: Whole
    state: AgentState
    online: bool
    free: Whole
    supervisor: bool = False
    locales: list[str] = Field(default_factory=list)
    v: int = 0
    wrap_ups: list[WrapUp] = Field(default_factory=list)
    since: datetime | None = None  # when they came online, went offline, paused or resumed last; None: not known
    pause_reason: str | None = None


class OpenSession(Record):
    """A live session. `token` and `device` (values of the two cookies) are set only in the answer to a login.

    `role`: that of an officer, who is no agent: `agent` has only their id and name then. None: it is an agent's.
    `local`: they log in with a password here, which they may change; None: presence does not say it.
    `identity`: what presence says of them to the other services, signed; None where presence has no key.
    """

    session_id: str
    token: str | None = None
    device: str | None = None
    expires_at: datetime
    agent: AgentView
    role: str | None = None
    identity: str | None = None
    local: bool | None = None


class AgentsQuery(Record):
    """Request for agents: of a department or several, or with these ids, or all.

    A release before 2.0 does not know `departments` and answers with all agents.
    """

    department: str | None = None
    ids: list[str] | None = None
    departments: list[str] | None = None


class Agents(Record):
    """The agents that were requested."""

    agents: list[AgentView]


class NamesQuery(Record):
    """Request for the names of people: with these ids, and of those whose name has `like` in it (at most 50).

    People who may not log in any more are found too.
    """

    ids: list[str] = Field(default_factory=list, max_length=1_000)
    like: str | None = Field(default=None, min_length=1, max_length=100)


class Names(Record):
    """Names of people by id."""

    names: dict[str, str]


class Buttons(Record):
    """The buttons of all departments."""

    buttons: list[ButtonChanged]


class HoldQuery(Record):
    """A press: request for a slot for attempt 1 of a chat that is not opened yet.

    `again`: only ask what this press has already, a slot or a position in the queue; nothing is taken. `green`: the
    button was green at the gateway, so the press may wait wherever an agent is logged in.
    """

    chat_id: str
    department: str
    locale: str = "nl"
    again: bool = False
    green: bool = False


class ReserveQuery(Record):
    """A form that is open: request for a slot while it is filled in, or its renewal. Nothing is announced to routing.

    `seconds`: how long the slot is reserved from now on. `renew`: only where the form still has its slot.
    """

    chat_id: str
    department: str
    locale: str = "nl"
    seconds: float = Field(gt=0, le=600)
    renew: bool = False


class Reserved(Record):
    """Answer to `ReserveQuery`: for how many seconds the form has a slot; 0: it has none, and `reason` says why."""

    seconds: float = 0.0
    reason: ButtonReason = ButtonReason.AVAILABLE


class ReleaseQuery(Record):
    """The form was closed: its slot is free again, unless a chat was started with it."""

    chat_id: str


class Held(Record):
    """Answer to a press.

    `hold`: the agent who reserves a slot for this chat, the same when asked again. Without one, `may_wait` says whether
    the press was so close to another one that the chat may wait in the queue all the same, and `reason` says why there
    is no slot.
    """

    hold: Hold | None = None
    may_wait: bool = False
    reason: ButtonReason = ButtonReason.AVAILABLE


class AnswerDayQuery(Record):
    """Request for the day by which a department answers a question that is left now. `days`: working days."""

    department: str
    days: int = Field(ge=1, le=30)


class AnswerDay(Record):
    """That day, a local date. None: the department is not known, or has too few working days."""

    day: date | None = None


class LoginWays(Record):
    """How agents log in. `password`: whose password is accepted, `all` or `break_glass`. `oidc`: by the issuer."""

    password: str = "all"  # noqa: S105 - no password
    oidc: bool = False


class OidcFlow(Record):
    """A login that has begun: the address of the issuer's login page, and the value of the browser's cookie."""

    url: str
    flow: str


class OidcBegin(Record):
    """Request for a login at the issuer. `former`: as in `Credentials`."""

    former: str = Field(default="", max_length=200)


class OidcAnswer(Record):
    """What the issuer sent with the browser, and the browser's cookie. `address`, `client`: as in `Credentials`."""

    flow: str = Field(default="", max_length=4_096)
    state: str = Field(default="", max_length=200)
    code: str = Field(default="", max_length=4_096)
    error: str = Field(default="", max_length=200)
    iss: str | None = Field(default=None, max_length=1_000)
    address: str = ""
    client: Client = Client()


class OidcChoice(Record):
    """A role with which the person may log in. `role`: that of an officer."""

    id: str
    organisation: str
    organisation_name: str
    supervisor: bool
    departments: list[str]
    role: OfficerRole | None = None


class OidcChoices(Record):
    """The roles from which the person chooses."""

    choices: list[OidcChoice]


class OidcOutcome(Record):
    """A login at the issuer that has succeeded: the session, or what the browser keeps until the person chooses."""

    session: OpenSession | None = None
    pending: str | None = None


class OidcPending(Record):
    """What the browser keeps until the person chooses."""

    pending: str = Field(max_length=4_096)


class OidcChosen(OidcPending):
    """The choice of a role. `address`, `client`: as in `Credentials`."""

    choice: str = Field(max_length=100)
    address: str = ""
    client: Client = Client()


class OidcLogout(Record):
    """The issuer's logout token."""

    token: str = Field(max_length=16_384)


class ClientKeysQuery(Record):
    """Request for the keys with which this installation authenticates at the issuer of agents, or of citizens."""

    client: Literal["agents", "citizens"]


class ClientKeySet(Record):
    """Public keys as a JWK set (RFC 7517)."""

    keys: list[dict[str, str]]


class IdentificationWanted(Record):
    """Request for a ticket: the open request of an agent to identify, as transcripts has it.

    Attributes:
        chat_id: The chat.
        id: The request.
        agent: The name of the agent who asks.
        department: The name of the department, in the chat's language.
        locale: The chat's language.
        until: When the request ends.
    """

    chat_id: str
    id: str
    agent: str = Field(max_length=500)
    department: str = Field(max_length=500)
    locale: str = Field(max_length=10)
    until: datetime


class IdentificationTicket(Record):
    """A ticket for one opening of the page on which a citizen identifies.

    Attributes:
        ticket: What stands in the address of that page.
        code: What both the conversation and the page show, so that a person can compare it.
        issuer: The name of the issuer, in the chat's language.
    """

    ticket: str
    code: str
    issuer: str


class TicketShown(Record):
    """The ticket with which the page is opened."""

    ticket: str = Field(max_length=4_096)


class IdentificationFlow(Record):
    """An identification that has begun.

    Attributes:
        url: The address of the issuer's login page.
        flow: The value of the browser's cookie.
        agent: The name of the agent who asks.
        department: The name of the department.
        locale: The chat's language.
        code: As in `IdentificationTicket`.
        issuer: The name of the issuer.
    """

    url: str
    flow: str
    agent: str
    department: str
    locale: str
    code: str
    issuer: str


class IdentificationOutcome(Record):
    """What became of an identification: `identified`, `cancelled` or `failed`; and the chat's language."""

    outcome: Literal["identified", "cancelled", "failed"]
    locale: str
