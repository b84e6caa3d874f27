"""Frames that browsers receive: their types, how they are made of entries and states, and close codes. No I/O.

The types are the one definition of these frames: they are encoded as they are declared, member by member in this order,
and `services/docgen` makes the schemas of the AsyncAPI document and of the browser tests from them. A member that is
`UNSET` is left out; None is sent as null. `client.py` has the frames that browsers send.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Annotated, ClassVar, Literal, cast, get_args

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import Encoder

from services.common.clock import utcnow
from services.common.events import agents, types
from services.common.events.identification import OPEN_FOR
from services.common.events.types import Cause, ChatStatus, CloseReason, Detail, Entry, Party
from services.common.internal_api.presence import AgentView
from services.common.internal_api.routing import ChatView
from services.gateway.websocket.frames.client import FrameParty

_encoder = Encoder()


class Close(IntEnum):
    """Close codes. `web/shared/connection.js` says after which of them a browser reconnects."""

    ENDED = 1000
    TOO_BIG = 1009
    RESTART = 1012
    BAD_FRAME = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN_ORIGIN = 4403
    NO_SUCH_CHAT = 4404
    TOO_MANY_CONNECTIONS = 4409
    TOO_MANY_FRAMES = 4429
    TOO_SLOW = 4430


ERRORS = {
    "invalid": "This frame is not as documented; mend it before sending it again.",
    "too_long": "A text has at most 4,000 characters; send it in parts.",
    "identifying_number": "This department takes no national register, account or card number here; "
    "take it out of the text and send that again.",
    "unknown_attachment": "There is no such attachment in this chat; upload the file again.",
    "chat_closed": "The chat has ended; nothing can be added to it.",
    "not_yours": "This chat is not, or no longer, yours.",
    "rate_limited": "Too much at once; wait a few seconds, then send this message again.",
    "unavailable": "It could not be done just now; try again in a few seconds.",
    "forbidden": "Only a supervisor may do this.",
}
ADDED = ("active", "departments", "done", "identify", "watch")
"""Frames of agents that this gateway accepts beyond version 1.

A page sends them only to a gateway that names them: an earlier release closes the connection with 4400.
"""
ADDED_FOR_CITIZENS = ("details",)
"""The same for citizens. `extend` is not among them: every release that sends `inactive` accepts it."""


def _words(*words: str) -> Meta:
    """Return what the schema says of a text that is one of these words."""
    return Meta(extra_json_schema={"enum": list(words)})


Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]  # made by `stamp`
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[int, Meta(ge=0, description="seconds")]
Dot = Literal["grey", "green", "red"]
ErrorCode = Annotated[str, _words(*ERRORS)]
EndReason = Annotated[str, _words(*CloseReason)]
LostReason = Annotated[str, _words("transferred", "agent_left", *(Detail.NOT_ACCEPTED, Detail.REFUSED, Detail.SILENT))]
Returned = Annotated[str, _words(Detail.REFUSED, Detail.UNANSWERED)]
Locale = Annotated[str, _words("nl", "fr", "de", "en")]


class ServerFrame(Struct, frozen=True, tag_field="type", rename={"from_": "from"}):
    """A frame for a browser.

    Attributes:
        EXACTLY_ONE: Members of which a frame has exactly one.
    """

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ()

    def encode(self) -> bytes:
        """Return the frame as it is sent (JSON in UTF-8)."""
        return _encoder.encode(self)


class ChatFrame(ServerFrame, frozen=True, kw_only=True):
    """A frame about a chat. One for an agent names the chat; a citizen has one chat only."""

    chat_id: Id | UnsetType = UNSET


class Welcome(ServerFrame, frozen=True, kw_only=True, tag="welcome"):
    """Answer to a citizen's hello."""

    chat_id: Id
    dot: Dot
    last_seq: Count
    name: Annotated[str | None, Meta(description="the citizen's name, as far as it is known")] = None
    frames: Annotated[Sequence[str], Meta(description="frames beyond version 1 that may be sent")] = ADDED_FOR_CITIZENS


class StatusAgent(Struct, frozen=True):
    """The agent with whom a citizen is connected."""

    name: str | None


class Status(ServerFrame, frozen=True, kw_only=True, tag="status"):
    """The dot, position and wait while waiting, the agent while connected."""

    dot: Dot
    position: Count | None
    wait: Seconds | None
    agent: StatusAgent | None
    assigned: (
        Annotated[
            bool,
            Meta(description="an agent has the chat and has not accepted it yet", extra_json_schema={"const": True}),
        ]
        | UnsetType
    ) = UNSET


