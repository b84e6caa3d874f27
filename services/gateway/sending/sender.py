"""Sender of send queues: publish queued messages one at a time, each until it is acknowledged or refused."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from msgspec import UNSET
from prometheus_client import Counter, Gauge, Histogram

from services.common.clock import utcnow
from services.common.events.chats import ChatAccepted, CloseRequested
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessagesPosted, NotePosted
from services.common.events.types import Block, CloseReason, Party
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.observability.tracing import begin_trace, span, traceparent
from services.gateway.background_tasks import Tasks
from services.gateway.chats.live_chats import LiveChats
from services.gateway.participants.sessions import AgentSession, Session
from services.gateway.refusal_log import REFUSALS
from services.gateway.sending.send_queue import Item, Outcome, Refusal, SendQueue, after_attempt
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.client import End, Post, WriteNote
from services.gateway.websocket.message_limits import MessageLimits

log = structlog.get_logger()

FRAMES = Gauge("eloket_gateway_unreceipted", "Frames of browsers that are here, with neither receipt nor refusal yet")
OLDEST = Gauge("eloket_gateway_unreceipted_oldest_seconds", "How long the oldest of them has waited")
UNDER_WAY = 2  # unconfirmed broker messages from which on messages wait to be published together
PACE = 0.004  # seconds between two broker messages that are not full: what comes meanwhile goes together
Posted = tuple[MessagePosted, str, asyncio.Future[None]]
_UNAVAILABLE = Refusal("unavailable")
AFTER_DISCONNECT = 30.0  # seconds for which queued messages are still published after the browser has disconnected
RECEIPT_TIME = Histogram(
    "eloket_gateway_receipt_seconds",
    "From the first attempt to publish a message until its receipt",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
)
REFUSED = Counter("eloket_gateway_refused_total", "Frames refused to their sender", ["code"])
REFUSED.labels("unavailable")  # exported from the start, so that the first one counts as an increase


class Pending:
    """The send queues that are being processed.

    Queues of browsers that have disconnected do not count: their messages are published all the same, but no browser
    waits for the receipt, and this gateway may not receive it any more.
    """

    def __init__(self) -> None:
        self._send_queues: dict[int, tuple[SendQueue, Session]] = {}
        FRAMES.set_function(self.frames)
        OLDEST.set_function(self.oldest)

    def begin(self, queue: SendQueue, session: Session) -> None:
        """Add a queue that has a message of this session."""
        self._send_queues[id(queue)] = queue, session

    def end(self, queue: SendQueue) -> None:
        """Remove a queue that is not processed any more."""
        self._send_queues.pop(id(queue), None)

    def frames(self) -> int:
        """Return the number of frames that wait for their receipt."""
        return sum(len(queue.items) for queue in self._waited_for())

    def oldest(self) -> float:
        """Return the seconds since the oldest of these frames was taken; 0 when there is none."""
        heads = [head.event.occurred_at for queue in self._waited_for() if (head := queue.head)]
        return max(0.0, (utcnow() - min(heads)).total_seconds()) if heads else 0.0

    def _waited_for(self) -> list[SendQueue]:
        return [queue for queue, session in self._send_queues.values() if not session.connection.ended]


class BatchPublisher:
    """Publishes `message.posted` for all connections of this gateway, several in one broker message under load.

    A broker message leaves at once, with what came in the same iteration of the event loop. When another one has left
    in the last `PACE` seconds, it leaves when these are over or when it is full, with what came meanwhile. While
    `UNDER_WAY` of them are unconfirmed, messages wait. So the quorum queue, the database and each process on the way
    handle several messages for little more than the price of one (decision 61).
    """

    def __init__(self, publisher: Publisher, tasks: Tasks, pace: float = PACE) -> None:
        """Create a publisher; `pace` is the shortest time between two broker messages, in seconds."""
        self._publisher, self._tasks, self._pace = publisher, tasks, pace
        self._waiting: list[Posted] = []
        self._under_way = 0
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._leaves_at = 0.0  # while there is a timer

    async def publish(self, event: MessagePosted) -> None:
        """Publish like `Publisher.publish`: return after the confirm.

        Raises:
            Unconfirmed: The broker did not confirm the event.
        """
        confirmed = asyncio.get_running_loop().create_future()
        self._waiting.append((event, traceparent(), confirmed))
        self._plan()
        await confirmed

    def _plan(self) -> None:
        """Set when the next broker message leaves, if there is something for it and one more may be unconfirmed."""
        if not self._waiting or self._under_way >= UNDER_WAY:
            return
        loop = asyncio.get_running_loop()
        full = len(self._waiting) >= topology.MOST_TOGETHER
        leaves_at = min(self._next, loop.time()) if full else self._next
        if self._timer:
            if self._leaves_at <= leaves_at:  # a full one is not put off by what still comes
                return
            self._timer.cancel()
        self._leaves_at = leaves_at
        self._timer = loop.call_at(leaves_at, self._leave)

    def _leave(self) -> None:
        several, self._waiting = self._waiting[: topology.MOST_TOGETHER], self._waiting[topology.MOST_TOGETHER :]
        self._timer, self._next = None, asyncio.get_running_loop().time() + self._pace
        self._under_way += 1
        self._tasks.start(self._send(several))
        self._plan()

    async def _send(self, several: list[Posted]) -> None:
        try:
            await self._send_some(several)
        finally:
            self._under_way -= 1
            self._plan()

    async def _send_some(self, several: list[Posted]) -> None:
        event, trace, _ = several[0]
        together = MessagesPosted(posted=[f for f, _, _ in several], traces=[t for _, t, _ in several])
        try:
            await self._publisher.publish_all([(together if len(several) > 1 else event, trace)])
        except Unconfirmed as error:
            for _, _, confirmed in several:
                if not confirmed.done():  # the publisher still waits
                    confirmed.set_exception(Unconfirmed(str(error)))
        except BaseException:
            for _, _, confirmed in several:
                confirmed.cancel()
            raise
        else:
            for _, _, confirmed in several:
                if not confirmed.done():
                    confirmed.set_result(None)


class MessageSender:
    """Puts the messages of sessions into their send queues, and processes the queues."""

    def __init__(
        self,
        chats: LiveChats,
        publisher: Publisher,
        tasks: Tasks,
        together: bool = False,
        allowances: MessageLimits | None = None,
    ) -> None:
        """Create a sender.

        Args:
            chats: The chats that are followed here, with the receipts that are waited for.
            publisher: The publisher of events.
            tasks: Where the tasks that process queues are kept.
            together: Whether simultaneous messages are published in one broker message.
            allowances: Limits of what a participant may send; None for no limits.
        """
        self._allowances = allowances or MessageLimits(limited=False)
        self._chats, self._publisher, self._tasks = chats, publisher, tasks
        self._pending = Pending()
        self._together = BatchPublisher(publisher, tasks) if together else None

    def post(
        self, session: Session, chat_id: str, frame: Post | WriteNote | End, first: ChatAccepted | None = None
    ) -> None:
        """Add a frame to its send queue, or refuse it with an `error` frame. Returns at once.

        `first` is published and confirmed before the frame's event: an agent who writes in a chat has accepted it.
        """
        id_ = None if isinstance(frame, End) else frame.id
        if id_ and (stored := session.caught_up(chat_id, id_)):
            session.connection.send(server.message(stored, chat_id if session.party is Party.AGENT else None))
            return
        queue = session.send_queue(chat_id)
        if not isinstance(frame, End) and queue.takes(frame.id) and not self._may_say(session, chat_id, frame):
            queue.break_at(frame.id)
            refuse(session, "rate_limited", frame.id, chat_id)
            return
        event = event_of(session, chat_id, frame, self._turn(session, chat_id))
        code = queue.offer(Item(id_, event, time.time_ns(), first=first))
        if code:
            refuse(session, code, id_, chat_id)
        elif not queue.running:
            queue.running = True
            self._pending.begin(queue, session)
            self._tasks.start(self._run(session, chat_id, queue))

    def _may_say(self, session: Session, chat_id: str, frame: Post | WriteNote) -> bool:
        return self._allowances.message(chat_id, session.sender.id, frame.id, len((frame.text or "").encode()))

    def _turn(self, session: Session, chat_id: str) -> int | None:
        """Return the attempt with which this agent has the chat, until the entry that introduces the agent is known."""
        chat = self._chats.by_id.get(chat_id)
        if chat is None or chat.state is None or session.party is not Party.AGENT:
            return None
        mine = chat.state.agent_id == session.participant
        return chat.state.turn if mine and chat.introduced < chat.state.turn else None

    async def _run(self, session: Session, chat_id: str, queue: SendQueue) -> None:
        try:
            await self._work_off(session, chat_id, queue)
        finally:
            queue.running = False
            self._pending.end(queue)
            if queue.idle:  # an agent's connection is open all day and has hundreds of chats: 1 KB each
                session.forget_send_queue(chat_id)
            session.note_idle()

    async def _work_off(self, session: Session, chat_id: str, queue: SendQueue) -> None:
        while (item := queue.head) is not None:
            begin_trace(chat_id=chat_id)
            with span("receive", item.event.type, "server", None, {"eloket.chat_id": chat_id}, item.came):
                outcome, given_up = await self._see_through(session, chat_id, queue, item)
            if given_up and isinstance(session, AgentSession):
                session.forget_acceptance(chat_id)
            if given_up or outcome == _UNAVAILABLE:  # later messages would be stored before it
                for refused in queue.give_up():
                    refuse(session, "unavailable", refused.id, chat_id)
                return
            if outcome is None:
                return
            _answer(session, chat_id, item, outcome)

    async def _see_through(
        self, session: Session, chat_id: str, queue: SendQueue, item: Item
    ) -> tuple[Outcome | None, bool]:
        """Publish a message until it has an outcome.

        Returns:
            The outcome; or (None, False) when the browser was disconnected for too long; or (None, True) when the
            message is to be given up.
        """
        settled: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome) -> None:
            if not settled.done():
                settled.set_result(outcome)
                if outcome != _UNAVAILABLE:  # at once: the sender may use the space as soon as they have the receipt
                    queue.settle(item.id)

        sender_id = session.sender.id if item.id else ""
        self._chats.receipts.wait(chat_id, sender_id, item.id, settle)
        began = time.monotonic()
        try:
            while not settled.done():
                confirmed = await self._accepted(session, item) and await self._published(item.event)
                pause = after_attempt(item, confirmed, time.monotonic())
                if pause is None:
                    return None, True
                if session.connection.ended and time.monotonic() - began > AFTER_DISCONNECT:
                    return None, False
                await self._wait(settled, pause)
        finally:
            self._chats.receipts.forget(chat_id, sender_id, item.id, settle)
        RECEIPT_TIME.observe(time.monotonic() - began)
        return settled.result(), False

    async def _accepted(self, session: Session, item: Item) -> bool:
        """Return whether the acceptance that comes before this message is published and confirmed."""
        if item.first is None:
            return True
        assert isinstance(session, AgentSession)
        if session.acceptance_published(item.first.chat_id):
            return True
        if not await self._published(item.first):
            return False
        session.note_acceptance(item.first.chat_id, item.first.turn)
        item.first = None
        return True

    async def _wait(self, settled: asyncio.Future[Outcome], pause: float) -> None:
        """Wait for the outcome, or until the message is to be published again.

        When the broker was away that is as soon as it is back.
        """
        if self._publisher.up:
            await asyncio.wait((settled,), timeout=pause)
            return
        back = asyncio.create_task(self._publisher.link.up.wait())
        waited: set[asyncio.Future[Any]] = {settled, back}
        await asyncio.wait(waited, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        back.cancel()

    async def _published(self, event: Event) -> bool:
        try:
            if self._together and isinstance(event, MessagePosted):
                await self._together.publish(event)
            else:
                await self._publisher.publish(event)
        except Unconfirmed as error:
            log.info("message_not_confirmed", error=str(error))
            return False
        return True


def refuse(session: Session, code: str, id_: str | None = None, chat_id: str | None = None) -> None:
    """Send the `error` frame to this session. A frame for an agent names the chat."""
    REFUSED.labels(code).inc()
    REFUSALS.frame(code, session.participant if session.identified else None, chat_id)
    session.connection.send(server.error(code, id_, chat_id if session.party is Party.AGENT else None))


def event_of(session: Session, chat_id: str, frame: Post | WriteNote | End, turn: int | None = None) -> Event:
    """Return the event for a frame of this session. `turn`: the agent's attempt, as in `MessagePosted`."""
    sender = session.sender
    if isinstance(frame, End):
        by, agent_id = (CloseReason.AGENT, sender.id) if sender.party is Party.AGENT else (CloseReason.CITIZEN, None)
        asked = frame.block
        block = asked and Block(minutes=asked.minutes, reason=asked.reason, address=asked.address)
        return CloseRequested(chat_id=chat_id, by=by, agent_id=agent_id, block=block)
    if isinstance(frame, WriteNote):
        return NotePosted(
            chat_id=chat_id, id=frame.id, agent_id=sender.id, agent_name=sender.name or "", text=frame.text
        )
    return MessagePosted(
        chat_id=chat_id,
        id=frame.id,
        sender=sender,
        text=None if frame.text is UNSET else frame.text,
        attachment_id=None if frame.attachment is UNSET else frame.attachment,
        turn=turn,
    )


def _answer(session: Session, chat_id: str, item: Item, outcome: Outcome) -> None:
    if isinstance(outcome, Refusal):
        refuse(session, outcome.code, item.id, chat_id)
    elif outcome.repeated and outcome.entry and chat_id in session.shown:
        session.connection.send(server.message(outcome.entry, chat_id if session.party is Party.AGENT else None))
