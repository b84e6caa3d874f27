"""RULES of what a fact wants written into the log of its chat, and how. No I/O."""

from __future__ import annotations

from services.contracts import (
    About,
    Cause,
    ChatOpened,
    ChatState,
    ChatStatus,
    CloseReason,
    Fact,
    MessagePosted,
    Party,
    is_id,
)
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
    about = About(department=fact.department)
    first = Wanted(
        fact.chat_id, opened_id(fact.chat_id), Party.SYSTEM, SYSTEM, text=text, event=Cause.OPENED, about=about
    )
    if not fact.question:
        return [first]
    question = Wanted(fact.chat_id, question_id(fact.chat_id), Party.CITIZEN, CITIZEN, fact.name, fact.question)
    return [first, question]


def said(fact: MessagePosted) -> Wanted:
    """What a participant said."""
    sender = fact.sender
    return Wanted(fact.chat_id, fact.id, sender.party, sender.id, sender.name, fact.text, posted_at=fact.occurred_at)


def is_silent(fact: ChatState) -> bool:
    """True for a state at which the chat says nothing: an agent has it whom nobody is connected with yet."""
    return fact.state is ChatStatus.ASSIGNED and fact.accepted is False


def accepting(fact: MessagePosted, chat: Chat) -> Wanted:
    """What the chat says before the first message of an agent, who accepts it with that message."""
    return _connected(chat, fact.turn or 0, fact.sender.id, fact.sender.name)


def id_of_accepting(fact: MessagePosted) -> str:
    """The id of that entry."""
    return event_id(fact.chat_id, Cause.ASSIGNED, fact.turn or 0)


def _connected(chat: Chat, turn: int, agent_id: str | None, agent: str | None) -> Wanted:
    """The same entry, whichever of what the agent does is heard of first."""
    return Wanted(
        chat.chat_id,
        event_id(chat.chat_id, Cause.ASSIGNED, turn),
        Party.SYSTEM,
        SYSTEM,
        text=event_text(chat.locale, Cause.ASSIGNED, agent),
        event=Cause.ASSIGNED,
        about=About(turn=turn, agent_id=agent_id, agent=agent),
        after=_begun(chat),
    )


def _begun(chat: Chat) -> int:
    """How many entries a chat's log begins with."""
    return 2 if chat.asked else 1


def happened(fact: ChatState, chat: Chat) -> Wanted:
    """What the chat says at this state, in its own language."""
    if fact.state is ChatStatus.ASSIGNED and fact.cause is Cause.ASSIGNED:
        return _connected(chat, fact.turn, fact.agent_id, fact.agent_name)
    reason = fact.reason if fact.state is ChatStatus.CLOSED else None
    event = Cause.CLOSED if fact.state is ChatStatus.CLOSED else fact.cause
    text = event_text(chat.locale, event, fact.agent_name, reason, fact.detail)
    return Wanted(
        fact.chat_id,
        id_of_event(fact),
        Party.SYSTEM,
        SYSTEM,
        text=text,
        event=event,
        reason=reason,
        about=_about(fact),
        after=_begun(chat),
    )


def _about(fact: ChatState) -> About:
    """Who left or passed the chat on; at its end, the agent who ended it."""
    over = fact.state is ChatStatus.CLOSED
    by_agent = over and fact.reason is CloseReason.AGENT
    who = (fact.agent_id, fact.agent_name) if by_agent else (fact.former_agent_id, fact.former_agent_name)
    return About(
        turn=fact.turn,
        agent_id=who[0] if by_agent or not over else None,
        agent=who[1] if by_agent or not over else None,
        department=fact.department or None,
        detail=fact.detail.value if fact.detail and not over else None,
    )


def begins_silence(fact: ChatState, chat: Chat) -> bool:
    """True when from this state on the citizen's silence counts; a state told again does not put off the look."""
    if is_silent(fact):
        return False
    return fact.state is ChatStatus.ASSIGNED and (fact.v > chat.v or (fact.v == chat.v and not chat.watched))


def id_of_event(fact: ChatState) -> str:
    """The same for every telling of this state."""
    return event_id(fact.chat_id, Cause.CLOSED if fact.state is ChatStatus.CLOSED else fact.cause, fact.turn)


def has_attachment(fact: Fact) -> bool:
    """True for a message that is a file."""
    return isinstance(fact, MessagePosted) and fact.attachment_id is not None
