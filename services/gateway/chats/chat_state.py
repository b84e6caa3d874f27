"""RULES of a chat's state in this gateway. Each source of it carries a version; older ones are dropped. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.common.events.chats import ChatState
from services.common.events.types import Cause, ChatStatus, CloseReason, Detail
from services.common.internal_api.routing import ChatView
from services.gateway.chats.queue_positions import NOWHERE, Place, whole


@dataclass(slots=True)
class State:
    """What is known of a chat's state. The version `v` decides which of two events is the newer one."""

    v: int
    status: ChatStatus
    department: str
    cause: Cause
    agent_id: str | None = None
    agent_name: str | None = None
    reason: CloseReason | None = None
    place: Place = NOWHERE  # position in the department queue, while waiting
    closed_at: datetime | None = None
    detail: Detail | None = None
    turn: int = 0
    accepted: bool | None = None  # None: not said, by an earlier release of routing

    @classmethod
    def of_event(cls, event: ChatState) -> State:
        """Return the state that an event of routing carries."""
        return cls(
            event.v,
            event.state,
            event.department,
            event.cause,
            event.agent_id,
            event.agent_name,
            event.reason,
            detail=event.detail,
            turn=event.turn,
            accepted=event.accepted,
        )

    @classmethod
    def of_view(cls, view: ChatView) -> State:
        """Return the state in an answer of routing's internal API."""
        return cls(
            view.v,
            view.state,
            view.department,
            view.cause,
            view.agent_id,
            view.agent_name,
            view.reason,
            (view.position, whole(view.wait)),
            view.closed_at,
            view.detail,
            view.turn,
            view.accepted if view.tells_acceptance else None,
        )

    @property
    def connected(self) -> bool:
        """True while the chat is assigned and accepted.

        When routing does not say whether it is accepted, an assigned chat counts as accepted.
        """
        return self.status is ChatStatus.ASSIGNED and self.accepted is not False

    @property
    def offered(self) -> bool:
        """True while the chat is assigned to an agent who has not accepted it."""
        return self.status is ChatStatus.ASSIGNED and self.accepted is False

    @property
    def shown(self) -> tuple[ChatStatus, int | None, int | None, str | None, bool]:
        """The members of a citizen's `status` frame.

        Position and wait are set while the chat waits, the agent's name while the chat is connected.
        """
        position, wait = self.place if self.status is ChatStatus.WAITING else NOWHERE
        return self.status, position, wait, self.agent_name if self.connected else None, self.offered

    def learns(self, accepted: bool | None) -> bool:
        """Whether `accepted`, said by a source with the same `v`, is new. An acceptance is never taken back."""
        return accepted is not None and not self.accepted and accepted is not self.accepted
