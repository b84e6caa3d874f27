"""The gateway's own queue of events, and what each event means for the chats, agents and buttons of this gateway.

The queue is exclusive, transient, and bound to what the gateway serves. After any loss of its connection the gateway
starts over: it declares a new queue with a new name, binds everything, consumes, and requests what may have been missed
(`jobs/resync.py`).
"""

from __future__ import annotations

import asyncio

import structlog
from aio_pika.abc import AbstractChannel, AbstractQueue
from aiormq.abc import DeliveredMessage
from msgspec import UNSET
from pydantic import ValidationError

from services.common.clock import CLOCK
from services.common.events.agents import AgentChanged, ButtonChanged, SessionEnded
from services.common.events.chats import ChatState, QueueChanged
from services.common.events.codec import decode
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
from services.common.events.types import AgentState, ChatStatus, Entry, Party
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, underlay
from services.common.messaging.declarations import prepare_topology
from services.common.observability.tracing import span
from services.gateway.button_state import Buttons
from services.gateway.chats.bindings import Bindings
from services.gateway.chats.subscriptions import Subscriptions
from services.gateway.jobs.resync import Resync
from services.gateway.participants.agent import AgentHandler
from services.gateway.participants.citizen import CitizenHandler
from services.gateway.participants.own_departments import OwnDepartments
from services.gateway.sending.send_queue import Receipt, Refusal
from services.gateway.supervision.live import Live
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.server import Close

log = structlog.get_logger()
PREPARE_LIMIT = 30.0  # seconds


