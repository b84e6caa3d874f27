"""`websocket_schemas.py` against the gateway's parser and the frames that it sends: the schemas say what it does."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import UNSET

from services.common.config.departments import Department, Text
from services.common.events.messages import MessageStored, NoteStored
from services.common.events.types import (
    AgentState,
    ButtonColour,
    ButtonReason,
    Cause,
    ChatStatus,
    Detail,
    Entry,
    Form,
    Party,
)
from services.common.internal_api.supervision import ClosedIntake, DepartmentChats, RunningChat, WaitingChat
from services.docgen.openapi import documents
from services.docgen.websocket_schemas import FROM_AGENT, FROM_CITIZEN, SOCKETS, TO_AGENT, TO_CITIZEN, Schema
from services.gateway.chats import live_chats
from services.gateway.supervision.picture import change, picture
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.client import FrameParty, Refused, parse
from tests.gateway.making import AN, agent_view, id_of, view
from tests.support.event_samples import CHAT, EVENTS

NOTED, STORED = EVENTS["note.stored"], EVENTS["message.stored"]


def sample(schema: Schema) -> Any:
    """A value of this schema with its required members, and of those of which one must be there the first."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    if schema["type"] == "object":
        names = [
            *schema.get("required", ()),
            *(name for one in schema.get("oneOf", ())[:1] for name in one["required"]),
        ]
        return {name: sample(schema["properties"][name]) for name in names}
    if schema.get("format") == "uuid":
        return str(uuid.uuid4())
    return {"string": "text", "integer": 1, "boolean": True, "array": []}[schema["type"]]


def problems(value: Any, schema: Schema, path: str = "frame") -> list[str]:
    """Where the value is not of this schema, whose properties are all that it may have."""
    if "anyOf" in schema:
        tries = [problems(value, one, path) for one in schema["anyOf"]]
        return [] if [] in tries else tries[0]
    if "const" in schema or "enum" in schema:
        return [] if value in schema.get("enum", [schema.get("const")]) else [f"{path}: {value!r}"]
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    kind: type[Any] = kinds[schema["type"]]
    if not isinstance(value, kind):
        return [f"{path} is no {schema['type']}"]
    if schema["type"] == "array":
        return [p for i, item in enumerate(value) for p in problems(item, schema["items"], f"{path}[{i}]")]
    if schema["type"] != "object":
        return []
    properties = schema.get("properties", {})
    found = [f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    if "oneOf" in schema and sum(all(n in value for n in one["required"]) for one in schema["oneOf"]) != 1:
        found.append(f"{path} has not exactly one of {schema['oneOf']}")
    for name, item in value.items():
        found += problems(item, properties[name], f"{path}.{name}") if name in properties else [f"{path}.{name}?"]
    return found


@pytest.mark.parametrize(("party", "kind"), [(p, k) for p, (said, _) in SOCKETS.items() for k in said])
def test_what_is_of_the_schema_is_accepted_and_what_lacks_a_member_is_not(party: FrameParty, kind: str) -> None:
    schema = SOCKETS[party][0][kind]
    frame = sample(schema)
    assert not isinstance(parse(json.dumps(frame), party), Refused)
    tolerated = {"type"} | ({"token"} if kind == "hello" else set())
    for name in frame.keys() - tolerated:
        less = {member: value for member, value in frame.items() if member != name}
        assert isinstance(parse(json.dumps(less), party), Refused), name


@pytest.mark.parametrize(("party", "kind"), [(p, k) for p, (said, _) in SOCKETS.items() for k in said])
def test_of_those_of_which_one_must_be_there_each_will_do_and_both_will_not(party: FrameParty, kind: str) -> None:
    schema = SOCKETS[party][0][kind]
    names = [name for one in schema.get("oneOf", ()) for name in one["required"]]
    base = {name: sample(schema["properties"][name]) for name in schema["required"]}
    more = {name: sample(schema["properties"][name]) for name in names}
    for name in names:
        assert not isinstance(parse(json.dumps({**base, name: more[name]}), party), Refused)
    if names:
        assert isinstance(parse(json.dumps({**base, **more}), party), Refused)


WRONG: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, 2**31, 2**31 + 1, "", " ", "x", "a\0b", "paused", "x" * 200, "x" * 201, "\n"),
    *("x" * 4_000, "x" * 4_001, "🏠" * 4_000, CHAT, CHAT.upper(), f"{CHAT}\n", CHAT.replace("-", ""), [], [CHAT], {}),
    *({"agent": AN}, {"department": "d"}, {"agent": AN, "department": "d"}, {"agent": 7}, {CHAT: 7}, {CHAT: -1}),
    *({CHAT.upper(): 7}, {id_of(n): 0 for n in range(100)}, {id_of(n): 0 for n in range(101)}),
    *(
        {"minutes": m, "reason": r}
        for m, r in ((1, "x"), (1_440, "x" * 200), (0, "x"), (1_441, "x"), (1, ""), (1, " "))
    ),
    *({"minutes": 1, "reason": "x", "address": address} for address in (False, None, "x")),
]


