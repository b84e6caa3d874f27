"""Internal API of transcripts, as the gateway uses it: paths, requests and answers. No I/O."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from services.common.events.types import Attachment, Entry, Form, Note, Record, Whole
from services.common.internal_api.presence import OfficerRole
from services.common.internal_api.queries import MAX_CHATS, ChatsQuery

# transcripts
HISTORY = "/internal/history"  # HistoryQuery → History
TAILS = "/internal/tails"  # TailsQuery → Tails
QUESTION_LEAVE = "/internal/questions/leave"  # LeftQuestion → QuestionReceipt; the first one of a chat stays
QUESTION_ASK = "/internal/questions/ask"  # AskedQuestion → QuestionReceipt | 422 invalid
QUESTIONS = "/internal/questions"  # QuestionsQuery → Questions
QUESTION_DONE = "/internal/questions/done"  # QuestionDone → 204 | 404 no_such_question | 409 claimed, question_done
QUESTION_UNDO = "/internal/questions/undo"
# QuestionUndo → LeftQuestion | 403 not_yours | 404 no_such_question | 409 question_done
QUESTION_CLAIM = "/internal/questions/claim"  # QuestionClaim → LeftQuestion | 404 no_such_question | 409 claimed
QUESTION_UNCLAIM = "/internal/questions/unclaim"
# QuestionClaim → 204 | 403 not_yours | 404 no_such_question | 409 claim_changed, question_done
QUESTION_ARCHIVE = "/internal/questions/archive"  # ArchiveQuery → ArchivePage | 422 invalid | 429
RATING = "/internal/ratings"  # Rating → 204; a later one of the same chat replaces it
LABEL = "/internal/labels"  # Label → 204 | 403 | 404 no_such_chat | 422 unknown_label; a later one replaces it
IDENTIFICATION_OPEN = "/internal/identification-requests/open"  # IdentificationSought → OpenIdentification | 403 | 404
CODE_CREATE = "/internal/download-codes/create"  # CodeWanted → DownloadCode; a new code replaces the one before
CODE_USE = "/internal/download-codes/use"  # CodeGiven → CodeFound | 404 unknown_code
ACCESS_NOTE = "/internal/access-log/note"  # AccessNoted → 204
ACCESS_LOG = "/internal/access-log"  # AccessQuery → AccessEntries
ACCESS_SEARCH = "/internal/access-log/search"  # AccessSearch → AccessPage | 422 search_too_large
ACCESS_SPAN = "/internal/access-log/span"  # AccessSpanQuery → AccessSpan; an export begins
ACCESS_VERIFY = "/internal/access-log/verify"  # AccessVerify → AccessVerified | 429 rate_limited
CANNED_ANSWERS = "/internal/canned-answers"  # CannedAnswersQuery → CannedAnswers
CANNED_ANSWER_ADD = "/internal/canned-answers/add"  # NewCannedAnswer → CannedAnswer | 409 code_taken, too_many_answers
CANNED_ANSWER_CHANGE = "/internal/canned-answers/change"
# CannedAnswerChange → CannedAnswer | 403 forbidden | 404 no_such_answer | 409 changed, code_taken, too_many_answers
CANNED_ANSWER_REMOVE = "/internal/canned-answers/remove"  # CannedAnswerRemoval → 204 | 403 forbidden | 409 changed
TRANSCRIPT_KEYS = "/internal/transcript-keys"  # → PublicKeys
VERIFY_FILE = "/internal/transcripts/verify"  # bytes of a file → VerifiedFile | 413 too_large | 429 rate_limited
VERIFY_CODE = "/internal/transcripts/verify-code"  # CodeGiven → SignedTranscript | 404 unknown_code
PAGE = 500  # entries of one chat in one answer
MOST_ARCHIVED = 50  # questions in one page of the archive
ArchiveCursor = Annotated[str, Field(pattern=r"^[0-9]{1,14}-[0-9a-f-]{1,36}$")]


class HistoryWanted(Record):
    """Request for a log after `after`.

    `at_least`: the highest seq that is known to exist; the answer waits for it up to 1 s.
    """

    chat_id: str
    after: int = Field(default=0, ge=0, le=2**63 - 1)
    at_least: int = Field(default=0, ge=0, le=2**63 - 1)


class HistoryQuery(Record):
    """Request for the logs of several chats."""

    chats: list[HistoryWanted] = Field(max_length=MAX_CHATS)
    notes: bool = False


class ChatHistory(Record):
    """Entries after `after` in the order of seq, at most `PAGE`. `last_seq` is the chat's tail (majority, primary)."""

    chat_id: str
    last_seq: int
    entries: list[Entry]
    notes: list[Note] = Field(default_factory=list)
    sealed: bool = False
    closed_at: datetime | None = None


