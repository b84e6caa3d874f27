"""RULES of time: at which moments a chat needs a timer, and what happens then.

`DEADLINES` is the one table of them. When a chat is next due and what a timer does with it both follow from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from services.common.events.types import Cause, ChatStatus, CloseReason, Detail
from services.routing.chats import rules, transfer_rules
from services.routing.chats.chat import Chat, Limits

States = tuple[ChatStatus | None, ...]
UNOPENED: States = (None,)  # its opening was not received
WAITING: States = (ChatStatus.WAITING,)
ASSIGNED: States = (ChatStatus.ASSIGNED,)
OPEN: States = (*WAITING, *ASSIGNED)
ANY: States = (*UNOPENED, *OPEN, ChatStatus.CLOSED)


@dataclass(frozen=True)
class Deadline:
    """A time limit of a chat, and what ends with it.

    Attributes:
        reason: Its name in logs and metrics.
        states: The states of a chat that it applies to.
        condition: What else must hold for it to apply.
        time: When the limit is reached; None: never.
        effect: Returns the chat as it is afterwards.
    """

    reason: str
    states: States
    condition: Callable[[Chat], bool]
    time: Callable[[Chat, Limits], datetime | None]
    effect: Callable[[Chat, datetime, Limits], Chat]

    def applies(self, chat: Chat) -> bool:
        """Return whether this limit counts for the chat as it is."""
        return chat.state in self.states and self.condition(chat)

    def due_at(self, chat: Chat, limits: Limits) -> datetime | None:
        """Return when the limit is reached; None when it does not count for the chat."""
        return self.time(chat, limits) if self.applies(chat) else None


def _after(since: datetime | None, limit: timedelta) -> datetime | None:
    return since + limit if since else None


def _always(chat: Chat) -> bool:
    return True


def _is_not_greeted(chat: Chat) -> bool:
    return not chat.greeted


def _is_not_accepted(chat: Chat) -> bool:
    return not chat.accepted


def _close_unopened(chat: Chat, now: datetime, limits: Limits) -> Chat:
    return rules.marked(rules.never_opened(chat, 1, now), now)


def _close_inactive(chat: Chat, now: datetime, limits: Limits) -> Chat:
    return rules.marked(rules.closed(chat, CloseReason.INACTIVE, now), now)


def _close_without_agent(chat: Chat, now: datetime, limits: Limits) -> Chat:
    return rules.marked(rules.closed(chat, CloseReason.NO_AGENT, now), now)


def _send_back(chat: Chat, now: datetime, limits: Limits) -> Chat:
    return rules.marked(transfer_rules.sent_back(chat, Detail.UNANSWERED, now, limits), now)


def _open_to_all_agents(chat: Chat, now: datetime, limits: Limits) -> Chat:
    return replace(chat, wanted_agent=None, wanted_until=None)


def _take_from_agent(chat: Chat, now: datetime, limits: Limits) -> Chat:
    late: dict[str, Any] = {"overdue_agent": chat.agent_id, "overdue_turn": chat.turn}
    if chat.refusable:
        after = transfer_rules.sent_back(chat, Detail.UNANSWERED, now, limits, **late)
    else:
        after = rules.requeued(chat, now, Cause.AGENT_LEFT, chat.agent_id, detail=Detail.NOT_ACCEPTED, **late)
    return rules.marked(after, now)


def _publish_again(chat: Chat, now: datetime, limits: Limits) -> Chat:
    return chat  # the timer publishes it; nothing changes


def _greet(chat: Chat, now: datetime, limits: Limits) -> Chat:
    return rules.arrived(chat)


# The first one that is reached is applied, so the order matters.
DEADLINES = (
    # A slot is reserved for a chat whose opening has not come: the chat is closed, which frees the slot.
    Deadline("unknown_chat", UNOPENED, _always, lambda c, by: _after(c.claimed_since, by.unopened), _close_unopened),
    # The citizen has not said hello (HELLO_LIMIT): the chat is closed.
    Deadline("not_greeted", OPEN, _is_not_greeted, lambda c, by: _after(c.known_since, by.hello), _close_inactive),
    # The chat has waited too long (`patience` of its department, or WAITING_LIMIT): it is closed.
    Deadline(
        "waiting_limit",
        WAITING,
        _always,
        lambda c, by: _after(c.waiting_since, by.patience(c.department)),
        _close_without_agent,
    ),
    # No agent has taken a transferred chat (NAMED_LIMIT) or an overflowed one: it goes back to where it came from.
    Deadline("unanswered", WAITING, _always, lambda c, by: c.origin.answer_by if c.origin else None, _send_back),
    # The one agent for whom the chat waits has not taken it (NAMED_LIMIT, RETURN_LIMIT): every agent may.
    Deadline("named_limit", WAITING, _always, lambda c, by: c.wanted_until, _open_to_all_agents),
    # The agent has not accepted the chat (ACCEPT_LIMIT): it waits again, or goes back to where it came from.
    Deadline(
        "accept_overdue", ASSIGNED, _is_not_accepted, lambda c, by: _after(c.assigned_at, by.accept), _take_from_agent
    ),
    # A change may be unpublished: it is published again.
    Deadline("untold", ANY, _always, lambda c, by: _after(c.untold_since, by.republish), _publish_again),
)

# A gateway lists the citizen, whose hello was lost: they count as greeted, at once and before every deadline.
LISTED = Deadline("listed", OPEN, _is_not_greeted, lambda c, by: None, _greet)


def reached(chat: Chat, online: bool, now: datetime, limits: Limits) -> Deadline | None:
    """Return the deadline that counts at this moment. `online`: a gateway has a connection of the citizen."""
    if online and LISTED.applies(chat):
        return LISTED
    return next((d for d in DEADLINES if (at := d.due_at(chat, limits)) and at <= now), None)


def overdue(chat: Chat, online: bool, now: datetime, limits: Limits) -> Chat:
    """Apply what the passing of time requires. `online`: a gateway has a connection of the citizen."""
    deadline = reached(chat, online, now, limits)
    return deadline.effect(chat, now, limits) if deadline else chat


def due_at(chat: Chat, limits: Limits) -> datetime | None:
    """Return when time requires something of this chat. Timers search by this time only."""
    return min((at for d in DEADLINES if (at := d.due_at(chat, limits))), default=None)


def judged_again(chat: Chat, limits: Limits) -> Chat:
    """Return a waiting chat without the time when it is due, to be written with another one, if that has changed."""
    return replace(chat, due_at=None) if chat.waits and chat.due_at != due_at(chat, limits) else chat


def stamped(chat: Chat, now: datetime, limits: Limits) -> Chat:
    """Return the chat as it is written: the next revision, with the times when it is due and when it is deleted."""
    over = chat.closed or chat.state is None
    return replace(
        chat,
        rev=chat.rev + 1,
        due_at=due_at(chat, limits),
        expire_at=(chat.expire_at or now + limits.kept) if over else None,
    )
