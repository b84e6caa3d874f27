"""Dependencies of the routes, and the access of an actor to a chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import Request

from services.common.config.departments import Departments
from services.common.events.types import Entry
from services.common.http.problems import Problem
from services.common.http.tokens import Actor
from services.common.runtime.service import caller
from services.common.runtime.worker_process import MIB, Workers
from services.transcripts.access.rules import Chat, Reach, Refusal, is_over, needs_reason, reach
from services.transcripts.access_log.store import Access, Act
from services.transcripts.attachments.checker import Checker
from services.transcripts.attachments.previews import Previews
from services.transcripts.attachments.rescans import Rescans
from services.transcripts.attachments.scanner import Scanner
from services.transcripts.attachments.uploads import Uploads
from services.transcripts.concurrency_limits import ConcurrencyLimit, LimitReached
from services.transcripts.evidence.store import Chains
from services.transcripts.identifications import Identifications
from services.transcripts.outbox.announcer import Announcer
from services.transcripts.rendering.pdf import PdfPress
from services.transcripts.settings import Settings
from services.transcripts.stores import Stores

DOWNLOAD_PATIENCE = 3.0  # seconds to wait for a free slot
REPORT_PATIENCE = 0.5  # with the time of a report, less than a gateway waits for an answer
VERIFY_MEMORY = 128 * MIB  # of the process that verifies files; the longest conversation needs a third of it
VERIFY_SECONDS = 5.0  # for one file; the longest conversation needs less than one
VERIFY_WAITING = 2  # files that are held in memory beside the one in progress
SEARCH_PATIENCE = 1.5  # with the time of a search, less than a gateway waits for an answer
HISTORY_PATIENCE = 4.0  # less than a gateway waits for an answer


@dataclass(frozen=True, slots=True)
class Admitted:
    """An actor with access to a chat.

    Attributes:
        actor: The actor.
        chat: The chat.
        adds: Whether the actor may upload files.
        last: The last entry that the actor may read; None: all.
    """

    actor: Actor
    chat: Chat
    adds: bool
    last: Entry | None


def role_of(party: str, supervisor: bool) -> str:
    """Return the role of a reader for the access log."""
    if party == "client":
        return "service"
    return "supervisor" if party == "agent" and supervisor else party


class Context:
    """Dependencies of the routes."""

    def __init__(
        self,
        *,
        stores: Stores,
        chains: Chains,
        public_keys: Sequence[bytes],
        announcer: Announcer,
        identifications: Identifications,
        press: PdfPress,
        departments: Departments,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self.store, self.files, self.questions = stores.logs, stores.files, stores.questions
        self.ratings, self.labels, self.codes = stores.ratings, stores.labels, stores.codes
        self.erasures, self.access_log, self.statistics = stores.erasures, stores.access_log, stores.statistics
        self.past_chats, self.canned_answers = stores.past_chats, stores.canned_answers
        self.integration, self.outbox, self.announcer = stores.clients, stores.outbox, announcer
        self.identifications = identifications
        self.chains, self.public_keys = chains, list(public_keys)
        self.press, self.departments = press, departments
        self.settings, self.clock = settings, clock
        self.zone = ZoneInfo(settings.timezone)
        self.verifier = Workers(
            "services.transcripts.evidence.worker:begin",
            memory=VERIFY_MEMORY,
            seconds=VERIFY_SECONDS,
            size=1,
            waiting=VERIFY_WAITING,
        )
        self.checker = Checker(settings.refused_findings)
        scanner = Scanner(settings.clamd_url, settings.clamd_timeout) if settings.clamd_url else None
        self.uploads = Uploads(self.store, self.files, settings, clock, self.checker, self.questions, scanner)
        self.previews = Previews(self.files, clock)
        self.rescans = Rescans(self.files, scanner, settings.clamd_timeout, clock)
        self.downloads = ConcurrencyLimit(each=2, total=40, waiting=8, patience=DOWNLOAD_PATIENCE)
        self.file_downloads = ConcurrencyLimit(each=8, total=80, waiting=20, patience=DOWNLOAD_PATIENCE)
        # Their own: two are drawn at a time, for up to 20 s each, and no download waits for that.
        self.preview_downloads = ConcurrencyLimit(each=8, total=40, waiting=20, patience=DOWNLOAD_PATIENCE)
        self.access_verifications = ConcurrencyLimit(each=1, total=1, waiting=1, patience=REPORT_PATIENCE)
        self.reports = ConcurrencyLimit(each=1, total=2, waiting=1, patience=REPORT_PATIENCE)
        self.verifications = ConcurrencyLimit(each=3, total=3, waiting=6, patience=DOWNLOAD_PATIENCE)
        self.client_reads = ConcurrencyLimit(each=2, total=4, waiting=2, patience=SEARCH_PATIENCE)
        self.searches = ConcurrencyLimit(each=1, total=4, waiting=2, patience=SEARCH_PATIENCE)
        # After a gateway crash its citizens reconnect at once, each to their own chat; waiting requests cost little.
        self.histories = ConcurrencyLimit(each=2, total=16, waiting=8, patience=HISTORY_PATIENCE, line=500)

    async def admit(self, request: Request, chat_id: str) -> Admitted:
        """Return the actor who sent the request, and what they may do with the chat.

        Raises:
            Problem: The actor may do nothing with it.
        """
        actor, now = self.integration.granted(caller(request).acting()), self.clock()
        chat = await self.store.chat(chat_id)
        life, former = timedelta(seconds=self.settings.citizen_access), timedelta(seconds=self.settings.former_access)
        found = reach(actor, chat_id, chat, now, life, former)
        last: Entry | None = None
        if isinstance(found, Reach) and found.former:
            assert actor is not None
            last = await self._last_seen(actor, chat_id, found)
            if last is None or is_over(last.at, now, former):
                found = Refusal(403, "forbidden", "Your time to read this conversation is over.")
        limited = isinstance(found, Refusal) or last is not None
        if limited and chat is not None and await self._has_left_question(actor, chat_id, now):
            last = None
            found = Reach(claimed=True)
        if isinstance(found, Refusal):
            raise Problem(found.status, found.code, found.detail)
        assert actor is not None
        assert chat is not None
        await self._require_reason(actor, chat, found, now)
        return Admitted(actor, chat, found.adds, last)

    async def _require_reason(self, actor: Actor, chat: Chat, found: Reach, now: datetime) -> None:
        """Check that the actor gives a reason, where a department of the chat asks one.

        Raises:
            Problem: 428 `reason_required`.
        """
        known = (self.departments.get(id_) for id_ in {chat.department, *chat.departments})
        asks = {department.ask_reason for department in known if department is not None}
        if actor.reason or not needs_reason(actor, chat, found, asks):
            return
        if not await self._has_left_question(actor, chat.chat_id, now):
            raise Problem(
                428,
                "reason_required",
                "This department asks why you read a conversation that is not yours. Send the reason in the header "
                "X-Reason, percent-encoded.",
            )

    async def log_read(self, act: Act, admitted: Admitted, item: str | None = None) -> None:
        """Log that the actor reads something of the chat. Call it before the answer begins.

        Raises:
            PyMongoError: It could not be logged; it may not be read then.
        """
        actor, chat = admitted.actor, admitted.chat
        named = actor.party in ("agent", "client")
        await self.access_log.record(
            Access(
                act,
                actor.id if named else None,
                role_of(actor.party, actor.supervisor),
                chat.chat_id,
                item,
                chat.department,
                actor.source if named else None,
                actor.reason if named else None,
            )
        )

    async def _has_left_question(self, actor: Actor | None, chat_id: str, now: datetime) -> bool:
        """Return whether the actor is an agent who deals or dealt with the question that was left in this chat."""
        if actor is None or actor.party != "agent":
            return False
        return await self.questions.may_read(chat_id, actor.id, actor.departments or [], now)

    async def _last_seen(self, actor: Actor, chat_id: str, found: Reach) -> Entry | None:
        """Return the last entry that an agent who left the chat has seen.

        That is the entry that says that they left, or else the last entry of their own.
        """
        if found.left and (entry := (await self.store.find(chat_id, [found.left])).get(found.left)):
            return entry
        own = (e for e in reversed(await self.store.entries(chat_id)) if e.sender_id == actor.id)
        return next(own, None)

    async def posted(self, admitted: Admitted, attachment_id: str) -> bool:
        """Return whether this file is in the part of the log that the actor may read."""
        if admitted.last is None:
            return True
        entries = await self.store.entries(admitted.chat.chat_id, 0, admitted.last.seq)
        return any(e.attachment and e.attachment.id == attachment_id for e in entries)

    async def slot(self, limit: ConcurrencyLimit, chat_id: str) -> Callable[[], None]:
        """Wait for a slot for a download. Return the function that releases it.

        Raises:
            Problem: 429 `rate_limited` when too many downloads are in progress.
        """
        try:
            return await limit.take(chat_id)
        except LimitReached:
            raise Problem(
                429, "rate_limited", "Too many downloads are under way. Try again in a moment.", {"Retry-After": "5"}
            ) from None
