"""RULES of the supervisors' live page: what is shown of a department, and the frame of what changed. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import UNSET

from services.common.config.departments import Department
from services.common.events.types import AgentState
from services.common.internal_api.presence import AgentView
from services.common.internal_api.supervision import MOST_LISTED, ClosedIntake, DepartmentChats
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.server import stamp

T = TypeVar("T")
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Picture:
    """What is shown of a department. `staff` and `running` are the numbers of all agents and running chats."""

    button: server.LiveButton
    intake: server.LiveIntake | None
    hours: tuple[str, ...] | None
    waiting: server.LiveWaiting
    running: int
    staff: int
    agents: Mapping[str, server.LiveAgent]
    chats: Mapping[str, server.LiveChat]
    current: bool = True


def picture(
    button: server.LiveButton,
    intake: ClosedIntake | None,
    hours: Sequence[str] | None,
    agents: Iterable[AgentView],
    chats: DepartmentChats,
    of_agents: Mapping[str, int],
    unanswered: Mapping[str, datetime | None],
) -> Picture:
    """Return what is shown of a department.

    Args:
        button: Its button.
        intake: Its closed intake, if a supervisor has closed it.
        hours: Its opening hours of today; None: always open.
        agents: Its agents.
        chats: Its open chats.
        of_agents: How many chats each agent has, in all departments.
        unanswered: Since when the citizens of chats have been waiting for an answer.
    """
    staff = list(agents)
    listed = sorted(staff, key=lambda a: (not a.online, a.state is AgentState.PAUSED, a.name, a.id))[:MOST_LISTED]
    running = sorted(chats.first_running, key=lambda c: (unanswered.get(c.chat_id) or NEVER, c.since, c.chat_id))
    return Picture(
        button=button,
        intake=_intake(intake) if intake else None,
        hours=None if hours is None else tuple(hours),
        waiting=server.LiveWaiting(
            count=chats.waiting,
            since=_stamp(chats.waiting_since),
            first=tuple(
                server.LiveWaitingChat(chat_id=c.chat_id, since=stamp(c.since), locale=c.locale)
                for c in chats.first_waiting[:MOST_LISTED]
            ),
        ),
        running=chats.running,
        staff=len(staff),
        agents={a.id: _agent(a, of_agents.get(a.id, 0)) for a in listed},
        chats={
            c.chat_id: server.LiveChat(
                chat_id=c.chat_id,
                agent_id=c.agent_id,
                agent=c.agent_name,
                since=stamp(c.since),
                accepted=c.accepted,
                locale=c.locale,
                unanswered_since=_stamp(unanswered.get(c.chat_id)),
            )
            for c in running[:MOST_LISTED]
        },
    )


def _intake(intake: ClosedIntake) -> server.LiveIntake:
    return server.LiveIntake(reason=intake.reason, until=stamp(intake.until), name=intake.name, at=stamp(intake.at))


def _agent(agent: AgentView, chats: int) -> server.LiveAgent:
    return server.LiveAgent(
        id=agent.id,
        name=agent.name,
        state=agent.state.value if agent.online else "offline",
        since=_stamp(agent.since),
        chats=chats,
        capacity=agent.capacity,
        pause_reason=agent.pause_reason if agent.online else None,
    )


def _stamp(at: datetime | None) -> str | None:
    return stamp(at) if at else None


def change(department: Department, before: Picture | None, after: Picture, now: datetime) -> server.Live | None:
    """Return the frame of what changed between two pictures; the whole one without `before`; None: nothing changed."""
    if before == after:
        return None
    whole = before is None
    old = before or after
    agents, agents_gone = _changed({} if whole else old.agents, after.agents)
    chats, chats_gone = _changed({} if whole else old.chats, after.chats)
    return server.Live(
        department=department.id,
        at=stamp(now),
        whole=whole,
        current=after.current,
        remind_after=department.remind_after,
        alarm_after=department.alarm_after,
        button=after.button if whole or old.button != after.button else UNSET,
        intake=after.intake if whole or old.intake != after.intake else UNSET,
        hours=after.hours if whole or old.hours != after.hours else UNSET,
        waiting=after.waiting if whole or old.waiting != after.waiting else UNSET,
        running=after.running if whole or old.running != after.running else UNSET,
        staff=after.staff if whole or old.staff != after.staff else UNSET,
        agents=agents if whole or agents else UNSET,
        agents_gone=agents_gone or UNSET,
        chats=chats if whole or chats else UNSET,
        chats_gone=chats_gone or UNSET,
    )


def _changed(before: Mapping[str, T], after: Mapping[str, T]) -> tuple[list[T], list[str]]:
    """Return the members of `after` that are new or different, and the keys that it has no more."""
    return [one for key, one in after.items() if before.get(key) != one], [key for key in before if key not in after]
