"""Heartbeats: who is connected to a gateway, and whether a listener hears itself. No I/O."""

from __future__ import annotations

from typing import Literal

from services.common.events.event import Event
from services.common.events.types import AgentConnection, Whole


class GatewayConnections(Event):
    """All agents with a connection to this gateway and all chats whose citizen has one, every 2 s and at each change.

    Transient and never backlogged. `counter` grows within an `incarnation` (one run of one gateway process); the
    highest wins. `chats` is None in those that speak of agents alone (most: the citizens' list is told every 6 s).
    `active`: agents who used their console lately, with the seconds since; only those whose page said so.
    """

    type: Literal["gateway.connections"] = "gateway.connections"
    incarnation: str
    counter: Whole
    agents: list[AgentConnection]
    chats: list[str] | None = None
    active: dict[str, float] | None = None
    leaving: bool = False


class ListenerEcho(Event):
    """A listener of `gateway.connections` hears itself: silence counts only while it does."""

    type: Literal["listener.echo"] = "listener.echo"
    listener: str
    counter: Whole
