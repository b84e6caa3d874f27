"""Identification of citizens during a chat: the entries that say of it, which nothing else in the system can write.

An agent asks, and the citizen declines, or logs in at the citizens' issuer. Each request has one answer, the first one:
its entry has an id that depends on the request alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from services.common.events.identification import (
    OPEN_FOR,
    IdentificationAsked,
    IdentificationDeclined,
    IdentificationEnded,
)
from services.common.events.types import (
    About,
    Entry,
    Identification,
    IdentificationStep,
    Party,
    RefusalCode,
    derived_id,
    is_id,
)
from services.common.internal_api.transcripts import OpenIdentification
from services.common.messaging.publisher import Publisher
from services.transcripts import metrics
from services.transcripts.access.rules import Chat
from services.transcripts.log.entry_factory import SYSTEM
from services.transcripts.log.sequencing import NewEntry, PendingEntries, Refused, Stored
from services.transcripts.log.store import Store
from services.transcripts.log.writer import Writer
from services.transcripts.publisher import stored_event
from services.transcripts.rendering.texts import identification_text

log = structlog.get_logger()

MOST_REQUESTS = 20  # of one chat; more are ignored


def names_citizen(entry: Entry) -> bool:
    """Return whether this entry of the system says who the citizen is."""
    return entry.identification is not None and entry.identification.step is IdentificationStep.IDENTIFIED


def entry_id(chat_id: str, request: str, asked: bool) -> str:
    """Return the id of the entry of a request, or of its answer."""
    return derived_id(chat_id, "identification", request, "asked" if asked else "answered")


def new_entry(chat: Chat, about: About, asked: bool) -> NewEntry:
    """Return the entry of this step, in the chat's language."""
    step = about.identification
    assert step is not None
    id_ = entry_id(chat.chat_id, step.id, asked)
    text = identification_text("to_citizen", chat.locale, step, about.agent)
    return NewEntry(chat.chat_id, id_, Party.SYSTEM, SYSTEM, text=text, about=about)


def open_request(chat: Chat, entries: list[Entry], now: datetime) -> OpenIdentification | None:
    """Return the last request that the citizen may still answer.

    Args:
        chat: The chat.
        entries: Its entries about identifications, in order.
        now: The present.
    """
    asked = _asked(entries)
    last = asked[-1] if asked else None
    if last is None or last.about is None or last.identification is None or chat.closed_at is not None:
        return None
    id_ = last.identification.id
    answered = any(e.identification and e.identification.id == id_ for e in entries if e is not last)
    if answered or now >= last.at + OPEN_FOR:
        return None
    return OpenIdentification(
        chat_id=chat.chat_id,
        id=id_,
        agent=last.about.agent or "",
        department=last.about.department or chat.department,
        locale=chat.locale,
        until=last.at + OPEN_FOR,
    )


def _asked(entries: list[Entry]) -> list[Entry]:
    """Return the entries of requests, without those of their answers."""
    return [e for e in entries if e.identification and e.identification.step is IdentificationStep.ASKED]


class Identifications:
    """Stores the requests of agents and their answers as entries of logs, and publishes these. Idempotent."""

    def __init__(self, store: Store, writer: Writer, publisher: Publisher, clock: Callable[[], datetime]) -> None:
        self._store, self._writer, self._publisher, self._clock = store, writer, publisher, clock

    async def asked(self, event: IdentificationAsked) -> None:
        """Store that an agent asks the citizen to identify, unless an earlier request is open."""
        chat = await self._chat(event.chat_id, event.id, event.type)
        if chat is None:
            return
        entries = await self._store.identifications(chat.chat_id)
        asked = _asked(entries)
        repeated = entry_id(chat.chat_id, event.id, asked=True) in {e.id for e in asked}
        if not repeated and (len(asked) >= MOST_REQUESTS or open_request(chat, entries, self._clock())):
            log.info("identification_not_asked", chat_id=chat.chat_id)
            return
        step = Identification(id=event.id, step=IdentificationStep.ASKED)
        about = About(agent_id=event.agent_id, agent=event.agent_name, department=event.department, identification=step)
        await self._add(chat, about, asked=True)

    async def declined(self, event: IdentificationDeclined) -> None:
        """Store that the citizen prefers not to identify."""
        await self._answer(event, Identification(id=event.id, step=IdentificationStep.DECLINED))

    async def ended(self, event: IdentificationEnded) -> None:
        """Store as whom the citizen has identified, or that it has failed."""
        step = IdentificationStep.FAILED if event.name is None else IdentificationStep.IDENTIFIED
        answer = Identification(id=event.id, step=step, name=event.name, level=event.level, issuer=event.issuer)
        await self._answer(event, answer)

    async def open_request(self, chat: Chat) -> OpenIdentification | None:
        """Return the request that the citizen of a chat may answer, or None."""
        return open_request(chat, await self._store.identifications(chat.chat_id), self._clock())

    async def _answer(self, event: IdentificationDeclined | IdentificationEnded, answer: Identification) -> None:
        chat = await self._chat(event.chat_id, event.id, event.type)
        if chat is None:
            return
        asked = entry_id(chat.chat_id, event.id, asked=True)
        if asked not in await self._store.find(chat.chat_id, [asked]):
            log.warning("identification_without_request", chat_id=chat.chat_id, type=event.type)
            return
        await self._add(chat, About(identification=answer), asked=False)

    async def _chat(self, chat_id: str, request: str, type_: str) -> Chat | None:
        """Return the chat; None for one that was erased.

        Raises:
            ValueError: The ids are not in canonical form, or there is no such chat.
        """
        if not (is_id(chat_id) and is_id(request)):
            raise ValueError("not an identification")
        if await self._store.erased([chat_id]):
            log.info("late_event_of_erased_chat", type=type_, chat_id=chat_id)
            return None
        chat = await self._store.chat(chat_id)
        if chat is None:
            raise ValueError("an identification of an unknown chat")
        return chat

    async def _add(self, chat: Chat, about: About, asked: bool) -> None:
        new = new_entry(chat, about, asked)
        pending = PendingEntries()
        pending.add(new)
        await self._writer.store(pending)
        if new.result == Refused(RefusalCode.CHAT_CLOSED):
            log.info("identification_after_end", chat_id=chat.chat_id)
            return
        if not isinstance(new.result, Stored):
            raise ValueError("an identification in a log without a beginning")
        entry, step = new.result.entry, about.identification
        await self._publisher.publish(stored_event(entry))
        if step is not None and not new.result.repeated:
            metrics.IDENTIFICATIONS.labels(step.step.value).inc()
            log.info("identification", chat_id=chat.chat_id, step=step.step.value)
