"""Sender of contacts: registers each chat that has ended in a register (Open Klant, API "klantinteracties").

The API is that of https://github.com/maykinmedia/open-klant, `klantinteracties/openapi.yaml`, version 0.9.0 (Open Klant
2.18). `maak-klantcontact` makes a contact and what it is about in one transaction. What it is about is the chat, by its
number: by that a contact is found again, so an attempt whose answer was lost makes no second one.

Nothing of the conversation is in the outbox. What the register may have of it is read at the attempt: a chat that was
erased meanwhile is not registered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import structlog

from services.common.config.departments import Departments
from services.common.config.integrations import ContactRegister
from services.common.events.types import Cause, Entry, Party
from services.transcripts.access.rules import Chat
from services.transcripts.log.store import Store
from services.transcripts.outbox.http import CheckedClient, read
from services.transcripts.outbox.rules import Outcome, Verdict, judged
from services.transcripts.outbox.store import Delivery
from services.transcripts.rendering.transcript import utc_time

log = structlog.get_logger()

REGISTER, OBJECT, KEY = "eloket-chat", "chat", "uuid"
"""By which words the register knows the number of a chat: of which register, what it numbers, and which member."""
MOST_SUBJECT, MOST_CONTENT, MOST_ANSWER_TEXT = 200, 1_000, 4_000  # characters: `onderwerp`, `inhoud`, `reactie`
MOST_ANSWER = 256 * 1024  # bytes of an answer: a page with one contact
PAGE, PAGE_BYTES = 200, 128 * 1024  # of the log that is read at a time
LANGUAGES = {"nl": "nld", "fr": "fra", "de": "deu", "en": "eng"}  # ISO 639-2; the specification has "nld"
_FILTER = "onderwerpobject__onderwerpobjectidentificator"


@dataclass
class Conversation:
    """What a register may have of a conversation.

    Attributes:
        accepted: Whether an agent accepted the chat.
        asked: What the citizen wrote.
        answered: What agents wrote.
    """

    accepted: bool = False
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    def add(self, entries: Sequence[Entry]) -> None:
        """Add the next entries of the log."""
        for entry in entries:
            self.accepted = self.accepted or entry.event is Cause.ASSIGNED or entry.party is Party.AGENT
            if entry.text and entry.party in (Party.CITIZEN, Party.AGENT):
                (self.asked if entry.party is Party.CITIZEN else self.answered).append(entry.text)

    def is_enough(self) -> bool:
        """Return whether more entries would change nothing of the contact."""
        full = sum(map(len, self.asked)) >= MOST_CONTENT and sum(map(len, self.answered)) >= MOST_ANSWER_TEXT
        return self.accepted and full


def contact_of(register: ContactRegister, chat: Chat, department: str, conversation: Conversation) -> dict[str, Any]:
    """Return the body of `maak-klantcontact`.

    Args:
        register: The register.
        chat: The chat.
        department: The name of the department in which it was at its end.
        conversation: The conversation.
    """
    contact: dict[str, Any] = {
        "kanaal": register.channel,
        "onderwerp": shortened(f"Chat: {department}", MOST_SUBJECT),
        "taal": LANGUAGES.get(chat.locale, LANGUAGES["nl"]),
        "vertrouwelijk": register.confidential,
        "indicatieContactGelukt": conversation.accepted,
        "plaatsgevondenOp": utc_time(chat.opened_at),
    }
    if register.content == "messages":
        contact["inhoud"] = shortened("\n".join(conversation.asked), MOST_CONTENT)
        contact["reactie"] = shortened("\n".join(conversation.answered), MOST_ANSWER_TEXT)
    return {
        "klantcontact": contact,
        "onderwerpobject": {
            "wasKlantcontact": None,
            "onderwerpobjectidentificator": {
                "objectId": chat.chat_id,
                "codeObjecttype": OBJECT,
                "codeRegister": REGISTER,
                "codeSoortObjectId": KEY,
            },
        },
    }


def filter_of(chat_id: str) -> dict[str, str]:
    """Return the query by which the contact of a chat is found."""
    return {f"{_FILTER}ObjectId": chat_id, f"{_FILTER}CodeRegister": REGISTER, "pageSize": "1"}


def headers_with(token: str) -> dict[str, str]:
    """Return the headers of a request with the token that the register has given."""
    return {"Authorization": f"Token {token}", "Accept": "application/json", "Content-Type": "application/json"}


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters; one that was cut ends in an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


class ContactSender:
    """Registers the chats of one register (a `Sender` of `courier.py`)."""

    def __init__(
        self,
        register: ContactRegister,
        token: str,
        client: CheckedClient,
        store: Store,
        departments: Departments,
        clock: Callable[[], datetime],
    ) -> None:
        """Create a sender.

        Args:
            register: The register.
            token: The token that it has given.
            client: Sends the requests.
            store: The store of chats.
            departments: All departments, for their names.
            clock: Returns the present.
        """
        self._register, self._client, self._store, self._departments = register, client, store, departments
        self._clock, self._root = clock, register.url.rstrip("/")
        self._headers = headers_with(token)

    async def send(self, deliveries: Sequence[Delivery]) -> Outcome:
        """Register a chat. Return what came of it.

        Raises:
            PyMongoError: The database does not answer.
        """
        (delivery,) = deliveries
        chat_id = delivery.chat_id or ""
        chat = await self._store.chat(chat_id)
        if chat is None or chat.closed_at is None:
            if await self._store.erased([chat_id]):
                log.info("contact_not_registered", target=self._register.id, chat_id=chat_id)
                return Outcome(Verdict.DELIVERED)
            return Outcome(Verdict.FAILED, "log_not_sealed")
        conversation = await self._read(chat_id)
        return await self._client.attempt(self._register_chat(chat, delivery.department, conversation))

    async def _read(self, chat_id: str) -> Conversation:
        """Return the conversation; when the register gets nothing of it, only up to its acceptance."""
        conversation, after = Conversation(), 0
        while True:
            page, whole = await self._store.page(chat_id, after, PAGE, PAGE_BYTES)
            conversation.add(page)
            without = self._register.content == "none"
            if whole or not page or (conversation.accepted if without else conversation.is_enough()):
                return conversation
            after = page[-1].seq

    async def _register_chat(self, chat: Chat, department: str, conversation: Conversation) -> Outcome:
        found = await self._find(chat.chat_id)
        if found is not None:
            return found
        known = self._departments.get(department)
        name = known.names.in_("nl") if known else department
        body = orjson.dumps(contact_of(self._register, chat, name, conversation))
        async with self._client.request("POST", f"{self._root}/maak-klantcontact", self._headers, body) as answer:
            await read(answer, MOST_ANSWER)
            return judged(answer.status, answer.headers.get("Retry-After"), self._clock())

    async def _find(self, chat_id: str) -> Outcome | None:
        """Return the outcome when the contact is there already or cannot be looked for; None when it is not there."""
        async with self._client.request(
            "GET", f"{self._root}/klantcontacten", self._headers, params=filter_of(chat_id)
        ) as answer:
            body = await read(answer, MOST_ANSWER)
            outcome = judged(answer.status, answer.headers.get("Retry-After"), self._clock())
        if outcome.verdict is not Verdict.DELIVERED:
            return outcome
        number = count_of(body)
        if number is None:
            return Outcome(Verdict.FAILED, "not_understood")
        return Outcome(Verdict.DELIVERED) if number else None


def count_of(body: bytes | None) -> int | None:
    """Return how many contacts an answer has found; None when it is not as the specification has it."""
    try:
        found: Any = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None
    number = found.get("count") if isinstance(found, Mapping) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None
