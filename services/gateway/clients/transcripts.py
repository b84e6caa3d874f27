"""Client of transcripts' internal API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from functools import partial

import aiohttp

from services.common.events.types import Record
from services.common.http.tokens import Actor
from services.common.internal_api import configuration as configuration_api
from services.common.internal_api import integration, queries
from services.common.internal_api import transcripts as api
from services.common.internal_api.past_chats import PAST_CHATS, PastChatsPage, PastChatsQuery
from services.common.internal_api.reports import REPORT, FiguresQuery, FiguresReport
from services.common.internal_api.supervision import UNANSWERED, Unanswered
from services.gateway.clients.http_client import Gathering, HttpClient

MOST_PAGES = 25  # pages of logs in one shared answer, which is held in memory as a whole


class TranscriptsClient:
    """Logs, left questions, and streams of attachments and transcripts.

    Every method raises `Unavailable` when transcripts does not answer.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._pages = {notes: Gathering(partial(self._some_pages, notes), MOST_PAGES) for notes in (False, True)}

    # ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def history(self, wanted: Iterable[api.HistoryWanted], notes: bool = False) -> dict[str, api.ChatHistory]:
        """Return the logs of these chats after the given sequence numbers. Unknown chats are left out."""
        found: dict[str, api.ChatHistory] = {}
        for part in queries.parts(list(wanted)):
            question = api.HistoryQuery(chats=part, notes=notes)
            answer = await self._http.read("transcripts", api.HISTORY, question, api.History)
            found.update((h.chat_id, h) for h in answer.chats)
        return found

    async def page(self, wanted: api.HistoryWanted, notes: bool = False) -> api.ChatHistory | None:
        """Return one chat's log after the given sequence number, or None for an unknown chat.

        Callers that arrive while another answer is awaited share the next request. This matters after a restart, when
        all browsers reconnect. A request whose answer may take a second is not shared.
        """
        if wanted.at_least > wanted.after:
            return (await self.history([wanted], notes)).get(wanted.chat_id)
        return (await self._pages[notes].ask(wanted)).get(wanted)

    async def unanswered(self, chat_ids: Iterable[str]) -> dict[str, datetime]:
        """Return since when the citizens of these chats have been waiting for an answer; others are left out."""
        found: dict[str, datetime] = {}
        for part in queries.parts(list(chat_ids)):
            query = queries.ChatsQuery(chat_ids=part)
            found |= (await self._http.read("transcripts", UNANSWERED, query, Unanswered)).since
        return found

    async def _some_pages(
        self, notes: bool, wanted: list[api.HistoryWanted]
    ) -> dict[api.HistoryWanted, api.ChatHistory]:
        found: dict[api.HistoryWanted, api.ChatHistory] = {}
        while wanted:
            once = {w.chat_id: w for w in wanted}  # an answer has each chat once
            pages = await self.history(once.values(), notes)
            found.update((once[chat_id], page) for chat_id, page in pages.items())
            wanted = [w for w in wanted if once[w.chat_id] is not w]
        return found

    async def grown(self, after: Mapping[str, int]) -> dict[str, int]:
        """Return the chats whose log continues after the given sequence number, with a later number that exists."""
        grown: dict[str, int] = {}
        for part in queries.parts(list(after)):
            question = api.TailsQuery(chat_ids=part, after={c: after[c] for c in part})
            tails = (await self._http.read("transcripts", api.TAILS, question, api.Tails)).tails
            grown.update((c, seq) for c, seq in tails.items() if seq > after.get(c, seq))
        return grown

    # ── left questions ───────────────────────────────────────────────────────────────────────────────────────────────

    async def leave_question(self, question: api.LeftQuestion) -> api.QuestionReceipt:
        """Store a left question and return its receipt. The first one of a chat stays.

        Raises:
            Declined: Transcripts refused.
        """
        return await self._http.ask("transcripts", api.QUESTION_LEAVE, question, api.QuestionReceipt)

    async def ask_question(self, question: api.AskedQuestion) -> api.QuestionReceipt:
        """Store a question that is left without a chat, and return its receipt.

        Raises:
            Declined: Transcripts refused; the id came with another request before.
        """
        return await self._http.ask("transcripts", api.QUESTION_ASK, question, api.QuestionReceipt)

    async def questions(self, query: api.QuestionsQuery) -> list[api.LeftQuestion]:
        """Return the left questions that are not done."""
        return (await self._http.read("transcripts", api.QUESTIONS, query, api.Questions)).questions

    async def question_archive(self, query: api.ArchiveQuery) -> api.ArchivePage:
        """Return a page of left questions that are done.

        Raises:
            Declined: The number has an error, or too many searches are under way.
        """
        return await self._http.ask("transcripts", api.QUESTION_ARCHIVE, query, api.ArchivePage)

    async def finish_question(self, done: api.QuestionDone) -> None:
        """Mark a left question as done.

        Raises:
            Declined: There is no such question, another agent has claimed it, or has done it.
        """
        await self._http.ask("transcripts", api.QUESTION_DONE, done, Record)

    async def undo_question(self, undo: api.QuestionUndo) -> api.LeftQuestion:
        """Open a left question again that is done, and return it.

        Raises:
            Declined: There is no such question, or another agent has done it.
        """
        return await self._http.ask("transcripts", api.QUESTION_UNDO, undo, api.LeftQuestion)

    async def claim_question(self, claim: api.QuestionClaim) -> api.LeftQuestion:
        """Claim a left question and return it.

        Raises:
            Declined: There is no such question, or another agent has claimed it.
        """
        return await self._http.ask("transcripts", api.QUESTION_CLAIM, claim, api.LeftQuestion)

    async def unclaim_question(self, claim: api.QuestionClaim) -> None:
        """Release the claim of a left question.

        Raises:
            Declined: There is no such question, another agent has claimed it, or it is done.
        """
        await self._http.ask("transcripts", api.QUESTION_UNCLAIM, claim, Record)

    # ── after a chat ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def open_identification(self, chat_id: str, actor: Actor) -> api.OpenIdentification:
        """Return the request to identify that the citizen of a chat may answer.

        Raises:
            Declined: There is none, or the citizen may not reach the chat any more.
        """
        sought = api.IdentificationSought(chat_id=chat_id)
        return await self._http.ask("transcripts", api.IDENTIFICATION_OPEN, sought, api.OpenIdentification, actor=actor)

    async def rate(self, rating: api.Rating, actor: Actor) -> None:
        """Store the rating of a chat.

        Raises:
            Declined: The citizen may not reach the chat any more.
        """
        await self._http.ask("transcripts", api.RATING, rating, Record, actor=actor)

    async def label(self, label: api.Label, actor: Actor) -> None:
        """Store the closing reason and the tags of a chat.

        Raises:
            Declined: The agent is not the one of the chat, or a word is not in the list.
        """
        await self._http.ask("transcripts", api.LABEL, label, Record, actor=actor)

    async def create_code(self, wanted: api.CodeWanted, actor: Actor) -> api.DownloadCode:
        """Create a download code.

        Raises:
            Declined: The citizen may not reach the chat any more.
        """
        return await self._http.ask("transcripts", api.CODE_CREATE, wanted, api.DownloadCode, actor=actor)

    async def use_code(self, given: api.CodeGiven) -> api.CodeFound:
        """Return the chat of a download code.

        Raises:
            Declined: The code is not known, or it has expired.
        """
        return await self._http.ask("transcripts", api.CODE_USE, given, api.CodeFound, hedged=True)

    async def note_access(self, noted: api.AccessNoted) -> None:
        """Log that an agent reads what another service answers."""
        await self._http.ask("transcripts", api.ACCESS_NOTE, noted, Record)

    async def check_names(self, check: configuration_api.NamesCheck) -> None:
        """Check that the integrations name no other departments than these.

        Raises:
            Declined: They do.
        """
        await self._http.ask("transcripts", configuration_api.CONFIGURATION_NAMES, check, Record, hedged=True)

    # ── evidence ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def public_keys(self) -> api.PublicKeys:
        """Return the keys with which signatures of transcripts are verified."""
        return await self._http.read("transcripts", api.TRANSCRIPT_KEYS, None, api.PublicKeys)

    async def verify_file(self, content: AsyncIterator[bytes]) -> api.VerifiedFile:
        """Verify a transcript.

        Raises:
            Declined: It is too large, or too many are being verified.
        """
        headers = {"Content-Type": "application/octet-stream"}
        response = await self._http.stream("transcripts", "POST", api.VERIFY_FILE, None, headers, content)
        async with response:
            return api.VerifiedFile.model_validate_json(await response.read())

    async def verify_code(self, given: api.CodeGiven) -> api.SignedTranscript:
        """Return what was signed under a code.

        Raises:
            Declined: There is no such code.
        """
        return await self._http.ask("transcripts", api.VERIFY_CODE, given, api.SignedTranscript, hedged=True)

    async def search_access_log(self, query: api.AccessSearch) -> api.AccessPage:
        """Return a page of the access log for an auditor.

        Raises:
            Declined: The search takes too long.
        """
        return await self._http.ask("transcripts", api.ACCESS_SEARCH, query, api.AccessPage)

    async def access_log_span(self, query: api.AccessSpanQuery) -> api.AccessSpan:
        """Return the entries of a period, of which an auditor's export begins.

        Raises:
            Declined: Transcripts refused.
        """
        return await self._http.ask("transcripts", api.ACCESS_SPAN, query, api.AccessSpan)

    async def verify_access_log(self, query: api.AccessVerify) -> api.AccessVerified:
        """Verify the newest entries of the access log for an auditor.

        Raises:
            Declined: Another verification is under way.
        """
        return await self._http.ask("transcripts", api.ACCESS_VERIFY, query, api.AccessVerified)

    # ── canned answers ───────────────────────────────────────────────────────────────────────────────────────────────

    async def canned_answers(self, query: api.CannedAnswersQuery) -> api.CannedAnswers:
        """Return the canned answers of these departments."""
        return await self._http.read("transcripts", api.CANNED_ANSWERS, query, api.CannedAnswers)

    async def add_canned_answer(self, new: api.NewCannedAnswer) -> api.CannedAnswer:
        """Add a canned answer and return it.

        Raises:
            Declined: Another answer has its code, or the department has too many.
        """
        return await self._http.ask("transcripts", api.CANNED_ANSWER_ADD, new, api.CannedAnswer)

    async def change_canned_answer(self, change: api.CannedAnswerChange) -> api.CannedAnswer:
        """Replace the content of a canned answer and return it.

        Raises:
            Declined: It is gone, was changed meanwhile, or is not the supervisor's; or as for `add_canned_answer`.
        """
        return await self._http.ask("transcripts", api.CANNED_ANSWER_CHANGE, change, api.CannedAnswer)

    async def remove_canned_answer(self, removal: api.CannedAnswerRemoval) -> None:
        """Remove a canned answer.

        Raises:
            Declined: It was changed meanwhile, or is not the supervisor's.
        """
        await self._http.ask("transcripts", api.CANNED_ANSWER_REMOVE, removal, Record)

    # ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def report(self, query: FiguresQuery) -> FiguresReport:
        """Return the figures of a report.

        Raises:
            Declined: It takes too long, or too many reports are being made.
        """
        return await self._http.ask("transcripts", REPORT, query, FiguresReport)

    # ── past chats ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def past_chats(self, query: PastChatsQuery) -> PastChatsPage:
        """Return a page of chats that have ended.

        Raises:
            Declined: The words cannot be searched, or too many searches are under way.
        """
        return await self._http.ask("transcripts", PAST_CHATS, query, PastChatsPage)

    # ── the read API ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def authenticate_client(self, given: integration.ClientSecret) -> integration.ClientScopes:
        """Return the scopes of a client's access token.

        Raises:
            Declined: There is no such client, or it has not all the scopes that it asks for.
        """
        return await self._http.ask(
            "transcripts", integration.CLIENT_AUTHENTICATE, given, integration.ClientScopes, hedged=True
        )

    async def authenticate_by_assertion(self, given: integration.ClientAssertion) -> integration.ClientScopes:
        """Return the scopes of a client's access token.

        An assertion is accepted once. Where the question is repeated it has the same `request`, which is the same use.

        Raises:
            Declined: The assertion is not right, or the client has not all the scopes that it asks for.
        """
        return await self._http.ask("transcripts", integration.CLIENT_ASSERTED, given, integration.ClientScopes)

    async def statistic_rows(self, query: integration.RowsQuery) -> integration.RowsPage:
        """Return a page of rows without persons.

        Raises:
            Declined: The client may not read it, or reads too much at once.
        """
        return await self._http.ask("transcripts", integration.STATISTIC_ROWS, query, integration.RowsPage)

    async def question_rows(self, query: integration.RowsQuery) -> integration.RowsPage:
        """Return a page of left questions.

        Raises:
            Declined: As `statistic_rows`.
        """
        return await self._http.ask("transcripts", integration.QUESTION_ROWS, query, integration.RowsPage)

    async def closed_chats(self, query: integration.ClosedChatsQuery) -> integration.ClosedChatsPage:
        """Return a page of chats that have ended.

        Raises:
            Declined: As `statistic_rows`.
        """
        return await self._http.ask("transcripts", integration.CLOSED_CHATS, query, integration.ClosedChatsPage)

    # ── attachments and transcripts ──────────────────────────────────────────────────────────────────────────────────

    async def stream(
        self,
        method: str,
        path: str,
        actor: Actor | None,
        headers: dict[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """Open a stream of bytes. The caller releases the response.

        Raises:
            Declined: Transcripts refused.
        """
        return await self._http.stream("transcripts", method, path, actor, headers, body)
