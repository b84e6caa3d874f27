"""RULES of what a fact wants written into the log of its chat, and how. No I/O."""

from __future__ import annotations

from services.contracts import Cause, ChatOpened, ChatState, ChatStatus, Fact, MessagePosted, Party, is_id
from services.transcripts.access import Chat
from services.transcripts.rounds import Wanted, event_id, opened_id, question_id
from services.transcripts.system_texts import event_text

SYSTEM = "system"
CITIZEN = "citizen"


def is_acceptable(fact: Fact) -> bool:
    """True for the facts of this queue with ids in their canonical form (they become keys in the database)."""
    if isinstance(fact, MessagePosted):
        return is_id(fact.chat_id) and is_id(fact.id) and (fact.text is None) is not (fact.attachment_id is None)
    return isinstance(fact, ChatOpened | ChatState) and is_id(fact.chat_id)


def never_opened(fact: ChatState) -> bool:
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
    """What a participant said."""
    sender = fact.sender
    return Wanted(fact.chat_id, fact.id, sender.party, sender.id, sender.name, fact.text, posted_at=fact.occurred_at)


def happened(fact: ChatState, chat: Chat) -> Wanted:
    """What the chat says at this state, in its own language."""
    reason = fact.reason if fact.state is ChatStatus.CLOSED else None
    event = Cause.CLOSED if fact.state is ChatStatus.CLOSED else fact.cause
    text = event_text(chat.locale, event, fact.agent_name, reason, fact.detail)
    id_, after = id_of_event(fact), 2 if chat.asked else 1
    return Wanted(fact.chat_id, id_, Party.SYSTEM, SYSTEM, text=text, event=event, reason=reason, after=after)


def begins_silence(fact: ChatState, chat: Chat) -> bool:
    """True when from this state on the citizen's silence counts; a state told again does not put off the look."""
    return fact.state is ChatStatus.ASSIGNED and (fact.v > chat.v or (fact.v == chat.v and not chat.watched))


def id_of_event(fact: ChatState) -> str:
    """The same for every telling of this state."""
    return event_id(fact.chat_id, Cause.CLOSED if fact.state is ChatStatus.CLOSED else fact.cause, fact.turn)


def has_attachment(fact: Fact) -> bool:
    """True for a message that is a file."""
    return isinstance(fact, MessagePosted) and fact.attachment_id is not None
