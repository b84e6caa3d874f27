"""Exchange, queues, routing keys and dead letters, defined once. No I/O.

One durable topic exchange carries all events. A routing key is the event's type; events that gateways follow by chat or
agent have the id as a third word, so that a gateway binds `*.*.<id>` once for everything about that chat or agent.
Durable queues are quorum queues named `<consumer>.<subject>`, one handler each, with a delivery limit and a dead-letter
queue for each service (RabbitMQ manual, "Quorum Queues": poison messages, at-least-once dead lettering).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.common.events.agents import AgentChanged, ButtonChanged, SessionEnded
from services.common.events.chats import ChatState, QueueChanged
from services.common.events.event import Event
from services.common.events.messages import (
    CitizenPresence,
    CitizenSilent,
    CitizenStayed,
    MessageRefused,
    MessagesStored,
    MessageStored,
    NoteStored,
    ReadShown,
    TypingShown,
)

EXCHANGE = "eloket"
DEAD_EXCHANGE = "eloket.dead"
DELIVERY_LIMIT = 20
BUTTON_INTERVAL = 2.0  # seconds between repetitions of every department's colour
MOST_DEPARTMENTS = 200  # departments in one digest: a message of about 30 kB
HEARTBEAT_INTERVAL = 2.0  # seconds between a gateway's lists of connections
WRITING_LASTS = 10.0  # seconds after which an agent who typed in a chat does not count as writing there any more
ACTIVE_LASTS = 15.0  # seconds for which an agent counts as active after their page reported it
MOST_TOGETHER = 16  # events in one broker message: most of the gain, with few events of other chats
MESSAGES_MAX_LENGTH = 1_000_000  # messages that may wait for transcripts before publishers are refused


@dataclass(frozen=True)
class Queue:
    """A durable queue, the events that it is bound to, and the service that consumes it."""

    name: str
    keys: tuple[str, ...]
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """The service that consumes it."""
        return self.name.split(".", 1)[0]

    @property
    def dead_letters(self) -> str:
        """The name of the service's dead-letter queue."""
        return f"{self.service}.dead-letters"

    @property
    def declaration(self) -> dict[str, Any]:
        """The arguments with which the queue is declared."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD_EXCHANGE,
            "x-dead-letter-routing-key": self.service,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            **self.arguments,
        }


PRESENCE_WANTED = Queue("presence.wanted", ("place.wanted",))
PRESENCE_CHATS = Queue("presence.chats", ("chat.state.*",))
PRESENCE_QUEUES = Queue("presence.queues", ("queue.changed.*",))
PRESENCE_STATES = Queue("presence.states", ("state.requested", "accept.overdue"))
PRESENCE_WRAPUPS = Queue("presence.wrapups", ("wrapup.done",))
ROUTING_CHATS = Queue(
    "routing.chats", ("chat.opened", "citizen.arrived", "close.requested", "chat.accepted", "transfer.refused")
)
ROUTING_PLACES = Queue("routing.places", ("place.claimed", "place.released", "places.changed"))
ROUTING_ANSWERS = Queue("routing.answers", ("answer.overdue",))
TRANSCRIPTS_MESSAGES = Queue(
    "transcripts.messages",
    ("message.posted", "messages.posted", "chat.opened", "chat.state.*"),
    {"x-max-length": MESSAGES_MAX_LENGTH},
)
TRANSCRIPTS_NOTES = Queue("transcripts.notes", ("note.posted",))
TRANSCRIPTS_SILENCES = Queue("transcripts.silences", ("citizen.stayed.*",))
TRANSCRIPTS_OUTBOX = Queue("transcripts.outbox", ("chat.opened", "chat.state.*", "button.changed.*"))
TRANSCRIPTS_STATISTICS = Queue("transcripts.statistics", ("wrapup.ended", "pause.ended"))
TRANSCRIPTS_IDENTIFICATIONS = Queue(
    "transcripts.identifications", ("identification.asked", "identification.declined", "identification.ended")
)

QUEUES = (
    PRESENCE_WANTED,
    PRESENCE_CHATS,
    PRESENCE_QUEUES,
    PRESENCE_STATES,
    PRESENCE_WRAPUPS,
    ROUTING_CHATS,
    ROUTING_PLACES,
    ROUTING_ANSWERS,
    TRANSCRIPTS_MESSAGES,
    TRANSCRIPTS_NOTES,
    TRANSCRIPTS_SILENCES,
    TRANSCRIPTS_OUTBOX,
    TRANSCRIPTS_STATISTICS,
    TRANSCRIPTS_IDENTIFICATIONS,
)

DEAD_LETTER_DECLARATION: dict[str, Any] = {"x-queue-type": "quorum"}

# A gateway's own queue: exclusive and transient. When full it drops its oldest; the gap is read from transcripts.
GATEWAY_QUEUE_ARGUMENTS: dict[str, Any] = {"x-max-length": 20_000, "x-overflow": "drop-head"}
GATEWAY_KEYS = ("button.changed.*", "queue.changed.*")
# A listener's own queue for heartbeats: exclusive and transient, never a backlog.
LISTENER_QUEUE_ARGUMENTS: dict[str, Any] = {"x-max-length": 2_000, "x-overflow": "drop-head", "x-message-ttl": 6_000}
LISTENER_KEYS = ("gateway.connections", "listener.echo")
# A process's own queue for the departments, where presence stores them: exclusive and transient. What it drops comes
# again, because versions are repeated and asked for.
CONFIGURATION_QUEUE_ARGUMENTS: dict[str, Any] = {"x-max-length": 50, "x-overflow": "drop-head", "x-message-ttl": 30_000}
CONFIGURATION_KEYS: dict[str, str] = {
    "presence": "configuration.wanted",
    **dict.fromkeys(("gateway", "routing", "transcripts"), "configuration.version"),
}

TRANSIENT = (
    *("gateway.connections", "listener.echo", "typing.shown", "read.shown", "citizen.presence"),
    *("configuration.version", "configuration.wanted"),
)
# Events to which no queue may be bound at the moment. All others are published as mandatory.
UNHEARD = (
    *TRANSIENT,
    "message.stored",
    "messages.stored",
    "message.refused",
    "note.stored",
    "agent.changed",
    "session.ended",
    "button.changed",
    "citizen.silent",
)

# Publishers of each event. The rights on the broker are generated from this (deploy/manifests/rights.py).
PUBLISHED: dict[str, tuple[str, ...]] = {
    "gateway": (
        *("chat.opened", "citizen.arrived", "citizen.presence", "citizen.stayed", "close.requested"),
        *("chat.accepted", "transfer.refused", "state.requested", "gateway.connections", "wrapup.done"),
        *("message.posted", "messages.posted", "note.posted", "typing.shown", "read.shown"),
        *("identification.asked", "identification.declined"),
        "configuration.wanted",
    ),
    "presence": (
        *("place.claimed", "place.released", "places.changed", "button.changed"),
        *("agent.changed", "session.ended", "listener.echo", "wrapup.ended", "pause.ended"),
        "identification.ended",
        "configuration.version",
    ),
    "routing": (
        *("chat.state", "queue.changed", "place.wanted", "accept.overdue", "listener.echo"),
        "configuration.wanted",
    ),
    "transcripts": (
        *("message.stored", "messages.stored", "message.refused", "note.stored", "citizen.silent", "answer.overdue"),
        *("close.requested", "message.posted", "note.posted"),  # the last two: a poison event of a batch
        "configuration.wanted",
    ),
}

_BY_CHAT = (
    ChatState,
    MessageStored,
    MessagesStored,
    MessageRefused,
    NoteStored,
    TypingShown,
    ReadShown,
    CitizenPresence,
    CitizenSilent,
    CitizenStayed,
)


def routing_key(event: Event) -> str:
    """Return the key under which this event is published."""
    if isinstance(event, _BY_CHAT):
        return f"{event.type}.{event.chat_id}"
    if isinstance(event, AgentChanged | SessionEnded):
        return f"{event.type}.{event.agent_id}"
    if isinstance(event, ButtonChanged | QueueChanged):
        return f"{event.type}.{event.department}"
    return event.type


def copies(event: Event) -> list[str]:
    """Return further keys of the same message (RabbitMQ manual, "Sender-Selected Distribution").

    A batch of entries reaches every gateway that follows one of their chats. An agent who gets or loses a chat is
    informed before their gateway follows that chat. A gateway whose supervisors see a department follows its id: it
    gets the states of the department's chats and agents. A queue gets only one copy.
    """
    if isinstance(event, MessagesStored):
        return [f"{event.type}.{c}" for c in dict.fromkeys(e.chat_id for e in event.entries) if c != event.chat_id]
    if isinstance(event, ChatState):
        concerned = (event.agent_id, event.former_agent_id, event.department, *(event.former_departments or ()))
        return [f"{event.type}.{one}" for one in dict.fromkeys(concerned) if one]
    if isinstance(event, AgentChanged):
        return [f"{event.type}.{department}" for department in event.departments or ()]
    return []


def binding_of(id_: str) -> str:
    """Return the key with which a gateway binds everything about one chat, one agent or one department."""
    return f"*.*.{id_}"
