"""What becomes of a batch of facts: entries of the logs, what is remembered of each chat, and the facts that tell it.

Everything here may be done twice with the same facts; the second time finds what the first has left.
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

from services import topology
from services.broker import Publisher
from services.consuming import retry_in_place
from services.contracts import (
    Cause,
    ChatOpened,
    ChatState,
    ChatStatus,
    Entry,
    Fact,
    MessagePosted,
    MessageRefused,
    Party,
    RefusalCode,
)
from services.tracing import Span, begin_span, begin_trace, span, within
from services.transcripts import counting
from services.transcripts.access import Chat
from services.transcripts.documents import encodable
from services.transcripts.entries import (
    accepting,
    begins_silence,
    happened,
    has_attachment,
    id_of_accepting,
    id_of_event,
    is_acceptable,
    is_silent,
    never_opened,
    opening,
    said,
)
from services.transcripts.files import Files
from services.transcripts.recent import Recent
from services.transcripts.rounds import (
    Lines,
    Outcome,
    Refused,
    Stored,
    Unknown,
    Wanted,
)
from services.transcripts.store import Store
from services.transcripts.telling import Told, in_messages, refused, stored_fact
from services.transcripts.writer import Writer, now_ms

log = structlog.get_logger()

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Verdict(Enum):
    DONE = "done"  # acknowledge
    LATER = "later"  # its chat is not known yet
    POISON = "poison"  # to the dead letters


@dataclass(eq=False, slots=True)
class Heard:
    """One delivered fact, the entries that it wants, and what came of it."""

    fact: Fact
    redelivered: bool = False
    traceparent: object = None
    arrived: float = field(default_factory=time.monotonic)
    wanted: list[Wanted] = field(default_factory=list)
    refusal: RefusalCode | None = None
    verdict: Verdict = Verdict.DONE
    span: Span | None = None  # from its arrival until what it led to is told


Ready = tuple[Heard, Wanted, Outcome]


class Recorder:
    """Records batches; one at a time."""

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
        """`quiet`: how long after an agent got a chat to look for its citizen's silence; None: never.

        `together`: what was stored is told several at a time. `stored` is given each entry once it is.
        """
        self._store, self._files, self._publisher, self._writer = store, files, publisher, writer
        self._quiet, self._most = quiet, topology.MOST_TOGETHER if together else 1
        self._stored = stored
        # Ids of system entries that are stored and told; true when the state was heard that says the same. Where a
        # message accepted the chat that state comes later, and only from it on the citizen's silence counts.
        self._told: Recent[bool] = Recent(20_000)

    async def record(self, batch: Sequence[Heard]) -> asyncio.Task[None]:
        """Each gets its verdict; whatever it led to has been stored with majority, and is being told.

        The task ends when the broker has confirmed all of it: only then the batch is done. The next batch may be
        stored meanwhile. Both wait bad days out in place, and raise `BadDay` when one lasts too long.
        """
        for heard in batch:
            _begin_span(heard)
            heard.wanted, heard.refusal = [], None
            heard.verdict = Verdict.DONE if is_acceptable(heard.fact) else Verdict.POISON
        await retry_in_place(lambda: self._prepare(batch))
        lines = Lines()
        for heard in sorted(batch, key=_begins, reverse=True):
            for wanted in heard.wanted:
                lines.add(wanted)
        with _storing(batch):
            outcomes = await self._writer.store(lines)
        seals = [o.entry for o in outcomes.values() if isinstance(o, Stored) and o.entry.is_seal]
        await retry_in_place(lambda: self._store.close_chats(seals))
        for heard in batch:
            if any(isinstance(outcomes[w], Unknown) for w in heard.wanted):
                heard.verdict = Verdict.LATER
        counting.BATCH_SIZE.observe(len(batch))
        return asyncio.create_task(self._telling(batch, outcomes))

    async def tell_alone(self, facts: Sequence[Fact], trace: object) -> None:
        """Puts facts that came together back into the queue, each alone: what cannot be stored harms nobody there."""
        await retry_in_place(lambda: self._publisher.tell_all([(fact, trace) for fact in facts]))

    async def give_up(self, heard: Heard) -> None:
        """The chat never became known: whoever said something in it hears so; anything else is for the dead letters."""
        if not isinstance(heard.fact, MessagePosted):
            log.error("chat_never_opened", type=heard.fact.type)
            heard.verdict = Verdict.POISON
            return
        heard.verdict, heard.refusal = Verdict.DONE, RefusalCode.UNAVAILABLE
        heard.wanted = []
        await self._telling([heard], {})

    # ── before ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepare(self, batch: Iterable[Heard]) -> None:
        good = [h for h in batch if h.verdict is Verdict.DONE]
        await self._store.open_chats([h.fact for h in good if isinstance(h.fact, ChatOpened)])
        fresh = [(h, f) for h in good if (f := _state_of(h)) and (h.redelivered or not self._told.get(id_of_event(f)))]
        first = [(h, m) for h in good if (m := _accepts(h)) and id_of_accepting(m) not in self._told]
        ids = [*(f.chat_id for _, f in fresh), *(m.chat_id for _, m in first)]
        chats = await self._store.chats(ids) if ids else {}
        await self._prepare_states(fresh, chats)
        await asyncio.gather(*(self._prepare_message(h) for h in good if has_attachment(h.fact)))
        for heard in good:
            if isinstance(heard.fact, ChatOpened):
                heard.wanted = opening(heard.fact)
            elif isinstance(heard.fact, MessagePosted) and not has_attachment(heard.fact):
                heard.wanted = [said(heard.fact)]
        await self._prepare_first(first, good, chats)
        for heard in good:
            if not all(encodable(w.entry(1, _LONG_AGO)) for w in heard.wanted):
                log.error("entry_not_encodable", type=heard.fact.type)
                heard.wanted, heard.verdict = [], Verdict.POISON

    async def _prepare_states(self, fresh: Sequence[tuple[Heard, ChatState]], chats: Mapping[str, Chat]) -> None:
        if not fresh:
            return
        known = [f for _, f in fresh if f.chat_id in chats]
        await self._store.note_tenures(known)
        turns: dict[str, int] = {}
        for fact in known:
            turns[fact.chat_id] = max(turns.get(fact.chat_id, 0), fact.turn)
        await self._store.note_states([(f.chat_id, f.v, f.agent_id) for f in known], self._looks(known, chats), turns)
        for heard, fact in fresh:
            chat = chats.get(fact.chat_id)
            if chat is None:
                heard.verdict = Verdict.DONE if never_opened(fact) else Verdict.LATER
            elif fact.v >= chat.v or fact.state is ChatStatus.CLOSED:
                heard.wanted = [] if is_silent(fact) else [happened(fact, chat)]
            else:
                log.debug("state_overtaken", chat_id=fact.chat_id, v=fact.v)

    async def _prepare_first(
        self, first: Sequence[tuple[Heard, MessagePosted]], good: Iterable[Heard], chats: Mapping[str, Chat]
    ) -> None:
        """Before the first message of an agent the chat says with whom its citizen is connected.

        When the turn is over, and nothing of it is in the log, the agent never was: the message is refused. What is in
        the log is answered as any repeat. The order of the queue decides what was over first.
        """
        if not first:
            return
        messages = dict(first)
        turns = {chat_id: chat.turn for chat_id, chat in chats.items()}
        for heard in good:
            if isinstance(heard.fact, ChatState):
                turns[heard.fact.chat_id] = max(turns.get(heard.fact.chat_id, 0), heard.fact.turn)
            if (fact := messages.get(heard)) is None or heard.refusal:
                continue
            chat = chats.get(fact.chat_id)
            if chat is None:
                heard.wanted, heard.verdict = [], Verdict.LATER
            elif turns[fact.chat_id] <= (fact.turn or 0):
                heard.wanted = [accepting(fact, chat), *heard.wanted]
            elif not await self._store.find(fact.chat_id, [fact.id, id_of_accepting(fact)]):
                heard.wanted, heard.refusal = [], RefusalCode.NOT_YOURS

    def _looks(self, states: Iterable[ChatState], chats: Mapping[str, Chat]) -> dict[str, datetime]:
        """Chats that an agent has just got, or that are not looked at though one has them, with when to look."""
        if self._quiet is None:
            return {}
        look_at = now_ms() + self._quiet
        return {f.chat_id: look_at for f in states if begins_silence(f, chats[f.chat_id])}

    async def _prepare_message(self, heard: Heard) -> None:
        fact = heard.fact
        assert isinstance(fact, MessagePosted)
        assert fact.attachment_id is not None
        attachment = await self._files.keep(fact.attachment_id, fact.chat_id, fact.sender.id)
        if attachment is None:
            heard.refusal = RefusalCode.UNKNOWN_ATTACHMENT
            return
        heard.wanted = [said(fact)]
        heard.wanted[0].attachment = attachment

    # ── after ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _telling(self, batch: Sequence[Heard], outcomes: dict[Wanted, Outcome]) -> Coroutine[None, None, None]:
        """Tells all facts of the batch in one go, each chat's in the order of seq; what they are is settled now."""
        done = [h for h in batch if h.verdict is Verdict.DONE]
        ready = sorted(((h, w, outcomes[w]) for h in done for w in h.wanted), key=lambda r: _seq(r[2]))
        facts: list[Told] = []
        for heard, wanted, outcome in ready:
            if isinstance(outcome, Stored):
                if wanted.said or heard.redelivered or not outcome.repeated:
                    posted_at = None if outcome.repeated else wanted.posted_at
                    facts.append((stored_fact(outcome.entry, posted_at), heard.traceparent))
                    self._stored(outcome.entry)
            elif isinstance(outcome, Refused) and wanted.said:
                facts.append((refused(wanted.chat_id, wanted.id, wanted.sender_id, outcome.code), heard.traceparent))
        for heard in done:
            if heard.refusal and isinstance(heard.fact, MessagePosted):
                said_ = heard.fact
                facts.append((refused(said_.chat_id, said_.id, said_.sender.id, heard.refusal), heard.traceparent))
        return self._tell(done, ready, facts)

    async def _tell(self, done: Sequence[Heard], ready: Sequence[Ready], facts: Sequence[Told]) -> None:
        if facts:
            messages = list(in_messages(facts, self._most))
            await retry_in_place(lambda: self._publisher.tell_all(messages))
        self._note_told(ready, facts)
        now = time.monotonic()
        for heard in done:
            counting.STORE_SECONDS.observe(now - heard.arrived)
            if heard.span:
                heard.span.end()

    def _note_told(self, ready: Iterable[Ready], facts: Iterable[Told]) -> None:
        for heard, wanted, outcome in ready:
            if not isinstance(outcome, Stored) or wanted.said:
                continue
            self._told.set(wanted.id, bool(self._told.get(wanted.id)) or not isinstance(heard.fact, MessagePosted))
            if not outcome.repeated and (wanted.opens or outcome.entry.is_seal):
                begin_trace(heard.traceparent, chat_id=wanted.chat_id)
                log.info("chat_sealed" if outcome.entry.is_seal else "log_begun", seq=outcome.entry.seq)
        for fact, trace in facts:
            if isinstance(fact, MessageRefused):
                begin_trace(trace, chat_id=fact.chat_id)
                counting.REFUSED.labels(fact.code.value).inc()
                log.info("message_refused", code=fact.code.value)


