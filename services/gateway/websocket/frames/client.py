"""Frames that browsers send: their types, and the parser that makes values of them. No I/O.

The types are the one definition of these frames: the parser validates by them, and `services/docgen` makes the schemas
of the AsyncAPI document and of the browser tests from them. Members that a type does not have are ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert
from msgspec.structs import force_setattr

from services.common.events.types import AgentState, is_id
from services.common.visible_text import label

MAX_TEXT = 4_000  # Unicode code points
MAX_TOKEN = 2_000
MAX_GIVEN_ID = 100  # of an id that a refusal repeats
MAX_CHATS_IN_HELLO = 100
MAX_SEQ = 2**31

# `$` also matches before a line break at the end; the length excludes it.
_UUID = Meta(max_length=36, extra_json_schema={"format": "uuid"})
ChatId = Annotated[str, _UUID, Meta(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
ClientId = Annotated[
    str,
    _UUID,
    Meta(
        pattern="^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
        description="in any case; the server uses it in lower case",
    ),
]
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][\da-fA-F]{2})|\\.", re.DOTALL
)
"""An escape in a JSON text; a surrogate pair is one."""
# Only the schema has the pattern: in a text of 4,000 letters it takes 14 µs to find no NUL, `in` takes 0.1.
_NO_NUL = Meta(extra_json_schema={"pattern": r"^[^\0]*$"})
Text = Annotated[str, _NO_NUL, Meta(min_length=1, max_length=MAX_TEXT, description="1 to 4,000 code points, no NUL")]
Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ)]


def _check_no_nul(text: str) -> None:
    if "\0" in text:
        raise ValueError("NUL in a text")


class Malformed(Exception):
    """Not JSON, or not a frame of this protocol: the connection closes with 4400."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that is understood but not accepted.

    It is answered with an `error` frame, and the connection stays open.
    """

    code: str
    id: str | None = None
    chat_id: str | None = None


class ClientFrame(Struct, frozen=True, tag_field="type"):
    """A frame of a browser.

    Attributes:
        EXACTLY_ONE: Members of which a frame has exactly one.
    """

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ()


class Hello(ClientFrame, frozen=True, tag="hello"):
    """First frame of a connection: the citizen's token, and the last known sequence number of each log.

    A citizen sends `token` and `after`, an agent `chats`.
    """

    token: Annotated[str, Meta(max_length=MAX_TOKEN)] = ""
    after: Seq = 0
    chats: Annotated[dict[ChatId, Seq], Meta(max_length=MAX_CHATS_IN_HELLO)] = {}


class Post(ClientFrame, frozen=True, tag="message"):
    """A message: a text, or the id of an uploaded attachment. Agents name the chat."""

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ("text", "attachment")
    id: ClientId
    text: Text | UnsetType = UNSET
    attachment: ClientId | UnsetType = UNSET
    chat_id: ChatId | None = None

    def __post_init__(self) -> None:
        """Put ids into lower case.

        Raises:
            ValueError: There is not exactly one of text and attachment, or a NUL in the text.
        """
        if (self.text is UNSET) == (self.attachment is UNSET):
            raise ValueError("text or attachment")
        if self.text is not UNSET:
            _check_no_nul(self.text)
        elif self.attachment is not UNSET:
            force_setattr(self, "attachment", self.attachment.lower())
        force_setattr(self, "id", self.id.lower())


class WriteNote(ClientFrame, frozen=True, tag="note"):
    """An internal note of an agent."""

    id: ClientId
    text: Text
    chat_id: ChatId

    def __post_init__(self) -> None:
        """Put the id into lower case.

        Raises:
            ValueError: There is a NUL in the text.
        """
        _check_no_nul(self.text)
        force_setattr(self, "id", self.id.lower())


class Identify(ClientFrame, frozen=True, tag="identify"):
    """The agent asks the citizen to identify. `id`: the request; a repeated one is made once."""

    id: ClientId
    chat_id: ChatId

    def __post_init__(self) -> None:
        """Put the id into lower case."""
        force_setattr(self, "id", self.id.lower())


class Typing(ClientFrame, frozen=True, tag="typing"):
    """The participant started or stopped typing."""

    active: bool
    chat_id: ChatId | None = None


class Read(ClientFrame, frozen=True, tag="read"):
    """The participant has read the log up to this sequence number."""

    seq: Seq
    chat_id: ChatId | None = None


class BlockRequest(Struct, frozen=True):
    """A block of the chat's citizen by the agent who ends the chat."""

    minutes: Annotated[int, Meta(ge=1, le=24 * 60)]
    reason: Annotated[
        str,
        Meta(min_length=1, max_length=200, pattern=r"^\s*[^\s\0][^\0]*$", description="not only spaces, no NUL"),
    ]
    address: Annotated[bool, Meta(description="also all users behind the citizen's address")] = True


