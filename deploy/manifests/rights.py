"""Each service's rights on the broker, generated from `services/common/messaging/topology.py`. No I/O.

RabbitMQ requires `configure` to declare and delete, `write` to publish to an exchange and to bind a queue, `read` to
consume from a queue, to purge it and to bind it to an exchange. On a topic exchange it also compares the routing key of
what is published (`write`) and of a binding (`read`) (RabbitMQ manual, "Access Control").
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.common.messaging import topology

OWN = r"amq\.gen-.*"  # the unnamed exclusive queues of a connection
ID = r"[^.*#]+"
LISTENERS = ("presence", "routing")


def permissions(service: str) -> dict[str, str]:
    """Return what may be configured, written and read in the virtual host. The operator declares the durable queues."""
    queues = [re.escape(q.name) for q in topology.QUEUES if q.service == service]
    letters = [rf"{service}\.dead-letters"] if queues else []
    exchange = re.escape(topology.EXCHANGE)
    return {
        "configure": _any([OWN]),
        "write": _any([exchange, OWN]),
        "read": _any([exchange, *queues, *letters, OWN]),
    }


def topic_permissions(service: str) -> dict[str, str]:
    """Return the routing keys with which the service may publish to the exchange, and bind its unnamed queues to it."""
    published = _any(re.escape(type_) for type_ in topology.PUBLISHED[service])
    keys: list[str] = []
    if service == "gateway":
        keys = [*map(re.escape, topology.GATEWAY_KEYS), re.escape(topology.binding_of("")) + ID]
    elif service in LISTENERS:
        keys = [re.escape(key) for key in topology.LISTENER_KEYS]
    keys.append(re.escape(topology.CONFIGURATION_KEYS[service]))
    return {"write": rf"{published[:-1]}(\.{ID})?$", "read": _any(keys)}


def _any(parts: Iterable[str]) -> str:
    """Return a regular expression that matches exactly these alternatives; nothing at all when there are none."""
    return f"^({'|'.join(parts)})$" if (parts := list(parts)) else "^$"
