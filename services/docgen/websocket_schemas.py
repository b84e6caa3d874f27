"""The frames of the two websockets as JSON schemas, for the AsyncAPI document. No I/O.

Each frame is one JSON object in a text frame with its `type`; both sides ignore unknown members. The gateway's own
parser is authoritative; a test compares these schemas with it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from services.common.events.types import AgentState, Cause, CloseReason, Detail, Party

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 4000, "description": "1 to 4,000 code points, no NUL"}
STRING: Schema = {"type": "string"}
ID: Schema = {"type": "string", "format": "uuid"}
SEQ: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
DOT: Schema = {"enum": ["grey", "green", "red"]}
SECONDS: Schema = {"type": "integer", "minimum": 0, "description": "seconds"}
RETURNED: Schema = {"enum": ["refused", "unanswered"]}
LOST: Schema = {"enum": ["transferred", "agent_left", "not_accepted", "refused"]}
ERROR: Schema = {
    "enum": ["invalid", "too_long", "unknown_attachment", "chat_closed", "not_yours", "rate_limited", "unavailable"]
}


def _words(words: type[Enum]) -> Schema:
    return {"enum": [word.value for word in words]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _frame(kind: str, required: dict[str, Schema] | None = None, optional: dict[str, Schema] | None = None) -> Schema:
    return _object({"type": {"const": kind}, **(required or {})}, optional)


def _one_of(schema: Schema, *names: str) -> Schema:
    """Require exactly one of these members."""
    return {**schema, "oneOf": [{"required": [name]} for name in names]}


def _of_chat(schema: Schema) -> Schema:
    """Return the same frame for an agent's websocket, where it names its chat."""
    properties = {"type": schema["properties"]["type"], "chat_id": ID, **schema["properties"]}
    return {**schema, "required": [*schema["required"], "chat_id"], "properties": properties}


def _with(schema: Schema, **members: Schema) -> Schema:
    """Return the same frame with additional optional members."""
    return {**schema, "properties": {**schema["properties"], **members}}


ATTACHMENT = _object({"id": ID, "name": STRING, "size": SEQ, "content_type": STRING})
FORM = _object({}, {name: _or_null(STRING) for name in ("id", "title", "url")})
CHAT = _object(
    {
        "chat_id": ID,
        "department": STRING,
        "locale": {"enum": ["nl", "fr", "de", "en"]},
        "name": _or_null(STRING),
        "question": _or_null(STRING),
        "form": _or_null(FORM),
        "opened_at": TIME,
        "last_seq": SEQ,
    },
    {
        "accepted": FLAG,
        "accept_seconds": {
            **_or_null(SECONDS),
            "description": "seconds left to accept it; null: accepted, or not known",
        },
        "transferred": {**FLAG, "description": "a colleague gave it to this agent, who may still refuse it"},
        "returned": {**_or_null(RETURNED), "description": "why it came back to this agent after he transferred it"},
    },
)
AGENT = _object(
    {
        "id": STRING,
        "name": STRING,
        "departments": {"type": "array", "items": STRING},
        "capacity": SEQ,
        "state": _words(AgentState),
    }
)

_SAID = {
    "message": _one_of(_frame("message", {"id": ID}, {"text": TEXT, "attachment": ID}), "text", "attachment"),
    "typing": _frame("typing", {"active": FLAG}),
    "read": _frame("read", {"seq": SEQ}),
    "close": _frame("close"),
}
_SHOWN = {
    "message": _one_of(
        _frame(
            "message",
            {"seq": {"type": "integer", "minimum": 1}, "id": ID, "from": _words(Party), "at": TIME},
            {"name": STRING, "text": STRING, "attachment": ATTACHMENT, "event": _words(Cause)},
        ),
        "text",
        "attachment",
    ),
    "typing": _frame("typing", {"from": _words(Party), "active": FLAG}),
    "read": _frame("read", {"from": _words(Party), "seq": SEQ}),
    "sync": _frame("sync", {"last_seq": SEQ}),
    "inactive": _frame(
        "inactive",
        {"warning": {"enum": [0, 1, 2]}, "closes_at": _or_null(TIME), "seconds": _or_null(SECONDS)},
    ),
    "closed": _frame("closed", {"reason": _words(CloseReason)}),
}
BLOCK = _object(
    {"minutes": {"type": "integer", "minimum": 1, "maximum": 1440}, "reason": {"type": "string", "maxLength": 200}},
    {"address": {**FLAG, "description": "also everybody behind the citizen's address; true when left out"}},
)
_REFUSED = _frame("error", {"code": ERROR, "message": STRING}, {"id": STRING})

