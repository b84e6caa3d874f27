"""What agents see of their departments in the bar of the console: the button, today's opening hours, who waits.

The states of the buttons and of the queues come to every gateway. Presence is asked for the opening hours, and for who
has closed an intake, when a department is shown for the first time, when its button opens or closes, and `ANYWAY`. A
connection that has asked gets what has changed, once in `EVERY` seconds at most.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from msgspec import UNSET, UnsetType

from services.common.batches import batched
from services.common.clock import utcnow
from services.common.events.chats import QueueChanged
from services.common.events.types import ButtonReason, Intake
from services.common.internal_api.supervision import MOST_DEPARTMENTS, ClosedIntake
from services.gateway.background_tasks import Tasks
from services.gateway.button_state import Button, Buttons
from services.gateway.clients.http_client import Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.participants.sessions import AgentSession
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.server import stamp

log = structlog.get_logger()
EVERY = 1.0  # seconds between two frames of a connection
READING = 0.5  # seconds for which a frame waits for presence, so that a closed intake comes with the name
AGAIN = 5.0  # seconds after which presence is asked again when it did not answer
ANYWAY = 60.0  # seconds after which the opening hours are read without a cause: at midnight, and after a change of them
SILENCE = 35.0  # seconds after which a queue is not known any more: routing publishes each one every 10 s
MOST_IN_FRAME = 50  # departments
Hours = Sequence[str] | None | UnsetType
Cause = tuple[bool, str | None, Intake | None]


@dataclass(frozen=True, slots=True)
class _Queue:
    """A published queue: its version, the waiting chats, since when the longest waits, and when it was published."""

    revision: int
    count: int
    since: datetime | None
    at: float


@dataclass(slots=True)
class _Watched:
    """A department that agents here see.

    Attributes:
        watchers: The sessions, each with whether it was sent the whole state.
        shown: The state that these have; None: there is none yet.
        hours: The opening hours of today; UNSET: not known.
        intake: The closed intake, as presence has described it.
        read_at: When these two were asked for last.
        read_for: What the button showed then.
    """

    watchers: dict[AgentSession, bool] = field(default_factory=dict)
    shown: server.OwnDepartment | None = None
    hours: Hours = UNSET
    intake: ClosedIntake | None = None
    read_at: float = float("-inf")
    read_for: Cause | None = None


class OwnDepartments:
    """The departments of the agents here whose pages have asked for them."""

    def __init__(
        self,
        buttons: Buttons,
        presence: PresenceClient,
        tasks: Tasks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Show nothing to anybody yet.

        Args:
            buttons: The buttons as they are shown here.
            presence: Says the opening hours, and who has closed an intake.
            tasks: Runs what waits.
            clock: A monotonic clock, in seconds.
        """
        self._buttons, self._presence, self._tasks, self._clock = buttons, presence, tasks, clock
        self._of: dict[str, _Watched] = {}
        self._queues: dict[str, _Queue] = {}
        self._fresh: set[AgentSession] = set()
        self._catching_up: set[AgentSession] = set()
        self._reading: asyncio.Task[None] | None = None
        self._read_after = float("-inf")

    # ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def show(self, session: AgentSession) -> None:
        """Show the agent's departments to this session from now on: as a whole first, then what changes."""
        if session.connection.ended:
            return
        for department in session.agent.departments:
            self._of.setdefault(department, _Watched()).watchers[session] = False
        self._fresh.add(session)

    def leave(self, session: AgentSession) -> None:
        """Handle the end of a connection."""
        self._fresh.discard(session)
        for department in session.agent.departments:
            watched = self._of.get(department)
            if watched and watched.watchers.pop(session, None) is not None and not watched.watchers:
                del self._of[department]

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def note_queue(self, event: QueueChanged) -> None:
        """Take a published queue, or a digest that names empty ones too. An older version is dropped."""
        self._note(event.department, event.revision, len(event.order), event.since)
        for queue in event.empty or ():
            self._note(queue.department, queue.revision, 0, None)

    def _note(self, department: str, revision: int, count: int, since: datetime | None) -> None:
        known = self._queues.get(department)
        if known is None or revision >= known.revision:
            self._queues[department] = _Queue(revision, count, since, self._clock())

    # ── reading and sending ──────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Send what has changed, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            if self._of:
                await self.update()

    async def update(self) -> None:
        """Read what is to be read, and send each session what is new to it."""
        now = self._clock()
        if self._reading is None and now >= self._read_after:
            stale = [d for d, watched in self._of.items() if self._is_stale(d, watched, now)]
            if stale:
                self._reading = self._tasks.start(self._read(stale))
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=READING)
        self._send_changes()
        fresh, self._fresh = self._fresh - self._catching_up, self._fresh & self._catching_up
        for session in fresh:
            self._catching_up.add(session)
            self._tasks.start(self._show_all(session))

    def _is_stale(self, department: str, watched: _Watched, now: float) -> bool:
        button = self._buttons.of.get(department)
        if button is None:  # the departments file does not have it (any more)
            return False
        return now - watched.read_at >= ANYWAY or _cause(button) != watched.read_for

    async def _read(self, departments: Sequence[str]) -> None:
        """Ask presence for the opening hours and the closed intakes of these departments."""
        try:
            for some in batched(departments, MOST_DEPARTMENTS):
                asked = [(d, _cause(button)) for d in some if (button := self._buttons.of.get(d))]
                answer = await self._presence.intakes([d for d, _ in asked])
                closed = {one.department: one for one in answer.intakes}
                for department, cause in asked:
                    if watched := self._of.get(department):
                        watched.hours, watched.intake = answer.hours.get(department), closed.get(department)
                        watched.read_at, watched.read_for = self._clock(), cause
        except Unavailable as error:
            log.warning("opening_hours_not_read", missing=str(error))
            self._read_after = self._clock() + AGAIN
        finally:
            self._reading = None

    def _send_changes(self) -> None:
        """Send the sessions that have the state of a department what is different by now."""
        news: defaultdict[AgentSession, list[server.OwnDepartment]] = defaultdict(list)
        for department, watched in self._of.items():
            button = self._buttons.of.get(department)
            if button is None:
                continue
            before, watched.shown = watched.shown, self._state(button, watched)
            if before is None:
                self._fresh.update(watched.watchers)
            if before is None or before == watched.shown:
                continue
            change = changed(before, watched.shown)
            for session, begun in watched.watchers.items():
                if begun:
                    news[session].append(change)
        encoded: dict[tuple[str, ...], list[bytes]] = {}  # agents of the same departments get the same
        for session, changes in news.items():
            of = tuple(change.department for change in changes)
            if of not in encoded:
                encoded[of] = _frames(changes)
            for frame in encoded[of]:
                session.connection.send(frame)

    async def _show_all(self, session: AgentSession) -> None:
        """Send the session the whole state of its departments, as fast as it reads."""
        try:
            for departments in batched(session.agent.departments, MOST_IN_FRAME):
                await session.connection.room()
                whole = []
                for department in departments:
                    watched = self._of.get(department)
                    if watched and watched.shown and watched.watchers.get(session) is False:
                        watched.watchers[session] = True
                        whole.append(watched.shown)
                for frame in _frames(whole):
                    session.connection.send(frame)
        finally:
            self._catching_up.discard(session)

    def _state(self, button: Button, watched: _Watched) -> server.OwnDepartment:
        colour, reason, opens_at = button.content
        return server.OwnDepartment(
            department=button.department,
            button=server.LiveButton(colour=colour, reason=reason, opens_at=opens_at),
            intake=_intake(button.intake, watched.intake),
            hours=watched.hours,
            waiting=self._waiting(button.department),
        )

    def _waiting(self, department: str) -> server.OwnWaiting | None:
        queue = self._queues.get(department)
        if queue is None or self._clock() - queue.at > SILENCE:
            return None
        return server.OwnWaiting(count=queue.count, since=stamp(queue.since) if queue.since else None)


def _cause(button: Button) -> Cause:
    """Return what of a button changes with its opening hours, or with its intake."""
    _, reason, opens_at = button.content
    return reason is ButtonReason.CLOSED, opens_at, button.intake


def _intake(shown: Intake | None, read: ClosedIntake | None) -> server.OwnIntake | None:
    """Return the closed intake that the button shows, with the name that presence has given for the same one."""
    if shown is None:
        return None
    same = read is not None and (read.until, read.reason) == (shown.until, shown.reason)
    return server.OwnIntake(until=stamp(shown.until), name=read.name if read and same else None)


def changed(before: server.OwnDepartment, after: server.OwnDepartment) -> server.OwnDepartment:
    """Return the department with the members that are different."""
    return server.OwnDepartment(
        department=after.department,
        button=after.button if before.button != after.button else UNSET,
        intake=after.intake if before.intake != after.intake else UNSET,
        hours=after.hours if before.hours != after.hours else UNSET,
        waiting=after.waiting if before.waiting != after.waiting else UNSET,
    )


def _frames(departments: Sequence[server.OwnDepartment]) -> list[bytes]:
    at = stamp(utcnow())
    return [server.OwnDepartments(at=at, departments=some).encode() for some in batched(departments, MOST_IN_FRAME)]