class Attachment(Struct, frozen=True, kw_only=True):
    """An attachment as frames describe it. The size is in bytes."""

    id: Id
    name: str
    size: Count
    content_type: str


class About(Struct, frozen=True, kw_only=True):
    """What a system entry is about, from which the console makes its text. Members without a value are left out."""

    agent_id: str | UnsetType = UNSET
    agent: str | UnsetType = UNSET
    department: str | UnsetType = UNSET
    detail: Annotated[str, _words(*Detail)] | UnsetType = UNSET
    reason: EndReason | UnsetType = UNSET


class Identification(Struct, frozen=True, kw_only=True):
    """A step in the identification of the citizen. `name`, `level` and `issuer` are those of one who has identified."""

    id: Annotated[Id, Meta(description="the request, which all its steps have")]
    step: Annotated[str, _words(*types.IdentificationStep)]
    seconds: (
        Annotated[Seconds, Meta(description="seconds left in which the citizen may begin, of the step `asked`")]
        | UnsetType
    ) = UNSET
    name: str | UnsetType = UNSET
    level: Annotated[str, _words(*types.AssuranceLevel)] | UnsetType = UNSET
    issuer: str | UnsetType = UNSET


class Message(ChatFrame, frozen=True, kw_only=True, tag="message"):
    """An entry of the chat's log. `about` is only in frames for agents."""

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ("text", "attachment")
    seq: Annotated[int, Meta(ge=1)]
    id: Id
    from_: Party
    name: str | UnsetType = UNSET
    attachment: Attachment | UnsetType = UNSET
    text: str | UnsetType = UNSET
    event: Annotated[str, _words(*Cause, types.IDENTIFICATION)] | UnsetType = UNSET
    about: About | UnsetType = UNSET
    identification: Identification | UnsetType = UNSET
    at: Time


class Typing(ChatFrame, frozen=True, kw_only=True, tag="typing"):
    """The other party started or stopped typing."""

    from_: Party
    active: bool


class Read(ChatFrame, frozen=True, kw_only=True, tag="read"):
    """The other party has read the log up to this sequence number."""

    from_: Party
    seq: Count


class Sync(ServerFrame, frozen=True, kw_only=True, tag="sync"):
    """The last sequence number of the log. For an agent without a chat `chat_id` is null."""

    chat_id: Id | UnsetType | None = UNSET
    last_seq: Count


class Inactive(ChatFrame, frozen=True, kw_only=True, tag="inactive"):
    """A warning that the citizen is inactive, or its end: the chat will be closed at `closes_at`, in `seconds`."""

    warning: Annotated[int, Meta(ge=0, le=2, description="the first or the second; 0: the citizen is active (again)")]
    closes_at: Time | None
    seconds: Seconds | None


class Closed(ChatFrame, frozen=True, kw_only=True, tag="closed"):
    """The chat has ended."""

    reason: EndReason


class Error(ServerFrame, frozen=True, kw_only=True, tag="error"):
    """A frame was refused. `code` is stable; `message` says what to do; `id` is as it was given."""

    code: ErrorCode
    message: str
    id: str | UnsetType = UNSET
    chat_id: Id | UnsetType = UNSET


class WrapUp(Struct, frozen=True, kw_only=True):
    """A chat that has ended and that the agent wraps up. Until it is `done`, or the time is over, it has its slot."""

    chat_id: Id
    department: str
    seconds: Annotated[Seconds, Meta(description="seconds left")]


class Agent(Struct, frozen=True, kw_only=True):
    """An agent as their own page sees them."""

    id: str
    name: str
    departments: Sequence[str]
    capacity: Count
    state: types.AgentState
    wrap_ups: Sequence[WrapUp]
    pause_reason: str | UnsetType = UNSET