FROM_CITIZEN: dict[str, Schema] = {
    "hello": _frame("hello", {"token": STRING}, {"after": SEQ}),
    **_SAID,
    "extend": _frame("extend"),
}
TO_CITIZEN: dict[str, Schema] = {
    "welcome": _frame("welcome", {"chat_id": ID, "dot": DOT, "last_seq": SEQ}),
    "status": _frame(
        "status",
        {"dot": DOT, "position": _or_null(SEQ), "agent": _or_null(_object({"name": _or_null(STRING)}))},
        {
            "wait": _or_null(SECONDS),
            "assigned": {"const": True, "description": "an agent has the chat and has not accepted it yet"},
        },
    ),
    **_SHOWN,
    "error": _REFUSED,
}
FROM_AGENT: dict[str, Schema] = {
    "hello": _frame("hello", None, {"chats": {"type": "object", "additionalProperties": SEQ, "maxProperties": 100}}),
    **{kind: _of_chat(schema) for kind, schema in _SAID.items()},
    "close": _of_chat(_frame("close", None, {"block": BLOCK})),
    "accept": _of_chat(_frame("accept")),
    "active": _frame("active"),
    "refuse": _of_chat(_frame("refuse")),
    "state": _frame("state", {"state": _words(AgentState)}),
    "transfer": _of_chat(
        _frame(
            "transfer",
            {"to": _one_of(_object({}, {"department": STRING, "agent": STRING}), "department", "agent")},
            {"note": TEXT},
        )
    ),
    "note": _of_chat(_frame("note", {"id": ID, "text": TEXT})),
}
ABOUT: Schema = {
    **_object(
        {},
        {
            **dict.fromkeys(("agent_id", "agent", "department"), STRING),
            "detail": _words(Detail),
            "reason": _words(CloseReason),
        },
    ),
    "description": "of a system message: what it is about, for the console's own words",
}
TO_AGENT: dict[str, Schema] = {
    "welcome": _frame(
        "welcome",
        {"agent": AGENT, "chats": {"type": "array", "items": CHAT}},
        {"frames": {"type": "array", "items": STRING, "description": "frames beyond version 1 that may be sent"}},
    ),
    "assigned": _frame("assigned", {"chat": CHAT}),
    "unassigned": _of_chat(_frame("unassigned", {"reason": LOST})),
    **{kind: _of_chat(schema) for kind, schema in _SHOWN.items() if kind not in ("message", "sync")},
    "message": _with(_of_chat(_SHOWN["message"]), about=ABOUT),
    "note": _of_chat(_frame("note", {"id": ID, "text": STRING, "name": STRING, "at": TIME}, {"agent_id": STRING})),
    "citizen": _of_chat(_frame("citizen", {"online": FLAG})),
    "state": _frame("state", {"state": _words(AgentState)}, {"reason": STRING}),
    "sync": _frame("sync", {"chat_id": _or_null(ID), "last_seq": SEQ}),
    "error": _frame("error", {"code": ERROR, "message": STRING}, {"id": STRING, "chat_id": ID}),
}
SOCKETS: dict[str, tuple[dict[str, Schema], dict[str, Schema]]] = {
    "citizen": (FROM_CITIZEN, TO_CITIZEN),
    "agent": (FROM_AGENT, TO_AGENT),
}


def add_sockets(document: Schema, close_codes: dict[str, str]) -> None:
    """Add a channel for each websocket to the AsyncAPI document, with the operations of the gateway on it."""
    document["servers"]["gateway"] = {
        "host": "127.0.0.1:8000",
        "protocol": "ws",
        "description": "The only public door; `wss` outside plain-http loopback.",
    }
    for party, directions in SOCKETS.items():
        channel = f"ws.{party}"
        messages: dict[str, Schema] = {}
        for action, frames in zip(("receive", "send"), directions, strict=True):
            names = {f"{party}.{action}.{kind}": kind for kind in frames}
            for name, kind in names.items():
                messages[name] = {"name": kind, "contentType": "application/json", "payload": frames[kind]}
            document["operations"][f"gateway.{action}s.{channel}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
            }
        document["channels"][channel] = {
            "address": f"/ws/{party}",
            "servers": [{"$ref": "#/servers/gateway"}],
            "messages": messages,
            "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            "x-close-codes": close_codes,
        }