class History(Record):
    """Logs of several chats. Chats that are not known yet are left out."""

    chats: list[ChatHistory]


class Notes(Record):
    """The internal notes of a chat, the oldest first."""

    notes: list[Note]


class TailsQuery(ChatsQuery):
    """Request for the ends of logs.

    `after`: the last known seq of each chat; without it the answer has all last seqs.
    """

    after: dict[str, Whole] | None = Field(default=None, max_length=MAX_CHATS)


class Tails(Record):
    """The ends of logs.

    In the answer to a request with `after`: only chats whose log continues, with a seq beyond `after` that exists.
    """

    tails: dict[str, int]


class Claimed(Record):
    """The agent who deals with a left question, since `at`."""

    agent_id: str
    name: str
    at: datetime


class LeftQuestion(Record):
    """A question that a citizen left, with how to reach them (a phone number or an address).

    Attributes:
        chat_id: The chat in which no agent came; the id of the question itself when `source` is `button`.
        department: The department.
        locale: The citizen's language.
        name: The citizen's name.
        contact: How to reach them.
        text: The question.
        at: When it was left.
        claimed: Who deals with it.
        number: What the citizen got as receipt; None: left before version 2.0.
        source: `chat`: left in a chat; `button`: left while the button was blue, without a chat.
        form: The online form that the citizen had open, of a question without a chat.
        files: The files of a question without a chat.
        answer_by: The day that the citizen was given for the answer; None: there was none, or it was left before
            version 2.0.
        undone_at: When it was opened again last, after an agent had done it; None: it was not.
    """

    chat_id: str
    department: str
    locale: str = "nl"
    name: str | None = None
    contact: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=4_000)
    at: datetime
    claimed: Claimed | None = None
    number: str | None = None
    source: Literal["chat", "button"] = "chat"
    form: Form | None = None
    files: list[Attachment] = Field(default_factory=list)
    answer_by: date | None = None
    undone_at: datetime | None = None


class Finished(Record):
    """The agent who has dealt with a left question, at `at`. `name`: None where only their id was stored."""

    agent_id: str
    name: str | None = None
    at: datetime


class DoneQuestion(LeftQuestion):
    """A left question that is done. `done`: by whom, and when."""

    done: Finished


class AskedQuestion(LeftQuestion):
    """A question that is left without a chat. `request`: digest of the request; the same id comes with the same one."""

    request: str


class QuestionReceipt(Record):
    """What the citizen gets for a left question, and when it was left; both None from a replica before version 2.0.

    `answer_by` is the day that is stored with the question, which a repeat of the request does not change.
    """

    number: str | None = None
    at: datetime | None = None
    answer_by: date | None = None


class Reader(Record):
    """The agent who reads something, for the access log, and the address from which they ask.

    `role`: that of an officer, who is no agent.
    """

    agent_id: str
    supervisor: bool = False
    source: str | None = None
    role: OfficerRole | None = None


ChangeOfDepartments = Literal["departments_changed", "departments_imported", "departments_restored"]

ChangeOfAccount = Literal[
    "account_added",
    "account_changed",
    "account_disabled",
    "account_enabled",
    "account_removed",
    "account_password_made",
    "account_totp_made",
    "account_totp_removed",
    "account_change_undone",
    "accounts_exported",
    "accounts_imported",
]


class AccessNoted(Record):
    """Note for the access log that an agent reads what another service answers, or acts as supervisor or officer.

    It also notes that an administrator, or the operator, is about to change the departments or an account, to end a
    session of another person, or to export the accounts.

    `item`: the agent to whom a chat is reassigned, the name that is searched among the sessions, the name and id of the
    person whose session is ended, the versions of the departments before and after, or the username of the account and
    its fields that are changed; of an import several, one after the other.
    """

    act: (
        Literal[
            "assignments_read",
            "chat_reassigned",
            "supervisor_note_added",
            "chat_token_revoked",
            "sessions_read",
            "session_ended",
        ]
        | ChangeOfDepartments
        | ChangeOfAccount
    )
    reader: Reader
    chat_id: str | None = None
    item: str | None = None
    departments: list[str] = Field(default_factory=list)


class QuestionsQuery(Record):
    """Request for the open questions of these departments.

    `reader`: who reads them; None: requested by a gateway that does not say it.
    """

    departments: list[str]
    reader: Reader | None = None


class Questions(Record):
    """Open questions, the oldest first (at most 200)."""

    questions: list[LeftQuestion]


