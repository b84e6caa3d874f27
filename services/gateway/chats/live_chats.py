"""The chats that are followed here, and what their participants are sent about them.

No method here waits, except for a binding: frames are put into outboxes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import UNSET
from prometheus_client import Histogram

from services.common.clock import utcnow
from services.common.events.chats import ChatState, QueueChanged
from services.common.events.messages import CitizenPresence
from services.common.events.types import Cause, ChatStatus, Detail, Entry, Party, Revocation
from services.common.observability.tracing import span
from services.gateway.chats.bindings import Bindings
from services.gateway.chats.chat import InactivityWarnings, LiveChat
from services.gateway.chats.chat_state import DepartmentQueues, Place, State, is_news
from services.gateway.participants.sessions import AgentSession, CitizenSession, Registry, Session, citizen_of
from services.gateway.sending.send_queue import Receipt, Receipts
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits

# Why an agent lost a chat, as the protocol names it, where the reason is not `transferred` or `agent_left`.
LOST = {
    Detail.NOT_ACCEPTED: "not_accepted",
    Detail.UNANSWERED: "not_accepted",
    Detail.REFUSED: "refused",
    Detail.SILENT: "agent_silent",
}

DELIVERY_TIME = Histogram(
    "eloket_gateway_delivery_seconds",
    "From when its sender's gateway took a message until it was put into an outbox of the other party",
    ["to"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
_DELIVERED_TO = {
    Party.CITIZEN: DELIVERY_TIME.labels("agent"),
    Party.AGENT: DELIVERY_TIME.labels("citizen"),
}  # by the sender's party


class LiveChats:
    """One `LiveChat` for each chat, as long as it has a user: a session, or the answer to a hello."""

    def __init__(
        self,
        incarnation: str,
        registry: Registry,
        bindings: Bindings,
        allowances: MessageLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the collection. No chat is followed yet.

        Args:
            incarnation: The id of this process.
            registry: The sessions of this replica.
            bindings: The bindings of the gateway's queue.
            allowances: Limits that count each entry when it is received for the first time.
            clock: A monotonic clock, in seconds.
        """
        self.incarnation, self.registry, self.bindings, self.clock = incarnation, registry, bindings, clock
        self.by_id: dict[str, LiveChat] = {}
        self.of_agents: dict[str, set[str]] = {}  # agent → the chats shown to them
        self.receipts = Receipts()
        self.inactivity_warnings = InactivityWarnings(clock)
        self.listening_since = float("-inf")  # when the gateway's queue last started, by `clock`
        self._allowances = allowances
        self._department_queues = DepartmentQueues()

    def begin_listening(self) -> None:
        """Record that the gateway's queue has started. Earlier events may have been missed."""
        self.listening_since = self.clock()

    # ── users of a chat ──────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, chat_id: str) -> LiveChat:
        """Return the chat's `LiveChat`, bound to the queue. The caller gives it back with `release` or `close`.

        Raises:
            Unavailable: The chat could not be bound.
        """
        chat = self.by_id.setdefault(chat_id, LiveChat(chat_id))
        chat.users += 1
        try:
            await self.bindings.follow(chat_id)
        except BaseException:
            self._remove_user(chat)
            raise
        return chat

    def release(self, session: Session, chat: LiveChat) -> None:
        """Stop following the chat for this session."""
        self.detach(session, chat)
        self.close(chat)

    def close(self, chat: LiveChat) -> None:
        """Remove one user of the chat. The chat is forgotten with its last user."""
        self.bindings.unfollow(chat.chat_id)
        self._remove_user(chat)

    def _remove_user(self, chat: LiveChat) -> None:
        chat.users -= 1
        if chat.users <= 0 and self.by_id.get(chat.chat_id) is chat:
            del self.by_id[chat.chat_id]

    def attach(self, session: Session, chat: LiveChat, shown: int) -> None:
        """Let the session receive the chat live from here on. Everything up to `shown` was sent to it."""
        session.begin_live(chat.chat_id, shown)
        if session not in chat.members:
            chat.members.append(session)
        self.inactivity_warnings.show(session, chat)

    def detach(self, session: Session, chat: LiveChat) -> None:
        """Stop sending the chat to the session."""
        session.end_live(chat.chat_id)
        if session in chat.members:
            chat.members.remove(session)

    def drop(self, session: AgentSession, chat: LiveChat) -> None:
        """Stop following a chat that has ended or has another agent, for a session of an agent."""
        if session.unfollow(chat.chat_id):
            self.release(session, chat)

    # ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def pass_on(self, chat: LiveChat, entry: Entry) -> None:
        """Send an entry, the next in order, to every session that follows the chat live."""
        self.note_entry(chat, entry)
        self._allowances.stored(entry)
        framed: dict[Party, bytes] = {}
        for session in tuple(chat.members):
            if not session.advance(chat.chat_id, entry.seq):
                continue
            party = session.party
            if party not in framed:
                framed[party] = server.message(entry, entry.chat_id if party is Party.AGENT else None)
            session.note_stored(entry.chat_id, entry.sender_id, entry.id)
            with span("send", "message", "producer", None, {"eloket.to": party.value, "eloket.seq": entry.seq}):
                session.connection.send(framed[party])
        observe_delivery(entry, framed.get(Party.AGENT if entry.party is Party.CITIZEN else Party.CITIZEN, b""))
        self.receipts.settle(entry.chat_id, entry.sender_id, entry.id, Receipt(entry))
        if entry.is_seal:
            self.end(chat, entry)
        else:
            self.inactivity_warnings.spoke(chat, entry)

    def note_entry(self, chat: LiveChat, entry: Entry) -> None:
        """Record what an entry says about acceptance, just before it is shown.

        The entry that names the agent to the citizen is written at acceptance. The dot is therefore set
        to green before the citizen reads the entry.
        """
        if entry.event is not Cause.ASSIGNED or not entry.about or not entry.about.turn:
            return
        chat.introduced = max(chat.introduced, entry.about.turn)
        if chat.state and chat.state.turn == entry.about.turn and chat.state.offered:
            self.learn(chat, accepted=True)

    def end(self, chat: LiveChat, seal: Entry) -> None:
        """Send `closed` after the seal was shown, and close the citizen's websockets with code 1000."""
        reason = seal.reason.value if seal.reason else "inactive"
        if chat.state and chat.state.status is not ChatStatus.CLOSED:
            self.to_citizen(chat, server.status(ChatStatus.CLOSED, None, None, None))
        self.receipts.settle(chat.chat_id, "", None, Receipt(seal))
        for session in tuple(chat.members):
            if isinstance(session, CitizenSession):
                self.show_end(session, reason)
            elif isinstance(session, AgentSession):
                session.connection.send(server.Closed(chat_id=chat.chat_id, reason=reason).encode())
                session.note_end(chat.chat_id)
                self.drop(session, chat)
        for chats in self.of_agents.values():
            chats.discard(chat.chat_id)

    @staticmethod
    def show_end(session: CitizenSession, reason: str, code: Close = Close.ENDED) -> None:
        """Send the last frame of a citizen's connection, and close it."""
        session.connection.answer(server.Closed(reason=reason).encode())
        session.connection.close(code, reason)

    # ── state ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def note_state(self, chat: LiveChat, event: ChatState) -> None:
        """Merge an event about the chat's state into what is known. An older version is dropped."""
        if chat.state is None or event.v > chat.state.v:
            self.set_state(chat, State.of_event(event))
        elif event.v == chat.state.v:
            self.learn(chat, event.accepted)

    def set_state(self, chat: LiveChat, state: State) -> None:
        """Set a newer state: update the citizen's dot, and inform agents who do not have the chat any more."""
        before, chat.state = chat.state, state
        if state.status is ChatStatus.WAITING and state.place[0] is None:
            state.place = self._department_queues.place(state.department, chat.chat_id)
        if before is None or before.shown != state.shown:
            self.to_citizen(chat, server.status(*state.shown))
        if before and state.agent_id and before.turn != state.turn:  # the acceptance was of another attempt
            for session in self.registry.agents.of(state.agent_id):
                session.forget_acceptance(chat.chat_id)
        if state.accepted:
            chat.refusable_by = None
        self.inactivity_warnings.moved(chat)
        if state.status is not ChatStatus.CLOSED:
            self._take_back(chat, state)
        if state.revoked_by:
            self._shut_out(chat, state)

    def _shut_out(self, chat: LiveChat, state: State) -> None:
        """Close the citizen's connections, whose token was revoked. They are sent nothing more of the log.

        A citizen whom an agent has blocked keeps what their page shows; other pages take the conversation away.
        """
        code = Close.ENDED if state.revoked_by is Revocation.AGENT else Close.UNAUTHENTICATED
        for session in tuple(chat.members):
            if isinstance(session, CitizenSession):
                self.show_end(session, state.reason.value if state.reason else "inactive", code)

    def _take_back(self, chat: LiveChat, state: State) -> None:
        for agent_id, chats in self.of_agents.items():
            if chat.chat_id not in chats or agent_id == state.agent_id:
                continue
            chats.discard(chat.chat_id)
            left = "transferred" if state.cause is Cause.TRANSFERRED else "agent_left"
            reason = LOST.get(state.detail, left) if state.detail else left
            for session in self.registry.agents.of(agent_id):
                session.connection.send(server.Unassigned(chat_id=chat.chat_id, reason=reason).encode())
                self.drop(session, chat)

    def learn(self, chat: LiveChat, accepted: bool | None) -> None:
        """Record whether the chat is accepted, as said by a source that has the same version of the state."""
        state = chat.state
        if state is None or state.status is not ChatStatus.ASSIGNED or not state.learns(accepted):
            return
        before, state.accepted = state.shown, accepted
        if accepted:
            chat.refusable_by = None
        if state.shown != before:
            self.to_citizen(chat, server.status(*state.shown))
        self.inactivity_warnings.moved(chat)

    def note_queue(self, event: QueueChanged) -> None:
        """Record a published department queue, and set the position of each chat in it."""
        for chat_id, place in self._department_queues.take(event):
            if chat := self.by_id.get(chat_id):
                self.set_place(chat, place)

    def set_place(self, chat: LiveChat, place: Place) -> None:
        """Set the chat's position in its department queue.

        The citizen gets a `status` frame when the change is visible.
        """
        state = chat.state
        if state and state.status is ChatStatus.WAITING and is_news(state.place, place):
            state.place = place
            self.to_citizen(chat, server.status(*state.shown))

    # ── presence of the citizen ──────────────────────────────────────────────────────────────────────────────────────

    def note_citizen(self, chat: LiveChat, incarnation: str, online: bool) -> None:
        """Record that the citizen has a connection to a gateway, or has none to it any more."""
        if chat.citizen_at.note(incarnation, online, self.clock()):
            self.send_online(chat)

    def citizen_here(self, chat: LiveChat, online: bool) -> None:
        """Record that the citizen's first connection to this gateway opened, or that the last one closed."""
        self.note_citizen(chat, self.incarnation, online)

    def online_here(self, chat_id: str) -> bool:
        """Whether the citizen has a connection to this gateway."""
        return citizen_of(chat_id) in self.registry.citizens

    def send_online(self, chat: LiveChat) -> None:
        """Send the chat's agents whether its citizen is online."""
        self.to_agents(chat, self.citizen_frame(chat))

    def citizen_frame(self, chat: LiveChat) -> bytes:
        """Return the frame for agents with the citizen's name, and whether they are online."""
        return server.CitizenOnline(
            chat_id=chat.chat_id, online=chat.citizen_at.online, name=chat.citizen_name or UNSET
        ).encode()

    def note_name(self, chat: LiveChat, name: str | None) -> None:
        """Record the name that the citizen gave, for messages from here on, and show it to the chat's agents."""
        if not name or name == chat.citizen_name:
            return
        chat.citizen_name = name
        for session in chat.members:
            if isinstance(session, CitizenSession):
                session.rename(name)
        self.send_online(chat)

    def presence_asked(self, chat_id: str) -> CitizenPresence:
        """Return the event that asks the other gateways whether they have the citizen."""
        online = self.online_here(chat_id)
        return CitizenPresence(chat_id=chat_id, incarnation=self.incarnation, online=online, asked=True)

    # ── frames out ───────────────────────────────────────────────────────────────────────────────────────────────────

    def to_citizen(self, chat: LiveChat, frame: bytes) -> None:
        """Send a frame to the citizen's connections that follow the chat live."""
        for session in chat.members:
            if session.party is Party.CITIZEN:
                session.connection.send(frame)

    def to_agents(self, chat: LiveChat, frame: bytes) -> None:
        """Send a frame to the agents' connections that follow the chat live."""
        for session in chat.members:
            if session.party is Party.AGENT:
                session.connection.send(frame)


def observe_delivery(entry: Entry, shown: bytes) -> None:
    """Observe the delivery of an entry to the other party.

    Only a live event has the time when the message was posted. An entry that is read again, after a gap or by a
    repetition, does not count.

    Args:
        entry: The entry.
        shown: The frame that was sent; empty when no connection of the other party follows the chat here.
    """
    if shown and entry.posted_at:
        _DELIVERED_TO[entry.party].observe(max(0.0, (utcnow() - entry.posted_at).total_seconds()))
