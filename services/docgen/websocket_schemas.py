"""The frames of the two websockets as JSON schemas, for the AsyncAPI document. No I/O.

Each frame is one JSON object in a text frame with its `type`; both sides ignore unknown members. The schemas are made
of the types with which the gateway parses and encodes frames.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from msgspec.json import schema_components

from services.gateway.websocket.frames import client, server
from services.gateway.websocket.frames.client import FrameParty, kind_of

Schema = dict[str, Any]
PARTIES: tuple[FrameParty, ...] = ("citizen", "agent")


def _schemas(module: ModuleType, party: FrameParty, without: tuple[str, ...]) -> dict[str, Schema]:
    """Return the schemas of one direction of a websocket, by the frames' `type`.

    Args:
        module: `client` or `server`.
        party: Whose websocket it is.
        without: Optional members that this party's frames do not have.
    """
    types = module.FRAMES[party]
    _, components = schema_components(types, ref_template="{name}")
    for name, component in components.items():
        component.pop("title", None)  # the name of a class
        component["description"] = inspect.cleandoc(component["description"])
        if names := getattr(getattr(module, name, None), "EXACTLY_ONE", ()):
            component["oneOf"] = [{"required": [name]} for name in names]
    frames = {kind_of(type_): _inlined({"$ref": type_.__name__}, components) for type_ in types}
    for kind, frame in frames.items():
        frame["properties"]["type"] = {"const": kind}
        for member in without:
            if member not in frame["required"]:
                frame["properties"].pop(member, None)
        if party == "agent" and kind != "error":  # an error may be about no chat
            _require_chat(frame)
    return frames


def _inlined(schema: Any, components: dict[str, Schema]) -> Any:
    """Return the schema with its components in the place of references to them."""
    if isinstance(schema, list):
        return [_inlined(item, components) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _inlined(item, components) for name, item in schema.items() if name != "$ref"}
    return _inlined(components[schema["$ref"]], components) | inner if "$ref" in schema else inner


def _require_chat(frame: Schema) -> None:
    """Say that a frame of an agent's websocket names its chat, if it can name one."""
    if "chat_id" not in frame["properties"] or "chat_id" in frame["required"]:
        return
    frame["required"] = [*frame["required"], "chat_id"]
    if frame["properties"]["chat_id"].pop("default", ...) is None:  # optional only because citizens have one chat
        frame["properties"]["chat_id"] = frame["properties"]["chat_id"]["anyOf"][0]


SOCKETS: dict[FrameParty, tuple[dict[str, Schema], dict[str, Schema]]] = {
    party: (
        _schemas(client, party, client.NOT_SENT_BY[party]),
        _schemas(server, party, server.NOT_SENT_TO[party]),
    )
    for party in PARTIES
}
FROM_CITIZEN, TO_CITIZEN = SOCKETS["citizen"]
FROM_AGENT, TO_AGENT = SOCKETS["agent"]
# The type has a default, because a hello without a token is answered by a close with 4401 and not with an `error`.
FROM_CITIZEN["hello"]["required"].append("token")
del FROM_CITIZEN["hello"]["properties"]["token"]["default"]


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
    document["channels"]["ws.citizen"]["description"] = (
        "Where a network lets no websocket through, the same frames go over HTTP: "
        "`GET /api/chats/{chat_id}/stream` and `POST /api/chats/{chat_id}/frames` (openapi.json)."
    )