def _begin_span(heard: Heard) -> None:
    """What is done with it belongs to a span of its own, where its trace is kept."""
    if heard.span is None:
        began = time.time_ns() - int((time.monotonic() - heard.arrived) * 1e9)
        about = {"messaging.destination.name": topology.TRANSCRIPTS_MESSAGES.name}
        heard.span = begin_span("process", heard.fact.type, "consumer", heard.traceparent or "", about, began)
        if heard.span:
            heard.traceparent = heard.span.place.traceparent


def _storing(batch: Sequence[Heard]) -> AbstractContextManager[None]:
    """One write for the whole batch: under the span of the first whose trace is kept, with links to the others'."""
    kept = [h.span.place for h in batch if h.span]
    if not kept:
        return within(None)
    first, *others = kept
    return span("store", "entries", "internal", first.traceparent, {"eloket.batch": len(batch)}, links=others)


def _state_of(heard: Heard) -> ChatState | None:
    fact = heard.fact
    if not isinstance(fact, ChatState):
        return None
    return None if fact.cause is Cause.OPENED and fact.state is not ChatStatus.CLOSED else fact


def _accepts(heard: Heard) -> MessagePosted | None:
    """A message with which an agent may accept the chat."""
    fact = heard.fact
    return fact if isinstance(fact, MessagePosted) and fact.sender.party is Party.AGENT and fact.turn else None


def _begins(heard: Heard) -> bool:
    """What opens a chat goes before what has waited for it."""
    return isinstance(heard.fact, ChatOpened)


def _seq(outcome: Outcome) -> int:
    return outcome.entry.seq if isinstance(outcome, Stored) else 1 << 62
