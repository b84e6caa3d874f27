"""The AsyncAPI 3.0 document of the events on the broker. Nothing is connected.

FastStream describes the handlers of the ordinary queues; which events they take comes from there. `codec.py` and
`topology.py` describe what FastStream cannot know: publishing with aiormq, routing keys with ids, copies, dead letters,
and the queues that are consumed without FastStream.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, get_args
from urllib.parse import unquote

from faststream.specification import AsyncAPI
from pydantic.json_schema import models_json_schema

from services.common.events.codec import AnyEvent
from services.common.events.event import Event
from services.common.messaging import topology
from services.common.messaging.consumer import Consumers
from services.common.messaging.topology import QUEUES, Queue
from services.docgen.applications import application

Document = dict[str, Any]

EVENTS: dict[str, type[Event]] = {kind.model_fields["type"].default: kind for kind in get_args(get_args(AnyEvent)[0])}
IDS = {"chat_id": "the chat", "agent_id": "the agent", "department": "the department"}
LISTENERS = ("presence", "routing")  # receive the gateways' lists of connections in a queue of their own
TELLERS: dict[str, tuple[str, ...]] = {
    "chat.opened": ("gateway",),
    "citizen.arrived": ("gateway",),
    "close.requested": ("gateway", "transcripts"),
    "chat.accepted": ("gateway",),
    "transfer.refused": ("gateway",),
    "chat.state": ("routing",),
    "queue.changed": ("routing",),
    "place.wanted": ("routing",),
    "place.claimed": ("presence",),
    "place.released": ("presence",),
    "places.changed": ("presence",),
    "accept.overdue": ("routing",),
    "state.requested": ("gateway",),
    "answer.overdue": ("transcripts",),
    "agent.changed": ("presence",),
    "session.ended": ("presence",),
    "wrapup.done": ("gateway",),
    "wrapup.ended": ("presence",),
    "pause.ended": ("presence",),
    "button.changed": ("presence",),
    "gateway.connections": ("gateway",),
    "listener.echo": LISTENERS,
    "message.posted": ("gateway",),
    "message.stored": ("transcripts",),
    "identification.asked": ("gateway",),
    "identification.declined": ("gateway",),
    "identification.ended": ("presence",),
    "messages.posted": ("gateway",),
    "messages.stored": ("transcripts",),
    "message.refused": ("transcripts",),
    "note.posted": ("gateway",),
    "note.stored": ("transcripts",),
    "typing.shown": ("gateway",),
    "read.shown": ("gateway",),
    "citizen.presence": ("gateway",),
    "citizen.silent": ("transcripts",),
    "citizen.stayed": ("gateway",),
    "configuration.version": ("presence",),
    "configuration.wanted": ("gateway", "routing", "transcripts"),
}


def document() -> Document:
    """Return the whole document. The same code gives the same document, member by member."""
    schemas = models_json_schema(
        [(kind, "serialization") for kind in EVENTS.values()], ref_template="#/components/schemas/{model}"
    )[1]["$defs"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "e-loket chat: the events that the services publish",
            "version": "1",
            "description": inspect.cleandoc(topology.__doc__ or ""),
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "127.0.0.1:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ; the address is `RABBITMQ_URL`.",
            }
        },
        "channels": {type_: _channel(type_, kind) for type_, kind in EVENTS.items()},
        "operations": _operations(),
        "x-queues": _queues(),
        "components": {
            "messages": {kind.__name__: _message(type_, kind) for type_, kind in EVENTS.items()},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def address_of(kind: type[Event]) -> str:
    """Return the routing key of this event with its variable word in braces, as `topology.routing_key` makes it."""
    return topology.routing_key(_with_ids(kind))


def _with_ids(kind: type[Event]) -> Event:
    ids: dict[str, Any] = {name: f"{{{name}}}" for name in (*IDS, "former_agent_id")}
    return kind.model_construct(None, **ids, entries=[])


def _channel(type_: str, kind: type[Event]) -> Document:
    address = address_of(kind)
    channel: Document = {
        "address": address,
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": topology.EXCHANGE, "type": "topic", "durable": True, "autoDelete": False},
                "bindingVersion": "0.3.0",
            }
        },
    }
    if names := re.findall(r"{(\w+)}", address):
        channel["parameters"] = {name: {"description": f"The id of {IDS[name]}."} for name in names}
    return channel


def _message(type_: str, kind: type[Event]) -> Document:
    lines = inspect.cleandoc(kind.__doc__ or "").splitlines()
    message: Document = {"name": type_, "contentType": "application/json"}
    if lines and kind.__doc__ != Event.__doc__:
        message |= {"summary": lines[0], "description": "\n".join(lines)}
    message["headers"] = {
        "type": "object",
        "properties": {"traceparent": {"type": "string", "description": "W3C Trace Context"}},
    }
    message["payload"] = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return message


def _operations() -> Document:
    made: Document = {}
    for type_, tellers in TELLERS.items():
        for service in tellers:
            made[f"{service}.tells.{type_}"] = _tells(type_)
    by_faststream = handled()
    for queue in QUEUES:
        for type_ in by_faststream.get(queue.name) or heard(queue.keys):
            made[f"{queue.name}.hears.{type_}"] = _hears(type_, queue.name)
    for type_ in followed():
        made[f"gateway.hears.{type_}"] = _hears(type_, "gateway's own")
    for service in LISTENERS:
        for type_ in heard(topology.LISTENER_KEYS):
            made[f"{service}.hears.{type_}"] = _hears(type_, "listener's own")
    for service, type_ in topology.CONFIGURATION_KEYS.items():
        made[f"{service}.hears.{type_}"] = _hears(type_, "configuration's own")
    return made


def handled() -> dict[str, list[str]]:
    """Return the event types that the handlers of each ordinary queue take, as FastStream describes them."""
    made: dict[str, list[str]] = {}
    for service in ("presence", "routing", "transcripts"):
        consumers: Consumers = application(service).state.consumers
        described = AsyncAPI(consumers.broker).to_specification().to_jsonable()
        for channel in described["channels"].values():
            names = re.findall(r"#/components/schemas/(\w+)", json.dumps(_payloads(described, channel)))
            queue = channel["bindings"]["amqp"]["queue"]["name"]
            made[queue] = [type_ for type_, kind in EVENTS.items() if kind.__name__ in names]
    return made


def _payloads(described: Document, channel: Document) -> list[Document]:
    names = [unquote(message["$ref"].rsplit("/", 1)[1]) for message in channel["messages"].values()]
    return [described["components"]["messages"][name]["payload"] for name in names]


def heard(keys: tuple[str, ...]) -> list[str]:
    """Return the event types that a queue bound with these keys receives."""
    return [type_ for type_, kind in EVENTS.items() if any(_matches(key, address_of(kind)) for key in keys)]


def followed() -> list[str]:
    """Return the event types that reach a gateway: those it is always bound to, and those of its chats and agents."""
    of_one = [type_ for type_, kind in EVENTS.items() if address_of(kind).endswith(("{chat_id}", "{agent_id}"))]
    return [type_ for type_ in EVENTS if type_ in {*heard(topology.GATEWAY_KEYS), *of_one}]


def _matches(key: str, address: str) -> bool:
    pattern, words = key.split("."), address.split(".")
    return len(pattern) == len(words) and all(p in ("*", w) for p, w in zip(pattern, words, strict=True))


def _tells(type_: str) -> Document:
    transient, mandatory = type_ in topology.TRANSIENT, type_ not in topology.UNHEARD
    binding: Document = {"deliveryMode": 1 if transient else 2, "mandatory": mandatory, "bindingVersion": "0.3.0"}
    if copies := topology.copies(_with_ids(EVENTS[type_])):
        binding["cc"] = copies
    return {"action": "send", "channel": {"$ref": f"#/channels/{type_}"}, "bindings": {"amqp": binding}}


def _hears(type_: str, queue: str) -> Document:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{type_}"},
        "bindings": {"amqp": {"ack": queue in {q.name for q in QUEUES}, "bindingVersion": "0.3.0"}},
        "x-queue": queue,
    }


def _queues() -> Document:
    made: Document = {queue.name: _durable(queue) for queue in QUEUES}
    made["gateway's own"] = _own(
        [*topology.GATEWAY_KEYS, topology.binding_of("{id}")], topology.GATEWAY_QUEUE_ARGUMENTS
    )
    made["listener's own"] = _own(list(topology.LISTENER_KEYS), topology.LISTENER_QUEUE_ARGUMENTS)
    keys = sorted(set(topology.CONFIGURATION_KEYS.values()))
    made["configuration's own"] = _own(keys, topology.CONFIGURATION_QUEUE_ARGUMENTS)
    return made


def _durable(queue: Queue) -> Document:
    return {
        "durable": True,
        "exclusive": False,
        "bindings": list(queue.keys),
        "arguments": queue.declaration,
        "deadLetters": queue.dead_letters,
    }


def _own(bindings: list[str], arguments: dict[str, Any]) -> Document:
    return {"durable": False, "exclusive": True, "bindings": bindings, "arguments": dict(arguments)}
