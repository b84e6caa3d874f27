"""What becomes of a batch of facts: entries of the logs, what is remembered of each chat, and the facts that tell it.

Everything here may be done twice with the same facts; the second time finds what the first has left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
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
    Fact,
    MessagePosted,
    MessageRefused,
    Party,
    RefusalCode,
    is_id,
)
from services.tracing import begin_trace
from services.transcripts import counting
from services.transcripts.access import Chat
from services.transcripts.files import Files
from services.transcripts.recent import Recent
from services.transcripts.rounds import (
    Lines,
    Outcome,
    Refused,
    Stored,
    Unknown,
    Wanted,
    event_id,
    opened_id,
    question_id,
)
from services.transcripts.store import Store, encodable
from services.transcripts.system_texts import event_text
from services.transcripts.telling import Told, in_messages, refused, stored_fact
from services.transcripts.writer import Writer, now_ms

log = structlog.get_logger()

SYSTEM = "system"
CITIZEN = "citizen"
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
    ) -> None:
        """`quiet`: how long after an agent got a chat to look for its citizen's silence; None: never.

        `together`: what was stored is told several at a time.
        """
        self._store, self._files, self._publisher, self._writer = store, files, publisher, writer
        self._quiet, self._most = quiet, topology.MOST_TOGETHER if together else 1
        self._told: Recent[bool] = Recent(20_000)  # ids of system entries that are stored and told

    async def record(self, batch: Sequence[Heard]) -> asyncio.Task[None]:
        """Each gets its verdict; whatever it led to has been stored with majority, and is being told.

        The task ends when the broker has confirmed all of it: only then the batch is done. The next batch may be
        stored meanwhile. Both wait bad days out in place, and raise `BadDay` when one lasts too long.
        """
        for heard in batch:
            heard.wanted, heard.refusal = [], None
            heard.verdict = Verdict.DONE if is_acceptable(heard.fact) else Verdict.POISON
        await retry_in_place(lambda: self._prepare(batch))
        lines = Lines()
        for heard in sorted(batch, key=_begins, reverse=True):
            for wanted in heard.wanted:
                lines.add(wanted)
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
        await self._prepare_states([h for h in good if isinstance(h.fact, ChatState)])
        await asyncio.gather(*(self._prepare_message(h) for h in good if _has_attachment(h.fact)))
        for heard in good:
            if isinstance(heard.fact, ChatOpened):
                heard.wanted = opening(heard.fact)
            elif isinstance(heard.fact, MessagePosted) and not _has_attachment(heard.fact):
                heard.wanted = [said(heard.fact)]
            if not all(encodable(w.entry(1, _LONG_AGO)) for w in heard.wanted):
                log.error("entry_not_encodable", type=heard.fact.type)
                heard.wanted, heard.verdict = [], Verdict.POISON

    async def _prepare_states(self, states: Sequence[Heard]) -> None:
        fresh = [(h, f) for h in states if (f := _state_of(h)) and (h.redelivered or _event_id(f) not in self._told)]
        if not fresh:
            return
        chats = await self._store.chats([f.chat_id for _, f in fresh])
        known = [f for _, f in fresh if f.chat_id in chats]
        await self._store.note_states([(f.chat_id, f.v, f.agent_id) for f in known], self._looks(known, chats))
        for heard, fact in fresh:
            chat = chats.get(fact.chat_id)
            if chat is None:
                heard.verdict = Verdict.DONE if _never_opened(fact) else Verdict.LATER
            elif fact.v >= chat.v or fact.state is ChatStatus.CLOSED:
                heard.wanted = [happened(fact, chat)]
            else:
                log.debug("state_overtaken", chat_id=fact.chat_id, v=fact.v)

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
                    facts.append((stored_fact(outcome.entry), heard.traceparent))
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

    def _note_told(self, ready: Iterable[Ready], facts: Iterable[Told]) -> None:
        for heard, wanted, outcome in ready:
            if not isinstance(outcome, Stored) or wanted.said:
                continue
            self._told.set(wanted.id, True)
            if not outcome.repeated and (wanted.opens or outcome.entry.is_seal):
                begin_trace(heard.traceparent, chat_id=wanted.chat_id)
                log.info("chat_sealed" if outcome.entry.is_seal else "log_begun", seq=outcome.entry.seq)
        for fact, trace in facts:
            if isinstance(fact, MessageRefused):
                begin_trace(trace, chat_id=fact.chat_id)
                counting.REFUSED.labels(fact.code.value).inc()
                log.info("message_refused", code=fact.code.value)


def is_acceptable(fact: Fact) -> bool:
    """True for the facts of this queue with ids in their canonical form (they become keys in the database)."""
    if isinstance(fact, MessagePosted):
        return is_id(fact.chat_id) and is_id(fact.id) and (fact.text is None) is not (fact.attachment_id is None)
    return isinstance(fact, ChatOpened | ChatState) and is_id(fact.chat_id)


def _never_opened(fact: ChatState) -> bool:
    """The end of a chat that routing knows by its number alone: nothing was said in it, and nobody is told of it."""
    return fact.state is ChatStatus.CLOSED and not fact.department


def opening(fact: ChatOpened) -> list[Wanted]:
    """The first entries of a chat: `opened`, and the citizen's question when there is one."""
    text = event_text(fact.locale, Cause.OPENED)
    first = Wanted(fact.chat_id, opened_id(fact.chat_id), Party.SYSTEM, SYSTEM, text=text, event=Cause.OPENED)
    if not fact.question:
        return [first]
    question = Wanted(fact.chat_id, question_id(fact.chat_id), Party.CITIZEN, CITIZEN, fact.name, fact.question)
    return [first, question]


def said(fact: MessagePosted) -> Wanted:
    sender = fact.sender
    return Wanted(fact.chat_id, fact.id, sender.party, sender.id, sender.name, fact.text)


def happened(fact: ChatState, chat: Chat) -> Wanted:
    """What the chat says at this state, in its own language."""
    reason = fact.reason if fact.state is ChatStatus.CLOSED else None
    event = Cause.CLOSED if fact.state is ChatStatus.CLOSED else fact.cause
    text = event_text(chat.locale, event, fact.agent_name, reason, fact.detail)
    id_, after = _event_id(fact), 2 if chat.asked else 1
    return Wanted(fact.chat_id, id_, Party.SYSTEM, SYSTEM, text=text, event=event, reason=reason, after=after)


def begins_silence(fact: ChatState, chat: Chat) -> bool:
    """True when from this state on the citizen's silence counts; a state told again does not put off the look."""
    return fact.state is ChatStatus.ASSIGNED and (fact.v > chat.v or (fact.v == chat.v and not chat.watched))


def _event_id(fact: ChatState) -> str:
    return event_id(fact.chat_id, Cause.CLOSED if fact.state is ChatStatus.CLOSED else fact.cause, fact.turn)


def _state_of(heard: Heard) -> ChatState | None:
    fact = heard.fact
    if not isinstance(fact, ChatState):
        return None
    return None if fact.cause is Cause.OPENED and fact.state is not ChatStatus.CLOSED else fact


def _begins(heard: Heard) -> bool:
    """What opens a chat goes before what has waited for it."""
    return isinstance(heard.fact, ChatOpened)


def _has_attachment(fact: Fact) -> bool:
    return isinstance(fact, MessagePosted) and fact.attachment_id is not None


def _seq(outcome: Outcome) -> int:
    return outcome.entry.seq if isinstance(outcome, Stored) else 1 << 62