class End(ClientFrame, frozen=True, tag="close"):
    """The participant ends the chat. `block`: a block of the citizen, from agents only."""

    chat_id: ChatId | None = None
    block: BlockRequest | None = None


class Extend(ClientFrame, frozen=True, tag="extend"):
    """A citizen who was warned of inactivity keeps the chat open."""


class Details(ClientFrame, frozen=True, tag="details"):
    """The citizen gives their name during the conversation. What is not seen of it is removed."""

    name: Annotated[
        str,
        Meta(min_length=1, max_length=200, pattern=r"^\s*[^\s\0][^\0]*$", description="not only spaces, no NUL"),
    ]

    def __post_init__(self) -> None:
        """Make the name what is seen of it, in one line.

        Raises:
            ValueError: Nothing of it is seen.
        """
        name = label(self.name)
        if not name:
            raise ValueError("an invisible name")
        force_setattr(self, "name", name)


class Accept(ClientFrame, frozen=True, tag="accept"):
    """The agent has seen an assigned chat."""

    chat_id: ChatId


class Active(ClientFrame, frozen=True, tag="active"):
    """The agent uses the keyboard or the pointer in the console while a chat waits for their acceptance."""


class Refuse(ClientFrame, frozen=True, tag="refuse"):
    """The agent does not want the chat that was transferred to them."""

    chat_id: ChatId


class Done(ClientFrame, frozen=True, tag="done"):
    """The agent has wrapped up a chat that has ended: their slot is free again."""

    chat_id: ChatId


class SetState(ClientFrame, frozen=True, tag="state"):
    """The agent becomes available or paused. `reason`: the id of the reason for a pause, of `GET /api/agent/me`."""

    state: AgentState
    reason: Annotated[str, Meta(max_length=40)] | None = None


class Target(Struct, frozen=True):
    """Where a chat is transferred to: a department, or an agent."""

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ("department", "agent")
    department: str | None = None
    agent: str | None = None

    def __post_init__(self) -> None:
        """Check that there is one target.

        Raises:
            ValueError: There is none, or there are two.
        """
        if (self.department is None) == (self.agent is None):
            raise ValueError("department or agent")


class TransferChat(ClientFrame, frozen=True, tag="transfer"):
    """The agent hands a chat to a department or to a colleague. An empty note is none."""

    chat_id: ChatId
    to: Target
    note: Annotated[str, _NO_NUL, Meta(max_length=MAX_TEXT)] | None = None

    def __post_init__(self) -> None:
        """Make an empty note None.

        Raises:
            ValueError: There is a NUL in the note.
        """
        if self.note:
            _check_no_nul(self.note)
        else:
            force_setattr(self, "note", None)


class Watch(ClientFrame, frozen=True, tag="watch"):
    """A supervisor asks for the live state of their departments, and for each change of it from then on."""


class ShowDepartments(ClientFrame, frozen=True, tag="departments"):
    """An agent asks for the state of their departments, and for each change of it from then on."""


CitizenFrame = Hello | Post | Typing | Read | End | Extend | Details
AgentFrame = (
    Hello
    | Post
    | Typing
    | Read
    | End
    | Accept
    | Active
    | Refuse
    | Done
    | SetState
    | TransferChat
    | WriteNote
    | Identify
    | Watch
    | ShowDepartments
)
Frame = CitizenFrame | AgentFrame
FrameParty = Literal["citizen", "agent"]
FRAMES: dict[FrameParty, tuple[type[Frame], ...]] = {"citizen": get_args(CitizenFrame), "agent": get_args(AgentFrame)}
NOT_SENT_BY: dict[FrameParty, tuple[str, ...]] = {
    "citizen": ("chat_id", "chats", "block"),  # a citizen has one chat, and blocks nobody
    "agent": ("token", "after"),
}
"""Members that only the other party sends: they are ignored, as unknown ones are."""


