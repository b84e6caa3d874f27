"""A chat as routing stores it, and the limits of its timers. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.common.config.departments import QueueRules
from services.common.events.chats import ChatState
from services.common.events.types import Cause, ChatStatus, CloseReason, Detail, Form, Revocation
from services.common.internal_api.routing import Assignment, ChatView

REMEMBERED = 20  # the latest assignments of one chat


@dataclass(frozen=True)
class Limits:
    """Times after which timers act, and the rules of departments.

    Attributes:
        hello: A chat without a hello of its citizen is closed.
        unopened: A chat with a reserved slot that is never opened is closed.
        waiting: A waiting chat is closed.
        accept: An assignment that is not accepted ends.
        named: A transfer that no agent accepts comes back.
        returning: It then waits for its former agent only.
        overflown: An overflowed chat without an agent in the other department comes back.
        kept: A closed chat is deleted.
        republish: A change that may be unpublished is published again.
        queues: The queue rules of each department. They change when the departments file does.
        automatic: Departments in which assignments are accepted automatically; as `queues`.
        reassign: After how long without an answer a chat goes to another agent, by department; as `queues`.
    """

    hello: timedelta = timedelta(seconds=10)
    unopened: timedelta = timedelta(seconds=5)
    waiting: timedelta = timedelta(seconds=600)
    accept: timedelta = timedelta(seconds=30)
    named: timedelta = timedelta(seconds=60)
    returning: timedelta = timedelta(seconds=5)
    overflown: timedelta = timedelta(seconds=10)
    kept: timedelta = timedelta(days=30)
    republish: timedelta = timedelta(seconds=2)
    queues: Mapping[str, QueueRules] = field(default_factory=dict)
    automatic: Collection[str] = frozenset()
    reassign: Mapping[str, timedelta] = field(default_factory=dict)

    def patience(self, department: str | None) -> timedelta:
        """Return how long a citizen may wait in this department."""
        own = self.queues.get(department or "")
        return timedelta(seconds=own.patience) if own and own.patience else self.waiting


@dataclass(frozen=True)
class Origin:
    """Where a chat was transferred from, and to.

    The chat goes back there when no agent has accepted it by `answer_by`; None: it does not go back any more.
    `agent_id` None: it overflowed.
    """

    agent_id: str | None
    department: str
    to_department: str | None
    to_agent: str | None
    answer_by: datetime | None


@dataclass(frozen=True)
class Chat:
    """One chat.

    All times are UTC by the clock of the routing process that wrote them, except `opened_at`, which is the gateway's.
    `rev` grows with every write (0: not stored), `v` with every published change. `department` None: the opening was
    not received yet, only a hello (`state` None) or a close. `turn` is the attempt to give the chat an agent.
    """

    id: str
    rev: int = 0
    v: int = 0
    state: ChatStatus | None = None
    turn: int = 0
    cause: Cause | None = None
    changed_at: datetime | None = None
    department: str | None = None
    locale: str = "nl"
    name: str | None = None
    question: str | None = None
    form: Form | None = None
    opened_at: datetime | None = None
    known_since: datetime | None = None
    claimed_since: datetime | None = None  # presence published a reservation, and the opening was not received
    greeted: bool = False
    waiting_since: datetime | None = None
    head: bool = False  # lost its agent or was transferred: before all chats in their first attempt
    wanted_agent: str | None = None  # transferred or returned to this colleague, until `wanted_until`
    wanted_until: datetime | None = None
    unwanted_agent: str | None = None  # in this wait: who has left the citizen without an answer
    taken_after: int | None = None  # the last answer, by its sequence number, when it was last taken from such an agent
    agent_id: str | None = None
    agent_name: str | None = None
    assigned_at: datetime | None = None
    accepted: bool = False
    accepted_at: datetime | None = None  # None though `accepted`: by an earlier release, which did not publish it
    former_agent_id: str | None = None
    former_agent_name: str | None = None
    closed_at: datetime | None = None
    reason: CloseReason | None = None
    untold_since: datetime | None = None  # a timer's or transfer's change that may be unpublished
    overdue_agent: str | None = None  # with it: publish accept.overdue of this agent for `overdue_turn`
    overdue_turn: int | None = None
    due_at: datetime | None = None  # when a timer must act
    expire_at: datetime | None = None
    detail: Detail | None = None  # of `cause`
    origin: Origin | None = None
    overflowed: bool = False  # in this wait, which allows it once
    returned: Detail | None = None  # why it came back from a transfer, to `returned_to`
    returned_to: str | None = None
    refusal: str | None = None  # id of the last refusal, to recognise a repetition
    assignments: tuple[Assignment, ...] = ()  # the latest last
    revoked_by: Revocation | None = None  # of a closed chat: whose citizen's token is valid no more

    @property
    def waits(self) -> bool:
        """Whether the chat waits for an agent."""
        return self.state is ChatStatus.WAITING

    @property
    def assigned(self) -> bool:
        """Whether the chat is assigned to an agent."""
        return self.state is ChatStatus.ASSIGNED

    @property
    def closed(self) -> bool:
        """Whether the chat is closed."""
        return self.state is ChatStatus.CLOSED

    @property
    def agents(self) -> frozenset[str]:
        """The agents who have or had the chat, of the last `REMEMBERED` assignments."""
        return frozenset(a.agent_id for a in self.assignments) | ({self.agent_id} if self.agent_id else frozenset())

    @property
    def refusable(self) -> bool:
        """True while the agent, who got the chat by a transfer, may still refuse it."""
        by = self.origin.agent_id if self.origin and self.origin.answer_by else None
        return self.assigned and not self.accepted and by is not None and by != self.agent_id


def state_of(chat: Chat) -> ChatState | None:
    """Return the event of this chat's state; None before its opening was received, when no service can follow it."""
    if chat.state is None or chat.cause is None or chat.department is None or chat.changed_at is None:
        return None
    return ChatState(
        chat_id=chat.id,
        v=chat.v,
        state=chat.state,
        turn=chat.turn,
        department=chat.department,
        cause=chat.cause,
        agent_id=chat.agent_id,
        agent_name=chat.agent_name,
        reason=chat.reason,
        former_agent_id=chat.former_agent_id,
        former_agent_name=chat.former_agent_name,
        detail=chat.detail,
        accepted=chat.accepted if chat.agent_id else None,
        former_departments=_former_departments(chat),
        revoked_by=chat.revoked_by,
        at=chat.changed_at,
    )