@pytest.mark.parametrize(("party", "kind"), [(p, k) for p, (said, _) in SOCKETS.items() for k in said])
def test_a_value_is_of_the_schema_exactly_if_it_is_accepted(party: FrameParty, kind: str) -> None:
    schema = SOCKETS[party][0][kind]
    validator, frame = Draft202012Validator(schema), sample(schema)
    for member in schema["properties"].keys() - {"type", "token"}:  # a wrong token is no token: it closes with 4401
        for value in WRONG:
            other = {**frame, member: value}
            assert validator.is_valid(other) != isinstance(parse(json.dumps(other), party), Refused), other


def test_the_frames_are_those_of_the_protocol() -> None:
    both = {"hello", "message", "typing", "read", "close"}
    assert FROM_CITIZEN.keys() == both | {"extend", "details"}
    own = {"accept", "active", "done", "identify", "refuse", "state", "transfer", "note", "watch", "departments"}
    assert FROM_AGENT.keys() == both | own
    for frames in (TO_CITIZEN, TO_AGENT):
        assert set(frames["error"]["properties"]["code"]["enum"]) == server.ERRORS.keys()


def test_a_citizens_frames_do_not_name_the_chat_and_an_agents_do() -> None:
    assert not [k for k, frame in FROM_CITIZEN.items() if "chat_id" in frame["properties"]]
    assert [k for k, frame in TO_CITIZEN.items() if "chat_id" in frame["properties"]] == ["welcome"]
    assert FROM_AGENT.keys() - {k for k, f in FROM_AGENT.items() if "chat_id" in f["required"]} == {
        *("hello", "active", "state", "watch", "departments"),
    }
    assert TO_AGENT.keys() - {k for k, f in TO_AGENT.items() if "chat_id" in f["required"]} == {
        *("welcome", "assigned", "state", "live", "departments", "error"),
    }


def test_only_the_other_partys_members_are_left_out() -> None:
    assert FROM_CITIZEN["hello"]["properties"].keys() == {"type", "token", "after"}
    assert FROM_AGENT["hello"]["properties"].keys() == {"type", "chats"}
    assert "block" not in FROM_CITIZEN["close"]["properties"]
    assert "about" not in TO_CITIZEN["message"]["properties"]
    assert TO_AGENT["message"]["properties"].keys() - TO_CITIZEN["message"]["properties"].keys() == {"chat_id", "about"}


def live_frames(now: datetime) -> list[bytes]:
    """The whole state of a department, and a change of it."""
    closed = ClosedIntake(department="algemeen", reason="staff", until=now, agent_id=AN, name="An", at=now)
    chat = RunningChat(chat_id=CHAT, since=now, agent_id=AN, agent_name="An")
    waiting = [WaitingChat(chat_id=CHAT, since=now)]
    chats = DepartmentChats(
        department="algemeen", waiting=1, waiting_since=now, running=1, first_waiting=waiting, first_running=[chat]
    )
    button = server.LiveButton(colour=ButtonColour.BLUE, reason=ButtonReason.CLOSED, opens_at=server.stamp(now))
    department = Department(id="algemeen", names=Text(nl="a", fr="a", de="a", en="a"))
    full = picture(button, closed, ["09:00-17:00"], [agent_view()], chats, {AN: 1}, {CHAT: now})
    empty = picture(button, None, None, [], DepartmentChats(department="algemeen"), {}, {})
    frames = (change(department, None, full, now), change(department, full, empty, now))
    return [frame.encode() for frame in frames if frame]


def own_departments(now: datetime) -> bytes:
    """The whole state of a department for its agents, and a change of another one."""
    at = server.stamp(now)
    whole = server.OwnDepartment(
        department="algemeen",
        button=server.LiveButton(colour=ButtonColour.BLUE, reason=ButtonReason.CLOSED, opens_at=at),
        intake=server.OwnIntake(until=at, name=None),
        hours=["09:00-17:00"],
        waiting=server.OwnWaiting(count=2, since=at),
    )
    change = server.OwnDepartment(department="premies", hours=None, waiting=None)
    return server.OwnDepartments(at=at, departments=[whole, change]).encode()


