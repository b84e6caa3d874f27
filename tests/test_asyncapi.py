"""`services/asyncapi.py`: the document of the facts has the structure of AsyncAPI 3.0 and says what the code does."""

import ast
import json
import re
from typing import Any

import pytest

from services import topology
from services.asyncapi import TELLERS, Document, address_of, document, followed, heard
from services.contracts import decode, encode
from services.specs import SERVICES
from tests.real import ROOT
from tests.samples import FACTS


@pytest.fixture(scope="module")
def facts() -> Document:
    return document()


def resolve(document: Document, reference: str) -> Any:
    place: Any = document
    for step in reference.removeprefix("#/").split("/"):
        place = place[step.replace("~1", "/").replace("~0", "~")]
    return place


def test_the_asyncapi_document_has_the_structure_of_version_3(facts: Document) -> None:
    assert facts["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= facts["info"].keys()
    assert facts["servers"]["broker"]["protocol"] == "amqp"
    for name, channel in facts["channels"].items():
        assert re.fullmatch(r"[\w.-]+", name)
        assert set(re.findall(r"{(\w+)}", channel["address"])) == channel.get("parameters", {}).keys()
        assert channel["bindings"]["amqp"]["exchange"]["name"] == topology.EXCHANGE
        (message,) = channel["messages"].values()
        assert resolve(facts, message["$ref"])["name"] == name
    for name, operation in facts["operations"].items():
        assert re.fullmatch(r"[\w.-]+", name)
        assert operation["action"] in ("send", "receive")
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in facts["channels"]
        if operation["action"] == "receive":
            assert operation["x-queue"] in facts["x-queues"]
    for message in facts["components"]["messages"].values():
        schema = resolve(facts, message["payload"]["$ref"])
        assert schema["type"] == "object"


def test_every_fact_has_a_channel_one_who_tells_it_and_one_who_hears_it(facts: Document) -> None:
    assert facts["channels"].keys() == FACTS.keys() == TELLERS.keys()
    for action in ("send", "receive"):
        touched = {
            op["channel"]["$ref"].split("/")[-1] for op in facts["operations"].values() if op["action"] == action
        }
        assert touched == FACTS.keys()


@pytest.mark.parametrize("type_", sorted(FACTS))
def test_an_address_is_the_routing_key_with_its_id_in_braces(facts: Document, type_: str) -> None:
    fact = FACTS[type_]
    address = facts["channels"][type_]["address"]
    assert address == address_of(type(fact))
    assert address.format(**fact.model_dump()) == topology.routing_key(fact)


@pytest.mark.parametrize("type_", sorted(FACTS))
def test_a_fact_has_exactly_the_members_of_its_schema(facts: Document, type_: str) -> None:
    schema = facts["components"]["schemas"][type(FACTS[type_]).__name__]
    told = json.loads(encode(FACTS[type_]))
    assert schema["properties"].keys() == told.keys()
    assert schema["properties"]["type"]["const"] == type_
    assert set(schema["required"]) <= told.keys()
    assert decode(encode(FACTS[type_])) == FACTS[type_]


def test_who_hears_what_is_what_the_queues_are_bound_to(facts: Document) -> None:
    for queue in topology.QUEUES:
        told = {n.split(".hears.")[1] for n in facts["operations"] if n.startswith(f"{queue.name}.hears.")}
        assert told == set(heard(queue.keys)) != set()
        assert facts["x-queues"][queue.name]["arguments"] == queue.declaration
    assert set(followed()) >= {"message.stored", "chat.state", "agent.changed", "button.changed", "queue.changed"}


def test_who_tells_a_fact_makes_it() -> None:
    """Each service that is said to tell a fact has code that makes one, and no other service but for its own use."""
    makers: dict[str, set[str]] = {}
    names = {type(fact).__name__: type_ for type_, fact in FACTS.items()}
    for service in SERVICES:
        for file in (ROOT / "services" / service).glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Name) and node.id in names:
                    makers.setdefault(names[node.id], set()).add(service)
    for type_, tellers in TELLERS.items():
        assert set(tellers) <= makers[type_], type_
