"""What supervisors with a connection to this gateway see of their departments, as it happens.

Events say that something of a department has changed; what it is now is asked of the services that own it, in one
request to each for all departments that changed within `SPACING`. The connections get what is different from what they
were sent. A lost event can therefore not leave a wrong picture: the next event of the department, or `ANYWAY`, mends
it. That a citizen waits for an answer follows from the messages themselves: the gateway follows the running chats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from services.common.batches import batched
from services.common.clock import utcnow
from services.common.config.departments import Departments
from services.common.events.agents import AgentChanged, ButtonChanged
from services.common.events.chats import ChatState, QueueChanged
from services.common.events.event import Event
from services.common.events.messages import MessagesStored, MessageStored
from services.common.events.types import Entry, Party
from services.common.internal_api.presence import AgentsQuery, AgentView
from services.common.internal_api.supervision import (
    MOST_DEPARTMENTS,
    DepartmentChats,
    Intakes,
    OpenChats,
    OpenChatsQuery,
)
from services.gateway.background_tasks import Tasks
from services.gateway.button_state import Buttons
from services.gateway.chats.bindings import Bindings
from services.gateway.clients.http_client import Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.participants.sessions import AgentSession
from services.gateway.sending.sender import refuse
from services.gateway.supervision.picture import Picture, change, picture
from services.gateway.websocket.frames import server

log = structlog.get_logger()
SPACING = 0.3  # seconds in which changes are gathered
AGAIN = 2.0  # seconds after which a service that did not answer is asked again
ANYWAY = 60.0  # seconds after which the departments are read without a cause


@dataclass(slots=True)
class _Watched:
    """A department that supervisors here watch.

    Attributes:
        watchers: The sessions, each with whether it was sent the whole picture.
        bound: The gateway's queue gets the events of the department.
        shown: What the watchers that have the whole picture were sent.
        button: Version of the button, and of the queue, that were seen last.
        queue: The same of the queue.
        chats: The running chats that are followed, each with since when its citizen waits for an answer.
        unknown: The chats of which that is to be asked.
    """

    watchers: dict[AgentSession, bool] = field(default_factory=dict)
    bound: bool = False
    shown: Picture | None = None
    button: int = -1
    queue: int = -1
    chats: dict[str, datetime | None] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


class Live:
    """The departments that supervisors here watch."""

    def __init__(
        self,
        bindings: Bindings,
        buttons: Buttons,
        presence: PresenceClient,
        routing: RoutingClient,
        transcripts: TranscriptsClient,
        departments: Departments,
        tasks: Tasks,
    ) -> None:
        self._bindings, self._buttons, self._tasks = bindings, buttons, tasks
        self._presence, self._routing, self._transcripts = presence, routing, transcripts
        self._departments = departments
        self._of: dict[str, _Watched] = {}
        self._department_of: dict[str, str] = {}  # of each running chat that is followed
        self._due: set[str] = set()
        self._news = asyncio.Event()

    # ── supervisors ──────────────────────────────────────────────────────────────────────────────────────────────────

    def watch(self, session: AgentSession) -> None:
        """Show the session's departments to it from now on: as a whole first, then what changes.

        An agent who is no supervisor gets an `error` frame.
        """
        if not session.agent.supervisor:
            refuse(session, "forbidden")
            return
        if session.connection.ended:
            return
        own = [d for d in session.agent.departments if self._departments.get(d)][:MOST_DEPARTMENTS]
        for department in own:
            self._of.setdefault(department, _Watched()).watchers[session] = False
        self._wake([d for d in own if self._of[d].shown is None])
        self._tasks.start(self._show_all(session, [d for d in own if self._of[d].shown is not None]))

    async def _show_all(self, session: AgentSession, departments: Sequence[str]) -> None:
        """Send the session the whole of these departments, as fast as it reads."""
        for department in departments:
            await session.connection.room()
            watched = self._of.get(department)
            if watched and watched.shown and watched.watchers.get(session) is False:
                self._send(department, watched, [session], None, watched.shown)

    def leave(self, session: AgentSession) -> None:
        """Handle the end of a connection. A department that nobody watches any more is not followed any more."""
        for department, watched in list(self._of.items()):
            if watched.watchers.pop(session, None) is None or watched.watchers:
                continue
            del self._of[department]
            self._due.discard(department)
            if watched.bound:
                self._bindings.unfollow(department)
            for chat_id in list(watched.chats):
                self._unfollow(department, watched, chat_id)

    def remind_after(self, department: str) -> int | None:
        """Return after how many seconds an agent is reminded of a citizen who waits for an answer; None: never."""
        known = self._departments.get(department)
        return known.remind_after if known and known.remind_after else None

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin_listening(self) -> None:
        """Read every watched department again: the gateway's queue has started, and events may have been missed."""
        for watched in self._of.values():
            watched.unknown.update(watched.chats)
        self._wake(self._of)

    def note(self, event: Event) -> None:
        """Take an event of the gateway's queue. What it changes is read and sent soon; nothing here waits."""
        if not self._of:
            return
        if isinstance(event, MessageStored):
            self._note_entry(event.entry)
        elif isinstance(event, MessagesStored):
            for entry in event.entries:
                self._note_entry(entry)
        elif isinstance(event, ChatState):
            self._wake({event.department, *(event.former_departments or ())})
        elif isinstance(event, AgentChanged):
            self._wake(event.departments or ())
        elif isinstance(event, ButtonChanged):
            for state in (event, *(event.others or ())):
                if (watched := self._of.get(state.department)) and watched.button != state.revision:
                    watched.button = state.revision
                    self._wake([state.department])
        elif isinstance(event, QueueChanged):
            for queue in (event, *(event.empty or ())):
                if (watched := self._of.get(queue.department)) and watched.queue < queue.revision:
                    watched.queue = queue.revision
                    self._wake([queue.department])

    def _note_entry(self, entry: Entry) -> None:
        watched = self._of.get(self._department_of.get(entry.chat_id, ""))
        if watched is None or entry.chat_id not in watched.chats:
            return
        if entry.party is Party.CITIZEN and watched.chats[entry.chat_id] is not None:
            return  # they were waiting already
        watched.unknown.add(entry.chat_id)
        self._wake([self._department_of[entry.chat_id]])

    def _wake(self, departments: Iterable[str]) -> None:
        if concerned := [d for d in departments if d in self._of]:
            self._due.update(concerned)
            self._news.set()

    # ── reading and sending ──────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Read and send what has changed, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(ANYWAY):
                    await self._news.wait()
            except TimeoutError:
                self._due.update(self._of)
            await asyncio.sleep(SPACING)
            self._news.clear()
            due, self._due = self._due, set()
            for departments in batched([d for d in due if d in self._of], MOST_DEPARTMENTS):
                try:
                    await self._refresh(list(departments))
                except Unavailable as error:
                    log.warning("live_state_not_read", missing=str(error))
                    self._show_old(departments)
                    await asyncio.sleep(AGAIN)
                    self._wake(departments)

    async def _refresh(self, departments: Sequence[str]) -> None:
        """Read these departments and send what is different.

        Raises:
            Unavailable: A service does not answer, or a binding was not made.
        """
        departments = [d for d in departments if self._departments.get(d)]  # one may be removed while it is watched
        if not departments:
            return
        await asyncio.gather(*(self._follow_department(d) for d in departments))
        agents, intakes = await asyncio.gather(
            self._presence.agents(AgentsQuery(departments=list(departments))), self._presence.intakes(list(departments))
        )
        ours = [a for a in agents if not set(a.departments).isdisjoint(departments)]
        chats = await self._routing.open_chats(
            OpenChatsQuery(departments=list(departments), agents=[a.id for a in ours if a.online])
        )
        by_department = {one.department: one for one in chats.departments}
        for department in departments:
            await self._follow_chats(department, by_department.get(department))
        await self._ask_unanswered(departments)
        for department in departments:
            self._show(department, ours, intakes, chats, by_department.get(department))
        for session in self._new_watchers(departments):
            self._tasks.start(self._show_all(session, departments))

    def _new_watchers(self, departments: Iterable[str]) -> set[AgentSession]:
        """Return the sessions that watch one of these departments and were not sent the whole of it yet."""
        watched = [self._of[d] for d in departments if d in self._of]
        return {session for one in watched for session, begun in one.watchers.items() if not begun}

    async def _follow_department(self, department: str) -> None:
        watched = self._of.get(department)
        if watched is None or watched.bound:
            return
        await self._bindings.follow(department)
        if self._of.get(department) is watched:
            watched.bound = True
        else:  # everybody has left meanwhile
            self._bindings.unfollow(department)

    async def _follow_chats(self, department: str, chats: DepartmentChats | None) -> None:
        """Follow the running chats of a department, so that the messages in them arrive here, and no others."""
        watched = self._of.get(department)
        if watched is None:
            return
        running = {one.chat_id for one in chats.first_running} if chats else set[str]()
        for chat_id in [c for c in watched.chats if c not in running]:
            self._unfollow(department, watched, chat_id)
        await asyncio.gather(*(self._follow(department, watched, c) for c in running if c not in watched.chats))

    async def _follow(self, department: str, watched: _Watched, chat_id: str) -> None:
        await self._bindings.follow(chat_id)
        if self._of.get(department) is not watched:
            self._bindings.unfollow(chat_id)
            return
        watched.chats[chat_id] = None
        watched.unknown.add(chat_id)
        self._department_of[chat_id] = department

    def _unfollow(self, department: str, watched: _Watched, chat_id: str) -> None:
        del watched.chats[chat_id]
        watched.unknown.discard(chat_id)
        if self._department_of.get(chat_id) == department:  # else it is in another watched department by now
            del self._department_of[chat_id]
        self._bindings.unfollow(chat_id)

    async def _ask_unanswered(self, departments: Sequence[str]) -> None:
        asked: set[str] = set()
        for department in departments:
            if watched := self._of.get(department):
                asked |= watched.unknown
                watched.unknown = set()  # a message that comes while it is asked puts its chat here again
        if not asked:
            return
        try:
            since = await self._transcripts.unanswered(sorted(asked))
        except Unavailable:
            for chat_id in asked:
                if watched := self._of.get(self._department_of.get(chat_id, "")):
                    watched.unknown.add(chat_id)
            raise
        for chat_id in asked:
            watched = self._of.get(self._department_of.get(chat_id, ""))
            if watched and chat_id in watched.chats:
                watched.chats[chat_id] = since.get(chat_id)

    def _show(
        self,
        department: str,
        agents: Sequence[AgentView],
        intakes: Intakes,
        chats: OpenChats,
        own: DepartmentChats | None,
    ) -> None:
        watched = self._of.get(department)
        if watched is None or self._departments.get(department) is None:
            return
        after = picture(
            self._button(department),
            next((one for one in intakes.intakes if one.department == department), None),
            intakes.hours.get(department),
            [a for a in agents if department in a.departments],
            own or DepartmentChats(department=department),
            chats.of_agents,
            watched.chats,
        )
        self._replace(department, watched, after)

    def _show_old(self, departments: Iterable[str]) -> None:
        for department in departments:
            if (watched := self._of.get(department)) and watched.shown:
                self._replace(department, watched, replace(watched.shown, current=False))

    def _replace(self, department: str, watched: _Watched, after: Picture) -> None:
        before, watched.shown = watched.shown, after
        known = [session for session, begun in watched.watchers.items() if begun]
        self._send(department, watched, known, before, after)

    def _send(
        self,
        department: str,
        watched: _Watched,
        sessions: Sequence[AgentSession],
        before: Picture | None,
        after: Picture,
    ) -> None:
        known = self._departments.get(department)
        if not sessions or known is None or (frame := change(known, before, after, utcnow())) is None:
            return
        encoded = frame.encode()
        for session in sessions:
            watched.watchers[session] = True
            session.connection.send(encoded)

    def _button(self, department: str) -> server.LiveButton:
        colour, reason, opens_at = self._buttons.of[department].content
        return server.LiveButton(colour=colour, reason=reason, opens_at=opens_at)