class EventQueue:
    """Consumer that passes each event to the router, in the order of the queue."""

    def __init__(self, url: str, bindings: Bindings, router: EventRouter, given: bool = False) -> None:
        """Create a queue that is not connected yet; `run` connects it.

        Args:
            url: The address of the broker.
            bindings: What the queue is bound to.
            router: Handles each event, each start of the queue and each loss.
            given: True when exchanges, queues and bindings are declared outside this service (`TOPOLOGY`).
        """
        self._bindings, self._router, self._given = bindings, router, given
        self._queue: AbstractQueue | None = None
        self.link = BrokerConnection(url, "gateway.live", self._prepare, self._lose)

    @property
    def name(self) -> str | None:
        """The queue's name at the broker; None while there is no queue."""
        return self._queue.name if self._queue else None

    async def run(self) -> None:
        """Maintain the queue and its bindings until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.link.run())
            group.create_task(self._bindings.run())

    async def _prepare(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(PREPARE_LIMIT):
            await prepare_topology(channel, "gateway", self._given)
            queue = await channel.declare_queue(
                exclusive=True, auto_delete=True, arguments=topology.GATEWAY_QUEUE_ARGUMENTS
            )
        bound = await self._bindings.bind_all(queue)
        async with asyncio.timeout(PREPARE_LIMIT):
            direct = await underlay(channel)
            await direct.basic_consume(queue.name, self._deliver, no_ack=True)
        self._queue = queue
        self._bindings.begin(queue, bound, self.link.up)
        self._router.queue_started()

    def _lose(self) -> None:
        self._queue = None
        self._bindings.lose()
        self._router.queue_lost()

    async def _deliver(self, message: DeliveredMessage) -> None:
        try:
            event = decode(message.body)
        except ValidationError:
            log.warning("live_event_not_understood", type=message.header.properties.message_type)
            return
        header = (message.header.properties.headers or {}).get("traceparent", "")
        with span("process", event.type, "consumer", header):
            self._router.handle(event)


class EventRouter:
    """Handler of the events that arrive in the gateway's queue. `EventQueue` calls it.

    No method here waits: frames are put into outboxes. Work that needs an answer of another service (a gap in a log, a
    newly assigned chat) is started as a task by the object that does it.
    """

    def __init__(
        self,
        following: Subscriptions,
        citizens: CitizenHandler,
        agents: AgentHandler,
        buttons: Buttons,
        resync: Resync,
        live: Live,
        own: OwnDepartments,
    ) -> None:
        self._live, self._own = live, own
        self._chats, self._registry, self._following = following.chats, following.chats.registry, following
        self._citizens, self._agents, self._buttons, self._resync = citizens, agents, buttons, resync

    def queue_started(self) -> None:
        """Request what may have been missed. Called after each new start of the gateway's queue."""
        self._chats.begin_listening()
        self._resync.request()
        self._live.begin_listening()

    def queue_lost(self) -> None:
        """Show the buttons as unknown. Called when the connection of the gateway's queue is lost."""
        self._buttons.refresh()

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
            self._chats.note_queue(event)
            self._buttons.note_queue(event)
            self._own.note_queue(event)
        elif isinstance(event, ButtonChanged):
            self._button(event)
        elif isinstance(event, MessageRefused):
            self._chats.receipts.settle(event.chat_id, event.sender_id, event.id, Refusal(event.code.value))
        elif isinstance(event, TypingShown | ReadShown):
            self._shown(event)
        elif isinstance(event, NoteStored):
            self._note(event)
        elif isinstance(event, CitizenPresence):
            self._citizen(event)
        elif isinstance(event, CitizenSilent | CitizenStayed):
            self._inactive(event)
        elif isinstance(event, AgentChanged):
            self._agents.note_state(event)
        elif isinstance(event, SessionEnded):
            self._session_ended(event)
        self._live.note(event)

    def _stored(self, entry: Entry) -> None:
        chat = self._chats.by_id.get(entry.chat_id)
        if chat is None:
            return
        repeated = entry.seq <= (chat.cursor.last or 0)
        for passed in chat.cursor.take(entry):
            self._chats.pass_on(chat, passed)
        self._chats.receipts.settle(entry.chat_id, entry.sender_id, entry.id, Receipt(entry, repeated))
        if chat.cursor.behind:
            self._following.gap(chat)

    def _chat_state(self, event: ChatState) -> None:
        if chat := self._chats.by_id.get(event.chat_id):
            self._chats.note_state(chat, event)
        agent_id = event.agent_id
        if event.state is not ChatStatus.ASSIGNED or not agent_id:
            return
        # Another tab may know the chat already, from the answer to its hello.
        if any(event.chat_id not in c.followed for c in self._registry.agents.of(agent_id)):
            self._agents.assigned(agent_id, event.chat_id)

    def _button(self, event: ButtonChanged) -> None:
        if off := CLOCK.set_by(event.occurred_at):
            log.warning("clock_set", seconds=round(off, 3))
        self._buttons.handle(event)

    def _shown(self, event: TypingShown | ReadShown) -> None:
        if (chat := self._chats.by_id.get(event.chat_id)) is None:
            return
        chat_id = UNSET if event.party is Party.AGENT else event.chat_id
        frame: server.Read | server.Typing
        if isinstance(event, ReadShown):
            seq = chat.read[event.party] = max(event.seq, chat.read.get(event.party, 0))
            frame = server.Read(chat_id=chat_id, from_=event.party, seq=seq)
        else:
            frame = server.Typing(chat_id=chat_id, from_=event.party, active=event.active)
        if event.party is Party.AGENT:
            self._chats.to_citizen(chat, frame.encode())
        else:
            self._chats.to_agents(chat, frame.encode())

    def _note(self, event: NoteStored) -> None:
        if chat := self._chats.by_id.get(event.chat_id):
            for session in chat.members:
                session.note_stored(event.chat_id, event.note.agent_id, event.note.id)
            self._chats.to_agents(chat, server.note(event.note))
        self._chats.receipts.settle(event.chat_id, event.note.agent_id, event.note.id, Receipt(None))

    def _citizen(self, event: CitizenPresence) -> None:
        if (chat := self._chats.by_id.get(event.chat_id)) is None:
            return
        self._chats.note_citizen(chat, event.incarnation, event.online)
        self._chats.note_name(chat, event.name)
        if event.asked and event.incarnation != self._chats.incarnation:
            self._citizens.answer_presence(chat)

    def _inactive(self, event: CitizenSilent | CitizenStayed) -> None:
        if (chat := self._chats.by_id.get(event.chat_id)) is None:
            return
        if isinstance(event, CitizenSilent):
            self._chats.inactivity_warnings.warn(chat, event)
        else:
            self._chats.inactivity_warnings.stayed(chat)

    def _session_ended(self, event: SessionEnded) -> None:
        for session in self._registry.agents.of(event.agent_id):
            if session.session_id == event.session_id:
                if event.cause:  # the page says who has logged the agent out
                    session.connection.send(server.State(state=AgentState.PAUSED, reason="logged_out").encode())
                session.connection.close(Close.UNAUTHENTICATED, "logged out")
        self._registry.agents_changed.set()
