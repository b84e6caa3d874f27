"""Routing of events from the broker to the websockets of this replica: its chats and its agents.

No method here waits: events arrive, and frames are put into outboxes. Work that needs an answer of another service (a
gap in a log, a newly assigned chat) is started as a task (`subscriptions.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

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
from services.common.events.types import Cause, ChatStatus, Detail, Entry, Party
from services.common.observability.tracing import span
from services.gateway.chats.citizen_presence import Attendance
from services.gateway.chats.inactivity import InactivityWarnings, Quiet
from services.gateway.chats.log_cursor import Position, State
from services.gateway.chats.queue_positions import DepartmentQueues, Place, is_news
from services.gateway.sending.delivery_metrics import delivered
from services.gateway.sending.receipts import Receipt, Receipts, Refusal
from services.gateway.websocket.connection import Connection, Register
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.server import Close

log = structlog.get_logger()
# Why an agent lost a chat, as the protocol names it, where the reason is not `transferred` or `agent_left`.
LOST = {Detail.NOT_ACCEPTED: "not_accepted", Detail.UNANSWERED: "not_accepted", Detail.REFUSED: "refused"}


@dataclass(slots=True)
class LiveChat:
    """A chat that is followed here: its position in the log, its state, and the connections that receive it live."""

    chat_id: str
    position: Position = field(default_factory=Position)
    state: State | None = None
    members: list[Connection] = field(default_factory=list)
    users: int = 0
    citizen_at: Attendance = field(default_factory=Attendance)
    quiet: Quiet = field(default_factory=Quiet)
    read: dict[Party, int] = field(default_factory=dict)
    gap_read_due: bool = False
    refusable_by: str | None = None  # the agent to whom it was transferred and who has not accepted it
    introduced: int = 0  # the latest attempt whose entry "connected with ..." is known


class EventRouter:
    """Router of events to connections. It calls back for what an event needs beyond frames."""

    def __init__(
        self,
        incarnation: str,
        gap: Callable[[LiveChat], None],
        assigned: Callable[[str, str], None],
        button: Callable[[ButtonChanged], None],
        answer_presence: Callable[[LiveChat], None],
        dropped: Callable[[Connection, LiveChat], None],
        agents_changed: Callable[[], None] = lambda: None,
        said: Callable[[Entry], None] = lambda entry: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a router that has no connections yet.

        Args:
            incarnation: The id of this process.
            gap: Called when entries of a chat's log are missing.
            assigned: Called with an agent and a chat when routing has assigned the chat to an agent who is
                connected here.
            button: Called with each event about a button.
            answer_presence: Called when another gateway asks whether the citizen of this chat is connected here.
            dropped: Called when an agent's connection no longer follows a chat.
            agents_changed: Called when connections of agents are being closed.
            said: Called with each entry that is received for the first time.
            clock: A monotonic clock, in seconds.
        """
        self.incarnation, self.clock = incarnation, clock
        self.register = Register()
        self.channels: dict[str, LiveChat] = {}
        self.desks: dict[str, set[str]] = {}  # agent → the chats shown to them
        self.receipts = Receipts()
        self.inactivity_warnings = InactivityWarnings(clock)
        self._department_queues = DepartmentQueues()
        self._agent_states: dict[str, AgentChanged] = {}
        self._gap, self._assigned, self._button = gap, assigned, button
        self._answer_presence, self._dropped, self._said = answer_presence, dropped, said
        self._agents_changed = agents_changed

    # ── events in ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def handle(self, event: Event) -> None:
        """Handle one event from the broker. An event about something that is not served here is ignored."""
        if isinstance(event, MessageStored):
            self._stored(event.entry)
        elif isinstance(event, MessagesStored):
            for entry in event.entries:
                self._stored(entry)
        elif isinstance(event, ChatState):
            self._chat_state(event)
        elif isinstance(event, QueueChanged):
            self._queue_changed(event)
        elif isinstance(event, ButtonChanged):
            self._button(event)
        elif isinstance(event, MessageRefused):
            self.receipts.settle(event.chat_id, event.sender_id, event.id, Refusal(event.code.value))
        elif isinstance(event, TypingShown | ReadShown):
            self._shown(event)
        elif isinstance(event, NoteStored):
            self._to_agents(event.chat_id, server.note(event.note))
            self.receipts.settle(event.chat_id, event.note.agent_id, event.note.id, Receipt(None))
        elif isinstance(event, CitizenPresence):
            self._citizen(event)
        elif isinstance(event, CitizenSilent | CitizenStayed):
            self._silence(event)
        elif isinstance(event, AgentChanged):
            self._agent_changed(event)
        elif isinstance(event, SessionEnded):
            for connection in self.register.of(event.agent_id):
                if connection.session_id == event.session_id:
                    connection.close(Close.UNAUTHENTICATED, "logged out")
            self._agents_changed()

    def _stored(self, entry: Entry) -> None:
        channel = self.channels.get(entry.chat_id)
        if channel is None:
            return
        repeated = entry.seq <= (channel.position.last or 0)
        for passed in channel.position.take(entry):
            self.pass_on(channel, passed)
        self.receipts.settle(entry.chat_id, entry.sender_id, entry.id, Receipt(entry, repeated))
        if channel.position.behind:
            self._gap(channel)

    def pass_on(self, channel: LiveChat, entry: Entry) -> None:
        """Send an entry, the next in order, to every connection that follows the chat live."""
        self.note_entry(channel, entry)
        self._said(entry)
        framed: dict[Party, bytes] = {}
        for connection in tuple(channel.members):
            if connection.shown.get(channel.chat_id, entry.seq) != entry.seq - 1:
                continue
            connection.shown[channel.chat_id] = entry.seq
            party = connection.party
            if party not in framed:
                framed[party] = server.message(entry, entry.chat_id if party is Party.AGENT else None)
            with span("send", "message", "producer", None, {"eloket.to": party.value, "eloket.seq": entry.seq}):
                connection.send(framed[party])
        delivered(entry, framed.get(Party.AGENT if entry.party is Party.CITIZEN else Party.CITIZEN, b""))
        self.receipts.settle(entry.chat_id, entry.sender_id, entry.id, Receipt(entry))
        if entry.is_seal:
            self.end(channel, entry)
        else:
            self.inactivity_warnings.spoke(channel, entry)

    def note_entry(self, channel: LiveChat, entry: Entry) -> None:
        """Record what an entry says about acceptance, just before it is shown.

        The entry that tells the citizen with whom they are connected is written at acceptance. The dot is therefore set
        to green before the citizen reads the entry.
        """
        if entry.event is not Cause.ASSIGNED or not entry.about or not entry.about.turn:
            return
        channel.introduced = max(channel.introduced, entry.about.turn)
        if channel.state and channel.state.turn == entry.about.turn and channel.state.offered:
            self.learn(channel, accepted=True)

    def learn(self, channel: LiveChat, accepted: bool | None) -> None:
        """Record whether the chat is accepted, as said by a source that has the same version of the state."""
        state = channel.state
        if state is None or state.status is not ChatStatus.ASSIGNED or not state.learns(accepted):
            return
        before, state.accepted = state.shown, accepted
        if accepted:
            channel.refusable_by = None
        if state.shown != before:
            self._to_citizen(channel, server.status(*state.shown))
        self.inactivity_warnings.moved(channel)

    def end(self, channel: LiveChat, seal: Entry) -> None:
        """Send `closed` after the seal was shown, and close the citizen's websockets with code 1000."""
        reason = seal.reason.value if seal.reason else "inactive"
        if channel.state and channel.state.status is not ChatStatus.CLOSED:
            self._to_citizen(channel, server.status(ChatStatus.CLOSED, None, None, None))
        self.receipts.settle(channel.chat_id, "", None, Receipt(seal))
        for connection in tuple(channel.members):
            if connection.party is Party.CITIZEN:
                self.show_end(connection, reason)
            else:
                connection.send(server.frame("closed", chat_id=channel.chat_id, reason=reason))
                connection.ended.append(channel.chat_id)
                self._dropped(connection, channel)
        for chats in self.desks.values():
            chats.discard(channel.chat_id)

    @staticmethod
    def show_end(connection: Connection, reason: str) -> None:
        """Send the last frame of a citizen's connection, and close it."""
        connection.answer(server.frame("closed", reason=reason))
        connection.close(Close.ENDED, reason)

    def _chat_state(self, event: ChatState) -> None:
        channel = self.channels.get(event.chat_id)
        if channel is not None and (channel.state is None or event.v > channel.state.v):
            self.set_state(channel, State.of_event(event))
        elif channel is not None and channel.state and event.v == channel.state.v:
            self.learn(channel, event.accepted)
        agent_id = event.agent_id
        here = event.state is ChatStatus.ASSIGNED and agent_id in self.register.by_participant
        # Another tab may know the chat already, from the answer to its hello.
        if here and agent_id and any(event.chat_id not in c.followed for c in self.register.of(agent_id)):
            self._assigned(agent_id, event.chat_id)

    def set_state(self, channel: LiveChat, state: State) -> None:
        """Set a newer state: update the citizen's dot, and inform agents who do not have the chat any more."""
        before, channel.state = channel.state, state
        if state.status is ChatStatus.WAITING and state.place[0] is None:
            state.place = self._department_queues.place(state.department, channel.chat_id)
        if before is None or before.shown != state.shown:
            self._to_citizen(channel, server.status(*state.shown))
        if before and state.agent_id and before.turn != state.turn:  # the acceptance was of another attempt
            for connection in self.register.of(state.agent_id):
                connection.forget_acceptance(channel.chat_id)
        if state.accepted:
            channel.refusable_by = None
        self.inactivity_warnings.moved(channel)
        if state.status is not ChatStatus.CLOSED:
            self._take_back(channel, state)

    def _take_back(self, channel: LiveChat, state: State) -> None:
        for agent_id, chats in self.desks.items():
            if channel.chat_id not in chats or agent_id == state.agent_id:
                continue
            chats.discard(channel.chat_id)
            left = "transferred" if state.cause is Cause.TRANSFERRED else "agent_left"
            reason = LOST.get(state.detail, left) if state.detail else left
            for connection in self.register.of(agent_id):
                connection.send(server.frame("unassigned", chat_id=channel.chat_id, reason=reason))
                self._dropped(connection, channel)

    def _queue_changed(self, event: QueueChanged) -> None:
        for chat_id, place in self._department_queues.take(event):
            if channel := self.channels.get(chat_id):
                self.set_place(channel, place)

    def set_place(self, channel: LiveChat, place: Place) -> None:
        """Set the chat's position in its department queue.

        The citizen gets a `status` frame when the change is visible.
        """
        state = channel.state
        if state and state.status is ChatStatus.WAITING and is_news(state.place, place):
            state.place = place
            self._to_citizen(channel, server.status(*state.shown))

    def _shown(self, event: TypingShown | ReadShown) -> None:
        if (channel := self.channels.get(event.chat_id)) is None:
            return
        members: dict[str, object] = {"from": event.party.value}
        if isinstance(event, ReadShown):
            members["seq"] = channel.read[event.party] = max(event.seq, channel.read.get(event.party, 0))
        else:
            members["active"] = event.active
        kind = event.type.split(".")[0]
        if event.party is Party.AGENT:
            self._to_citizen(channel, server.frame(kind, **members))
        else:
            self._to_agents(event.chat_id, server.frame(kind, chat_id=event.chat_id, **members))

    def _citizen(self, event: CitizenPresence) -> None:
        if (channel := self.channels.get(event.chat_id)) is None:
            return
        if channel.citizen_at.note(event.incarnation, event.online, self.clock()):
            self.send_online(channel)
        if event.asked and event.incarnation != self.incarnation:
            self._answer_presence(channel)

    def send_online(self, channel: LiveChat) -> None:
        """Send the chat's agents whether its citizen is online."""
        shown = server.frame("citizen", chat_id=channel.chat_id, online=channel.citizen_at.online)
        self._to_agents(channel.chat_id, shown)

    def presence_asked(self, chat_id: str) -> CitizenPresence:
        """Return the event that asks the other gateways whether they have the citizen."""
        online = self.online_here(chat_id)
        return CitizenPresence(chat_id=chat_id, incarnation=self.incarnation, online=online, asked=True)

    def citizen_here(self, channel: LiveChat, online: bool) -> None:
        """Record that the citizen's first connection to this gateway opened, or that the last one closed."""
        if channel.citizen_at.note(self.incarnation, online, self.clock()):
            self.send_online(channel)

    def _silence(self, event: CitizenSilent | CitizenStayed) -> None:
        if (channel := self.channels.get(event.chat_id)) and isinstance(event, CitizenSilent):
            self.inactivity_warnings.warn(channel, event)
        elif channel:
            self.inactivity_warnings.stayed(channel)

    def _agent_changed(self, event: AgentChanged) -> None:
        known = self._agent_states.get(event.agent_id)
        if (known and event.v <= known.v) or not self.register.of(event.agent_id):
            return
        self._agent_states[event.agent_id] = event
        for connection in self.register.of(event.agent_id):
            if connection.answered:  # otherwise the welcome, or a frame sent with it, has the state
                connection.send(server.frame("state", state=event.state.value, reason=event.cause))

    def newer_state(self, agent_id: str, v: int) -> bytes | None:
        """Return the agent's `state` frame when a version newer than `v` is known, else None."""
        known = self._agent_states.get(agent_id)
        return server.frame("state", state=known.state.value, reason=known.cause) if known and known.v > v else None

    # ── frames out ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _to_citizen(self, channel: LiveChat, frame: bytes) -> None:
        for connection in channel.members:
            if connection.party is Party.CITIZEN:
                connection.send(frame)

    def _to_agents(self, chat_id: str, frame: bytes) -> None:
        channel = self.channels.get(chat_id)
        for connection in channel.members if channel else ():
            if connection.party is Party.AGENT:
                connection.send(frame)

    # ── subscriptions ────────────────────────────────────────────────────────────────────────────────────────────────

    def attach(self, connection: Connection, channel: LiveChat, shown: int) -> None:
        """Let the connection receive the chat live from here on. Everything up to `shown` was sent to it."""
        connection.shown[channel.chat_id] = shown
        if connection not in channel.members:
            channel.members.append(connection)
        self.inactivity_warnings.show(connection, channel)

    def unfollow(self, connection: Connection, channel: LiveChat) -> None:
        """Stop sending the chat to the connection."""
        connection.shown.pop(channel.chat_id, None)
        if connection in channel.members:
            channel.members.remove(connection)

    def online_here(self, chat_id: str) -> bool:
        """Whether the citizen has a connection to this gateway."""
        return f"citizen/{chat_id}" in self.register.by_participant
