"""Each service's rights on the broker, made of `services/common/messaging/topology.py`. No I/O.

RabbitMQ asks for `configure` to declare and delete, for `write` to publish to an exchange and to bind a queue, for
`read` to consume from a queue, to purge it and to bind it to an exchange; on a topic exchange it compares the routing
key too, of what is published (`write`) and of a binding (`read`) (RabbitMQ manual, "Access Control").
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.common.messaging import topology

OWN = r"amq\.gen-.*"  # the unnamed queues that a connection has for itself: nobody else may touch them
ID = r"[^.*#]+"
LISTENERS = ("presence", "routing")


def permissions(service: str) -> dict[str, str]:
    """What may be configured, written and read in the virtual host. Durable queues are declared by the operator."""
    queues = [re.escape(q.name) for q in topology.QUEUES if q.service == service]
    letters = [rf"{service}\.dead-letters"] if queues else []
    exchange = re.escape(topology.EXCHANGE)
    return {
        "configure": _any([OWN]),
        "write": _any([exchange, OWN]),
        "read": _any([exchange, *queues, *letters, OWN]),
    }


def topic_permissions(service: str) -> dict[str, str]:
    """The routing keys with which it may publish to the exchange, and bind its unnamed queues to it."""
    told = _any(re.escape(type_) for type_ in topology.PUBLISHED[service])
    keys: list[str] = []
    if service == "gateway":
        keys = [*map(re.escape, topology.GATEWAY_KEYS), re.escape(topology.binding_of("")) + ID]
    elif service in LISTENERS:
        keys = [re.escape(key) for key in topology.LISTENER_KEYS]
    return {"write": rf"{told[:-1]}(\.{ID})?$", "read": _any(keys)}


def _any(parts: Iterable[str]) -> str:
    """A regular expression of one of these and nothing else; of nothing at all, when there are none."""
    return f"^({'|'.join(parts)})$" if (parts := list(parts)) else "^$"
