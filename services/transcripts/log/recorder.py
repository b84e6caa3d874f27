"""Recorder of a batch of events: entries of the logs, the chats' documents, and the events that follow.

Recording the same events twice is harmless; the second time finds what the first has stored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

import structlog

from services.common.events.chats import ChatOpened, ChatState
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessageRefused
from services.common.events.types import Cause, ChatStatus, Entry, Party, RefusalCode
from services.common.lru import LruCache
from services.common.messaging import topology
from services.common.messaging.connection import Publisher
from services.common.messaging.consumer import retry_with_backoff
from services.common.observability.tracing import Span, begin_span, begin_trace, span, within
from services.transcripts import metrics
from services.transcripts.access import Chat
from services.transcripts.attachments.store import Files
from services.transcripts.log.documents import encodable
from services.transcripts.log.entry_factory import (
    accepting,
    happened,
    has_attachment,
    id_of_accepting,
    id_of_event,
    is_acceptable,
    is_silent,
    never_opened,
    opening,
    said,
    starts_inactivity,
)
from services.transcripts.log.sequencing import Outcome, PendingEntries, Refused, Stored, Unknown, Wanted
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer, now_ms
from services.transcripts.publisher import Told, in_messages, refused, stored_event

log = structlog.get_logger()

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Verdict(Enum):
    """What becomes of an event."""

    DONE = "done"  # acknowledge
    LATER = "later"  # retry: its chat is not opened yet
    POISON = "poison"  # dead-letter


@dataclass(eq=False, slots=True)
class Recording:
    """One delivered event, the entries that it adds, and its outcome."""

    event: Event
    redelivered: bool = False
    traceparent: object = None
    arrived: float = field(default_factory=time.monotonic)
    wanted: list[Wanted] = field(default_factory=list)
    refusal: RefusalCode | None = None
    verdict: Verdict = Verdict.DONE
    span: Span | None = None  # from its arrival until the events that follow are published


Ready = tuple[Recording, Wanted, Outcome]


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
        """
        self._store, self._files, self._publisher, self._writer = store, files, publisher, writer
        self._quiet, self._most = quiet, topology.MOST_TOGETHER if together else 1
        self._stored = stored
        # Ids of system entries that are stored and published; true when the state that says the same was received. If a
        # message accepted the chat that state comes later, and the citizen's inactivity counts only from then on.
        self._told: LruCache[bool] = LruCache(20_000)

    async def record(self, batch: Sequence[Recording]) -> asyncio.Task[None]:
        """Store what the batch adds, with majority, and set each event's verdict.

        Outages are waited out in place.

        Returns:
            A task that publishes the events that follow. The batch is done when the task has ended, after the
            broker's confirm. The next batch may be stored meanwhile.

        Raises:
            DependencyOutage: An outage lasted too long; the task raises it too.
        """
        for recording in batch:
            _begin_span(recording)
            recording.wanted, recording.refusal = [], None
            recording.verdict = Verdict.DONE if is_acceptable(recording.event) else Verdict.POISON
        await retry_with_backoff(lambda: self._prepare(batch))
        lines = PendingEntries()
        for recording in sorted(batch, key=_begins, reverse=True):
            for wanted in recording.wanted:
                lines.add(wanted)
        with _storing(batch):
            outcomes = await self._writer.store(lines)
        seals = [o.entry for o in outcomes.values() if isinstance(o, Stored) and o.entry.is_seal]
        await retry_with_backoff(lambda: self._store.close_chats(seals))
        for recording in batch:
            if any(isinstance(outcomes[w], Unknown) for w in recording.wanted):
                recording.verdict = Verdict.LATER
        metrics.BATCH_SIZE.observe(len(batch))
        return asyncio.create_task(self._publication(batch, outcomes))

    async def requeue_singly(self, events: Sequence[Event], trace: object) -> None:
        """Put the events of a batch back into the queue, each in a message of its own.

        A poison event then fails alone.
        """
        await retry_with_backoff(lambda: self._publisher.publish_all([(event, trace) for event in events]))

    async def give_up(self, recording: Recording) -> None:
        """Give up an event whose chat was never opened.

        A message is refused to its sender; another event is dead-lettered.
        """
        if not isinstance(recording.event, MessagePosted):
            log.error("chat_never_opened", type=recording.event.type)
            recording.verdict = Verdict.POISON
            return
        recording.verdict, recording.refusal = Verdict.DONE, RefusalCode.UNAVAILABLE
        recording.wanted = []
        await self._publication([recording], {})

    # ── before ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepare(self, batch: Iterable[Recording]) -> None:
        good = [h for h in batch if h.verdict is Verdict.DONE]
        await self._store.open_chats([h.event for h in good if isinstance(h.event, ChatOpened)])
        fresh = [(h, f) for h in good if (f := _state_of(h)) and (h.redelivered or not self._told.get(id_of_event(f)))]
        first = [(h, m) for h in good if (m := _accepts(h)) and id_of_accepting(m) not in self._told]
        ids = [*(f.chat_id for _, f in fresh), *(m.chat_id for _, m in first)]
        chats = await self._store.chats(ids) if ids else {}
        await self._prepare_states(fresh, chats)
        await asyncio.gather(*(self._prepare_message(h) for h in good if has_attachment(h.event)))
        for recording in good:
            if isinstance(recording.event, ChatOpened):
                recording.wanted = opening(recording.event)
            elif isinstance(recording.event, MessagePosted) and not has_attachment(recording.event):
                recording.wanted = [said(recording.event)]
        await self._prepare_first(first, good, chats)
        for recording in good:
            if not all(encodable(w.entry(1, _LONG_AGO)) for w in recording.wanted):
                log.error("entry_not_encodable", type=recording.event.type)
                recording.wanted, recording.verdict = [], Verdict.POISON

    async def _prepare_states(self, fresh: Sequence[tuple[Recording, ChatState]], chats: Mapping[str, Chat]) -> None:
        if not fresh:
            return
        known = [f for _, f in fresh if f.chat_id in chats]
        await self._store.note_tenures(known)
        turns: dict[str, int] = {}
        for event in known:
            turns[event.chat_id] = max(turns.get(event.chat_id, 0), event.turn)
        await self._store.note_states([(f.chat_id, f.v, f.agent_id) for f in known], self._looks(known, chats), turns)
        for recording, event in fresh:
            chat = chats.get(event.chat_id)
            if chat is None:
                recording.verdict = Verdict.DONE if never_opened(event) else Verdict.LATER
            elif event.v >= chat.v or event.state is ChatStatus.CLOSED:
                recording.wanted = [] if is_silent(event) else [happened(event, chat)]
            else:
                log.debug("state_overtaken", chat_id=event.chat_id, v=event.v)

    async def _prepare_first(
        self, first: Sequence[tuple[Recording, MessagePosted]], good: Iterable[Recording], chats: Mapping[str, Chat]
    ) -> None:
        """Add the entry of the acceptance before the first message of an agent.

        When the attempt is over and the log has nothing of it, the agent was never connected and the message is
        refused. A message in the log is answered like any repetition. The order of the queue decides which was first.
        """
        if not first:
            return
        messages = dict(first)
        turns = {chat_id: chat.turn for chat_id, chat in chats.items()}
        for recording in good:
            if isinstance(recording.event, ChatState):
                turns[recording.event.chat_id] = max(turns.get(recording.event.chat_id, 0), recording.event.turn)
            if (event := messages.get(recording)) is None or recording.refusal:
                continue
            chat = chats.get(event.chat_id)
            if chat is None:
                recording.wanted, recording.verdict = [], Verdict.LATER
            elif turns[event.chat_id] <= (event.turn or 0):
                recording.wanted = [accepting(event, chat), *recording.wanted]
            elif not await self._store.find(event.chat_id, [event.id, id_of_accepting(event)]):
                recording.wanted, recording.refusal = [], RefusalCode.NOT_YOURS

    def _looks(self, states: Iterable[ChatState], chats: Mapping[str, Chat]) -> dict[str, datetime]:
        """Return when to check for inactivity.

        The chats are those that were just assigned, and assigned ones that are not checked yet.
        """
        if self._quiet is None:
            return {}
        look_at = now_ms() + self._quiet
        return {f.chat_id: look_at for f in states if starts_inactivity(f, chats[f.chat_id])}

    async def _prepare_message(self, recording: Recording) -> None:
        event = recording.event
        assert isinstance(event, MessagePosted)
        assert event.attachment_id is not None
        attachment = await self._files.keep(event.attachment_id, event.chat_id, event.sender.id)
        if attachment is None:
            recording.refusal = RefusalCode.UNKNOWN_ATTACHMENT
            return
        recording.wanted = [said(event)]
        recording.wanted[0].attachment = attachment

    # ── after ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _publication(self, batch: Sequence[Recording], outcomes: dict[Wanted, Outcome]) -> Coroutine[None, None, None]:
        """Return a coroutine that publishes all events of the batch at once, each chat's in the order of seq.

        The events are built now.
        """
        done = [h for h in batch if h.verdict is Verdict.DONE]
        ready = sorted(((h, w, outcomes[w]) for h in done for w in h.wanted), key=lambda r: _seq(r[2]))
        events: list[Told] = []
        for recording, wanted, outcome in ready:
            if isinstance(outcome, Stored):
                if wanted.said or recording.redelivered or not outcome.repeated:
                    posted_at = None if outcome.repeated else wanted.posted_at
                    events.append((stored_event(outcome.entry, posted_at), recording.traceparent))
                    self._stored(outcome.entry)
            elif isinstance(outcome, Refused) and wanted.said:
                events.append(
                    (refused(wanted.chat_id, wanted.id, wanted.sender_id, outcome.code), recording.traceparent)
                )
        for recording in done:
            if recording.refusal and isinstance(recording.event, MessagePosted):
                said_ = recording.event
                events.append(
                    (refused(said_.chat_id, said_.id, said_.sender.id, recording.refusal), recording.traceparent)
                )
        return self._publish(done, ready, events)

    async def _publish(self, done: Sequence[Recording], ready: Sequence[Ready], events: Sequence[Told]) -> None:
        if events:
            messages = list(in_messages(events, self._most))
            await retry_with_backoff(lambda: self._publisher.publish_all(messages))
        self._note_published(ready, events)
        now = time.monotonic()
        for recording in done:
            metrics.STORE_SECONDS.observe(now - recording.arrived)
            if recording.span:
                recording.span.end()

    def _note_published(self, ready: Iterable[Ready], events: Iterable[Told]) -> None:
        for recording, wanted, outcome in ready:
            if not isinstance(outcome, Stored) or wanted.said:
                continue
            self._told.set(wanted.id, bool(self._told.get(wanted.id)) or not isinstance(recording.event, MessagePosted))
            if not outcome.repeated and (wanted.opens or outcome.entry.is_seal):
                begin_trace(recording.traceparent, chat_id=wanted.chat_id)
                log.info("chat_sealed" if outcome.entry.is_seal else "log_begun", seq=outcome.entry.seq)
        for event, trace in events:
            if isinstance(event, MessageRefused):
                begin_trace(trace, chat_id=event.chat_id)
                metrics.REFUSED.labels(event.code.value).inc()
                log.info("message_refused", code=event.code.value)