class QuestionDone(Record):
    """Request to mark a question as done.

    Attributes:
        chat_id: The question.
        agent_id: The agent.
        departments: Those of the agent; questions of others are not found.
        agent_name: Their name, for the archive.
        once: Refuse when another agent has done it already.
        source: The address from which they ask, for the access log.
    """

    chat_id: str
    agent_id: str
    departments: list[str]
    agent_name: str | None = None
    once: bool = False
    source: str | None = None


class QuestionUndo(QuestionDone):
    """Request to open a question again that is done.

    Attributes:
        any_agent: One that another agent has done may be opened too.
        of: Only when this agent has done it.
    """

    any_agent: bool = False
    of: str | None = Field(default=None, max_length=200)


class QuestionClaim(QuestionDone):
    """Request to claim a question, or to release it.

    Attributes:
        agent_name: The agent's name, for colleagues.
        any_agent: A claim of another agent may be released too.
        of: Only the claim of this agent is released.
    """

    agent_name: str
    any_agent: bool = False
    of: str | None = Field(default=None, max_length=200)


class ArchiveQuery(Record):
    """Request for a page of questions that are done, the newest first. A member that is None does not narrow it.

    Attributes:
        reader: Who asks.
        departments: Those of the agent that are asked for.
        number: The number of one question.
        since: The first day on which a question was done, in the configured time zone.
        until: The last day.
        before: The `next` of the page before.
        limit: The most questions of the page.
    """

    reader: Reader
    departments: list[str]
    number: str | None = Field(default=None, max_length=8)
    since: date | None = None
    until: date | None = None
    before: ArchiveCursor | None = None
    limit: int = Field(default=25, ge=1, le=MOST_ARCHIVED)


class ArchivePage(Record):
    """A page of questions that are done. `next`: where the next one begins; None: there is none."""

    questions: list[DoneQuestion]
    next: str | None = None


class Rating(Record):
    """A citizen's rating of a chat. At least one of the two answers is given.

    Attributes:
        chat_id: The chat.
        helped: Whether the citizen was helped.
        score: How they rate the conversation, from 1 (very bad) to 5 (very good).
    """

    chat_id: str
    helped: Literal["yes", "partly", "no"] | None = None
    score: int | None = Field(default=None, ge=1, le=5)


class Label(Record):
    """What an agent says of a chat at its end, in words of the department's lists. It names no person.

    Attributes:
        chat_id: The chat.
        reason: The id of the closing reason.
        tags: The ids of the tags.
    """

    chat_id: str
    reason: str | None = Field(default=None, max_length=40)
    tags: list[Annotated[str, Field(max_length=40)]] = Field(default_factory=list, max_length=30)


class IdentificationSought(Record):
    """Question whether the citizen of this chat is asked to identify."""

    chat_id: str


class OpenIdentification(Record):
    """A request to identify that the citizen may answer.

    Attributes:
        chat_id: The chat.
        id: The request.
        agent: The name of the agent who asks.
        department: The department in which they ask.
        locale: The chat's language.
        until: When the request ends.
    """

    chat_id: str
    id: str
    agent: str
    department: str
    locale: str
    until: datetime


class CodeWanted(Record):
    """Request for a code with which the citizen of this chat can download it on another device."""

    chat_id: str


class DownloadCode(Record):
    """A code for the download of one conversation, until `expires_at`."""

    code: str
    expires_at: datetime


class CodeGiven(Record):
    """Request to use a code, as a person typed it."""

    code: str = Field(max_length=40)


class CodeFound(Record):
    """The chat of a code, and the language of its conversation."""

    chat_id: str
    locale: str


class AccessQuery(Record):
    """Request for entries of the access log after this number. `by`: who exports or verifies it."""

    after: int = Field(default=0, ge=0, le=2**63 - 1)
    by: str = Field(min_length=1, max_length=500)


class AccessEntries(Record):
    """Entries of the access log in order, at most 1,000; what is after the last one is asked for next."""

    entries: list[dict[str, str | int]]


class AccessSearch(Record):
    """Request of an auditor for entries of the access log.

    Attributes:
        by: The auditor.
        about: What is asked for, as the log will say it; None: a further page of an export, which was logged before.
        who: The people; None: all.
        chat: The id of the chat or question, or its beginning; None: all.
        act: The act; None: all.
        since: Entries from then on.
        until: Entries before then.
        before: Entries before this number, the newest first; None: with the newest one.
        after: Entries after this number, in order. It precedes `before`.
        most: So many entries.
    """

    by: Reader
    about: str | None = Field(default=None, max_length=500)
    who: list[str] | None = Field(default=None, max_length=200)
    chat: str | None = Field(default=None, pattern=r"^[0-9a-f-]{4,36}$")
    act: str | None = Field(default=None, max_length=50)
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = Field(default=None, ge=1, le=2**63 - 1)
    after: int | None = Field(default=None, ge=0, le=2**63 - 1)
    most: int = Field(default=50, ge=1, le=1_000)


