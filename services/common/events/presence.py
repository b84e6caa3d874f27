"""Heartbeats: who is connected to a gateway, and whether a listener receives its own events. No I/O."""

from __future__ import annotations

from typing import Literal

from services.common.events.event import Event
from services.common.events.types import AgentConnection, Whole


class GatewayConnections(Event):
    """All agents with a connection to this gateway and all chats whose citizen has one, every 2 s and at each change.

    The message is transient and never waits in a backlog. `counter` grows within an `incarnation` (one run of a gateway
    process); the highest counts. `chats` is None in messages that list agents only (most of them: citizens are listed
    every 6 s). `active`: agents who used their console lately, with the seconds since, as far as their pages report it.
    `writing`: chats in which an agent has typed lately, with the seconds since; since version 2.0.
    `digests`: whether this gateway reads digests (`ButtonChanged.others`); one before version 2.0 does not say so.
    """

    type: Literal["gateway.connections"] = "gateway.connections"
    incarnation: str
    counter: Whole
    agents: list[AgentConnection]
    chats: list[str] | None = None
    active: dict[str, float] | None = None
    writing: dict[str, float] | None = None
    leaving: bool = False
    digests: bool | None = None


class ListenerEcho(Event):
    """A message of a listener of `gateway.connections` to itself.

    Absence counts only while the listener receives it. `digests`: as for a gateway; the listener's service reads them.
    """

    type: Literal["listener.echo"] = "listener.echo"
    listener: str
    counter: Whole
    digests: bool | None = None
