"""Recorder of a batch of events: entries of the logs, the chats' documents, and the events that follow.

A batch is prepared (each event gets its entries), stored, and published. Recording the same events twice is harmless;
the second time finds what the first has stored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import structlog

from services.common.events.chats import ChatOpened, ChatState
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessageRefused
from services.common.events.types import Cause, ChatStatus, Entry, Party, RefusalCode
from services.common.lru import LruCache
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher
from services.common.messaging.retry import retry_with_backoff
from services.common.observability.tracing import begin_span, begin_trace, span, within
from services.transcripts import metrics
from services.transcripts.access.rules import Chat
from services.transcripts.attachments.store import Files
from services.transcripts.log.delivery import DeliveredEvent
from services.transcripts.log.entry_factory import (
    acceptance_entry,
    acceptance_id,
    adds_no_entry,
    has_attachment,
    is_acceptable,
    message_entry,
    never_opened,
    opening_entries,
    starts_inactivity,
    state_entry,
    state_entry_id,
)
from services.transcripts.log.sequencing import POISON, WAITING, NewEntry, PendingEntries, Refused, Stored
from services.transcripts.log.store import Store, encodable
from services.transcripts.log.writer import Writer, now_ms
from services.transcripts.publisher import TracedEvent, in_messages, refused, stored_event

log = structlog.get_logger()

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Recorder:
    """Records batches, one at a time."""

    def __init__(
        self,
        store: Store,
        files: Files,
        publisher: Publisher,
        writer: Writer,
        quiet: timedelta | None = None,
        together: bool = False,
        stored: Callable[[Entry], None] = lambda entry: None,
        answer_within: Mapping[str, timedelta] | None = None,
    ) -> None:
        """Create a recorder.

        Args:
            store: The store of chats and logs.
            files: The store of attachments.
            publisher: The publisher of events.
            writer: The writer of entries.
            quiet: How long after an assignment to check for the citizen's inactivity; None: never.
            together: Whether several stored entries are published in one broker message.
            stored: Called with each entry after it was stored.
            answer_within: How long citizens may wait for an answer before another agent gets the chat, by department.
        """
        self._answer_within = {} if answer_within is None else answer_within
        self._store, self._files, self._publisher, self._writer = store, files, publisher, writer
        self._quiet, self._most = quiet, topology.MOST_TOGETHER if together else 1
        self._stored = stored
        # Ids of system entries that are stored and published; true when the state that says the same was received. If a
        # message accepted the chat that state comes later, and the citizen's inactivity counts only from then on.
        self._published: LruCache[bool] = LruCache(20_000)

    async def record(self, batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
        """Store what the batch adds, with majority. Each event has its entries and its result afterwards.

        Outages are waited out in place.

        Returns:
            A task that publishes the events that follow. The batch is done when the task has ended, after the
            broker's confirm. The next batch may be stored meanwhile.

        Raises:
            DependencyOutage: An outage lasted too long; the task raises it too.
        """
        for delivered in batch:
            _begin_span(delivered)
        await retry_with_backoff(lambda: self._prepare(batch))
        pending = PendingEntries()
        for delivered in sorted(batch, key=_opens, reverse=True):
            for entry in delivered.entries:
                pending.add(entry)
        with _storing(batch):
            await self._writer.store(pending)
        stored = (e.result.entry for d in batch for e in d.entries if isinstance(e.result, Stored))
        seals = [entry for entry in stored if entry.is_seal]
        await retry_with_backoff(lambda: self._store.close_chats(seals))
        for delivered in batch:
            if any(entry.result is WAITING for entry in delivered.entries):
                delivered.result = WAITING
        metrics.BATCH_SIZE.observe(len(batch))
        return asyncio.create_task(self._publication(batch))

    async def requeue_singly(self, events: Sequence[Event], traceparent: object) -> None:
        """Put the events of a batch back into the queue, each in a message of its own.

        A poison event then fails alone.
        """
        await retry_with_backoff(lambda: self._publisher.publish_all([(event, traceparent) for event in events]))

    async def give_up(self, delivered: DeliveredEvent) -> None:
        """Give up an event whose chat was never opened.

        A message is refused to its sender; another event is dead-lettered. An event of an erased chat is acknowledged
        without effect.
        """
        event = delivered.event
        erased = await retry_with_backoff(lambda: self._erased([event]))
        if not isinstance(event, MessagePosted):
            if erased:
                log.info("late_event_of_erased_chat", type=event.type)
            else:
                log.error("chat_never_opened", type=event.type)
            delivered.result = None if erased else POISON
            return
        code = RefusalCode.CHAT_CLOSED if erased else RefusalCode.UNAVAILABLE
        delivered.entries, delivered.result = [], Refused(code)
        await self._publication([delivered])

    # ── prepare: the entries of each event ───────────────────────────────────────────────────────────────────────────

    async def _prepare(self, batch: Iterable[DeliveredEvent]) -> None:
        for delivered in batch:
            delivered.entries, delivered.result = [], None if is_acceptable(delivered.event) else POISON
        good = [d for d in batch if d.is_done]
        if erased := await self._erased(d.event for d in good if isinstance(d.event, ChatOpened)):
            log.info("late_event_of_erased_chat", type="chat.opened", chats=len(erased))
            good = [d for d in good if not (isinstance(d.event, ChatOpened) and d.event.chat_id in erased)]
        await self._store.open_chats([d.event for d in good if isinstance(d.event, ChatOpened)])
        states = [(d, s) for d in good if (s := _state_of(d.event)) and self._is_news(d, s)]
        first = [(d, m) for d in good if (m := _accepts(d.event)) and acceptance_id(m) not in self._published]
        ids = [*(s.chat_id for _, s in states), *(m.chat_id for _, m in first)]
        chats = await self._store.chats(ids) if ids else {}
        await self._prepare_states(states, chats)
        await asyncio.gather(*(self._prepare_attachment(d) for d in good if has_attachment(d.event)))
        for delivered in good:
            if isinstance(delivered.event, ChatOpened):
                delivered.entries = opening_entries(delivered.event)
            elif isinstance(delivered.event, MessagePosted) and not has_attachment(delivered.event):
                delivered.entries = [message_entry(delivered.event)]
        await self._prepare_first(first, good, chats)
        for delivered in good:
            if not all(encodable(entry.entry(1, _LONG_AGO)) for entry in delivered.entries):
                log.error("entry_not_encodable", type=delivered.event.type)
                delivered.entries, delivered.result = [], POISON

    async def _erased(self, events: Iterable[Event]) -> set[str]:
        """Return the chats of these events that were erased."""
        return await self._store.erased({chat_id for e in events if (chat_id := getattr(e, "chat_id", None))})

    def _is_news(self, delivered: DeliveredEvent, state: ChatState) -> bool:
        """Return whether the state has to be read again: it was redelivered, or its entry is not known as published.

        The token of a chat may be revoked after its end, which has no entry of its own.
        """
        if delivered.delivery.redelivered or state.revoked_by:
            return True
        return not self._published.get(state_entry_id(state))

    async def _prepare_states(
        self, states: Sequence[tuple[DeliveredEvent, ChatState]], chats: Mapping[str, Chat]
    ) -> None:
        if not states:
            return
        known = [s for _, s in states if s.chat_id in chats]
        await self._store.note_participations(known)
        turns: dict[str, int] = {}
        for event in known:
            turns[event.chat_id] = max(turns.get(event.chat_id, 0), event.turn)
        noted = [(s.chat_id, s.v, s.agent_id) for s in known]
        await self._store.note_states(noted, self._checks(known, chats), turns, self._answer_checks(known, chats))
        for delivered, event in states:
            chat = chats.get(event.chat_id)
            if chat is None:
                delivered.result = None if never_opened(event) else WAITING
            elif event.v >= chat.v or event.state is ChatStatus.CLOSED:
                delivered.entries = [] if adds_no_entry(event) else [state_entry(event, chat)]
            else:
                log.debug("state_overtaken", chat_id=event.chat_id, v=event.v)

    async def _prepare_first(
        self,
        first: Sequence[tuple[DeliveredEvent, MessagePosted]],
        good: Iterable[DeliveredEvent],
        chats: Mapping[str, Chat],
    ) -> None:
        """Add the entry of the acceptance before the first message of an agent.

        When the attempt is over and the log has nothing of it, the agent was never connected and the message is
        refused. A message in the log is answered like any repetition. The order of the queue decides which was first.
        """
        if not first:
            return
        messages = dict(first)
        turns = {chat_id: chat.turn for chat_id, chat in chats.items()}
        for delivered in good:
            if isinstance(delivered.event, ChatState):
                turns[delivered.event.chat_id] = max(turns.get(delivered.event.chat_id, 0), delivered.event.turn)
            if (event := messages.get(delivered)) is None or delivered.result:
                continue
            chat = chats.get(event.chat_id)
            if chat is None:
                delivered.entries, delivered.result = [], WAITING
            elif turns[event.chat_id] <= (event.turn or 0):
                delivered.entries = [acceptance_entry(event, chat), *delivered.entries]
            elif not await self._store.find(event.chat_id, [event.id, acceptance_id(event)]):
                delivered.entries, delivered.result = [], Refused(RefusalCode.NOT_YOURS)

    def _checks(self, states: Iterable[ChatState], chats: Mapping[str, Chat]) -> dict[str, datetime]:
        """Return when to check for inactivity.

        The chats are those that were just assigned, and assigned ones that are not checked yet.
        """
        if self._quiet is None:
            return {}
        check_at = now_ms() + self._quiet
        return {s.chat_id: check_at for s in states if starts_inactivity(s, chats[s.chat_id])}

    def _answer_checks(self, states: Iterable[ChatState], chats: Mapping[str, Chat]) -> dict[str, datetime]:
        """Return when to look whether the citizens of chats that were just assigned wait for an answer.

        A repeated state does not postpone the look.
        """
        now, within = now_ms(), self._answer_within
        return {
            s.chat_id: now + within[s.department]
            for s in states
            if s.state is ChatStatus.ASSIGNED and s.department in within and s.v > chats[s.chat_id].v
        }

    async def _prepare_attachment(self, delivered: DeliveredEvent) -> None:
        event = delivered.event
        assert isinstance(event, MessagePosted)
        assert event.attachment_id is not None
        attachment = await self._files.keep(event.attachment_id, event.chat_id, event.sender.id)
        if attachment is None:
            delivered.result = Refused(RefusalCode.UNKNOWN_ATTACHMENT)
            return
        entry = message_entry(event)
        entry.attachment = attachment
        delivered.entries = [entry]

    # ── publish: the events that follow ──────────────────────────────────────────────────────────────────────────────

    def _publication(self, batch: Sequence[DeliveredEvent]) -> Coroutine[None, None, None]:
        """Return a coroutine that publishes all events of the batch at once, each chat's in the order of seq.

        The events are built now.
        """
        done = [d for d in batch if d.is_done]
        entries = sorted(((d, e) for d in done for e in d.entries), key=lambda pair: _seq(pair[1]))
        events: list[TracedEvent] = []
        for delivered, new in entries:
            if isinstance(new.result, Stored):
                if new.by_participant or delivered.delivery.redelivered or not new.result.repeated:
                    posted_at = None if new.result.repeated else new.posted_at
                    events.append((stored_event(new.result.entry, posted_at), delivered.traceparent))
                    self._stored(new.result.entry)
            elif isinstance(new.result, Refused) and new.by_participant:
                event = refused(new.chat_id, new.id, new.sender_id, new.result.code)
                events.append((event, delivered.traceparent))
        for delivered in done:
            if isinstance(delivered.result, Refused) and isinstance(delivered.event, MessagePosted):
                posted = delivered.event
                event = refused(posted.chat_id, posted.id, posted.sender.id, delivered.result.code)
                events.append((event, delivered.traceparent))
        return self._publish(done, entries, events)

    async def _publish(
        self,
        done: Sequence[DeliveredEvent],
        entries: Sequence[tuple[DeliveredEvent, NewEntry]],
        events: Sequence[TracedEvent],
    ) -> None:
        if events:
            messages = list(in_messages(events, self._most))
            await retry_with_backoff(lambda: self._publisher.publish_all(messages))
        self._note_published(entries, events)
        now = time.monotonic()
        for delivered in done:
            metrics.STORE_SECONDS.observe(now - delivered.arrived)
            if delivered.span:
                delivered.span.end()

    def _note_published(
        self, entries: Iterable[tuple[DeliveredEvent, NewEntry]], events: Iterable[TracedEvent]
    ) -> None:
        for delivered, new in entries:
            if not isinstance(new.result, Stored) or new.by_participant:
                continue
            by_state = not isinstance(delivered.event, MessagePosted)
            self._published.set(new.id, by_state or bool(self._published.get(new.id)))
            entry = new.result.entry
            if not new.result.repeated and (new.opens or entry.is_seal):
                begin_trace(delivered.traceparent, chat_id=new.chat_id)
                log.info("chat_sealed" if entry.is_seal else "log_begun", seq=entry.seq)
        for event, traceparent in events:
            if isinstance(event, MessageRefused):
                begin_trace(traceparent, chat_id=event.chat_id)
                metrics.REFUSED.labels(event.code.value).inc()
                log.info("message_refused", code=event.code.value)


def _begin_span(delivered: DeliveredEvent) -> None:
    """Begin the event's own span, when its trace is recorded."""
    if delivered.span is None:
        began = time.time_ns() - int((time.monotonic() - delivered.arrived) * 1e9)
        about = {"messaging.destination.name": topology.TRANSCRIPTS_MESSAGES.name}
        delivered.span = begin_span(
            "process", delivered.event.type, "consumer", delivered.traceparent or "", about, began
        )
        if delivered.span:
            delivered.traceparent = delivered.span.place.traceparent


def _storing(batch: Sequence[DeliveredEvent]) -> AbstractContextManager[None]:
    """Return the span of the one write for the whole batch.

    It is a child of the first event whose trace is recorded, with links to the others.
    """
    kept = [d.span.place for d in batch if d.span]
    if not kept:
        return within(None)
    first, *others = kept
    return span("store", "entries", "internal", first.traceparent, {"eloket.batch": len(batch)}, links=others)


def _state_of(event: Event) -> ChatState | None:
    if not isinstance(event, ChatState):
        return None
    return None if event.cause is Cause.OPENED and event.state is not ChatStatus.CLOSED else event


def _accepts(event: Event) -> MessagePosted | None:
    """Return a message with which an agent may accept the chat, or None."""
    return event if isinstance(event, MessagePosted) and event.sender.party is Party.AGENT and event.turn else None


def _opens(delivered: DeliveredEvent) -> bool:
    """Return whether the event opens a chat. Such events come before events that have waited for the chat."""
    return isinstance(delivered.event, ChatOpened)


def _seq(entry: NewEntry) -> int:
    return entry.result.entry.seq if isinstance(entry.result, Stored) else 1 << 62
