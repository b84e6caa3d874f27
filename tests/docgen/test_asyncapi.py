"""`asyncapi.py`: the document of the events has the structure of AsyncAPI 3.0 and says what the code does."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.common.events.codec import decode, encode
from services.common.messaging import topology
from services.docgen.asyncapi import TELLERS, Document, address_of, document, followed, handled, heard
from services.docgen.openapi import SERVICES
from tests.support.event_samples import EVENTS
from tests.support.servers import ROOT


@pytest.fixture(scope="module")
def events() -> Document:
    return document()


def resolve(document: Document, reference: str) -> Any:
    place: Any = document
    for step in reference.removeprefix("#/").split("/"):
        place = place[step.replace("~1", "/").replace("~0", "~")]
    return place


def test_the_asyncapi_document_has_the_structure_of_version_3(events: Document) -> None:
    assert events["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= events["info"].keys()
    assert events["servers"]["broker"]["protocol"] == "amqp"
    for name, channel in events["channels"].items():
        assert re.fullmatch(r"[\w.-]+", name)
        assert set(re.findall(r"{(\w+)}", channel["address"])) == channel.get("parameters", {}).keys()
        assert channel["bindings"]["amqp"]["exchange"]["name"] == topology.EXCHANGE
        (message,) = channel["messages"].values()
        assert resolve(events, message["$ref"])["name"] == name
    for name, operation in events["operations"].items():
        assert re.fullmatch(r"[\w.-]+", name)
        assert operation["action"] in ("send", "receive")
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in events["channels"]
        if operation["action"] == "receive":
            assert operation["x-queue"] in events["x-queues"]
    for message in events["components"]["messages"].values():
        schema = resolve(events, message["payload"]["$ref"])
        assert schema["type"] == "object"


def test_every_event_has_a_channel_a_publisher_and_a_consumer(events: Document) -> None:
    assert events["channels"].keys() == EVENTS.keys() == TELLERS.keys()
    for action in ("send", "receive"):
        touched = {
            op["channel"]["$ref"].split("/")[-1] for op in events["operations"].values() if op["action"] == action
        }
        assert touched == EVENTS.keys()


@pytest.mark.parametrize("type_", sorted(EVENTS))
def test_an_address_is_the_routing_key_with_its_id_in_braces(events: Document, type_: str) -> None:
    event = EVENTS[type_]
    address = events["channels"][type_]["address"]
    assert address == address_of(type(event))
    assert address.format(**event.model_dump()) == topology.routing_key(event)


@pytest.mark.parametrize("type_", sorted(EVENTS))
def test_a_event_has_exactly_the_members_of_its_schema(events: Document, type_: str) -> None:
    schema = events["components"]["schemas"][type(EVENTS[type_]).__name__]
    shown = json.loads(encode(EVENTS[type_]))
    assert schema["properties"].keys() == shown.keys()
    assert schema["properties"]["type"]["const"] == type_
    assert set(schema["required"]) <= shown.keys()
    assert decode(encode(EVENTS[type_])) == EVENTS[type_]


def test_the_consumers_are_those_to_which_the_queues_are_bound(events: Document) -> None:
    for queue in topology.QUEUES:
        shown = {n.split(".hears.")[1] for n in events["operations"] if n.startswith(f"{queue.name}.hears.")}
        assert shown == set(heard(queue.keys)) != set()
        assert events["x-queues"][queue.name]["arguments"] == queue.declaration
    assert set(followed()) >= {"message.stored", "chat.state", "agent.changed", "button.changed", "queue.changed"}


def test_the_handlers_of_a_queue_take_what_it_is_bound_to() -> None:
    """An event without a handler would be dead-lettered; FastStream describes the handlers as they are registered."""
    consumed = handled()
    assert consumed.keys() == {queue.name for queue in topology.QUEUES} - {topology.TRANSCRIPTS_MESSAGES.name}
    for queue in topology.QUEUES:
        if queue.name in consumed:
            assert consumed[queue.name] == heard(queue.keys), queue.name


LISTENER = "services.common.messaging.heartbeat_listener"  # makes an echo for each service that uses it


def nodes(file: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(file.read_text("utf-8")))


def test_who_publishes_an_event_makes_it() -> None:
    """Each documented publisher of an event has code that makes one, and no other service but for its own use."""
    makers: dict[str, set[str]] = {}
    names = {type(event).__name__: type_ for type_, event in EVENTS.items()}
    listener = ROOT / f"{LISTENER.replace('.', '/')}.py"
    assert any(isinstance(node, ast.Call) and ast.unparse(node.func) == "ListenerEcho" for node in nodes(listener))
    for service in SERVICES:
        for file in (ROOT / "services" / service).rglob("*.py"):
            for node in nodes(file):
                if isinstance(node, ast.Name) and node.id in names:
                    makers.setdefault(names[node.id], set()).add(service)
                elif isinstance(node, ast.ImportFrom) and node.module == LISTENER:
                    makers.setdefault("listener.echo", set()).add(service)
                elif isinstance(node, ast.Name) and node.id == "follow_departments":
                    makers.setdefault("configuration.wanted", set()).add(service)
    for type_, tellers in TELLERS.items():
        assert set(tellers) <= makers[type_], type_