class _Form(NamedTuple):
    """How the frames of one `type` are read from one party."""

    type: type[Frame]
    ignored: tuple[str, ...]
    names_chat: bool


def kind_of(type_: type[Struct]) -> str:
    """Return the `type` of the frames of this type."""
    tag = type_.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def _form(type_: type[Frame], party: FrameParty) -> _Form:
    members = type_.__struct_fields__
    ignored = tuple(name for name in NOT_SENT_BY[party] if name in members)
    return _Form(type_, ignored, party == "agent" and "chat_id" in members)


_FORMS = {party: {kind_of(type_): _form(type_, party) for type_ in types} for party, types in FRAMES.items()}


def parse(data: str | bytes, party: FrameParty) -> Frame | Refused:
    """Return the frame in this text, or `Refused` for a known frame with wrong values.

    orjson reads the text, and msgspec makes the frame of it. msgspec's own JSON decoder would not do: it stops at the
    first wrong value, before it knows whether the rest is JSON, and does not look into members that it ignores. orjson
    rejects all that JSON does not allow, and lone surrogates, which could not be stored (RFC 8259 §8.2). A message or
    note with one is refused by its id, as one with NUL is: the page made it of half a character.

    Raises:
        Malformed: The text is not a frame of the protocol.
    """
    try:
        raw = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        refused = _half_character(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"), party)
        if refused is None:
            raise Malformed from error
        return refused
    kind = raw.get("type") if isinstance(raw, dict) else None
    form = _FORMS[party].get(kind) if isinstance(kind, str) else None
    if form is None:
        raise Malformed
    for name in form.ignored:
        raw.pop(name, None)
    if form.names_chat and raw.get("chat_id") is None:
        return _refusal(raw, form)
    if form.type is Hello and not _is_token(raw.get("token", "")):
        raw["token"] = ""  # the connection is closed with 4401, as for any token that is not valid
    try:
        return convert(raw, form.type)
    except ValidationError:
        return _refusal(raw, form)


def loads(data: bytes) -> object:
    """Return the value of a JSON text in which a lone surrogate stands for NUL, so that texts with one are invalid.

    Raises:
        orjson.JSONDecodeError: It is no JSON for another reason.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        mended = _ESCAPE.sub(lambda escape: rb"\u0000" if escape["lone"] else escape[0], data)
        if mended == data:
            raise
        return orjson.loads(mended)


def _half_character(data: bytes, party: FrameParty) -> Refused | None:
    """Return the refusal of a message or note of a known id that is no JSON for a lone surrogate alone, else None."""
    try:
        raw = loads(data)
    except orjson.JSONDecodeError:
        return None
    kind = raw.get("type") if isinstance(raw, dict) else None
    form = _FORMS[party].get(kind) if isinstance(kind, str) else None
    if not isinstance(raw, dict) or form is None or form.type not in (Post, WriteNote):
        return None
    given = raw.get("id")
    return _refusal(raw, form) if isinstance(given, str) and is_id(given.lower()) else None


def _is_token(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TOKEN


def _refusal(raw: dict[str, Any], form: _Form) -> Refused:
    """Return why a frame of a known type is refused."""
    chat_id = raw["chat_id"] if form.names_chat and is_id(raw.get("chat_id")) else None
    given = raw.get("id")
    if not isinstance(given, str) or len(given) > MAX_GIVEN_ID:
        given = None
    if form.names_chat and chat_id is None:
        return Refused("invalid", given)
    if form.type is WriteNote:
        return Refused("too_long" if _is_too_long(raw.get("text")) else "invalid", given, chat_id)
    if form.type is not Post:
        return Refused("invalid", None, chat_id)
    if not is_id(given and given.lower()) or ("text" in raw) == ("attachment" in raw):
        return Refused("invalid", given, chat_id)
    if isinstance(raw.get("attachment"), str):
        return Refused("unknown_attachment", given, chat_id)
    return Refused("too_long" if _is_too_long(raw.get("text")) else "invalid", given, chat_id)


def _is_too_long(text: object) -> bool:
    return isinstance(text, str) and len(text) > MAX_TEXT and "\0" not in text
