"""Announcer: puts notices into the outbox, from events and from what this service has stored itself.

An event is acknowledged when its notices are stored. A left question and a rating have a mark until theirs are, so
that a process that dies in between loses nothing (the pattern "transactional outbox").
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.common.config.integrations import EventType, Integrations
from services.common.events.agents import ButtonChanged, DepartmentButton
from services.common.events.chats import ChatOpened, ChatState
from services.common.events.types import ChatStatus
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.observability.tracing import begin_trace
from services.transcripts.log.store import Store
from services.transcripts.outbox.rules import (
    Notice,
    buttons_of,
    notice_of_button,
    notice_of_label,
    notice_of_opening,
    notice_of_question,
    notice_of_rating,
    notices_of_state,
)
from services.transcripts.outbox.store import Outbox

log = structlog.get_logger()

COLLECT_EVERY = 5.0  # seconds, spread at random
AT_A_TIME = 200
OF_STATE: frozenset[EventType] = frozenset({"chat.assigned", "chat.accepted", "chat.closed"})


class Announcer:
    """Makes notices and stores them for the targets that want them. Handling the same twice is harmless."""

    def __init__(self, outbox: Outbox, store: Store, integrations: Integrations, clock: Callable[[], datetime]) -> None:
        """Create an announcer.

        Args:
            outbox: The outbox.
            store: The store of chats: a chat that was erased is not announced.
            integrations: The targets.
            clock: Returns the present in whole milliseconds.
        """
        self._outbox, self._store, self._clock = outbox, store, clock
        self._targets = integrations.targets
        self.targets = [target.id for target in self._targets]
        self._waits = {target.id: timedelta(seconds=target.seconds) for target in self._targets}
        self._wanted = integrations.events
        self._revisions: dict[str, int] = {}  # of buttons that were announced
        self._left = asyncio.Event()
        self.added = asyncio.Event()
        """Set when deliveries were added by this process."""

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def chat_opened(self, event: ChatOpened) -> None:
        """Announce a chat that was opened."""
        if "chat.opened" in self._wanted:
            await self._announce([notice_of_opening(event)])

    async def chat_changed(self, event: ChatState) -> None:
        """Announce what follows from the state of a chat; its end with the label that it has by then."""
        if self._wanted.isdisjoint(OF_STATE):
            return
        ended = event.state is ChatStatus.CLOSED and "chat.closed" in self._wanted
        await self._announce(notices_of_state(event, await self._outbox.label(event.chat_id) if ended else {}))

    async def button_changed(self, event: ButtonChanged) -> None:
        """Announce the buttons that have changed. Most events repeat all buttons as they are.

        A button has another revision only when it has changed. Of two changes that are handled in the wrong order the
        first may not be announced; the last one always is.
        """
        if "button.changed" in self._wanted:
            for button in buttons_of(event):
                if self._revisions.get(button.department, -1) < button.revision:
                    await self._announce_button(button, event.occurred_at)
                    self._revisions[button.department] = button.revision

    async def _announce_button(self, button: DepartmentButton, at: datetime) -> None:
        last = await self._outbox.last_button(button.department)
        if last is None or last < button.revision:
            await self._announce([notice_of_button(button, at)])
            await self._outbox.button_announced(button.department, button.revision)

    # ── what this service has stored ─────────────────────────────────────────────────────────────────────────────────

    def stored(self) -> None:
        """Note that a left question, a rating or a label was stored here: it is announced at once."""
        self._left.set()

    async def run(self, prepared: Callable[[], Awaitable[object]]) -> None:
        """Announce what is marked, until cancelled. `prepared` returns when the database has its indexes."""
        await prepared()
        while True:
            begin_trace()
            try:
                while await self.collect():
                    pass
            except DEPENDENCY_ERRORS as error:
                log.warning("repair_job_failed", job="announcer", error=type(error).__name__)
            except Exception:
                log.exception("repair_job_failed", job="announcer")
            try:
                async with asyncio.timeout(COLLECT_EVERY * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter, no secret
                    await self._left.wait()
            except TimeoutError:
                pass
            self._left.clear()

    async def collect(self) -> bool:
        """Announce left questions, ratings and labels that are marked. Return whether there may be more."""
        questions, ratings = await self._outbox.unannounced(AT_A_TIME)
        for question in questions:
            await self._marked(question, notice_of_question)
            await self._outbox.question_announced(question["_id"])
        for rating in ratings:
            await self._marked(rating, notice_of_rating)
            await self._outbox.rating_announced(rating["_id"], rating["at"])
        labelled = await self._outbox.unannounced_labels(AT_A_TIME)
        for chat in labelled:
            await self._marked(chat, notice_of_label)
            await self._outbox.label_announced(chat["_id"], chat["label"]["at"])
        return AT_A_TIME in (len(questions), len(ratings), len(labelled))

    async def _marked(self, found: Mapping[str, Any], notice_of: Callable[[Mapping[str, Any]], Notice]) -> None:
        """Announce one. What cannot be announced does not keep the others from it."""
        try:
            notice = notice_of(found)
        except (KeyError, TypeError, ValueError, AttributeError):
            log.exception("not_announced", chat_id=found["_id"])
            return
        await self._announce([notice])

    # ── the outbox ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _announce(self, notices: Iterable[Notice]) -> None:
        wanted = [(t.id, n) for n in notices for t in self._targets if t.wants(n.type, n.department)]
        if not wanted:
            return
        erased = await self._store.erased({n.chat_id for _, n in wanted if n.chat_id})
        kept = [(id_, n) for id_, n in wanted if n.chat_id not in erased]
        if await self._outbox.add(kept, self._clock(), self._waits):
            self.added.set()
