"""Subscription of a session to a chat: bind first, read the history, then deliver live events. Also repairs gaps.

A page reload, a second tab, a crashed gateway and a lost queue are all handled in this one way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import structlog
from prometheus_client import Counter

from services.common.events.types import Entry
from services.common.internal_api.routing import ChatView
from services.common.internal_api.transcripts import ChatHistory, HistoryWanted
from services.gateway.background_tasks import Tasks
from services.gateway.chats.chat import LiveChat
from services.gateway.chats.chat_state import State, whole
from services.gateway.chats.live_chats import LiveChats
from services.gateway.clients.http_client import Unavailable
from services.gateway.clients.routing import RoutingClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.participants.sessions import Session

log = structlog.get_logger()
GAP_WAIT = 0.1  # seconds for which a gap may be only a reordering
LONGEST_GAP_WAIT = 5.0  # between attempts that found nothing
# A chat that was just opened may not be known everywhere yet. It is requested again when an event about it arrives, or
# after these seconds. Asking every few milliseconds cost 5 requests for a log at each start instead of 3, under load.
KNOWN_WAIT = (0.1, 0.2, 0.3, 0.6, 1.0, 1.0, 1.0, 1.0, 1.0)
LOOK = 0.005  # seconds between checks for an event
GAPS = Counter("eloket_gateway_gaps_read_total", "Holes in the live events that were read from transcripts")


class NoSuchChat(Exception):
    """Routing does not know this chat."""


class Subscriptions:
    """Reads the chats that sessions follow: their state, their logs, and gaps in the live events."""

    def __init__(self, chats: LiveChats, routing: RoutingClient, transcripts: TranscriptsClient, tasks: Tasks) -> None:
        self.chats, self._routing, self._transcripts, self._tasks = chats, routing, transcripts, tasks

    async def view(self, chat_id: str) -> ChatView:
        """Return what routing knows of the chat. Wait for a chat that was just opened.

        Raises:
            NoSuchChat: Routing still does not know the chat after the last attempt.
            Unavailable: Routing does not answer.
        """
        chat = self.chats.by_id.get(chat_id)
        for pause in (*KNOWN_WAIT, None):
            before = chat and chat.state
            view, _ = await self._routing.chat(chat_id)
            if view:
                return view
            if pause is not None:
                await _until(lambda: chat and chat.state is not before, pause)  # noqa: B023
        raise NoSuchChat(chat_id)

    async def first_page(self, chat: LiveChat, after: int, notes: bool = False) -> ChatHistory:
        """Return the log after the sequence number `after`.

        Waits a moment until transcripts knows the chat, which routing knows already.

        Raises:
            Unavailable: Transcripts does not answer, or does not know the chat yet.
        """
        for pause in (*KNOWN_WAIT, None):
            before = chat.cursor.highest
            wanted = HistoryWanted(chat_id=chat.chat_id, after=after, at_least=before)
            found = await self._transcripts.page(wanted, notes)
            if found is not None and found.last_seq > 0:
                return found
            if pause is not None:
                await _until(lambda: chat.cursor.highest != before, pause)  # noqa: B023
        raise Unavailable("the beginning of the log")

    def note_view(self, chat: LiveChat, view: ChatView) -> State:
        """Merge routing's answer into the known state, for the citizen's other tabs too. Return the newer of both."""
        chat.citizen_name = chat.citizen_name or view.name
        if chat.state is None or view.v > chat.state.v:
            self.chats.set_state(chat, State.of_view(view))
        elif view.v == chat.state.v:
            if chat.state.place[0] is None:
                chat.state.place = (view.position, whole(view.wait))
            chat.state.closed_at = view.closed_at
            self.chats.learn(chat, view.accepted if view.tells_acceptance else None)
        assert chat.state is not None
        return chat.state

    async def catch_up(self, session: Session, chat: LiveChat, page: ChatHistory, after: int) -> AsyncIterator[Entry]:
        """Yield the entries after `after` in order. After the last one the session follows live, without a gap."""
        shown = min(after, page.last_seq)
        while True:
            for entry in page.entries:
                if entry.seq == shown + 1:
                    shown = entry.seq
                    session.catch_up(entry)
                    self.chats.note_entry(chat, entry)
                    yield entry
            for passed in chat.cursor.begin(shown):
                self.chats.pass_on(chat, passed)
            if shown >= page.last_seq and shown >= (chat.cursor.last or 0):
                break
            page = await self.first_page(chat, shown)
        self.chats.attach(session, chat, shown)
        if chat.cursor.behind:  # entries ahead arrived before the cursor was set
            self.gap(chat)

    # ── gaps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def gap(self, chat: LiveChat) -> None:
        """Read a gap from transcripts, unless the missing entries arrive by themselves within 100 ms."""
        if not chat.gap_read_due:
            chat.gap_read_due = True
            self._tasks.start(self._read_gap_soon(chat))

    async def _read_gap_soon(self, chat: LiveChat) -> None:
        pause = GAP_WAIT
        try:
            while True:
                await asyncio.sleep(pause)
                if not chat.cursor.behind or self.chats.by_id.get(chat.chat_id) is not chat:
                    return
                GAPS.inc()
                before = chat.cursor.last
                with contextlib.suppress(Unavailable):
                    await self.read_on([chat])
                pause = GAP_WAIT if chat.cursor.last != before else min(pause * 2, LONGEST_GAP_WAIT)
        finally:
            chat.gap_read_due = False

    async def read_on(self, live_chats: list[LiveChat]) -> None:
        """Read and pass on the entries of these chats beyond their cursors.

        Raises:
            Unavailable: Transcripts does not answer.
        """
        wanted = [
            HistoryWanted(chat_id=c.chat_id, after=c.cursor.last, at_least=c.cursor.highest)
            for c in live_chats
            if c.cursor.last is not None
        ]
        for chat_id, page in (await self._transcripts.history(wanted)).items():
            chat = self.chats.by_id.get(chat_id)
            if chat is None:
                continue
            for passed in chat.cursor.read(page.entries):
                self.chats.pass_on(chat, passed)
            chat.cursor.highest = max(chat.cursor.highest, page.last_seq)
            if chat.cursor.behind:
                self.gap(chat)


async def _until(condition: Callable[[], object], seconds: float) -> None:
    """Return as soon as the condition holds, at the latest after so many seconds."""
    end = time.monotonic() + seconds
    while not condition() and (left := end - time.monotonic()) > 0:  # noqa: ASYNC110  # an event in each chat costs more
        await asyncio.sleep(min(LOOK, left))