class Form(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The online form that the citizen had open, and where in it they were, as the page said."""

    id: str | None
    title: str | None
    url: str | None
    step: str | None = None
    field: str | None = None
    error: str | None = None


class AgentChat(Struct, frozen=True, kw_only=True):
    """A chat as `assigned` and `welcome` describe it."""

    chat_id: Id
    department: str
    locale: Locale
    name: str | None
    question: str | None
    form: Form | None
    opened_at: Time
    last_seq: Count
    accepted: bool
    accept_seconds: Annotated[
        Seconds | None, Meta(description="seconds left to accept it; null: accepted, or not known")
    ]
    transferred: Annotated[bool, Meta(description="a colleague gave it to this agent, who may still refuse it")]
    returned: Annotated[Returned | None, Meta(description="why it came back to this agent, who had transferred it")]
    remind_after: (
        Annotated[Seconds, Meta(description="of waiting for an answer, from which the agent is reminded")] | UnsetType
    ) = UNSET
    identify: (
        Annotated[
            bool,
            Meta(description="the agent may ask the citizen to identify", extra_json_schema={"const": True}),
        ]
        | UnsetType
    ) = UNSET


class AgentWelcome(ServerFrame, frozen=True, kw_only=True, tag="welcome"):
    """Answer to an agent's hello."""

    agent: Agent
    chats: Sequence[AgentChat]
    frames: Annotated[Sequence[str], Meta(description="frames beyond version 1 that may be sent")]


class Assigned(ServerFrame, frozen=True, kw_only=True, tag="assigned"):
    """The agent got a chat."""

    chat: AgentChat


class Unassigned(ServerFrame, frozen=True, kw_only=True, tag="unassigned"):
    """The agent lost a chat."""

    chat_id: Id
    reason: LostReason


class Note(ServerFrame, frozen=True, kw_only=True, tag="note"):
    """An internal note of an agent."""

    chat_id: Id
    id: Id
    agent_id: str
    name: str
    text: str
    at: Time


class CitizenOnline(ServerFrame, frozen=True, kw_only=True, tag="citizen"):
    """The citizen of a chat came online or went offline, or gave their name."""

    chat_id: Id
    online: bool
    name: Annotated[str, Meta(description="the citizen's name, when it is known")] | UnsetType = UNSET


class State(ServerFrame, frozen=True, kw_only=True, tag="state"):
    """The agent is available or paused, and what they wrap up. `reason`: why the state changed.

    `pause_reason`: the id of the reason that the agent chose for a pause.
    """

    state: types.AgentState
    reason: str
    wrap_ups: Sequence[WrapUp] | UnsetType = UNSET
    pause_reason: str | UnsetType = UNSET


class LiveButton(Struct, frozen=True, kw_only=True):
    """The button of a department."""

    colour: types.ButtonColour
    reason: types.ButtonReason
    opens_at: Time | None


class LiveIntake(Struct, frozen=True, kw_only=True):
    """A closed intake: why, since when, until when, and who has closed it."""

    reason: str
    until: Time
    name: str
    at: Time


class LiveWaitingChat(Struct, frozen=True, kw_only=True):
    """A chat that waits for an agent."""

    chat_id: Id
    since: Time
    locale: str


class LiveWaiting(Struct, frozen=True, kw_only=True):
    """The chats that wait for an agent: how many, since when the first one, and the first 100."""

    count: Count
    since: Time | None
    first: Sequence[LiveWaitingChat]


class LiveAgent(Struct, frozen=True, kw_only=True):
    """An agent of the department: their state and since when, and how many chats of how many they have.

    `pause_reason`: the id of the reason that a paused agent chose.
    """

    id: str
    name: str
    state: Annotated[str, _words("available", "paused", "offline")]
    since: Time | None
    chats: Count
    capacity: Count
    pause_reason: str | None = None


class LiveChat(Struct, frozen=True, kw_only=True):
    """A running chat."""

    chat_id: Id
    agent_id: str
    agent: str
    since: Time
    accepted: bool
    locale: str
    unanswered_since: Annotated[
        Time | None, Meta(description="since when the citizen has been waiting for an answer; null: they do not")
    ]


class Live(ServerFrame, frozen=True, kw_only=True, tag="live"):
    """The live state of a department, for its supervisors. A `whole` one has every member; another one what changed."""

    department: str
    at: Annotated[Time, Meta(description="the server's time")]
    whole: bool
    current: Annotated[bool, Meta(description="false: a service does not answer, and this may be old")]
    remind_after: Annotated[Seconds, Meta(description="of `unanswered_since`, from which the agent is reminded")]
    alarm_after: Annotated[Seconds, Meta(description="of `unanswered_since`, from which supervisors are; 0: never")]
    button: LiveButton | UnsetType = UNSET
    intake: Annotated[LiveIntake | None, Meta(description="null: not closed by a supervisor")] | UnsetType = UNSET
    hours: (
        Annotated[Sequence[str] | None, Meta(description="of today, as 09:00-12:30; null: always open")] | UnsetType
    ) = UNSET
    waiting: LiveWaiting | UnsetType = UNSET
    running: Annotated[Count, Meta(description="the number of all running chats")] | UnsetType = UNSET
    staff: Annotated[Count, Meta(description="the number of all agents")] | UnsetType = UNSET
    agents: Annotated[Sequence[LiveAgent], Meta(description="new or changed ones, at most 100")] | UnsetType = UNSET
    agents_gone: Annotated[Sequence[str], Meta(description="not listed any more")] | UnsetType = UNSET
    chats: Annotated[Sequence[LiveChat], Meta(description="new or changed ones, at most 100")] | UnsetType = UNSET
    chats_gone: Annotated[Sequence[Id], Meta(description="not listed any more")] | UnsetType = UNSET


class OwnIntake(Struct, frozen=True, kw_only=True):
    """An intake that a supervisor has closed, until when, and who it was."""

    until: Time
    name: Annotated[str | None, Meta(description="of the supervisor; null: not known (yet)")]


class OwnWaiting(Struct, frozen=True, kw_only=True):
    """The chats that wait for an agent: how many, and since when one of them has waited longest."""

    count: Count
    since: Annotated[Time | None, Meta(description="null: none waits, or it is not known")]


class OwnDepartment(Struct, frozen=True, kw_only=True):
    """A department of the agent. The first time it has every member that is known, afterwards those that changed."""

    department: str
    button: LiveButton | UnsetType = UNSET
    intake: Annotated[OwnIntake | None, Meta(description="null: not closed by a supervisor")] | UnsetType = UNSET
    hours: (
        Annotated[Sequence[str] | None, Meta(description="of today, as 09:00-12:30; null: always open")] | UnsetType
    ) = UNSET
    waiting: Annotated[OwnWaiting | None, Meta(description="null: not known")] | UnsetType = UNSET


class OwnDepartments(ServerFrame, frozen=True, kw_only=True, tag="departments"):
    """The buttons, opening hours and queues of departments of the agent, of at most 50 in one frame."""

    at: Annotated[Time, Meta(description="the server's time")]
    departments: Sequence[OwnDepartment]


CitizenFrame = Welcome | Status | Message | Typing | Read | Sync | Inactive | Closed | Error
AgentFrame = (
    AgentWelcome
    | Assigned
    | Unassigned
    | Message
    | Typing
    | Read
    | Sync
    | Inactive
    | Closed
    | Note
    | CitizenOnline
    | State
    | Live
    | OwnDepartments
    | Error
)
FRAMES: dict[FrameParty, tuple[type[ServerFrame], ...]] = {
    "citizen": get_args(CitizenFrame),
    "agent": get_args(AgentFrame),
}


NOT_SENT_TO: dict[FrameParty, tuple[str, ...]] = {"citizen": ("chat_id", "about"), "agent": ()}
"""Optional members that only frames for the other party have."""


def stamp(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds: `2026-11-23T08:00:00.123Z`."""
    return at.isoformat(timespec="milliseconds")[:23] + "Z"


def message(entry: Entry, chat_id: str | None = None) -> bytes:
    """Return the `message` frame of an entry. A frame for an agent names the chat."""
    step = entry.identification
    return Message(
        chat_id=chat_id or UNSET,
        seq=entry.seq,
        id=entry.id,
        from_=entry.party,
        name=UNSET if entry.name is None else entry.name,
        attachment=UNSET if entry.attachment is None else attachment(entry.attachment),
        text=cast("str", entry.text) if entry.attachment is None else UNSET,  # an entry has one of the two
        event=entry.event.value if entry.event is not None else UNSET if step is None else types.IDENTIFICATION,
        about=about(entry) if chat_id and (entry.event is not None or step) else UNSET,
        identification=UNSET if step is None else identification(step, entry.at),
        at=stamp(entry.at),
    ).encode()


def about(entry: Entry) -> About:
    """Return what a system entry is about."""
    known = entry.about or types.About()
    return About(
        agent_id=UNSET if known.agent_id is None else known.agent_id,
        agent=UNSET if known.agent is None else known.agent,
        department=UNSET if known.department is None else known.department,
        detail=UNSET if known.detail is None else known.detail,
        reason=entry.reason.value if entry.reason else UNSET,
    )


def identification(step: types.Identification, at: datetime) -> Identification:
    """Return a step in the identification of the citizen, which was stored at this time."""
    left = round((at + OPEN_FOR - utcnow()).total_seconds())
    return Identification(
        id=step.id,
        step=step.step.value,
        seconds=max(0, left) if step.step is types.IdentificationStep.ASKED else UNSET,
        name=step.name or UNSET,
        level=step.level.value if step.level else UNSET,
        issuer=step.issuer or UNSET,
    )


def attachment(file: types.Attachment) -> Attachment:
    """Return an attachment as frames describe it."""
    return Attachment(id=file.id, name=file.name, size=file.size, content_type=file.content_type)


def note(written: types.Note) -> bytes:
    """Return the `note` frame of an internal note."""
    return Note(
        chat_id=written.chat_id,
        id=written.id,
        agent_id=written.agent_id,
        name=written.name,
        text=written.text,
        at=stamp(written.at),
    ).encode()


DOTS: dict[ChatStatus, Dot] = {ChatStatus.WAITING: "grey", ChatStatus.ASSIGNED: "green", ChatStatus.CLOSED: "red"}


def dot(state: ChatStatus, offered: bool) -> Dot:
    """Return the colour of a citizen's dot. `offered`: the chat is with an agent who has not accepted it."""
    return "grey" if offered else DOTS[state]


def status(
    state: ChatStatus, position: int | None, wait: int | None, agent_name: str | None, offered: bool = False
) -> bytes:
    """Return the `status` frame: the dot, position and wait while waiting, the agent while connected.

    The wait is in seconds, estimated from recent history.
    """
    waiting, connected = state is ChatStatus.WAITING, state is ChatStatus.ASSIGNED and not offered
    return Status(
        dot=dot(state, offered),
        position=position if waiting else None,
        wait=wait if waiting else None,
        agent=StatusAgent(agent_name) if connected else None,
        assigned=True if offered else UNSET,
    ).encode()


def inactive(warning: int, closes_at: datetime | None, seconds: int | None, chat_id: str | None = None) -> bytes:
    """Return the `inactive` frame. A frame for an agent names the chat."""
    return Inactive(
        chat_id=chat_id or UNSET,
        warning=warning,
        closes_at=stamp(closes_at) if closes_at else None,
        seconds=seconds,
    ).encode()


def error(code: str, id_: str | None = None, chat_id: str | None = None) -> bytes:
    """Return the `error` frame of a refused frame."""
    return Error(
        code=code,
        message=ERRORS[code],
        id=UNSET if id_ is None else id_,
        chat_id=UNSET if chat_id is None else chat_id,
    ).encode()


def chat_for_agent(
    chat: ChatView,
    last_seq: int,
    now: datetime | None = None,
    remind_after: int | None = None,
    identify: bool = False,
) -> AgentChat:
    """Return a chat as `assigned` and `welcome` describe it.

    Args:
        chat: The chat.
        last_seq: The last sequence number of its log.
        now: The present, for the seconds left to accept it.
        remind_after: Seconds of waiting from which the agent is reminded; None: never.
        identify: Whether the agent may ask the citizen to identify.
    """
    left = (chat.accept_by - now).total_seconds() if chat.accept_by and now else None
    return AgentChat(
        chat_id=chat.chat_id,
        department=chat.department,
        locale=chat.locale,
        name=chat.name,
        question=chat.question,
        form=Form(**chat.form.model_dump()) if chat.form else None,
        opened_at=stamp(chat.opened_at),
        last_seq=last_seq,
        accepted=chat.accepted,
        accept_seconds=None if left is None else max(0, round(left)),
        transferred=chat.transferred,
        returned=chat.returned.value if chat.returned else None,
        remind_after=remind_after or UNSET,
        identify=identify or UNSET,
    )


def agent(view: AgentView, now: datetime) -> Agent:
    """Return an agent as their own page sees them. `now` is used for the seconds left to wrap up chats."""
    return Agent(
        id=view.id,
        name=view.name,
        departments=view.departments,
        capacity=view.capacity,
        state=view.state,
        wrap_ups=wrap_ups(view.wrap_ups, now),
        pause_reason=view.pause_reason or UNSET,
    )


def wrap_ups(known: Sequence[agents.WrapUp], now: datetime) -> list[WrapUp]:
    """Return the chats that an agent wraps up, with the seconds left, without those whose time is over."""
    left = [(one, round((one.until - now).total_seconds())) for one in known]
    return [
        WrapUp(chat_id=one.chat_id, department=one.department, seconds=seconds) for one, seconds in left if seconds > 0
    ]
