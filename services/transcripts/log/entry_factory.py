"""RULES of the entries that an event adds to the log of its chat. No I/O."""

from __future__ import annotations

from services.common.events.chats import ChatOpened, ChatState
from services.common.events.event import Event
from services.common.events.messages import MessagePosted
from services.common.events.types import About, Cause, ChatStatus, CloseReason, Party, is_id
from services.transcripts.access.rules import Chat
from services.transcripts.log.sequencing import NewEntry, event_id, opened_id, question_id
from services.transcripts.rendering.texts import event_text

SYSTEM = "system"
CITIZEN = "citizen"


def is_acceptable(event: Event) -> bool:
    """Return whether this is an event of this queue with ids in canonical form (they become keys in the database)."""
    if isinstance(event, MessagePosted):
        return is_id(event.chat_id) and is_id(event.id) and (event.text is None) is not (event.attachment_id is None)
    return isinstance(event, ChatOpened | ChatState) and is_id(event.chat_id)


def never_opened(event: ChatState) -> bool:
    """Return whether this is the end of a chat that was never opened.

    Nothing was said in such a chat, and no participant knows it.
    """
    return event.state is ChatStatus.CLOSED and not event.department


def opening_entries(event: ChatOpened) -> list[NewEntry]:
    """Return the first entries of a chat: `opened`, and the citizen's question when there is one."""
    text = event_text(event.locale, Cause.OPENED)
    about = About(department=event.department)
    first = NewEntry(
        event.chat_id, opened_id(event.chat_id), Party.SYSTEM, SYSTEM, text=text, event=Cause.OPENED, about=about
    )
    if not event.question:
        return [first]
    question = NewEntry(event.chat_id, question_id(event.chat_id), Party.CITIZEN, CITIZEN, event.name, event.question)
    return [first, question]


def message_entry(event: MessagePosted) -> NewEntry:
    """Return the entry of a message."""
    sender = event.sender
    return NewEntry(
        event.chat_id, event.id, sender.party, sender.id, sender.name, event.text, posted_at=event.occurred_at
    )


def adds_no_entry(event: ChatState) -> bool:
    """Return whether this state adds no entry: the chat is assigned, and the agent has not accepted it yet."""
    return event.state is ChatStatus.ASSIGNED and event.accepted is False


def acceptance_entry(event: MessagePosted, chat: Chat) -> NewEntry:
    """Return the entry before the first message of an agent, who accepts the chat with that message."""
    return _connected(chat, event.turn or 0, event.sender.id, event.sender.name)


def acceptance_id(event: MessagePosted) -> str:
    """Return the id of the entry that `acceptance_entry` returns."""
    return event_id(event.chat_id, Cause.ASSIGNED, event.turn or 0)


def _connected(chat: Chat, turn: int, agent_id: str | None, agent: str | None) -> NewEntry:
    """Return the entry of an acceptance.

    It is the same for the agent's first message and for the state, whichever is first.
    """
    return NewEntry(
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
    """Return the number of entries with which a chat's log begins."""
    return 2 if chat.asked else 1


def state_entry(event: ChatState, chat: Chat) -> NewEntry:
    """Return the entry for this state, in the chat's language."""
    if event.state is ChatStatus.ASSIGNED and event.cause is Cause.ASSIGNED:
        return _connected(chat, event.turn, event.agent_id, event.agent_name)
    reason = event.reason if event.state is ChatStatus.CLOSED else None
    cause = Cause.CLOSED if event.state is ChatStatus.CLOSED else event.cause
    text = event_text(chat.locale, cause, event.agent_name, reason, event.detail)
    return NewEntry(
        event.chat_id,
        state_entry_id(event),
        Party.SYSTEM,
        SYSTEM,
        text=text,
        event=cause,
        reason=reason,
        about=_about(event),
        after=_begun(chat),
    )


def _about(event: ChatState) -> About:
    """Return what the entry is about: the agent who left or transferred the chat.

    At the end of the chat it is the agent who ended it.
    """
    over = event.state is ChatStatus.CLOSED
    by_agent = over and event.reason is CloseReason.AGENT
    who = (event.agent_id, event.agent_name) if by_agent else (event.former_agent_id, event.former_agent_name)
    return About(
        turn=event.turn,
        agent_id=who[0] if by_agent or not over else None,
        agent=who[1] if by_agent or not over else None,
        department=event.department or None,
        detail=event.detail.value if event.detail and not over else None,
    )


def starts_inactivity(event: ChatState, chat: Chat) -> bool:
    """Return whether the citizen's inactivity counts from this state on.

    A repeated state does not postpone the check.
    """
    if adds_no_entry(event):
        return False
    return event.state is ChatStatus.ASSIGNED and (event.v > chat.v or (event.v == chat.v and not chat.watched))


def state_entry_id(event: ChatState) -> str:
    """Return the id of the entry for this state. It is the same each time the state is published."""
    return event_id(event.chat_id, Cause.CLOSED if event.state is ChatStatus.CLOSED else event.cause, event.turn)


def has_attachment(event: Event) -> bool:
    """Return whether this is a message with a file."""
    return isinstance(event, MessagePosted) and event.attachment_id is not None