def made() -> list[tuple[Schema, bytes]]:
    assert isinstance(NOTED, NoteStored)
    assert isinstance(STORED, MessageStored)
    now = datetime(2026, 11, 23, 8, tzinfo=UTC)
    spoken = Entry(chat_id=CHAT, seq=1, id=CHAT, party=Party.CITIZEN, sender_id="citizen", name="An", text="t", at=now)
    event = spoken.model_copy(update={"party": Party.SYSTEM, "name": None, "event": Cause.OPENED})
    entries = [spoken, event, STORED.entry]
    return [
        *((TO_CITIZEN["message"], server.message(entry)) for entry in entries),
        *((TO_AGENT["message"], server.message(entry, CHAT)) for entry in entries),
        *(
            (TO_CITIZEN["status"], server.status(state, 2, 90, "An"))
            for state in (ChatStatus.WAITING, ChatStatus.ASSIGNED, ChatStatus.CLOSED)
        ),
        *((TO_CITIZEN["error"], server.error(code, "some id")) for code in server.ERRORS),
        (TO_AGENT["error"], server.error("not_yours", "some id", CHAT)),
        (TO_CITIZEN["inactive"], server.inactive(2, now, 120)),
        (TO_AGENT["inactive"], server.inactive(0, None, None, CHAT)),
        *(
            (
                TO_AGENT["assigned"],
                server.Assigned(chat=server.chat_for_agent(view(3, ChatStatus.ASSIGNED, AN, **more), 7)).encode(),
            )
            for more in ({"transferred": True}, {"returned": Detail.UNANSWERED, "name": "An", "form": Form(id="f")})
        ),
        (TO_AGENT["note"], server.note(NOTED.note)),
        (TO_CITIZEN["welcome"], server.Welcome(chat_id=CHAT, dot="grey", last_seq=0).encode()),
        (
            TO_AGENT["welcome"],
            server.AgentWelcome(agent=server.agent(agent_view(), now), chats=[], frames=server.ADDED).encode(),
        ),
        (TO_AGENT["unassigned"], server.Unassigned(chat_id=CHAT, reason="not_accepted").encode()),
        (TO_AGENT["citizen"], server.CitizenOnline(chat_id=CHAT, online=True).encode()),
        (TO_AGENT["state"], server.State(state=AgentState.PAUSED, reason="request").encode()),
        (
            TO_AGENT["state"],
            server.State(
                state=AgentState.PAUSED,
                reason="request",
                wrap_ups=[server.WrapUp(chat_id=CHAT, department="algemeen", seconds=90)],
            ).encode(),
        ),
        *((TO_AGENT["live"], frame) for frame in live_frames(now)),
        (TO_AGENT["departments"], own_departments(now)),
        (TO_AGENT["sync"], server.Sync(chat_id=None, last_seq=0).encode()),
        *(
            (frames[kind], frame.encode())
            for frames, chat_id in ((TO_CITIZEN, UNSET), (TO_AGENT, CHAT))
            for kind, frame in (
                ("typing", server.Typing(chat_id=chat_id, from_=Party.AGENT, active=True)),
                ("read", server.Read(chat_id=chat_id, from_=Party.CITIZEN, seq=7)),
                ("sync", server.Sync(chat_id=chat_id, last_seq=7)),
                ("closed", server.Closed(chat_id=chat_id, reason="inactive")),
            )
        ),
    ]


def test_a_frame_of_every_kind_is_compared_with_its_schema() -> None:
    compared = [id(schema) for schema, _ in made()]
    assert not [k for frames in (TO_CITIZEN, TO_AGENT) for k, schema in frames.items() if id(schema) not in compared]


@pytest.mark.parametrize(("schema", "frame"), made())
def test_what_the_gateway_sends_is_of_the_schema(schema: Schema, frame: bytes) -> None:
    assert problems(json.loads(frame), schema) == []
    Draft202012Validator(schema).validate(json.loads(frame))


def test_why_an_agent_lost_a_chat_is_in_words_of_the_schema() -> None:
    assert set(live_chats.LOST.values()) < set(TO_AGENT["unassigned"]["properties"]["reason"]["enum"])


def test_the_document_has_both_websockets_and_every_close_code() -> None:
    document = documents()["asyncapi.json"]
    for party, (said, shown) in SOCKETS.items():
        channel = document["channels"][f"ws.{party}"]
        assert channel["address"] == f"/ws/{party}"
        assert set(channel["messages"]) == {f"{party}.receive.{k}" for k in said} | {f"{party}.send.{k}" for k in shown}
        assert channel["x-close-codes"] == {str(code.value): code.name.lower() for code in server.Close}
        for action in ("receive", "send"):
            assert document["operations"][f"gateway.{action}s.ws.{party}"]["action"] == action