class AccessPage(AccessEntries):
    """A page of entries, at most as many as were asked for. `more`: there are others beyond it."""

    more: bool = False


class AccessSpanQuery(Record):
    """Request of an auditor for an export of all entries of a period. `about`: as in `AccessSearch`."""

    by: Reader
    about: str = Field(max_length=500)
    since: datetime | None = None
    until: datetime | None = None


class AccessSpan(Record):
    """The entries of a period, without a gap: those after `after`, up to and with `last`. `last` 0: there is none."""

    after: int
    last: int


class AccessVerify(Record):
    """Request of an auditor to verify the chain of the access log."""

    by: Reader


class AccessFlaw(Record):
    """What is wrong with the access log: a stable code, and the first and the last entry that it names."""

    code: str
    first: int
    last: int


class AccessVerified(Record):
    """The result: whether the newest entries, from `first` to `last`, are intact.

    Attributes:
        first: The number of the first entry that was verified.
        last: That of the last one.
        hash: The hash of the last one.
        complete: Whether these are all stored entries.
        problems: What is wrong, one line each in English; none: they are intact.
        flaws: The same, as codes.
    """

    first: int
    last: int
    hash: str
    complete: bool
    problems: list[str]
    flaws: list[AccessFlaw] = Field(default_factory=list)


class CannedAnswerContent(Record):
    """What a supervisor writes of a canned answer.

    Attributes:
        code: The short word by which agents find it; each department has a code once.
        title: What it is about, for agents.
        departments: The departments whose agents have it.
        texts: The texts by language, with variables such as `{{agent}}`, which the console fills in.
    """

    code: str = Field(min_length=1, max_length=30)
    title: str = Field(min_length=1, max_length=100)
    departments: list[str] = Field(min_length=1)
    texts: dict[Literal["nl", "fr", "de", "en"], Annotated[str, Field(min_length=1, max_length=4_000)]] = Field(
        min_length=1
    )


class Editor(Record):
    """The agent who changed a canned answer last."""

    id: str
    name: str


class CannedAnswer(CannedAnswerContent):
    """A canned answer. `revision`: 1 when it is added, one more with each change."""

    id: str
    revision: int
    changed_at: datetime
    changed_by: Editor


class CannedAnswersQuery(Record):
    """Request for the canned answers of these departments. `known`: the tag of the answers that the reader has."""

    departments: list[str]
    known: str | None = None


class CannedAnswers(Record):
    """Canned answers, by their codes. `tag` changes with every change of them; `answers` is None when it is `known`."""

    tag: str
    answers: list[CannedAnswer] | None


class NewCannedAnswer(CannedAnswerContent):
    """Request to add a canned answer. A repeat with the same id and content changes nothing. `by`: the supervisor."""

    id: str
    by: Reader
    name: str


class CannedAnswerChange(NewCannedAnswer):
    """Request to replace a canned answer that has this revision.

    `own`: the departments of the supervisor; an answer that other departments have too is not theirs to change.
    """

    revision: int = Field(ge=1, le=2**53)
    own: list[str]


class CannedAnswerRemoval(Record):
    """Request to remove a canned answer that has this revision. A repeat is done too."""

    id: str
    by: Reader
    revision: int = Field(ge=1, le=2**53)
    own: list[str]


class PublicKey(Record):
    """A public key with which signatures of transcripts are verified, as a JSON Web Key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str


class PublicKeys(Record):
    """The published public keys, the present one first."""

    keys: list[PublicKey]


class VerifiedMessage(Record):
    """A message of a verified transcript. `removed`: its content was removed."""

    seq: int
    party: str
    at: str
    name: str | None = None
    text: str | None = None
    file: str | None = None
    removed: bool = False


class VerifiedFinding(Record):
    """What a verification found, and about which entries; 0: about none."""

    why: str
    first: int
    last: int


class VerifiedFile(Record):
    """What the verification of a transcript found (`services/common/evidence/verification.py`).

    `messages`: the first 500 messages as the file has them.
    """

    verdict: str
    findings: list[VerifiedFinding]
    pdf: bool
    chat_id: str
    entries: int
    removed: int
    opened_at: str
    closed_at: str
    signed_at: str
    kid: str
    messages: list[VerifiedMessage]


class SignedTranscript(Record):
    """What the holder of a code may know: which chat was signed, and what its transcript must say."""

    chat_id: str
    department: str
    opened_at: datetime
    closed_at: str
    signed_at: str
    entries: int
    kid: str