def _begin_span(recording: Recording) -> None:
    """Begin the event's own span, when its trace is recorded."""
    if recording.span is None:
        began = time.time_ns() - int((time.monotonic() - recording.arrived) * 1e9)
        about = {"messaging.destination.name": topology.TRANSCRIPTS_MESSAGES.name}
        recording.span = begin_span(
            "process", recording.event.type, "consumer", recording.traceparent or "", about, began
        )
        if recording.span:
            recording.traceparent = recording.span.place.traceparent


def _storing(batch: Sequence[Recording]) -> AbstractContextManager[None]:
    """Return the span of the one write for the whole batch.

    It is a child of the first event whose trace is recorded, with links to the others.
    """
    kept = [h.span.place for h in batch if h.span]
    if not kept:
        return within(None)
    first, *others = kept
    return span("store", "entries", "internal", first.traceparent, {"eloket.batch": len(batch)}, links=others)


def _state_of(recording: Recording) -> ChatState | None:
    event = recording.event
    if not isinstance(event, ChatState):
        return None
    return None if event.cause is Cause.OPENED and event.state is not ChatStatus.CLOSED else event


def _accepts(recording: Recording) -> MessagePosted | None:
    """Return a message with which an agent may accept the chat, or None."""
    event = recording.event
    return event if isinstance(event, MessagePosted) and event.sender.party is Party.AGENT and event.turn else None


def _begins(recording: Recording) -> bool:
    """Return whether the event opens a chat. Such events come before events that have waited for the chat."""
    return isinstance(recording.event, ChatOpened)


def _seq(outcome: Outcome) -> int:
    return outcome.entry.seq if isinstance(outcome, Stored) else 1 << 62