def _former_departments(chat: Chat) -> list[str] | None:
    """Return the other departments of the last transfer; None when there are none."""
    origin = chat.origin
    named = dict.fromkeys((origin.department, origin.to_department)) if origin else {}
    return [one for one in named if one and one != chat.department] or None


def view_of(
    chat: Chat, position: int | None = None, wait: float | None = None, accept: timedelta | None = None
) -> ChatView | None:
    """Return the chat as other services see it; None before its opening was received.

    Args:
        chat: The chat.
        position: Its position in the department queue, from 1.
        wait: The estimated wait, in seconds.
        accept: How long its agent has to accept it.
    """
    if chat.state is None or chat.cause is None or not chat.department or chat.opened_at is None:
        return None
    return ChatView(
        chat_id=chat.id,
        v=chat.v,
        state=chat.state,
        turn=chat.turn,
        cause=chat.cause,
        department=chat.department,
        locale=chat.locale,
        name=chat.name,
        question=chat.question,
        form=chat.form,
        agent_id=chat.agent_id,
        agent_name=chat.agent_name,
        accepted=chat.accepted,
        accept_by=_accept_by(chat, accept),
        tells_acceptance=True,
        position=position,
        wait=wait,
        detail=chat.detail,
        returned=chat.returned if chat.assigned else None,
        transferred=chat.refusable,
        reason=chat.reason,
        opened_at=chat.opened_at,
        closed_at=chat.closed_at,
        revoked_by=chat.revoked_by,
    )


def _accept_by(chat: Chat, accept: timedelta | None) -> datetime | None:
    if accept is None or chat.assigned_at is None or not chat.assigned or chat.accepted:
        return None
    return chat.assigned_at + accept
